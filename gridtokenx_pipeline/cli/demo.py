"""`gridtokenx demo` and `gridtokenx up`: the whole line on one machine."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import signal
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from . import options

if TYPE_CHECKING:
    from rich.console import Console

    from gridtokenx_pipeline.config import Settings
    from gridtokenx_pipeline.runs import JobOutcome, Runner
    from gridtokenx_pipeline.stack.stack import Stack

Minutes = Annotated[int, typer.Option("--minutes", min=5, help="Length of the simulated window.")]
Start = Annotated[
    dt.datetime | None,
    typer.Option(
        "--start", formats=["%Y-%m-%dT%H:%M:%SZ"], help="Start of the window, UTC; default: 10:00 of the latest working day."
    ),
]
Once = Annotated[bool, typer.Option("--once", help="Stop everything at the end instead of running on live.")]


def demo(
    once: Once = False,
    minutes: Minutes = 30,
    start: Start = None,
    seed: options.Seed = 42,
    port: options.Port = 8443,
    rpc_port: options.RpcPort = 8899,
    dagster_port: options.DagsterPort = 3000,
    host: options.Host = "127.0.0.1",
    workers: options.Workers = 2,
    name: options.Names = None,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Carry the campus from a TLS handshake to a confirmed Solana transaction and an analyst's SQL.

    Makes the certificates, starts the ingest server, a local Solana node and Dagster, posts 30 simulated minutes from 25
    meters through mutual TLS, materializes landing to chain and marts, and prints what came of it. Then the campus runs on
    live until Ctrl-C; with --once everything stops. A second run on the same data posts the same window: nothing settled changes.

    Example: gridtokenx demo --once --port 9443
    """
    from gridtokenx_pipeline import clock
    from gridtokenx_pipeline.runs import Runner
    from gridtokenx_pipeline.stack.stack import Ports

    began = time.monotonic()
    settings = options.settings(data, config)
    console = _console()
    with _stack(console, settings, Ports(port, rpc_port, dagster_port, host), workers, name) as stack:
        runner = Runner(settings, stack.env)
        loading = _Loading(runner)
        with _step(console, "Solana node and ingest server"):
            stack.node.wait_healthy(60)
            stack.ingest.wait_healthy(60)
        window = _window(settings, start, minutes)
        received_since = clock.now()
        _post(console, stack, window, seed)
        with _step(console, "Definitions and suites loaded"):
            loading.join()
        with _step(console, "Intake run: raw messages, readings") as intaken:
            intake = runner.hours("intake", runner.first_hour(), clock.now())
        _require(console, intake)
        with _step(console, "Settlement run: energy, market, certificates, batches, chain") as settled:
            settlement = runner.hours("settle", window.start, window.end - dt.timedelta(seconds=1))
        _require(console, settlement)
        with _step(console, "Marts: dbt build"):
            marts = runner.days("marts", window.start, window.end - dt.timedelta(seconds=1))
        _require(console, marts)
        with _step(console, "Dagster webserver and daemon"):
            stack.dagster.wait_healthy(180)
        _report(console, stack, (intake, settlement, marts), received_since, window)
        console.print(
            f"intake and settlement runs {intaken.seconds + settled.seconds:.1f} s, everything {time.monotonic() - began:.1f} s"
        )
        if not once:
            _live(console, stack, seed)


def up(
    simulate: Annotated[bool, typer.Option("--simulate", help="Also run the simulated campus, live.")] = False,
    seed: options.Seed = 42,
    port: options.Port = 8443,
    rpc_port: options.RpcPort = 8899,
    dagster_port: options.DagsterPort = 3000,
    host: options.Host = "127.0.0.1",
    workers: options.Workers = 2,
    name: options.Names = None,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Run the ingest server, the local Solana node and Dagster with its schedules, until Ctrl-C.

    Example: gridtokenx up --host 0.0.0.0 --name ami.example.edu
    """
    from gridtokenx_pipeline.defs.marts.project import ensure_manifest
    from gridtokenx_pipeline.stack.stack import Ports

    settings = options.settings(data, config)
    console = _console()
    with _step(console, "dbt manifest"):
        ensure_manifest(settings)
    with _stack(console, settings, Ports(port, rpc_port, dagster_port, host), workers, name) as stack:
        with _step(console, "All services"):
            for service in stack.services:
                service.wait_healthy(180)
        if simulate:
            _live(console, stack, seed)
        else:
            _start_automation(console, stack)
            threading.Event().wait()


class _Loading:
    """Definitions, dbt and Great Expectations imported in the background; `join` raises what went wrong."""

    def __init__(self, runner: Runner) -> None:
        self._error: BaseException | None = None
        self._runner = runner
        self._thread = threading.Thread(target=self._load, name="loading", daemon=True)
        self._thread.start()

    def _load(self) -> None:
        try:
            self._runner.load()
        except BaseException as error:
            self._error = error

    def join(self) -> None:
        self._thread.join()
        if self._error is not None:
            raise self._error


class _Timed:
    seconds = 0.0


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


@contextlib.contextmanager
def _step(console: Console, text: str) -> Iterator[_Timed]:
    """Show a step while it runs and, when it is done, how long it took."""
    timed, began = _Timed(), time.monotonic()
    with console.status(f"{text} ..."):
        try:
            yield timed
        except BaseException:
            console.print(f"[red]failed[/] {text}")
            raise
    timed.seconds = time.monotonic() - began
    console.print(f"[green]done[/]   {text} [dim]{timed.seconds:.1f} s[/]")


@contextlib.contextmanager
def _stack(console: Console, settings: Settings, ports, workers: int, names: list[str] | None) -> Iterator[Stack]:
    """The running stack: enrolled, started, watched, and stopped at the end or by a signal."""
    from gridtokenx_pipeline.enrolment import SERVER_NAMES, enrol
    from gridtokenx_pipeline.stack.stack import Stack

    # Said in full, because a background job starts with SIGINT ignored and Dagster gives SIGTERM the handler of SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with _step(console, "Certificates and device registry"):
        enrolment = enrol(settings, [*SERVER_NAMES, *names] if names else None)
    stack = Stack(settings, enrolment, ports, workers=workers)
    stack.require_free_ports()
    watch = _Watch(console, stack)
    try:
        stack.start()
        watch.start()
        yield stack
    except KeyboardInterrupt:
        if watch.failed:
            raise typer.Exit(1) from None
        console.print("stopped by request")
        raise typer.Exit(0 if stack.live else 130) from None
    finally:
        # The watchdog must be silent before services end, and outlive those it restarted until then.
        for service in stack.services:
            service.expect_end()
        with console.status("Stopping services ..."):
            stack.stop()
        watch.stopped.set()


class _Watch(threading.Thread):
    """Restarts services that die; one that will not stay up ends the command."""

    def __init__(self, console: Console, stack: Stack) -> None:
        super().__init__(name="watch", daemon=True)
        self._console, self._stack = console, stack
        self.stopped = threading.Event()
        self.failed = False

    def run(self) -> None:
        from gridtokenx_pipeline.stack.service import ServiceFailed

        while not self.stopped.wait(0.5):
            try:
                for name in self._stack.check():
                    log = self._stack.settings.logs_dir / f"{name}.log"
                    self._console.print(f"[yellow]{name} died and was started again[/] (log: {log})", soft_wrap=True)
            except ServiceFailed as error:
                self._console.print(f"[red]{error}[/]")
                self.failed = True
                signal.raise_signal(signal.SIGTERM)
                return


def _window(settings: Settings, start: dt.datetime | None, minutes: int):
    """The window asked for, else the one this data directory was filled with, else 10:00 of the latest working day."""
    from gridtokenx_pipeline import campus, clock

    memory = settings.data / "run" / "demo.json"
    if start is not None:
        return campus.window(settings, start.replace(tzinfo=dt.UTC), minutes)
    if memory.exists():
        known = json.loads(memory.read_text())
        return campus.window(settings, dt.datetime.fromisoformat(known["start"]), known["minutes"])
    begin = campus.latest_working_morning(settings, clock.now(), minutes)
    memory.parent.mkdir(parents=True, exist_ok=True)
    memory.write_text(json.dumps({"start": begin.isoformat(), "minutes": minutes}))
    return campus.window(settings, begin, minutes)


def _post(console: Console, stack: Stack, window, seed: int) -> None:
    """Post the window from every meter. Exits with 1 naming the meters that failed."""
    from campus_simulator.campus import run_window
    from gridtokenx_pipeline import campus

    from .simulate import posting_progress

    began = time.monotonic()
    with posting_progress(console, len(stack.settings.meters) * window.intervals) as progress:
        fleet = campus.fleet(stack.settings, stack.enrolment)
        simulator = campus.simulator_options(stack.settings, stack.enrolment, stack.urls.ingest, seed)
        report = asyncio.run(run_window(fleet, window, simulator, progress))
    seconds = time.monotonic() - began
    console.print(
        f"[green]done[/]   {report.posted} intervals posted from {window.start:%Y-%m-%d %H:%M} UTC by {len(fleet)} meters, "
        f"{report.retried} requests repeated, {report.refused} refused [dim]{seconds:.1f} s[/]",
        soft_wrap=True,
    )
    for meter, reason in report.failures.items():
        console.print(f"[red]{meter}: {reason}[/]")
    if report.failures or report.refused:
        raise typer.Exit(1)


def _require(console: Console, outcome: JobOutcome) -> None:
    """Exit with 1 naming what failed in a run."""
    if outcome.success and not outcome.failures:
        return
    console.print(f"[red]job {outcome.job} failed[/] (run {outcome.run_id})")
    for failure in outcome.failures:
        console.print(f"  {failure}", markup=False)
    raise typer.Exit(1)


def _report(console: Console, stack: Stack, outcomes: tuple[JobOutcome, ...], since: dt.datetime, window) -> None:
    from rich.table import Table

    from gridtokenx_pipeline.summary import summarize
    from gridtokenx_pipeline.warehouse import Warehouse

    currency = stack.settings.market.currency
    with Warehouse(stack.settings.warehouse_dir, read_only=True) as warehouse:
        s = summarize(warehouse, since, window.start, window.end)
    checks = [check for outcome in outcomes for check in outcome.checks]
    warned = [f"{check.name} of {check.asset}" for check in checks if not check.passed]
    reasons = ", ".join(f"{count} {reason}" for reason, count in s.rejected_by_reason.items())
    table = Table(
        show_header=False, expand=False, title=f"{stack.settings.zone}: {window.start:%Y-%m-%d %H:%M} to {window.end:%H:%M} UTC"
    )
    rows = {
        "messages landed": str(s.messages),
        "readings accepted": str(s.accepted),
        "readings rejected": f"{s.rejected} ({reasons})" if s.rejected else "0",
        **{f"energy {channel}": f"{wh} Wh" for channel, wh in s.energy_wh.items()},
        "meters x 15 s intervals": f"{s.meters} x {s.intervals}",
        "trades": f"{s.trades}: {s.traded_wh} Wh for {s.amount_micro / 1e6:.6f} {currency}",
        "price range": f"{s.price_min / 1e6:.6f} to {s.price_max / 1e6:.6f} {currency}/kWh"
        if s.price_min is not None and s.price_max is not None
        else "no trades",
        "certificates": f"{s.certificates} bundles, {s.certificate_wh} Wh"
        + (f", {s.pending_wh} Wh pending" if s.pending_wh else ""),
        "settlement batches": str(s.batches),
        "on chain": f"{s.actions_done} of {s.actions} actions done by {s.transactions} confirmed transactions",
        "fees": f"{s.fee_lamports} lamports",
        **{f"root {i}": signature for i, signature in enumerate(s.root_signatures, 1)},
        "checks": f"{sum(check.passed for check in checks)} of {len(checks)} passed"
        + (f"; warnings: {', '.join(warned)}" if warned else ""),
    }
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for left, right in rows.items():
        table.add_row(left, right)
    console.print(table)
    console.print(f"Dagster UI   {stack.urls.dagster}/asset-groups", soft_wrap=True)
    console.print(
        f"2030.5       {stack.urls.ingest}/dcap (client certificate needed: gridtokenx certs issue METER --out DIR)",
        soft_wrap=True,
    )
    console.print(f"Metrics      {stack.urls.ops}/metrics (and /healthz, /readyz of the ingest server)", soft_wrap=True)
    console.print(f"Solana RPC   {stack.urls.rpc}", soft_wrap=True)
    where = f" --data {stack.settings.data}"
    console.print(f'SQL          .venv/bin/gridtokenx sql{where} "from marts.fct_campus_daily"', soft_wrap=True)
    console.print(f'             .venv/bin/gridtokenx sql{where} "from market.trades limit 10"', soft_wrap=True)


def _start_automation(console: Console, stack: Stack) -> None:
    from gridtokenx_pipeline.stack import dagster

    dagster.start_automation(stack.urls.dagster)
    stack.live = True
    console.print(f"[green]live[/]   schedules are on; Dagster UI {stack.urls.dagster}; Ctrl-C stops everything", soft_wrap=True)


def _live(console: Console, stack: Stack, seed: int) -> None:
    """Switch the schedules on and post every interval as it ends, until Ctrl-C."""
    from campus_simulator.campus import run_live
    from gridtokenx_pipeline import campus

    _start_automation(console, stack)
    posted: dict[str, int] = {}
    fleet = campus.fleet(stack.settings, stack.enrolment)
    simulator = campus.simulator_options(stack.settings, stack.enrolment, stack.urls.ingest, seed)
    with console.status("live") as line:

        def progress(outcome) -> None:
            posted[outcome.meter_id] = outcome.posted
            line.update(f"live: {len(posted)} meters, {sum(posted.values())} intervals posted")

        asyncio.run(run_live(fleet, simulator, progress, interval_s=stack.settings.metering.interval_s))

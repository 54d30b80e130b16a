"""`gridtokenx simulate`: the campus's meters, against a server that runs already."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from . import options

if TYPE_CHECKING:
    from rich.console import Console

    from campus_simulator.session import MeterOutcome

app = typer.Typer(help="Simulated meters that post through mutual TLS like real ones.", no_args_is_help=True)
Url = Annotated[str, typer.Option("--url", help="Base URL of the server.")]


@app.command("window")
def window(
    start: Annotated[
        dt.datetime | None,
        typer.Option("--start", formats=["%Y-%m-%dT%H:%M:%SZ"], help="Start, UTC; default: 10:00 of the latest working day."),
    ] = None,
    minutes: Annotated[int, typer.Option("--minutes", min=1, help="Length of the window.")] = 30,
    url: Url = "https://localhost:8443",
    seed: options.Seed = 42,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Post a window of the past as fast as the server takes it.

    Example: gridtokenx simulate window --start 2026-06-21T19:00:00Z --minutes 60
    """
    from rich.console import Console

    from campus_simulator.campus import run_window
    from gridtokenx_pipeline import campus, clock
    from gridtokenx_pipeline.enrolment import enrol

    settings = options.settings(data, config)
    enrolment = enrol(settings)
    begin = start.replace(tzinfo=dt.UTC) if start else campus.latest_working_morning(settings, clock.now(), minutes)
    span = campus.window(settings, begin, minutes)
    with posting_progress(Console(), len(settings.meters) * span.intervals) as progress:
        fleet = campus.fleet(settings, enrolment)
        report = asyncio.run(run_window(fleet, span, campus.simulator_options(settings, enrolment, url, seed), progress))
    typer.echo(f"{report.posted} intervals posted from {begin:%Y-%m-%dT%H:%M:%SZ}")
    typer.echo(f"{report.retried} requests repeated, {report.refused} refused")
    for meter, reason in report.failures.items():
        typer.echo(f"{meter}: {reason}", err=True)
    if report.failures or report.refused:
        raise typer.Exit(1)


@app.command("live")
def live(
    url: Url = "https://localhost:8443",
    subscribe: Annotated[
        bool, typer.Option("--subscribe/--poll", help="Be notified of new events, or only poll for them.")
    ] = True,
    offers: Annotated[bool, typer.Option("--offers", help="Make a standing offer to the P2P pool each day.")] = False,
    seed: options.Seed = 42,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Post every interval when it has ended, until Ctrl-C, and follow the campus's prices, load and DER controls.

    Example: gridtokenx simulate live --url https://localhost:8443
    """
    from campus_simulator.campus import run_live
    from gridtokenx_pipeline import campus
    from gridtokenx_pipeline.enrolment import enrol

    settings = options.settings(data, config)
    enrolment = enrol(settings)
    typer.echo(f"{len(enrolment.meters)} meters post every {settings.metering.interval_s} s; Ctrl-C stops")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(
            run_live(
                campus.fleet(settings, enrolment),
                campus.simulator_options(settings, enrolment, url, seed, subscribe=subscribe, offers=offers),
                interval_s=settings.metering.interval_s,
            )
        )


@contextlib.contextmanager
def posting_progress(console: Console, total: int) -> Iterator[Callable[[MeterOutcome], None]]:
    """A progress bar over `total` intervals of all meters; yields the callback that `run_window` takes."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("posting", total=total)
        posted: dict[str, int] = {}

        def progress(outcome: MeterOutcome) -> None:
            posted[outcome.meter_id] = outcome.posted
            bar.update(task, completed=sum(posted.values()))

        yield progress

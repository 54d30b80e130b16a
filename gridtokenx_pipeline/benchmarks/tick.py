"""How long the five-minute tick takes for one window of 25 meters, from its schedule's evaluation to its last check."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridtokenx_pipeline.config import Settings

INTERVALS = 20
TICKS = 3


def run() -> dict[str, Any]:
    """Land a window of 25 meters before each of three ticks and run them: two in this process, one in a process of its own.

    Returns meters, messages (of a window), warm_seconds (the second tick: schedule and run in a process that has loaded the
    definitions), seconds (the third, as the live stack makes it: evaluation in the warm code server, then a new process that
    imports everything), both to the end of the checks; checks and settled_intervals (counts). Raises `RuntimeError` where a tick
    fails or a window is not settled.
    """
    from gridtokenx_pipeline.stack.dagster import ensure_home

    from . import campus_day

    with _node() as (url, key), campus_day.campus(GRIDTOKENX_SETTLEMENT__RPC_URL=url, GRIDTOKENX_AUTHORITY_KEY=key) as settings:
        ensure_home(settings)
        from gridtokenx_pipeline.runs import Runner

        runner = Runner(settings)
        runner.load(suites=False)
        seconds = []
        for tick in range(TICKS - 1):
            _land(settings, tick)
            seconds.append(_warm(runner, _moment(tick)))
        _land(settings, TICKS - 1)
        began = time.perf_counter()
        partition = _evaluate(_moment(TICKS - 1))
        evaluated = time.perf_counter() - began
        cold, checks = _cold(partition)
        settled = _settled(settings)
    if settled < TICKS:
        raise RuntimeError(f"{settled} of {TICKS} windows were settled")
    return {
        "meters": len(settings.meters),
        "messages": len(settings.meters) * INTERVALS,
        "warm_seconds": round(seconds[-1], 2),
        "seconds": round(evaluated + cold, 2),
        "checks": checks,
        "settled_intervals": settled,
    }


def _moment(tick: int) -> dt.datetime:
    """When the tick that settles a window is due: windows end on the five minutes, and close 60 s later."""
    from . import campus_day

    return campus_day.START + dt.timedelta(minutes=5 * (tick + 2))


def _land(settings: Settings, window: int) -> None:
    from ingest_server.landing.sqlite import SqliteLandingStore
    from ingest_server.landing.store import RawMessage

    from . import campus_day

    rows = campus_day.frame(settings, window * INTERVALS, INTERVALS, declared=window == 0).rows(named=True)
    names = [name for name in RawMessage.__dataclass_fields__ if name != "sender_lfdi"]

    async def append() -> None:
        store = SqliteLandingStore(settings.landing_dir)
        try:
            await asyncio.gather(*(store.append(RawMessage(**{name: row[name] for name in names})) for row in rows))
        finally:
            store.close()

    asyncio.run(append())


def _evaluate(now: dt.datetime) -> str:
    """Evaluate the schedule as the code server does; return the partition it asks for."""
    import dagster as dg

    from gridtokenx_pipeline.definitions import defs
    from gridtokenx_pipeline.defs.resources import Stores
    from gridtokenx_pipeline.defs.schedules import TICK

    repository = defs.get_repository_def()
    with (
        dg.DagsterInstance.get() as instance,
        dg.build_schedule_context(
            instance=instance, scheduled_execution_time=now, resources={"stores": Stores()}, repository_def=repository
        ) as context,
    ):
        (request,) = repository.get_schedule_def(TICK).evaluate_tick(context).run_requests or ()
    if request.partition_key is None:
        raise RuntimeError(f"the tick asks for a range: {request.tags}")
    return request.partition_key


def _warm(runner: Any, now: dt.datetime) -> float:
    from gridtokenx_pipeline import clock

    clock.set_clock(lambda: now)
    began = time.perf_counter()
    partition = _evaluate(now)
    hour = dt.datetime.strptime(partition, "%Y-%m-%d-%H:%M").replace(tzinfo=dt.UTC)
    outcome = runner.hours("tick", hour, hour)
    seconds = time.perf_counter() - began
    clock.set_clock(clock.system_clock)
    if not outcome.success:
        raise RuntimeError("; ".join(outcome.failures))
    return seconds


def _cold(partition: str) -> tuple[float, int]:
    """Run the tick's hour in a new process; return its seconds and its evaluated checks."""
    import dagster as dg

    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "dagster",
        "job",
        "execute",
        "-m",
        "gridtokenx_pipeline.definitions",
        "-j",
        "tick",
    ]
    tags = {"dagster/partition": partition}
    began = time.perf_counter()
    done = subprocess.run([*command, "--tags", json.dumps(tags)], capture_output=True, text=True, check=False, env=os.environ)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    with dg.DagsterInstance.get() as instance:
        (record,) = instance.get_run_records(limit=1)
        events = instance.all_logs(record.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    return seconds, len(events)


def _settled(settings: Settings) -> int:
    from gridtokenx_pipeline.warehouse import Warehouse

    with Warehouse(settings.warehouse_dir, read_only=True) as warehouse:
        return warehouse.query("SELECT count(*) FROM market.intervals WHERE state = 'settled'").item()


@contextmanager
def _node() -> Iterator[tuple[str, str]]:
    """A local Solana node in a process of its own; its RPC address, and the key file of who may set its programs up."""
    with tempfile.TemporaryDirectory(prefix="gridtokenx-bench-node-") as directory:
        command = [
            sys.executable,
            "-m",
            "gridtokenx_pipeline.solana.node",
            "--dir",
            directory,
            "--port",
            "0",
            "--die-with-parent",
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            ready = process.stdout.readline().split()
            if ready[:1] != ["ready"]:
                raise RuntimeError("the local Solana node did not start")
            yield ready[1], str(Path(directory) / "operator.json")
        finally:
            process.terminate()
            process.wait(10)
            if process.stdout:
                process.stdout.close()

"""Derive past hours again and store them: a day a run, through the jobs, recorded in Dagster like any other run.

While the stack is up the runs go into its queue, behind the tick; otherwise they run in this process. Either way one run at a
time is in the warehouse. Settled intervals stay as they are, which is a matter of the assets.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.stack.service import is_alive
from gridtokenx_pipeline.warehouse import Warehouse, WarehouseMissing

from . import stages
from .prove import hour_hashes, require_hours, require_meter

POLL_S = 1.0
Hashes = dict[tuple[str, dt.datetime], tuple[int, str]]


class BackfillFailed(RuntimeError):
    """A day's run failed; the message says which, and what failed in it. The days before it are stored."""


@dataclass(frozen=True)
class Day:
    """A run: its hours, and the hours of tables that are other than before."""

    start: dt.datetime
    end: dt.datetime
    run_id: str
    changed: list[tuple[str, dt.datetime]]
    seconds: float


def backfill(
    settings: Settings,
    start: dt.datetime,
    end: dt.datetime,
    *,
    stage: str = stages.ALL,
    meter: str = "",
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Day]:
    """Run the stage's job for the hours `start` to `end` (UTC, whole, exclusive), a day at a time, in order.

    Raises `BackfillFailed` at the first run that fails, `ValueError` for bad bounds or meter.
    """
    require_hours(start, end)
    require_meter(settings, meter)
    chunks = list(stages.days(start, end))
    say = progress or (lambda done, total, text: None)
    launch = _launcher(settings)
    done = []
    for number, (first, last) in enumerate(chunks):
        say(number, len(chunks), f"{first:%Y-%m-%d %H:%M}")
        began, before = time.monotonic(), _hashes(settings, stage, first, last)
        run_id = launch(stages.JOBS[stage], first, last - stages.HOUR, _scope(stage, meter))
        after = _hashes(settings, stage, first, last)
        changed = sorted(place for place in before.keys() | after.keys() if before.get(place) != after.get(place))
        done.append(Day(first, last, run_id, changed, time.monotonic() - began))
    say(len(chunks), len(chunks), "")
    return done


def live_url(settings: Settings) -> str | None:
    """Return the address of the Dagster webserver of a running stack on this data directory; None where there is none."""
    state = settings.data / "run" / "stack.json"
    if not state.exists():
        return None
    stack = json.loads(state.read_text(encoding="utf-8"))
    return stack["urls"].get("dagster") if is_alive(stack.get("services", {}).get("dagster")) else None


Launch = Callable[[str, dt.datetime, dt.datetime, dict[str, Any]], str]


def _launcher(settings: Settings) -> Launch:
    """How a run is made: in the stack's queue, or here."""
    url = live_url(settings)
    if url is not None:
        return lambda job, first, last, config: _queued(settings, url, job, first, last, config)
    from gridtokenx_pipeline.runs import Runner
    from gridtokenx_pipeline.stack.dagster import ensure_home

    ensure_home(settings)
    runner = Runner(settings)

    def here(job: str, first: dt.datetime, last: dt.datetime, config: dict[str, Any]) -> str:
        outcome = runner.hours(job, first, last, config=config)
        if not outcome.success:
            raise BackfillFailed(f"{first:%Y-%m-%d %H:%M}: run {outcome.run_id}: {'; '.join(outcome.failures)}")
        return outcome.run_id

    return here


def _queued(settings: Settings, url: str, job: str, first: dt.datetime, last: dt.datetime, config: dict[str, Any]) -> str:
    """Put a run into the queue behind everything else and wait for its end."""
    import dagster as dg

    from gridtokenx_pipeline.defs.jobs import BACKFILL_PRIORITY, PRIORITY
    from gridtokenx_pipeline.defs.partitions import hour_key, one_run
    from gridtokenx_pipeline.stack.dagster import launch

    partition, tags = one_run(hour_key(first), hour_key(last))
    tags = {**tags, PRIORITY: BACKFILL_PRIORITY, "gridtokenx/asked_by": "backfill"}
    if partition is not None:
        tags["dagster/partition"] = partition
    run_id = launch(url, job, tags, config)
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)
    with dg.DagsterInstance.get() as instance:
        while not (run := instance.get_run_by_id(run_id)) or not run.is_finished:
            time.sleep(POLL_S)
    if run.status is not dg.DagsterRunStatus.SUCCESS:
        raise BackfillFailed(f"{first:%Y-%m-%d %H:%M}: run {run_id} ended as {run.status.value}: {url}/runs/{run_id}")
    return run_id


def _scope(stage: str, meter: str) -> dict[str, Any]:
    return {"ops": {step: {"config": {"meter": meter}} for step in stages.SCOPED[stage]}} if meter else {}


def _hashes(settings: Settings, stage: str, start: dt.datetime, end: dt.datetime) -> Hashes:
    try:
        with Warehouse(settings.warehouse_dir, read_only=True) as warehouse:
            return {
                (table.full_name, hour): found
                for table, window in stages.windows(stage, start, end).items()
                for hour, found in hour_hashes(warehouse.read_window(table, *window), table).items()
            }
    except WarehouseMissing:
        return {}

"""How long a campus day takes from raw messages to energy, through the assets, and what a month would."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

STEPS = ("validate_readings", "examine_intervals", "aggregate_energy")
HOUR_INTERVALS = 240


def run(days: int = 1, hours: int = 24) -> dict[str, Any]:
    """Backfill `days` days of 25 meters, a day a run, and one more for the growth. With fewer `hours`, only so many of each day.

    Returns days, messages_per_day (counts), seconds_per_day (the mean of the days), messages_per_s, month_minutes (30 such days),
    growth_1_to_2_days (the time of two days by that of one; 2 is linear), and the seconds of the first day by step. What is timed
    is the run of the three stages with all they read and write; not the checks, nor the making of the messages. Raises
    `RuntimeError` where a run fails or readings are missing.
    """
    from gridtokenx_pipeline import clock
    from gridtokenx_pipeline.contracts import core, raw
    from gridtokenx_pipeline.warehouse import Append, Warehouse

    from . import campus_day

    with campus_day.campus() as settings:
        per_hour = len(settings.meters) * HOUR_INTERVALS
        seconds: list[float] = []
        by_step: dict[str, float] = {}
        job = _Job()
        for day in range(days + 1):
            with Warehouse(settings.warehouse_dir) as warehouse:
                for hour in range(hours):
                    first = (day * 24 + hour) * HOUR_INTERVALS
                    messages = campus_day.frame(settings, first, HOUR_INTERVALS, declared=first == 0)
                    warehouse.commit(Append(raw.MESSAGES, messages))
            start = campus_day.START + dt.timedelta(days=day)
            end = start + dt.timedelta(hours=hours)
            clock.set_clock(lambda now=end + dt.timedelta(minutes=10): now)  # type: ignore[misc]
            began = time.perf_counter()
            steps = job.run(start, end)
            seconds.append(time.perf_counter() - began)
            by_step = by_step or steps
        with Warehouse(settings.warehouse_dir, read_only=True) as warehouse:
            stored = warehouse.query(f"SELECT count(*) FROM {core.READINGS.full_name}").item()
        # The last interval of the hours is received after them.
        if stored < 7 * (days + 1) * (per_hour * hours - len(settings.meters)):
            raise RuntimeError(f"{stored} readings of {7 * per_hour * hours * (days + 1)}: some were refused")
    mean = sum(seconds[:days]) / days
    return {
        "days": days,
        "messages_per_day": per_hour * hours,
        "seconds_per_day": round(mean, 1),
        "messages_per_s": round(per_hour * hours / mean),
        "month_minutes": round(30 * mean * 24 / hours / 60, 1),
        "growth_1_to_2_days": round((seconds[0] + seconds[1]) / seconds[0], 2),
        **{f"{step}_s": round(value, 1) for step, value in by_step.items()},
    }


class _Job:
    """The three stages without their checks, run in this process and not recorded."""

    def __init__(self) -> None:
        import dagster as dg

        from gridtokenx_pipeline.definitions import build_definitions
        from gridtokenx_pipeline.defs.resources import Stores
        from gridtokenx_pipeline.defs.specs import key
        from gridtokenx_pipeline.reprocess import stages

        assets = dg.AssetSelection.assets(*(key(table) for table in stages.tables(stages.ALL)))
        job = dg.define_asset_job("stages", assets.without_checks())
        definitions = dg.Definitions.merge(build_definitions(Stores()), dg.Definitions(jobs=[job]))
        self._job = definitions.resolve_job_def("stages")

    def run(self, start: dt.datetime, end: dt.datetime) -> dict[str, float]:
        """Run hours of a day (`end` exclusive) and return the seconds of each step. Raises `RuntimeError`."""
        import dagster as dg

        from gridtokenx_pipeline.defs.partitions import hour_key, one_run
        from gridtokenx_pipeline.reprocess import stages
        from gridtokenx_pipeline.runs import _QUIET

        partition, tags = one_run(hour_key(start), hour_key(end - stages.HOUR))
        with dg.DagsterInstance.ephemeral() as instance:
            outcome = self._job.execute_in_process(
                instance=instance, partition_key=partition, tags=dict(tags), run_config=_QUIET, raise_on_error=True
            )
        ends = {e.step_key: e.step_success_data.duration_ms / 1000 for e in outcome.all_events if e.is_step_success}
        return {step: ends[step] for step in STEPS}

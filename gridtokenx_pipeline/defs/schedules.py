"""When the jobs run: the tick every five minutes, suites at the hour's close, marts every quarter of an hour."""

import contextlib
import datetime as dt
from collections.abc import Iterator

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from gridtokenx_pipeline.warehouse import Warehouse, WarehouseMissing

from . import watermarks
from .partitions import HOUR, day_key, hour_key, one_run
from .resources import Stores

CATCH_UP = dt.timedelta(days=7)
OVERLAP = dt.timedelta(minutes=10)
TICK = "every_five_minutes"


def first_hour(stores: Stores, now: dt.datetime) -> dt.datetime:
    """Return the hour to read from: the current one, the one before shortly after the hour, or further back after an outage.

    That is where the last run stopped or, before the first run, where landing began; at most a week is caught up.
    """
    recent = now - OVERLAP
    settings = stores.settings
    reached: dt.datetime | None = None
    with contextlib.suppress(WarehouseMissing), Warehouse(settings.warehouse_dir, read_only=True) as warehouse:
        reached = watermarks.complete_until(warehouse, settings.zone, watermarks.READINGS)
    if reached is None:
        reached = min((segment.hour for segment in stores.landing.segments()), default=recent)
    return max(min(recent, reached), now - CATCH_UP).replace(minute=0, second=0, microsecond=0)


def build_schedules(jobs: dict[str, UnresolvedAssetJobDefinition]) -> list[dg.ScheduleDefinition]:
    """Return the schedules; each is switched on by `gridtokenx up`, by `gridtokenx demo` or in the Dagster UI."""

    @dg.schedule(job=jobs["tick"], cron_schedule="*/5 * * * *", execution_timezone="UTC")
    def every_five_minutes(context: dg.ScheduleEvaluationContext, stores: Stores) -> dg.RunRequest:
        """Land, validate, clear, certify and settle what has come since the last tick."""
        now = context.scheduled_execution_time.astimezone(dt.UTC)
        first = first_hour(stores, now)
        partition, tags = one_run(hour_key(first), hour_key(now))
        return dg.RunRequest(run_key=f"tick-{now:%Y%m%dT%H%M}", partition_key=partition, tags=tags)

    @dg.schedule(job=jobs["line"], cron_schedule="15 * * * *", execution_timezone="UTC")
    def hour_close(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """Run the past hour once more with the Great Expectations suites."""
        hour = hour_key(context.scheduled_execution_time - HOUR)
        return dg.RunRequest(run_key=f"close-{hour}", partition_key=hour)

    @dg.schedule(job=jobs["marts"], cron_schedule="8,23,38,53 * * * *", execution_timezone="UTC")
    def marts_every_quarter_hour(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        """Build the marts of today, and of yesterday in the day's first hour."""
        now = context.scheduled_execution_time.astimezone(dt.UTC)
        partition, tags = one_run(day_key(now - HOUR), day_key(now))
        yield dg.RunRequest(run_key=f"marts-{now:%Y%m%dT%H%M}", partition_key=partition, tags=tags)

    return [every_five_minutes, hour_close, marts_every_quarter_hour]

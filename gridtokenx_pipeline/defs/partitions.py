"""Partitions. Landing and readings count receipt hours, everything after them event hours; marts count days. All UTC.

Both kinds of hour share one definition, so that one run carries a range of hours from landing to the chain.
`end_offset=1` makes the current hour (day) a partition, which the five-minute schedule re-runs.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping

import dagster as dg

HOUR_FORMAT = "%Y-%m-%d-%H:%M"
DAY_FORMAT = "%Y-%m-%d"
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"

HOURS = dg.HourlyPartitionsDefinition(start_date="2026-01-01-00:00", end_offset=1, timezone="UTC", fmt=HOUR_FORMAT)
DAYS = dg.DailyPartitionsDefinition(start_date="2026-01-01", end_offset=1, timezone="UTC", fmt=DAY_FORMAT)

# A range of partitions is one run: a day's backfill costs one process, not twenty-four.
SINGLE_RUN = dg.BackfillPolicy.single_run()
# Of hours, a day at most: runs take turns in the warehouse's pool, and a tick must not wait for a month's backfill.
CHUNK_HOURS = 24
CHUNKED = dg.BackfillPolicy.multi_run(max_partitions_per_run=CHUNK_HOURS)

HOUR = dt.timedelta(hours=1)


def window(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> tuple[dt.datetime, dt.datetime]:
    """Return start and end (exclusive, UTC) of the partition or range of partitions of a run."""
    bounds = context.partition_time_window  # type: ignore[union-attr]
    return bounds.start.astimezone(dt.UTC), bounds.end.astimezone(dt.UTC)


def hours(start: dt.datetime, end: dt.datetime) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """Yield start and end of each hour between `start` and `end`, both whole hours."""
    while start < end:
        yield start, start + HOUR
        start += HOUR


def hour_key(moment: dt.datetime) -> str:
    """Return the partition key of the hour that holds `moment`."""
    return moment.astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0).strftime(HOUR_FORMAT)


def day_key(moment: dt.datetime) -> str:
    """Return the partition key of the day that holds `moment`."""
    return moment.astimezone(dt.UTC).strftime(DAY_FORMAT)


def ranges(moments: Iterable[dt.datetime], limit: int = CHUNK_HOURS) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """Yield the first and last hour of every run of consecutive hours among `moments` (whole hours), `limit` hours at most."""
    first: dt.datetime | None = None
    last = first
    for hour in sorted(set(moments)):
        if first is None or last is None:
            first = last = hour
        elif hour - last == HOUR and hour - first < limit * HOUR:
            last = hour
        else:
            yield first, last
            first = last = hour
    if first is not None and last is not None:
        yield first, last


def one_run(first: str, last: str) -> tuple[str | None, Mapping[str, str]]:
    """Return partition key and tags that make one run of the partitions `first` to `last`.

    A single partition is named by its key: Dagster files what a check of a range says under no partition at all.
    """
    return (first, {}) if first == last else (None, {RANGE_START: first, RANGE_END: last})

"""Derive past hours again from raw messages, without touching the warehouse, and compare hashes partition by partition."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.contracts import Table
from gridtokenx_pipeline.privacy.retention import kept_from

from . import stages
from .hashes import partition_hash
from .overlay import Overlay

IDENTICAL, DIFFERENT, UNPROVABLE, NEVER = "identical", "DIFFERENT", "unprovable", "never derived"
STATES = (IDENTICAL, DIFFERENT, UNPROVABLE, NEVER)
SHOWN = 5


@dataclass(frozen=True)
class Difference:
    """A value that differs: the row's key, the column (`row` where the whole row is on one side only) and both values."""

    key: dict[str, Any]
    column: str
    stored: Any
    derived: Any


@dataclass(frozen=True)
class Partition:
    """An hour of a table (a day, of a table of days). `state` is identical, or DIFFERENT, or says why nothing can be compared.

    That is `unprovable` where raw bodies were removed, and `never derived` where no table of event hours has a row of the hour,
    which no run has been about.
    """

    table: str
    start: dt.datetime
    rows_stored: int
    rows_derived: int
    stored_sha256: str
    derived_sha256: str
    state: str
    differences: list[Difference] = field(default_factory=list)


def prove(
    settings: Settings,
    start: dt.datetime,
    end: dt.datetime,
    *,
    stage: str = stages.ALL,
    meter: str = "",
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Partition]:
    """Derive the hours `start` to `end` (UTC, whole, exclusive) again and return what came of every partition with rows.

    `progress` gets pieces done, pieces in all, and what is being done. Raises `WarehouseMissing`, and `ValueError` for bounds
    that are no whole hours or an unknown meter.
    """
    require_hours(start, end)
    require_meter(settings, meter)
    first = kept_from(settings, clock.now())
    if first is not None and start < first:
        raise ValueError(f"readings before {first:%Y-%m-%d} are not kept (retention.readings_days)")
    say = progress or (lambda done, total, text: None)
    overlay = Overlay(settings.warehouse_dir, stages.windows(stage, start, end), meter)
    with overlay:
        pieces = list(stages.work(settings, stage, start, end, meter))
        total = len(pieces) + len(overlay.windows)
        for number, (hour, run) in enumerate(pieces):
            say(number, total, f"{hour:%Y-%m-%d %H:%M}")
            run(overlay)
        removed = _hours_without_bodies(overlay, start, end)
        found = []
        for number, table in enumerate(overlay.windows):
            say(len(pieces) + number, total, table.full_name)
            found += list(_compare(overlay, table, removed))
        say(total, total, "")
    return _never_derived(found)


def require_hours(start: dt.datetime, end: dt.datetime) -> None:
    """Raise `ValueError` unless both are whole hours in UTC, in order."""
    if not start < end:
        raise ValueError(f"nothing from {start} to {end}")
    for moment in (start, end):
        if moment.utcoffset() != dt.timedelta(0) or moment.replace(minute=0, second=0, microsecond=0) != moment:
            raise ValueError(f"{moment} is no whole hour in UTC")


def require_meter(settings: Settings, meter: str) -> None:
    """Raise `ValueError` for a meter that is not configured."""
    if meter and meter not in {m.id for m in settings.meters} | {settings.vee.feeder_meter}:
        raise ValueError(f"{meter} is none of the configured meters")


def hour_hashes(frame: pl.DataFrame, table: Table) -> dict[dt.datetime, tuple[int, str]]:
    """Return rows and hash of every hour (by the table's window) that has rows."""
    parts = frame.with_columns(pl.col(table.window).dt.truncate("1h").alias("__hour")).partition_by("__hour", as_dict=True)  # type: ignore[arg-type]
    return {hour: (len(part), partition_hash(table, part)) for (hour,), part in parts.items()}


def _compare(overlay: Overlay, table: Table, removed: set[dt.datetime]) -> Iterator[Partition]:
    """Compare day by day, so that a month of readings is never in memory at once."""
    nothing = (0, partition_hash(table, table.empty()))
    for first, last in stages.days(*overlay.windows[table]):
        stored, derived = overlay.partition(table, first, last)
        before, after = hour_hashes(stored, table), hour_hashes(derived, table)
        for hour in sorted(before.keys() | after.keys()):
            (rows, sha), (rows_again, sha_again) = before.get(hour, nothing), after.get(hour, nothing)
            state, differences = IDENTICAL, []
            if sha != sha_again:
                state = UNPROVABLE if hour in removed else DIFFERENT
                window = (pl.col(table.window) >= hour) & (pl.col(table.window) < hour + stages.HOUR)  # type: ignore[arg-type]
                differences = differing(table, stored.filter(window), derived.filter(window))
            yield Partition(table.full_name, hour, rows, rows_again, sha, sha_again, state, differences)


def differing(table: Table, stored: pl.DataFrame, derived: pl.DataFrame, limit: int = SHOWN) -> list[Difference]:
    """Return the first values that differ between two frames of `table`, in the order of the key."""
    keys = [table.by_name[name].frame_name for name in table.key]
    values = [name for name in table.frame_schema() if name not in keys]
    both = stored.with_columns(__stored=True).join(
        derived.with_columns(__derived=True), on=keys, how="full", coalesce=True, suffix="__again", nulls_equal=True
    )
    changed = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}__again")) for name in values) if values else pl.lit(False)
    one_side = pl.col("__stored").is_null() | pl.col("__derived").is_null()
    found: list[Difference] = []
    for row in both.filter(changed | one_side).sort(keys).head(limit).iter_rows(named=True):
        place = {name: row[name] for name in keys}
        if row["__stored"] is None or row["__derived"] is None:
            here, there = ("missing", "present") if row["__stored"] is None else ("present", "missing")
            found.append(Difference(place, "row", here, there))
            continue
        found += [
            Difference(place, name, row[name], row[f"{name}__again"]) for name in values if row[name] != row[f"{name}__again"]
        ]
    return found[:limit]


def _never_derived(found: list[Partition]) -> list[Partition]:
    """Tell event hours that no run has been about from hours whose rows are gone."""
    event = {table.full_name for table in stages.tables(stages.ENERGY)}
    derived = {p.start for p in found if p.table in event and p.rows_stored}
    return [
        replace(p, state=NEVER, differences=[]) if p.table in event and p.start not in derived and p.state == DIFFERENT else p
        for p in found
    ]


def _hours_without_bodies(overlay: Overlay, start: dt.datetime, end: dt.datetime) -> set[dt.datetime]:
    """Receipt hours, and event hours of readings received in them, some of whose raw bodies retention or erasure removed."""
    hours = overlay.query(
        "WITH gone AS (SELECT message_id, received_at FROM raw.messages WHERE body_removed_at IS NOT NULL) "
        "SELECT DISTINCT date_trunc('hour', received_at) AS hour FROM gone WHERE received_at >= ? AND received_at < ? "
        "UNION SELECT DISTINCT date_trunc('hour', interval_start) FROM stored.core.readings SEMI JOIN gone USING (message_id) "
        "WHERE interval_start >= ? AND interval_start < ?",
        (start, end, start, end),
    )
    return set(hours["hour"])

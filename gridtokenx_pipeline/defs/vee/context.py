"""What the event stage looks at besides the readings of its hours: what came before and after, like days, and edits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.domain.revisions import as_known
from gridtokenx_pipeline.privacy.retention import kept_from
from gridtokenx_pipeline.ratings import meters_frame
from gridtokenx_pipeline.warehouse import Warehouse

from .. import watermarks

# Readings this far around the hours are always read: the registers before them, and the readings that close their gaps.
MARGIN = dt.timedelta(hours=1)
# A neighbour further away than the margin is looked for this far back, and this far ahead.
FAR = dt.timedelta(days=8)
LIKE_DAYS = dt.timedelta(days=15)
DAY = dt.timedelta(days=1)
NEVER = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)

_SERIES = ["meter_id", "channel"]
_HISTORY = ["zone", "meter_id", "interval_start", *(f"{channel}_milli_wh" for channel in core.ENERGY_CHANNELS)]


@dataclass(frozen=True)
class Context:
    """Frames of the contracts they are named after; see `gather` for what they span."""

    readings: pl.DataFrame
    rejected: pl.DataFrame
    edits: pl.DataFrame
    history: pl.DataFrame
    last_seen: pl.DataFrame
    closed_before: dt.datetime


def days(start: dt.datetime, end: dt.datetime) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """Cut hours at midnights (UTC): the pieces that are examined at once, each knowing the ones before it."""
    while start < end:
        midnight = start.replace(hour=0, minute=0, second=0, microsecond=0) + DAY
        yield start, min(midnight, end)
        start = midnight


def kept(settings: Settings, start: dt.datetime) -> dt.datetime:
    """Return from when of `start` on hours can be examined: readings that retention has removed cannot become energy again."""
    first = kept_from(settings, clock.now())
    return start if first is None else max(start, first)


def closed_before(warehouse: Warehouse, settings: Settings, start: dt.datetime) -> dt.datetime:
    """Return until when intervals have closed: everything received until their end and the tolerance was parsed."""
    reached = watermarks.complete_until(warehouse, settings.zone, watermarks.READINGS) or start
    return reached - dt.timedelta(seconds=settings.vee.watermark_s)


def gather(
    warehouse: Warehouse, settings: Settings, start: dt.datetime, end: dt.datetime, *, known_at: dt.datetime | None = None
) -> Context:
    """Read what hours of one day (UTC) are examined by; with `known_at`, only what had been received and edited by then.

    `readings`: core.readings of the hours, an hour on both sides, and where a meter's channel has none there, its last reading
    before and its first one after. `history`: 5-min energy of the same hours of earlier days, as it was known when each hour
    closed, so that what is learned later about a past day changes nothing that was examined since. `last_seen`: meter_id,
    last_seen_at of the latest reading before `end`.
    """
    until = known_at or NEVER
    readings = surroundings(warehouse, settings, start, end, until)
    closed = closed_before(warehouse, settings, start)
    if known_at is not None:
        closed = min(closed, known_at - dt.timedelta(seconds=settings.vee.watermark_s))
    return Context(
        readings=readings,
        rejected=warehouse.read(
            core.REJECTED_READINGS, "interval_start >= ? AND interval_start < ? AND received_at <= ?", (start, end, until)
        ),
        # Of the hours, and of the readings around their gaps.
        edits=warehouse.read(
            core.EDITS, "interval_start >= ? AND interval_start < ? AND edited_at <= ?", (start - FAR, end + FAR, until)
        ),
        history=_history(warehouse, settings, start, end),
        last_seen=_last_seen(warehouse, settings, readings, end),
        closed_before=closed,
    )


def within(frame: pl.DataFrame, start: dt.datetime, end: dt.datetime) -> pl.DataFrame:
    """Return the rows whose interval begins in [start, end)."""
    return frame.filter(pl.col("interval_start").is_between(start, end, closed="left"))


def surroundings(
    warehouse: Warehouse, settings: Settings, start: dt.datetime, end: dt.datetime, until: dt.datetime = NEVER
) -> pl.DataFrame:
    """Return the readings of `Context.readings`, received until `until`."""
    near = warehouse.read(
        core.READINGS, "interval_start >= ? AND interval_start < ? AND received_at <= ?", (start - MARGIN, end + MARGIN, until)
    )
    return pl.concat([_far(warehouse, near, start, end, until, _meters(settings)), near])


def _meters(settings: Settings) -> list[str]:
    return meters_frame(settings)["meter_id"].to_list()


def _far(
    warehouse: Warehouse, near: pl.DataFrame, start: dt.datetime, end: dt.datetime, until: dt.datetime, meters: list[str]
) -> pl.DataFrame:
    """The neighbours beyond the margin of series that have none within it."""
    known = pl.DataFrame({"meter_id": meters}).join(pl.DataFrame({"channel": core.ENERGY_CHANNELS}), how="cross")
    found = [core.READINGS.empty()]
    for before, present in (
        (True, near.filter(pl.col("interval_start") < start)),
        (False, near.filter(pl.col("interval_start") >= end)),
    ):
        lacking = known.join(present, on=_SERIES, how="anti")
        if lacking.is_empty():
            continue
        first, last, order = (start - FAR, start - MARGIN, "DESC") if before else (end + MARGIN, end + FAR, "ASC")
        beyond = warehouse.read(
            core.READINGS,
            "interval_start >= ? AND interval_start < ? AND received_at <= ? AND list_contains(?, meter_id) "
            f"QUALIFY dense_rank() OVER (PARTITION BY meter_id, channel ORDER BY interval_start {order}) = 1",
            (first, last, until, lacking["meter_id"].unique().sort().to_list()),
        )
        found.append(beyond.join(lacking, on=_SERIES, how="semi"))
    return pl.concat(found)


def _last_seen(warehouse: Warehouse, settings: Settings, readings: pl.DataFrame, end: dt.datetime) -> pl.DataFrame:
    """The latest reading's interval of every meter that ever had one."""
    seen = readings.filter(pl.col("interval_start") < end).group_by("meter_id").agg(last_seen_at=pl.col("interval_start").max())
    unseen = sorted(set(_meters(settings)) - set(seen["meter_id"]))
    if unseen:
        earlier = warehouse.query(
            "SELECT meter_id, max(interval_start) AS last_seen_at FROM core.meter_hours "
            "WHERE readings_present > 0 AND interval_start < ? AND list_contains(?, meter_id) GROUP BY meter_id",
            (end, unseen),
        )
        seen = pl.concat([seen, earlier.cast(seen.schema)])  # type: ignore[arg-type]
    return seen.sort("meter_id")


def _history(warehouse: Warehouse, settings: Settings, start: dt.datetime, end: dt.datetime) -> pl.DataFrame:
    """Energy of the same hours of the days before, as known when the hour of `start`'s day closed, and of the last day whole."""
    hours = sorted({(start + dt.timedelta(hours=n)).hour for n in range(int((end - start) / dt.timedelta(hours=1)))})
    # An hour on both sides: a local slot moves by one where a clock change lies between.
    wide = sorted({(hour + shift) % 24 for hour in hours for shift in (-1, 0, 1)})
    where = "interval_start >= ? AND interval_start < ? AND (interval_start >= ? OR list_contains(?, extract('hour' FROM interval_start)))"
    bounds = (start - LIKE_DAYS, start, start - DAY, wide)
    energy = warehouse.read(core.ENERGY_5MIN, where, bounds)
    if energy.is_empty():
        return energy.select(_HISTORY)
    revisions = warehouse.read(core.REVISIONS, where, bounds)
    if revisions.is_empty():
        return energy.select(_HISTORY)
    midnight = start.replace(hour=0)
    of_hour = pl.lit(midnight) + pl.duration(hours=pl.col("interval_start").dt.hour().cast(pl.Int64) + 1)
    watermark = pl.duration(seconds=settings.vee.watermark_s)
    at = energy.select(pl.min_horizontal(pl.max_horizontal(of_hour, pl.lit(start)), pl.lit(end)) + watermark).to_series()
    return as_known(energy, revisions, at).select(_HISTORY)

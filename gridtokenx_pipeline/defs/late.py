"""Which hours late data touches, read from the warehouse: late readings and edits, closed gaps, reading types that came."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection
from dataclasses import dataclass

import polars as pl

from gridtokenx_pipeline.warehouse import Warehouse

from .partitions import HOUR, hours
from .schedules import OVERLAP

# A gap is looked for this far around a reading. Registers around a longer one still bound its energy when its hours are asked for.
GAP_REACH = dt.timedelta(days=7)
# What a run commits may have been received a little before what an earlier one committed; the tick covers that much.
_FROM_TICK = f"INTERVAL {int(OVERLAP.total_seconds())} SECOND"

_SINCE = f"""
SELECT meter_id, channel, date_trunc('hour', interval_start) AS hour, min(received_at) AS earliest, max(received_at) AS latest,
    min(interval_start) AS first, max(interval_start + to_seconds(duration_s)) AS last,
    bool_or(date_trunc('hour', interval_start) < date_trunc('hour', received_at - {_FROM_TICK})) AS late
FROM core.readings WHERE received_at > ? GROUP BY ALL
"""
_SERIES = """
SELECT meter_id, channel, interval_start, interval_start + to_seconds(duration_s) AS stop FROM core.readings
WHERE interval_start >= ? AND interval_start < ? AND list_contains(?, meter_id)
"""
_NEIGHBOURS = f"""
WITH series AS ({_SERIES})
SELECT f.meter_id, f.channel, f.hour, b.stop AS before, a.interval_start AS after
FROM fresh AS f
ASOF LEFT JOIN series AS b ON b.meter_id = f.meter_id AND b.channel = f.channel AND b.interval_start < f.first
ASOF LEFT JOIN series AS a ON a.meter_id = f.meter_id AND a.channel = f.channel AND a.interval_start >= f.last
"""
_UNTYPED = """
SELECT date_trunc('hour', r.received_at) AS receipt_hour, date_trunc('hour', r.interval_start) AS event_hour,
    count(*) AS readings, max(t.received_at) AS declared
FROM core.rejected_readings AS r
JOIN raw.messages AS m USING (message_id)
JOIN core.reading_types AS t ON t.device_lfdi = m.device_lfdi AND t.mmr_mrid = r.mmr_mrid
    AND t.received_at > r.received_at AND t.received_at <= r.received_at + to_seconds(?)
WHERE r.reason = 'reading_type_unknown' GROUP BY ALL ORDER BY receipt_hour, event_hour
"""


@dataclass(frozen=True)
class Touched:
    """Event hours to derive again, and until when data was looked at."""

    hours: set[dt.datetime]
    until: dt.datetime


@dataclass(frozen=True)
class Refused:
    """Hours whose readings were refused for a type that is known now; `digest` changes with the hours and the types."""

    receipt_hours: set[dt.datetime]
    event_hours: set[dt.datetime]
    digest: str


def readings_since(warehouse: Warehouse, since: dt.datetime, limit: int) -> Touched:
    """Return the event hours touched by readings received after `since`: their own where they were late, and of gaps they close.

    At most about `limit` hours: then `until` is before the first reading that was left for the next look.
    """
    fresh = warehouse.query(_SINCE, (since,)).sort("earliest")
    if fresh.is_empty():
        return Touched(set(), since)
    touched: set[dt.datetime] = set()
    until = since
    # In the order of receipt, all that came at one moment together: a cursor between them would lose some.
    left = fresh
    while len(left) and len(touched) < limit:
        until = _next_cut(left, since, limit)
        taken = left.filter(pl.col("earliest") <= until)
        touched |= set(taken.filter("late")["hour"]) | _gap_hours(warehouse, taken)
        left = left.filter(pl.col("earliest") > until)
    return Touched(touched, until if len(left) else fresh["latest"].max())  # type: ignore[arg-type]


def _next_cut(fresh: pl.DataFrame, since: dt.datetime, limit: int) -> dt.datetime:
    """The moment of receipt until which `limit` late hours came first, or the last moment there is."""
    late = fresh.filter("late").group_by("hour").agg(pl.col("earliest").min()).sort("earliest")
    if len(late) <= limit:
        return fresh["latest"].max()  # type: ignore[return-value]
    return late["earliest"][limit - 1]


def _gap_hours(warehouse: Warehouse, fresh: pl.DataFrame) -> set[dt.datetime]:
    """The hours of gaps on either side of readings, as far as the tick did not cover them when the readings came."""
    place = ["meter_id", "channel", "hour"]
    found = _neighbours(warehouse, fresh, HOUR)
    # Only a late reading can have a gap after it.
    lacking = pl.col("before").is_null() | (pl.col("after").is_null() & pl.col("late"))
    alone = fresh.join(found, on=place).filter(lacking).select(fresh.columns)
    if len(alone):
        found = found.update(_neighbours(warehouse, alone, GAP_REACH), on=place)
    gaps = fresh.join(found, on=place).with_columns(covered=(pl.col("latest") - OVERLAP).dt.truncate("1h"))
    sides = (gaps.select("covered", start="before", end="first"), gaps.select("covered", start="last", end="after"))
    # A side without a neighbour is no gap: nothing bounds it yet.
    spans = pl.concat(sides).drop_nulls().select("start", pl.min_horizontal("end", "covered").alias("end"))
    spans = spans.filter(pl.col("start") < pl.col("end")).unique()
    starts = spans.with_columns(pl.col("start").dt.truncate("1h"))
    return {hour for start, end in starts.iter_rows() for hour, _ in hours(start, end)}


def _neighbours(warehouse: Warehouse, fresh: pl.DataFrame, reach: dt.timedelta) -> pl.DataFrame:
    """End of the reading before and start of the one after each group of `fresh`; null where there is none within `reach`."""
    bounds = fresh.select(first=pl.col("first").min() - reach, last=pl.col("last").max() + reach).row(0)
    warehouse.connect().register("fresh", fresh.select("meter_id", "channel", "hour", "first", "last"))
    return warehouse.query(_NEIGHBOURS, (*bounds, fresh["meter_id"].unique().sort().to_list()))


def edits_since(warehouse: Warehouse, since: dt.datetime) -> Touched:
    """Return the event hours that were edited after `since`."""
    edited = warehouse.query(
        "SELECT date_trunc('hour', interval_start) AS hour, max(edited_at) AS latest FROM core.edits WHERE edited_at > ? GROUP BY hour",
        (since,),
    )
    return Touched(set(edited["hour"]), edited["latest"].max() if len(edited) else since)  # type: ignore[arg-type]


def is_read(warehouse: Warehouse, hour: dt.datetime) -> bool:
    """Whether everything loaded of a receipt hour has been parsed, and something has been loaded."""
    loaded, unparsed = warehouse.query(
        "SELECT count(*), count(*) FILTER (WHERE o.message_id IS NULL) FROM raw.messages AS m "
        "LEFT JOIN core.message_outcomes AS o USING (message_id) WHERE m.received_at >= ? AND m.received_at < ?",
        (hour, hour + HOUR),
    ).row(0)
    return loaded > 0 and unparsed == 0


def touched_by_receipts(warehouse: Warehouse, receipt_hours: Collection[dt.datetime]) -> set[dt.datetime]:
    """Return the other event hours that readings received in these hours belong to."""
    if not receipt_hours:
        return set()
    found = warehouse.query(
        "SELECT DISTINCT date_trunc('hour', interval_start) AS hour FROM core.readings "
        "WHERE list_contains(?, date_trunc('hour', received_at)) AND date_trunc('hour', interval_start) <> date_trunc('hour', received_at)",
        (sorted(receipt_hours),),
    )
    return set(found["hour"])


def types_that_came(warehouse: Warehouse, within_s: int, limit: int) -> Refused:
    """Return the hours of readings refused as `reading_type_unknown` whose type was declared within `within_s` after them.

    At most `limit` receipt hours, the earliest ones, and the event hours of their refused readings.
    """
    found = warehouse.query(_UNTYPED, (within_s,))
    receipt = sorted(set(found["receipt_hour"]))[:limit]
    mine = found.filter(pl.col("receipt_hour").is_in(receipt))
    digest = hashlib.sha256(repr(mine.rows()).encode()).hexdigest()[:16]
    return Refused(set(receipt), set(mine["event_hour"].drop_nulls()), digest)

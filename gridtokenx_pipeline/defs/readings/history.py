"""What validation of a receipt window must know besides its messages: types, readings and registers of other receipts.

It is asked for by meter and hour of what the messages are about, so that neither a long history nor a clock that says 1970 is read
through for every tick.
"""

from __future__ import annotations

import datetime as dt

import polars as pl

from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.domain import registers
from gridtokenx_pipeline.domain.channels import REGISTER_ACCUMULATIONS
from gridtokenx_pipeline.domain.classify import LONGEST_INTERVAL_S
from gridtokenx_pipeline.domain.vee import WAITING_COLUMNS
from gridtokenx_pipeline.warehouse import Warehouse

HOUR = dt.timedelta(hours=1)
LONGEST = dt.timedelta(seconds=LONGEST_INTERVAL_S)
# The register before is nearly always younger than this; only where it is not, all of the past is looked through.
NEAR = dt.timedelta(days=2)

# How readings were told by every kind of declaration, not only the last one: lengths are looked up among those of intervals.
_LATEST = """received_at < ? QUALIFY row_number() OVER (
    PARTITION BY device_lfdi, mmr_mrid, channel, accumulation_behaviour, power_of_ten, uom, interval_length_s
    ORDER BY received_at DESC, message_id DESC
) = 1"""
_REGISTER_BEFORE = """
WITH wanted AS (FROM wanted_registers),
last AS (
    SELECT w.meter_id, w.channel, w.before, max(r.interval_start + to_seconds(r.duration_s)) AS ends
    FROM core.readings AS r JOIN wanted AS w ON r.meter_id = w.meter_id AND r.channel = w.channel
    WHERE r.register_wh IS NOT NULL AND r.received_at < ? AND r.interval_start >= ? AND r.interval_start < ?
        AND r.interval_start + to_seconds(r.duration_s) < w.before
    GROUP BY ALL
)
FROM last
"""


def known_types(
    warehouse: Warehouse, wire: pl.DataFrame, own: pl.DataFrame, start: dt.datetime, end: dt.datetime, late_s: int
) -> pl.DataFrame:
    """Return declarations (core.reading_types) received before `start`, and where readings lack one, up to `late_s` after `end`.

    `wire` and `own` are those of `domain.parse.Parsed`: what was received from `start` to `end`.
    """
    before = warehouse.read(core.READING_TYPES, _LATEST, (start,))
    key = ["device_lfdi", "mmr_mrid"]
    # A type of these messages may be too late for some readings before it, but then it is the first one after them.
    declared = pl.concat([before, own]).select(key).unique()
    lacking = wire.select(key).unique().drop_nulls().join(declared, on=key, how="anti")
    if lacking.is_empty():
        return before
    later = warehouse.read(
        core.READING_TYPES, "received_at >= ? AND received_at < ?", (end, end + dt.timedelta(seconds=late_s + 1))
    )
    return pl.concat([before, later.join(lacking.select("device_lfdi").unique(), on="device_lfdi", how="semi")])


def spans(wire: pl.DataFrame, longest: dt.timedelta) -> pl.DataFrame:
    """Return what wire readings are about: meter_id, first and last (Datetime) of hours with less than an hour between.

    `longest` is the longest interval of readings in sets that have no time periods of their own.
    """
    hours = (
        wire.select("meter_id", pl.col("start").dt.truncate("1h").alias("hour"))
        .drop_nulls()
        .unique()
        .sort("meter_id", "hour")
        .with_columns((pl.col("hour").diff() > 2 * HOUR).over("meter_id").fill_null(True).cast(pl.Int32).alias("apart"))
        .with_columns(pl.col("apart").cum_sum().over("meter_id").alias("run"))
    )
    runs = hours.group_by("meter_id", "run").agg(pl.col("hour").min().alias("first"), pl.col("hour").max().alias("last"))
    in_sets = wire.filter(pl.col("start").is_null() & pl.col("set_start").is_not_null())
    end = pl.col("set_start") + pl.col("set_index").max().cast(pl.Int64) * pl.lit(longest)
    sets = in_sets.group_by("meter_id", pl.col("set_start").dt.truncate("1h").alias("first")).agg(end.max().alias("last"))
    return pl.concat([frame.select("meter_id", "first", "last") for frame in (runs, sets)]).unique().sort("meter_id", "first")


def prior(warehouse: Warehouse, wire: pl.DataFrame, types: pl.DataFrame, before: dt.datetime) -> pl.DataFrame:
    """Return readings (core.readings) received before, that share or adjoin intervals of `wire`, and the registers before those.

    `types`: every declaration that may be in force for `wire`; without one of a register, no register is looked for.
    """
    margin = _longest(types)
    about = spans(wire, margin)
    if about.is_empty():
        return core.READINGS.empty()
    about = about.with_columns(pl.col("first") - margin)
    connection = warehouse.connect()
    connection.register("wanted_spans", about)
    first, last = about["first"].min() - LONGEST, about["last"].max() + LONGEST + HOUR  # type: ignore[operator]
    near = warehouse.read(
        core.READINGS,
        "received_at < ? AND interval_start >= ? AND interval_start < ? AND EXISTS (SELECT 1 FROM wanted_spans AS s "
        "WHERE s.meter_id = readings.meter_id AND readings.interval_start + to_seconds(readings.duration_s) >= s.first "
        f"AND readings.interval_start < s.last + INTERVAL {int((LONGEST + HOUR).total_seconds())} SECOND)",
        (before, first, last),
    )
    channels = types.filter(pl.col("accumulation_behaviour").is_in([int(code) for code in REGISTER_ACCUMULATIONS]))["channel"]
    channels = channels.drop_nulls().unique().sort()
    wanted = about.select("meter_id", pl.col("first").alias("before")).join(pl.DataFrame({"channel": channels}), how="cross")
    registers_before = _registers_before(warehouse, wanted, before)
    return pl.concat([near, registers_before]).unique(list(core.READINGS.key), keep="first", maintain_order=True)


def _registers_before(warehouse: Warehouse, wanted: pl.DataFrame, received_before: dt.datetime) -> pl.DataFrame:
    """All versions of the last register of each meter_id and channel that ends before a moment: `wanted` has these and before."""
    found: list[pl.DataFrame] = [core.READINGS.empty()]
    if wanted.is_empty():
        return found[0]
    connection = warehouse.connect()
    earliest, latest = wanted["before"].min(), wanted["before"].max()
    for since in (earliest - NEAR, dt.datetime(1970, 1, 1, tzinfo=dt.UTC)):  # type: ignore[operator]
        connection.register("wanted_registers", wanted)
        last = warehouse.query(_REGISTER_BEFORE, (received_before, since, latest))
        if len(last):
            connection.register("last_registers", last)
            bounds = (received_before, last["ends"].min() - LONGEST, last["ends"].max())  # type: ignore[operator]
            found.append(
                warehouse.read(
                    core.READINGS,
                    "received_at < ? AND interval_start >= ? AND interval_start < ? AND register_wh IS NOT NULL "
                    "AND EXISTS (SELECT 1 FROM last_registers AS l WHERE l.meter_id = readings.meter_id "
                    "AND l.channel = readings.channel AND l.ends = readings.interval_start + to_seconds(readings.duration_s))",
                    bounds,
                )
            )
        wanted = wanted.join(last, on=["meter_id", "channel", "before"], how="anti")
        if wanted.is_empty():
            break
    return pl.concat(found)


def refused_registers(warehouse: Warehouse, wire: pl.DataFrame, types: pl.DataFrame, before: dt.datetime) -> pl.DataFrame:
    """Return refused registers that came alone, received before, which those of `wire` may begin at (`vee.WAITING_COLUMNS`)."""
    about = spans(wire, _longest(types))
    columns = ", ".join(name if name == "device_lfdi" else f"r.{name}" for name in WAITING_COLUMNS)
    if about.is_empty():
        return warehouse.query(f"SELECT {columns} FROM core.rejected_readings AS r JOIN raw.messages USING (message_id) LIMIT 0")
    about = about.with_columns(pl.col("first") - 2 * _longest(types))
    warehouse.connect().register("wanted_spans", about)
    reasons = ", ".join(f"'{reason}'" for reason in registers.WAITS)
    return warehouse.query(
        f"SELECT {columns} FROM core.rejected_readings AS r JOIN raw.messages AS m USING (message_id) "
        f"WHERE r.reason IN ({reasons}) AND r.parts = 1 AND r.received_at < ? AND m.received_at < ? AND EXISTS (SELECT 1 FROM wanted_spans AS s "
        "WHERE s.meter_id = r.meter_id AND r.interval_start >= s.first AND r.interval_start <= s.last + INTERVAL 1 DAY)",
        (before, before),
    )


def _longest(types: pl.DataFrame) -> dt.timedelta:
    """How long before a reading's own time period its interval may start, at most."""
    lengths = types["interval_length_s"].drop_nulls()
    longest = lengths.filter(lengths.is_between(1, LONGEST_INTERVAL_S)).max()
    return HOUR if longest is None else max(HOUR, dt.timedelta(seconds=int(longest)))  # type: ignore[arg-type]

"""Wire readings to candidate rows: an interval value and the register at its end are one row.

Both come as separate MirrorMeterReadings. Within a message they pair by meter, channel and end of interval. What stays single:
an interval value is a row without register; a register waits for the energy received earlier for the interval that ends there, or
else for the register exactly one interval before (`registers`). Rows never merge across messages, so that each message accounts
for its own readings.
"""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.domain.classify import CHARGE_STATE, INTERVAL, REGISTER, Types
from gridtokenx_pipeline.domain.numbers import CHANNEL_BITS, TIME_BITS, series_number

# Frames between the stages. Times are epoch seconds, energies milli-watt-hours, state of charge hundredths of a percent. `series`
# is meter and channel (`numbers.series_number`), `lone` a register without interval value, `row` the wire row of the first part,
# `register_type` the register's row in `classify.Types.frame`, `findings` bits of `marks`.
CANDIDATE = {
    "seq": pl.Int64,
    "series": pl.Int64,
    "start_s": pl.Int64,
    "length_s": pl.Int64,
    "end_s": pl.Int64,
    "energy": pl.Int64,
    "register": pl.Int64,
    "lone": pl.Boolean,
    "derived": pl.Boolean,
    "position": pl.Int32,
    "parts": pl.Int32,
    "row": pl.UInt32,
    "register_type": pl.Int64,
    "device_quality_flags": pl.Int32,
    "findings": pl.Int32,
}


def candidates(readings: pl.DataFrame, types: Types, interval_s: int) -> pl.DataFrame:
    """Merge classified energy and state-of-charge readings (`classify`, believed) into candidate rows.

    The length of a row is its time period's; where that is 0, the length its own ReadingType declared, else (for registers and
    state of charge, whose value stands at an instant) the length last declared for intervals of the same device and channel, or
    of the device; else `interval_s`. An interval reading for which nothing says a length has length_s 0.

    Returns schema CANDIDATE.
    """
    length = pl.when(pl.col("period") > 0).then("period").otherwise("type_length_s")
    own = ["seq", "unit", "row", "position", "device_quality_flags", "channel", "device"]
    series = series_number(pl.col("meter"), pl.col("channel")).alias("series")
    intervals = readings.filter(pl.col("form") == INTERVAL).select(
        *own, series, length.fill_null(0).alias("length_s"), pl.col("first_s").alias("start_s"), pl.col("amount").alias("energy")
    )
    intervals = intervals.with_columns((pl.col("start_s") + pl.col("length_s")).alias("end_s"))
    instants = readings.filter(pl.col("form") != INTERVAL).select(
        *own, series, "form", "type", (pl.col("first_s") + pl.col("period")).alias("end_s"), length.alias("length_s"), "amount"
    )
    registers = instants.filter(pl.col("form") == REGISTER)
    states = instants.filter(pl.col("form") == CHARGE_STATE)
    merged, alone = _pair(intervals, registers)
    alone = _known_length(alone, types, "channel", interval_s)
    states = _known_length(states, types, None, interval_s)
    none = pl.lit(None)
    alone = alone.with_columns(none.alias("energy"), register="amount", register_type="type", lone=pl.lit(True))
    states = states.with_columns(none.alias("register"), energy="amount", register_type=none, lone=pl.lit(False))
    return pl.concat([_shape(merged), _shape(alone), _shape(states)])


def _pair(intervals: pl.DataFrame, registers: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Join by message, meter, channel, end and place among equals; return rows with an interval, and registers left over."""
    key = ((pl.col("unit") * (1 << CHANNEL_BITS) + pl.col("channel")) * (1 << TIME_BITS) + pl.col("end_s")).alias("pair")
    intervals, registers = intervals.with_columns(key), registers.with_columns(key)
    on = ["pair"]
    if any(frame["pair"].n_unique() < len(frame) for frame in (intervals, registers)):
        # A second pair of the same end in one message is one more row, not a product of the first.
        place = pl.int_range(pl.len()).over("pair", order_by="position").alias("place")
        intervals, registers = intervals.with_columns(place), registers.with_columns(place)
        on = ["pair", "place"]
    other = registers.select(
        *on,
        pl.col("amount").alias("register"),
        pl.col("row").alias("row_register"),
        pl.col("type").alias("register_type"),
        pl.col("position").alias("position_register"),
        pl.col("device_quality_flags").alias("flags_register"),
    )
    merged = intervals.join(other, on=on, how="left", maintain_order="left")
    paired = pl.col("position_register").is_not_null()
    first = pl.col("position_register") < pl.col("position")
    flags, flags_register = pl.col("device_quality_flags"), pl.col("flags_register")
    merged = merged.with_columns(
        pl.min_horizontal("position", "position_register").alias("position"),
        pl.when(first).then("row_register").otherwise("row").alias("row"),
        pl.coalesce(flags | flags_register, flags, flags_register).alias("device_quality_flags"),
        pl.lit(False).alias("lone"),
        pl.when(paired).then(2).otherwise(1).alias("parts"),
    )
    if merged["position_register"].count() == len(registers):
        return merged, registers.clear()
    return merged, registers.join(intervals.select(on), on=on, how="anti")


def _known_length(frame: pl.DataFrame, types: Types, channel: str | None, interval_s: int) -> pl.DataFrame:
    """Fill length_s with the length last declared for intervals of the device (and channel), and start_s."""
    missing = frame["length_s"].is_null()
    if missing.any():
        declared = types.frame.filter((pl.col("form") == INTERVAL) & pl.col("type_length_s").is_not_null())
        # A reading that had to take a later type takes a later length as well.
        moments = frame.select(pl.max_horizontal("seq", pl.lit(types.frame["seq"]).gather(pl.col("type")).alias("seq")))
        by = pl.col("device").cast(pl.Int64)
        if channel:
            by = by * (1 << CHANNEL_BITS) + pl.col(channel)
        place = declared.select((by * types.messages + pl.col("seq")).alias("place"), by.alias("by"), "type_length_s")
        place = place.sort("place", "type_length_s")
        wanted = frame.select(by.alias("by")).with_columns(moments)
        if len(place):
            found = place["place"].search_sorted(
                wanted.select(pl.col("by") * types.messages + pl.col("seq")).to_series(), "right"
            )
            found = found.cast(pl.Int64) - 1
            lengths = place[found.set(found < 0, 0)]
            own = (lengths["by"] == wanted["by"]) & (found >= 0)
            length = lengths["type_length_s"].zip_with(own, pl.Series([None], dtype=pl.Int64))
            frame = frame.with_columns(pl.coalesce("length_s", length).alias("length_s"))
        frame = frame.with_columns(pl.col("length_s").fill_null(interval_s))
    return frame.with_columns((pl.col("end_s") - pl.col("length_s")).alias("start_s"), pl.lit(1).alias("parts"))


def _shape(frame: pl.DataFrame) -> pl.DataFrame:
    frame = frame.with_columns(pl.lit(False).alias("derived"), pl.lit(0).alias("findings"))
    return frame.select(pl.col(name).cast(kind) for name, kind in CANDIDATE.items())

"""Wire readings to candidate rows: an interval value and the register at its end are one row.

Both come as separate MirrorMeterReadings. Within a message they pair by channel and end of interval. What stays single:
an interval value is a row without register; a register waits for `complete_registers`, which gives it the energy received earlier
for the interval that ends there, or else its difference to the register exactly one interval before. Rows never merge across
messages, so that each message accounts for its own readings.
"""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.domain.classify import CHARGE_STATE, INTERVAL, REGISTER

# Frames between the stages. Times are epoch seconds, energies milli-watt-hours, state of charge hundredths of a percent.
CANDIDATE = {
    "seq": pl.Int64,
    "meter_id": pl.String,
    "channel": pl.String,
    "start_s": pl.Int64,
    "length_s": pl.Int64,
    "end_s": pl.Int64,
    "energy": pl.Int64,
    "register": pl.Int64,
    "form": pl.String,
    "derived": pl.Boolean,
    "position": pl.Int32,
    "parts": pl.Int32,
    "mmr_mrid": pl.String,
    "device_quality_flags": pl.Int32,
}
SERIES = ["meter_id", "channel"]
AT_END = [*SERIES, "end_s"]


def candidates(readings: pl.DataFrame, types: pl.DataFrame, interval_s: int) -> pl.DataFrame:
    """Merge classified energy and state-of-charge readings (`classify`, reason null) into candidate rows.

    The length of a row is its time period's; where that is 0, the length its own ReadingType declared, else (for registers and
    state of charge, whose value stands at an instant) the length last declared for intervals of the same device and channel, or
    of the device; else `interval_s`. An interval reading for which nothing says a length has length_s 0.

    Returns schema CANDIDATE; form is interval, register, state, or both.
    """
    period = pl.col("duration_s").fill_null(0)
    length = pl.when(period > 0).then(period).otherwise(pl.col("type_length_s"))
    own = ["seq", *SERIES, "position", "mmr_mrid", "device_quality_flags"]
    intervals = readings.filter(pl.col("form") == INTERVAL).select(
        *own, length.fill_null(0).alias("length_s"), pl.col("first_s").alias("start_s"), pl.col("amount").alias("energy")
    )
    intervals = intervals.with_columns((pl.col("start_s") + pl.col("length_s")).alias("end_s"))
    instants = readings.filter(pl.col("form") != INTERVAL).select(
        *own, "form", "device_lfdi", (pl.col("first_s") + period).alias("end_s"), length.alias("length_s"), pl.col("amount")
    )
    registers = instants.filter(pl.col("form") == REGISTER)
    states = instants.filter(pl.col("form") == CHARGE_STATE)
    merged, alone = _pair(intervals, registers)
    alone = _known_length(alone, types, ["device_lfdi", "channel"], interval_s)
    states = _known_length(states, types, ["device_lfdi"], interval_s)
    return pl.concat(
        [
            _shape(merged),
            _shape(alone.rename({"amount": "register"}), parts=1, start=True),
            _shape(states.rename({"amount": "energy"}), parts=1, start=True),
        ]
    )


def _pair(intervals: pl.DataFrame, registers: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Join by message, channel, end and place among equals; return rows with an interval, and registers left over."""
    key = ["seq", "channel", "end_s", "place"]
    # A second pair of the same end in one message is one more row, not a product of the first.
    place = pl.int_range(pl.len()).over("seq", "channel", "end_s", order_by="position").alias("place")
    intervals, registers = intervals.with_columns(place), registers.with_columns(place)
    merged = intervals.join(
        registers.select(
            *key,
            pl.col("amount").alias("register"),
            pl.col("^(position|mmr_mrid|device_quality_flags)$").name.suffix("_register"),
        ),
        on=key,
        how="left",
    )
    first = pl.col("position_register") < pl.col("position")
    flags, other = pl.col("device_quality_flags"), pl.col("device_quality_flags_register")
    merged = merged.with_columns(
        pl.min_horizontal("position", "position_register").alias("position"),
        pl.when(first).then(pl.col("mmr_mrid_register")).otherwise(pl.col("mmr_mrid")).alias("mmr_mrid"),
        pl.coalesce(flags | other, flags, other).alias("device_quality_flags"),
        pl.when(pl.col("register").is_null()).then(pl.lit(INTERVAL)).otherwise(pl.lit("both")).alias("form"),
        pl.when(pl.col("register").is_null()).then(1).otherwise(2).alias("parts"),
    )
    return merged, registers.join(intervals.select(key), on=key, how="anti")


def _known_length(frame: pl.DataFrame, types: pl.DataFrame, by: list[str], interval_s: int) -> pl.DataFrame:
    if frame.is_empty():
        return frame
    declared = (
        types.filter((pl.col("form") == INTERVAL) & pl.col("type_length_s").is_not_null())
        .select(*by, "seq", pl.col("type_length_s").alias("declared_s"))
        .sort("seq", *by, "declared_s")
    )
    joined = frame.sort("seq", "position").join_asof(declared, on="seq", by=by, strategy="backward", check_sortedness=False)
    return joined.with_columns(pl.coalesce("length_s", "declared_s", pl.lit(interval_s, pl.Int64)).alias("length_s"))


def _shape(frame: pl.DataFrame, parts: int | None = None, start: bool = False) -> pl.DataFrame:
    if parts is not None:
        frame = frame.with_columns(pl.lit(parts).alias("parts"))
    if start:
        frame = frame.with_columns((pl.col("end_s") - pl.col("length_s")).alias("start_s"))
    absent = [pl.lit(None).alias(name) for name in ("energy", "register") if name not in frame.columns]
    return frame.with_columns(*absent, pl.lit(False).alias("derived")).select(
        pl.col(name).cast(kind) for name, kind in CANDIDATE.items()
    )


def complete_registers(alone: pl.DataFrame, others: pl.DataFrame, prior: pl.DataFrame) -> pl.DataFrame:
    """Give registers without interval value their energy. `alone`, `others` and `prior` have the schema CANDIDATE.

    First choice: the energy last received, up to the register's own message, for the interval of the meter and channel that
    ends at the register's instant (`prior` and `others`); the row takes that interval's length too. Second: the difference to
    the register exactly one interval earlier, marked derived. Returns `alone` with energy null where neither is known.
    """
    if alone.is_empty():
        return alone
    known = (
        pl.concat([prior, others]).filter(pl.col("energy").is_not_null()).select(*AT_END, "seq", "position", "energy", "length_s")
    )
    measured = (
        known.sort("seq", "position")
        .group_by(*AT_END, "seq", maintain_order=True)
        .last()
        .select(*AT_END, "seq", pl.col("energy").alias("measured"), pl.col("length_s").alias("measured_s"))
        .sort("seq")
    )
    base = (
        pl.concat([prior, others, alone])
        .filter(pl.col("register").is_not_null())
        .sort("seq", "position")
        .group_by(AT_END, maintain_order=True)
        .agg(pl.col("register").last().alias("base"))
        .select(*SERIES, pl.col("end_s").alias("start_s"), "base")
    )
    joined = (
        alone.sort("seq", "position")
        .join_asof(measured, on="seq", by=AT_END, strategy="backward", check_sortedness=False)
        .join(base, on=[*SERIES, "start_s"], how="left")
    )
    length = pl.coalesce("measured_s", "length_s")
    return joined.with_columns(
        pl.coalesce("measured", pl.col("register") - pl.col("base")).alias("energy"),
        (pl.col("measured").is_null() & pl.col("base").is_not_null()).alias("derived"),
        length.alias("length_s"),
        (pl.col("end_s") - length).alias("start_s"),
    ).select(list(CANDIDATE))

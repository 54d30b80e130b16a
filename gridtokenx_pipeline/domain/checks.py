"""The checks of single rows: alignment, clock, sign, ratings.

Checks 3, 6 and 7 of the validation rules for 15-second data (after the California VEE rules and Oracle's rule list). Each is
an expression over candidate rows that yields its reason code or null. Check 4, the order of registers, is in `registers`.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from gridtokenx_pipeline.domain.classify import LONGEST_INTERVAL_S
from gridtokenx_pipeline.domain.numbers import CHANNEL_NAMES, CHANNEL_NUMBERS, channel_of
from gridtokenx_pipeline.domain.reasons import Reason
from gridtokenx_pipeline.domain.thresholds import meter_bounds

FULL_CHARGE = 10_000  # hundredths of a percent
STATE, GENERATION = CHANNEL_NUMBERS["state_of_charge"], CHANNEL_NUMBERS["generation"]


@dataclass(frozen=True)
class Rules:
    """What is not per meter, in seconds: the settings' `vee` and `metering` sections hold it.

    `future_tolerance_s`: an interval may end this much after its receipt. `interval_s`: length of an interval that nothing
    states. `late_type_s`: a ReadingType counts for readings received up to this much before it, where none came earlier.
    """

    future_tolerance_s: int = 30
    interval_s: int = 15
    late_type_s: int = 86_400


def bounds(meters: pl.DataFrame) -> pl.DataFrame:
    """What the checks need of every series, in the order of `numbers.series_number`, eight rows a meter.

    `meters` as for `thresholds.meter_bounds`, sorted by meter_id. Returns limit_w (Int64, W, null for state of charge), snap_s
    (Int64) and tare_mw (Int64, mW; 0 but for generation).
    """
    limits = meter_bounds(meters).pivot("channel", index="meter_id", values="limit_w", maintain_order=True)
    none = pl.lit(None, pl.Int64)
    columns = [pl.col(name) if name in limits.columns else none for name in CHANNEL_NAMES]
    limit = limits.select(pl.concat_list(*columns, none).alias("limit_w")).explode("limit_w", empty_as_null=True)
    tare = (pl.col("rated_kw") * pl.col("tare_pct") * 10_000).round().cast(pl.Int64)
    per_meter = meters.select(pl.col("clock_snap_s").cast(pl.Int64).alias("snap_s"), tare.alias("tare_mw"))
    spread = per_meter[pl.int_range(len(limit), eager=True) // 8] if len(limit) else per_meter.clear()
    channel = pl.int_range(pl.len()) % 8
    return pl.concat([limit, spread], how="horizontal").with_columns(
        pl.when(channel == GENERATION).then("tare_mw").otherwise(0).alias("tare_mw")
    )


def snap() -> pl.Expr:
    """Seconds to add to the start of a row whose clock is a little off; 0 for any other. Needs start_s, length_s and snap_s.

    A start exactly between two multiples of its length belongs to neither.
    """
    length = pl.when(pl.col("length_s").is_between(1, LONGEST_INTERVAL_S)).then("length_s").otherwise(1)
    late = pl.col("start_s") % length
    early = length - late
    return (
        pl.when((late <= pl.col("snap_s")) & (late < early))
        .then(-late)
        .when((early <= pl.col("snap_s")) & (early < late))
        .then(early)
        .otherwise(0)
        .fill_null(0)
    )


def placement(rules: Rules) -> pl.Expr:
    """Reason code of a row whose interval cannot be: needs start_s, length_s, end_s, known_meter (Boolean), received_s."""
    length, start = pl.col("length_s"), pl.col("start_s")
    whole = length.is_between(1, LONGEST_INTERVAL_S)
    return (
        pl.when(~pl.col("known_meter"))
        .then(pl.lit(Reason.UNKNOWN_METER.value))
        .when(~whole | (start < 0) | (start % pl.when(whole).then(length).otherwise(1) != 0))
        .then(pl.lit(Reason.BAD_INTERVAL.value))
        .when(pl.col("end_s") > pl.col("received_s") + rules.future_tolerance_s)
        .then(pl.lit(Reason.FUTURE.value))
    )


def plausibility() -> pl.Expr:
    """Reason code of a row whose energy cannot be: needs series, energy, register, length_s, limit_w and tare_mw."""
    energy = pl.col("energy")
    state = channel_of() == STATE
    return (
        pl.when(energy.is_null())
        .then(pl.lit(Reason.UNPAIRED_REGISTER.value))
        .when(state & ~energy.is_between(0, FULL_CHARGE))
        .then(pl.lit(Reason.OUT_OF_RANGE.value))
        .when(~state & ((energy < -tare_milli()) | (pl.col("register") < 0).fill_null(False)))
        .then(pl.lit(Reason.NEGATIVE.value))
        .when(~state & (energy > limit_milli()))
        .then(pl.lit(Reason.OUT_OF_RANGE.value))
    )


def limit_milli() -> pl.Expr:
    """Highest believable energy of a row in milli-watt-hours: limit_w x length, rounded down."""
    return pl.col("limit_w") * pl.col("length_s") * 1000 // 3600


def tare_milli() -> pl.Expr:
    """The inverter's own use in the length of a row, at most, in milli-watt-hours: tare_mw x length, rounded down."""
    return pl.col("tare_mw") * pl.col("length_s") // 3600

"""The checks of single rows: alignment, clock, sign, ratings, and the order of registers.

Checks 3, 4, 6 and 7 of the validation rules for 15-second data (after the California VEE rules and Oracle's rule list). Each is
an expression over candidate rows that yields its reason code or null.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from gridtokenx_pipeline.domain.channels import STATE_OF_CHARGE
from gridtokenx_pipeline.domain.classify import LONGEST_INTERVAL_S
from gridtokenx_pipeline.domain.merge import AT_END, SERIES
from gridtokenx_pipeline.domain.reasons import Reason

FULL_CHARGE = 10_000  # hundredths of a percent


@dataclass(frozen=True)
class Rules:
    """Thresholds: seconds, and factors on rated power. The settings' `vee` and `metering` sections hold them."""

    future_tolerance_s: int = 30
    bound_factor: float = 1.2
    load_bound_factor: float = 4.0
    interval_s: int = 15


def meter_bounds(meters: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Highest believable power of every meter and channel: meter_id, channel (String), limit_w (Int64, W).

    `meters`: meter_id (String), rated_kw, battery_kwh, baseline_kw (numbers). Generation: rated power x bound_factor. Charge and
    discharge: the inverter's rating too, or the battery's capacity in one hour where that is larger, x bound_factor. Load:
    baseline x load_bound_factor, which stands for the breaker. Import: load and charge together; export: generation and
    discharge together.
    """
    rated, battery, load = (pl.col(name) * 1000 for name in ("rated_kw", "battery_kwh", "baseline_kw"))
    generation = rated * rules.bound_factor
    store = pl.max_horizontal(rated, battery) * rules.bound_factor
    consumption = load * rules.load_bound_factor
    watts = {
        "generation": generation,
        "load": consumption,
        "charge": store,
        "discharge": store,
        "import": consumption + store,
        "export": generation + store,
    }
    return (
        meters.select("meter_id", *(watt.round().cast(pl.Int64).alias(channel) for channel, watt in watts.items()))
        .unpivot(index="meter_id", variable_name="channel", value_name="limit_w")
        .with_columns(pl.col("channel").cast(pl.String))
    )


def placement(rules: Rules) -> pl.Expr:
    """Reason code of a row whose interval cannot be: needs start_s, length_s, end_s, known_meter (Boolean), received_at."""
    length, start = pl.col("length_s"), pl.col("start_s")
    whole = length.is_between(1, LONGEST_INTERVAL_S)
    latest = pl.col("received_at").dt.epoch("s") + rules.future_tolerance_s
    return (
        pl.when(~pl.col("known_meter"))
        .then(pl.lit(Reason.UNKNOWN_METER.value))
        .when(~whole | (start < 0) | (start % pl.when(whole).then(length).otherwise(1) != 0))
        .then(pl.lit(Reason.BAD_INTERVAL.value))
        .when(pl.col("end_s") > latest)
        .then(pl.lit(Reason.FUTURE.value))
    )


def plausibility() -> pl.Expr:
    """Reason code of a row whose energy cannot be: needs energy, register, derived, limit_w (null for state of charge).

    A derived energy below zero is the register's fault and says so.
    """
    energy = pl.col("energy")
    state = pl.col("channel") == STATE_OF_CHARGE
    return (
        pl.when(energy.is_null())
        .then(pl.lit(Reason.UNPAIRED_REGISTER.value))
        .when(state & ~energy.is_between(0, FULL_CHARGE))
        .then(pl.lit(Reason.OUT_OF_RANGE.value))
        .when(pl.col("derived") & (energy < 0))
        .then(pl.lit(Reason.REGISTER_DECREASED.value))
        .when(~state & ((energy < 0) | (pl.col("register") < 0).fill_null(False)))
        .then(pl.lit(Reason.NEGATIVE.value))
        .when(~state & (energy > limit_milli()))
        .then(pl.lit(Reason.OUT_OF_RANGE.value))
    )


def limit_milli() -> pl.Expr:
    """Highest believable energy of a row in milli-watt-hours: limit_w x length, rounded down."""
    return pl.col("limit_w") * pl.col("length_s") * 1000 // 3600


def register_floor(rows: pl.DataFrame, prior: pl.DataFrame) -> pl.DataFrame:
    """Add floor (Int64): the highest register of the meter and channel before each row's end; null where there is none.

    `rows` and `prior` have the schema CANDIDATE, `prior` also version, whose highest counts. Order is by the time of the
    register, not of receipt, so late data is compared with its own past. The running highest equals the last believed register,
    because a believed one is never below it.
    """
    latest = prior.sort("version").group_by(*AT_END, "length_s").last().select(*AT_END, "seq", "position", "register")
    seen = (
        pl.concat([latest, rows.select(*AT_END, "seq", "position", "register")])
        .filter(pl.col("register").is_not_null())
        .sort(*AT_END, "seq", "position")
        .group_by(AT_END, maintain_order=True)
        .agg(pl.col("register").last())
    )
    floors = seen.select(*AT_END, pl.col("register").cum_max().shift(1).over(SERIES).alias("floor"))
    return rows.join(floors, on=AT_END, how="left")

"""The highest believable power of a meter's channel, as validation has it, from the meter's own thresholds."""

from __future__ import annotations

import polars as pl


def power_limits(meters: pl.DataFrame) -> pl.DataFrame:
    """Return meter_id, channel (String), limit_w (Int64, W) of every meter and energy channel.

    `meters`: frame of `domain.thresholds.ratings_frame`. The bounds are those of `checks.meter_bounds`.
    """
    rated, battery, load = (pl.col(name) * 1000 for name in ("rated_kw", "battery_kwh", "baseline_kw"))
    generation = rated * pl.col("bound_factor")
    store = pl.max_horizontal(rated, battery) * pl.col("bound_factor")
    consumption = load * pl.col("load_bound_factor")
    watts = {
        "generation": generation,
        "load": consumption,
        "charge": store,
        "discharge": store,
        "import": consumption + store,
        "export": generation + store,
    }
    return meters.select("meter_id", *(watt.round().cast(pl.Int64).alias(channel) for channel, watt in watts.items())).unpivot(
        index="meter_id", variable_name="channel", value_name="limit_w"
    )


def within_limit(energy: pl.Expr, seconds: pl.Expr) -> pl.Expr:
    """Whether `energy` (milli-Wh) is believable in `seconds`: not below 0, not above limit_w."""
    return (energy >= 0) & (energy <= pl.col("limit_w") * seconds * 1000 // 3600)

"""Whether an estimate is believable by the meter's ratings."""

from __future__ import annotations

import polars as pl


def within_limit(energy: pl.Expr, seconds: pl.Expr) -> pl.Expr:
    """Whether `energy` (milli-Wh) is believable in `seconds`: not below 0, not above limit_w (`thresholds.meter_bounds`)."""
    return (energy >= 0) & (energy <= pl.col("limit_w") * seconds * 1000 // 3600)

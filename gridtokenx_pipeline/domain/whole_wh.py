"""Whole watt-hours from cumulative registers.

Settled energy is floor(register at the end) - floor(register at the start), so the fraction of a watt-hour
that one interval leaves over is carried by the register into the next and never vanishes or counts twice.
"""

from __future__ import annotations

import polars as pl


def register_start_wh(channel: str) -> pl.Expr:
    """Whole Wh (Int64) on `channel`'s register at the start of the interval; null where it cannot be known.

    Reads `{channel}_register_milli_wh` (at the end of the interval) and `{channel}_milli_wh` (in it).
    """
    return (pl.col(f"{channel}_register_milli_wh") - pl.col(f"{channel}_milli_wh")) // 1000


def whole_wh(channel: str) -> pl.Expr:
    """Whole Wh (Int64) of `channel` in the interval, by floor differences; null where it cannot be known."""
    return pl.col(f"{channel}_register_milli_wh") // 1000 - register_start_wh(channel)


def is_complete(completeness_min_pct: int) -> pl.Expr:
    """Whether an energy row has at least `completeness_min_pct` percent of its meter intervals, measured or estimated.

    Only estimates that settlement may use are counted in `readings_estimated`. Whatever may not rest on an estimate looks at the
    quality flags as well.
    """
    counted = pl.col("readings_present").cast(pl.Int64) + pl.col("readings_estimated").cast(pl.Int64)
    return counted * 100 >= pl.col("readings_expected").cast(pl.Int64) * completeness_min_pct

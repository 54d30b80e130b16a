"""Parts of holdings."""

from __future__ import annotations

import polars as pl


def take(rows: pl.DataFrame, energy_wh: int, *, from_top: bool = False) -> pl.DataFrame:
    """Return the first `energy_wh` certificates of `rows`, ranges in order of preference with first_wh, last_wh and energy_wh.

    The last range is cut: its lower ids are taken, or `from_top` its higher ones. All of them, where there are no more.
    """
    before = pl.col("energy_wh").cum_sum() - pl.col("energy_wh")
    taken = (energy_wh - before).clip(0, pl.col("energy_wh"))
    cut = rows.with_columns(energy_wh=taken).filter(pl.col("energy_wh") > 0)
    if from_top:
        return cut.with_columns(first_wh=pl.col("last_wh") - pl.col("energy_wh") + 1)
    return cut.with_columns(last_wh=pl.col("first_wh") + pl.col("energy_wh") - 1)

"""The missing intervals of gaps, and whole numbers spread over them."""

from __future__ import annotations

import polars as pl


def slots(gaps: pl.DataFrame, first_s: int | pl.Expr, last_s: int | pl.Expr) -> pl.DataFrame:
    """Return one row for each missing interval that begins and ends within [first_s, last_s): the gap's columns, k and at.

    `k` (Int64) counts the gap's intervals from 0, `at` (Int64) is the start in epoch seconds.
    """
    none = pl.lit(0, pl.Int64)
    first = pl.max_horizontal(none, (first_s - pl.col("gap_start") + pl.col("slot_s") - 1) // pl.col("slot_s"))
    last = pl.lit(last_s, pl.Int64) if isinstance(last_s, int) else last_s
    until = (pl.min_horizontal("gap_end", last) - pl.col("gap_start")) // pl.col("slot_s")
    return (
        gaps.with_columns(pl.int_ranges(first, pl.max_horizontal(first, until), dtype=pl.Int64).alias("k"))
        .explode("k", empty_as_null=False)
        .with_columns((pl.col("gap_start") + pl.col("k") * pl.col("slot_s")).alias("at"))
    )


def wide(column: str) -> pl.Expr:
    """A column as Int128, in which no product of energies and weights overflows."""
    return pl.col(column).cast(pl.Int128)


def share(total: pl.Expr, weight: pl.Expr, weights: pl.Expr) -> pl.Expr:
    """What a whole `total` has given when `weight` of `weights` is reached: the floor, so that parts add up to it exactly."""
    return (total * weight // weights).cast(pl.Int64)

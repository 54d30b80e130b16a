"""What a row adds to what was accepted before: nothing (a duplicate), the missing half, or another value (a new version).

Rows of one meter, channel, start and length are taken in order of receipt. A row is a duplicate if its energy and register, or
the one of them that it has, were accepted for the interval before, in whichever version: a message sent twice never changes
anything, not even after a correction. Otherwise it is the next version. It is questionable if energy or register contradict any
value received before; a register that completes an interval value contradicts nothing.
"""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.domain.classify import REGISTER
from gridtokenx_pipeline.domain.merge import SERIES

KEY = [*SERIES, "start_s", "length_s"]
# A row alone on its key needs no comparison: it is version 1.
_FIRST = (pl.lit(1, pl.Int32).alias("version"), pl.lit(False).alias("duplicate"), pl.lit(False).alias("conflict"))


def number_versions(rows: pl.DataFrame, prior: pl.DataFrame) -> pl.DataFrame:
    """Add version (Int32), duplicate and conflict (Boolean) to `rows` (schema CANDIDATE, energy set).

    `prior` has the schema CANDIDATE and version (Int32): rows accepted earlier. The version of a duplicate means nothing.
    """
    shared = prior.join(rows.select(KEY).unique(), on=KEY, how="semi")
    both = pl.concat(
        [
            shared.with_columns(pl.lit(True).alias("old")),
            rows.with_columns(pl.lit(None, pl.Int32).alias("version"), pl.lit(False).alias("old")),
        ]
    )
    several = both.select(KEY).is_duplicated()
    single = both.filter(~several & ~pl.col("old")).drop("version", "old").with_columns(*_FIRST)
    grouped = both.filter(several)
    if grouped.is_empty():
        return single
    return pl.concat([single, _number(grouped).select(single.columns)])


def _number(grouped: pl.DataFrame) -> pl.DataFrame:
    energy, register = pl.col("energy"), pl.col("register")

    def met_before(*columns: str) -> pl.Expr:
        return pl.int_range(pl.len()).over(*KEY, *columns) > 0

    def several_values(column: pl.Expr) -> pl.Expr:
        return (column.cum_min().over(KEY) != column.cum_max().over(KEY)).fill_null(False)

    ordered = grouped.sort(*KEY, "seq", ~pl.col("old"), "position").with_columns(
        pl.when(pl.col("old"))
        .then(False)
        .when(register.is_null())
        .then(met_before("energy"))
        .when(pl.col("form") == REGISTER)
        .then(met_before("register"))
        .otherwise(met_before("energy", "register"))
        .alias("duplicate"),
        (several_values(energy) | several_values(register)).alias("conflict"),
    )
    new = (~pl.col("old") & ~pl.col("duplicate")).cast(pl.Int32)
    before = pl.col("version").max().over(KEY).fill_null(0)
    return ordered.with_columns((before + new.cum_sum().over(KEY)).cast(pl.Int32).alias("version")).filter(~pl.col("old"))

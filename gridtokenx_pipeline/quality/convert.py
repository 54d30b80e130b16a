"""Polars frames as the pandas frames that Great Expectations evaluates fastest.

Whole numbers become Int64 or, where there are nulls, Float64, for which its range checks are vectorised (bounds are far below
2^53, up to which a Float64 is exact). Text that expectations compare becomes categorical: patterns and sets are then looked at
once for each distinct text. Bytes become their length.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import polars as pl

from .suite import NOT_NULL, Suite, columns_of


def with_derived(suite: Suite, frame: pl.DataFrame, wanted: Collection[str]) -> pl.DataFrame:
    """Return the columns `wanted` of `frame`, derived ones too, in the order of `wanted`."""
    return (
        frame.lazy().select(pl.sql_expr(suite.derived[n]).alias(n) if n in suite.derived else pl.col(n) for n in wanted).collect()
    )


def to_pandas(suite: Suite, frame: pl.DataFrame, wanted: Collection[str]) -> Any:
    """Return the columns `wanted`, derived ones too, as a pandas frame."""
    chosen = with_derived(suite, frame, wanted)
    compared = {c for expectation in suite.expectations if expectation["type"] != NOT_NULL for c in columns_of(expectation)}
    return chosen.with_columns(
        _cast(name, type_, chosen[name].null_count() > 0, name in compared) for name, type_ in chosen.schema.items()
    ).to_pandas()


def _cast(name: str, type_: pl.DataType, nulls: bool, compared: bool) -> pl.Expr:
    column = pl.col(name)
    if type_.is_decimal():
        return column.cast(pl.Float64)
    if type_.is_integer():
        return column.cast(pl.Float64 if nulls else pl.Int64)
    if type_ == pl.Binary:
        length = column.bin.size()
        return length.cast(pl.Float64 if nulls else pl.Int64)
    if type_ == pl.String and compared:
        return column.cast(pl.Categorical)
    return column

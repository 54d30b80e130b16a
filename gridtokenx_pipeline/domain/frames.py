"""Frames from rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl


def frame_of_rows(rows: Sequence[tuple[Any, ...]], schema: Mapping[str, pl.DataType | type[pl.DataType]]) -> pl.DataFrame:
    """Return a frame of `schema` from row tuples in its column order, built column by column: several times faster."""
    columns = zip(*rows, strict=True) if rows else ((),) * len(schema)
    series = [pl.Series(name, values, dtype=dtype) for (name, dtype), values in zip(schema.items(), columns, strict=True)]
    return pl.DataFrame(series)

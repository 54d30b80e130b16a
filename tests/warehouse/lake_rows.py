"""Rows of contract frames, in which a test names only what it is about."""

from __future__ import annotations

import datetime as dt

import polars as pl

from gridtokenx_pipeline.contracts import Table, Type

HOUR = dt.datetime(2026, 6, 1, 10, tzinfo=dt.UTC)
_FILL = {
    Type.TEXT: "x",
    Type.INTEGER: 1,
    Type.BIGINT: 1,
    Type.BOOLEAN: True,
    Type.BYTES: b"x",
    Type.TIMESTAMP: HOUR,
    Type.ENERGY: 1,
}


def after(seconds: float, start: dt.datetime = HOUR) -> dt.datetime:
    return start + dt.timedelta(seconds=seconds)


def rows(table: Table, *values: dict) -> pl.DataFrame:
    """A frame of `table`, one row for each of `values`; what they leave out is null or a constant."""
    filled = {c.frame_name: None if c.nullable else _FILL[c.type] for c in table.columns}
    frame = pl.DataFrame([filled | value for value in values], schema=table.frame_schema())
    assert not {name for value in values for name in value} - set(filled)
    return frame

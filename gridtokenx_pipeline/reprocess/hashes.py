"""A hash of the rows of a partition that depends on their values alone."""

from __future__ import annotations

import hashlib

import polars as pl

from gridtokenx_pipeline.contracts import Column, Table, Type

_SEPARATOR = "\x1f"
NULL = "\\N"


def partition_hash(table: Table, frame: pl.DataFrame) -> str:
    """Return the SHA-256 (lower-case hex) of a contract frame's canonical text, in UTF-8.

    The text is a line with the table's name, its columns and their stored types, then a line a row, in the order of the lines'
    bytes. Values are separated by U+001F and written so: null `\\N`, integers and milli-watt-hours in decimal, percent in
    hundredths, booleans 0 or 1, timestamps in microseconds since 1970, bytes in lower-case hex, text as it is with backslash,
    line feed and U+001F escaped. Neither the order of the rows nor a library's way of printing has a part in it.
    """
    names = [column.frame_name for column in table.columns]
    head = _SEPARATOR.join([table.full_name, *(f"{column.name}:{column.type.sql}" for column in table.columns)])
    lines = frame.select(names).select(pl.concat_str([_text(c) for c in table.columns], separator=_SEPARATOR)).to_series()
    digest = hashlib.sha256(head.encode())
    # Polars orders strings by their bytes.
    for line in lines.sort().to_list():
        digest.update(b"\n")
        digest.update(line.encode())
    return digest.hexdigest()


def _text(column: Column) -> pl.Expr:
    value = pl.col(column.frame_name)
    if column.type is Type.TIMESTAMP:
        text = value.dt.epoch("us").cast(pl.String)
    elif column.type is Type.PERCENT:
        text = (value * 100).cast(pl.Int64).cast(pl.String)
    elif column.type is Type.BOOLEAN:
        text = value.cast(pl.Int8).cast(pl.String)
    elif column.type is Type.BYTES:
        text = value.bin.encode("hex")
    elif column.type is Type.TEXT:
        text = value.str.replace_all("\\", "\\\\", literal=True).str.replace_all("\n", "\\n", literal=True)
        text = text.str.replace_all(_SEPARATOR, "\\u", literal=True)
    else:
        text = value.cast(pl.Int64).cast(pl.String)
    return text.fill_null(NULL)

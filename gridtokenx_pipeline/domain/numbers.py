"""Strings to small whole numbers, and pairs of them to one: what makes validation of millions of readings affordable.

Meters, channels, devices and messages are numbered once for a batch; sorting, joining and searching go by numbers, and names
come back at the end. Numbers of meters and channels follow the order of their names, so that sorting by them is sorting by name.
"""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.contracts.core import CHANNELS
from ingest_server.gateway.documents import NO_DEVICE

CHANNEL_NAMES = tuple(sorted(CHANNELS))
CHANNEL_NUMBERS = {name: number for number, name in enumerate(CHANNEL_NAMES)}
CHANNEL_BITS, TIME_BITS = 3, 38  # 2^38 s is in the year 10680; what a timestamp can name ends in 9999


def receipt_order(*frames: pl.DataFrame) -> pl.DataFrame:
    """Number the messages of frames (message_id, received_at, and where they know it device_lfdi) in order of receipt.

    Returns message_id (String), received_s (Int64, epoch seconds), device_lfdi (String), legacy (Boolean: it came through the
    gateway) and seq (Int64, from 0, which is also the row).
    """
    parts = [f.select("message_id", "received_at", "device_lfdi").unique("message_id", keep="first") for f in frames if len(f)]
    if not parts:
        parts = [f.select("message_id", "received_at", "device_lfdi") for f in frames[:1]]
    both = pl.concat(parts)
    if len(parts) > 1:
        both = both.unique("message_id", keep="first")
    return both.sort("received_at", "message_id").select(
        "message_id",
        pl.col("received_at").dt.epoch("s").alias("received_s"),
        "device_lfdi",
        (pl.col("device_lfdi") == NO_DEVICE).alias("legacy"),
        pl.int_range(pl.len(), dtype=pl.Int64).alias("seq"),
    )


def numbered(names: pl.Series, known: pl.Series) -> pl.Series:
    """Number names: those of `known` (unique) by their place in it, the others after them; null stays null."""
    more = names.unique().drop_nulls()
    more = more.filter(~more.is_in(known.implode()))
    table = pl.DataFrame({"name": pl.concat([known, more.sort()])}).with_row_index("number").cast({"number": pl.Int32})
    return pl.DataFrame({"name": names}).join(table, on="name", how="left", maintain_order="left")["number"]


def channel_number(column: str = "channel") -> pl.Expr:
    """Return the number (Int8) of a channel's name."""
    return pl.col(column).replace_strict(CHANNEL_NUMBERS, default=None, return_dtype=pl.Int8)


def series_number(meter: pl.Expr, channel: pl.Expr) -> pl.Expr:
    """Return one number (Int64) of meter and channel."""
    return meter.cast(pl.Int64) * (1 << CHANNEL_BITS) + channel


def meter_of(series: str = "series") -> pl.Expr:
    """Return the meter's number of a series."""
    return pl.col(series) // (1 << CHANNEL_BITS)


def channel_of(series: str = "series") -> pl.Expr:
    """Return the channel's number of a series."""
    return pl.col(series) % (1 << CHANNEL_BITS)


def at(series: str, seconds: str) -> pl.Expr:
    """Return one number (Int64) of a series and a moment, ordered by both."""
    return pl.col(series) * (1 << TIME_BITS) + pl.col(seconds)


def take(frame: pl.DataFrame, index: pl.Series) -> pl.DataFrame:
    """Return the rows of `frame` at `index`, all null where it is null."""
    return frame.select(pl.all().gather(index))


def moment(seconds: str) -> pl.Expr:
    """Return epoch seconds as a timestamp of the contracts."""
    return pl.from_epoch(pl.col(seconds) * 1_000_000, "us").cast(pl.Datetime("us", "UTC"))

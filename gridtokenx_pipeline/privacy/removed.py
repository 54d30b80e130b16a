"""Messages whose body was removed, and what a stage that parses again must keep of them.

An hour that is derived again is a function of its raw messages, of which some may have no body any more. What was derived from
those stands: without this a backfill would turn them into malformed documents and settled readings into nothing.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from gridtokenx_pipeline.contracts import Table, raw
from gridtokenx_pipeline.warehouse import Warehouse

if TYPE_CHECKING:
    import polars as pl

REMOVED = "body_removed_at IS NOT NULL"
"""The condition on raw.messages that their body is gone."""


def messages(warehouse: Warehouse, start: dt.datetime, end: dt.datetime) -> pl.Series:
    """Return the ids (String) of the messages received from `start` to `end` (exclusive) whose body was removed."""
    where = f"{REMOVED} AND received_at >= ? AND received_at < ?"
    found = warehouse.query(f"SELECT message_id FROM {raw.MESSAGES.full_name} WHERE {where} ORDER BY message_id", (start, end))
    return found["message_id"]


def carried(
    warehouse: Warehouse, table: Table, frame: pl.DataFrame, ids: pl.Series, start: dt.datetime, end: dt.datetime
) -> pl.DataFrame:
    """Return `frame` (contract frame of `table`, with message_id) with the stored rows of messages `ids` in the place of its own.

    `start` and `end` are the window that the frame is to replace.
    """
    import polars as pl

    if ids.is_empty():
        return frame
    removed = pl.col("message_id").is_in(ids.implode())
    stored = warehouse.read_window(table, start, end).filter(removed)
    return pl.concat([frame.filter(~removed), stored]).sort(list(table.key))

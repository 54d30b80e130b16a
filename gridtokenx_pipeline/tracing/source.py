"""Reads the warehouse for a trace, each thing once."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl

from gridtokenx_pipeline.contracts import Table
from gridtokenx_pipeline.warehouse import Warehouse

Row = dict[str, Any]


class Source:
    """Rows of a read-only warehouse, kept for as long as the trace is made.

    `limit` is how many of a list of alike things are shown; `xml` whether messages show the XML that is about them.
    """

    def __init__(self, warehouse: Warehouse, *, limit: int = 3, xml: bool = False) -> None:
        self.warehouse = warehouse
        self.limit = limit
        self.xml = xml
        self._frames: dict[tuple[Any, ...], pl.DataFrame] = {}

    def frame(self, table: Table, where: str, *parameters: Any) -> pl.DataFrame:
        """Return rows of `table` as its pipeline frame, ordered by key."""
        key = (table.full_name, where, tuple(map(repr, parameters)))
        if key not in self._frames:
            self._frames[key] = self.warehouse.read(table, where, parameters)
        return self._frames[key]

    def rows(self, table: Table, where: str, *parameters: Any) -> list[Row]:
        """Return rows of `table`, ordered by key."""
        return self.frame(table, where, *parameters).to_dicts()

    def one(self, table: Table, id_: str, at: dt.datetime | None = None) -> Row | None:
        """Return the row with this key, of a table whose key is one column; `at` is its window, where it is known."""
        (key,) = table.key
        if at is None or table.window is None:
            found = self.rows(table, f"{key} = ?", id_)
        else:
            found = self.rows(table, f"{key} = ? AND {table.window} = ?", id_, at)
        return found[0] if found else None

    def window(self, table: Table, zone: str, start: dt.datetime) -> list[Row]:
        """Return the rows of a zone whose window column is `start`: an interval of the whole campus is read at once."""
        return self.rows(table, f"zone = ? AND {table.window} = ?", zone, start)

    def currency(self, zone: str, start: dt.datetime) -> str:
        """Return the currency of a market interval's amounts; empty where the interval is not known."""
        from gridtokenx_pipeline.contracts import market

        rows = self.window(market.INTERVALS, zone, start)
        return rows[0]["currency"] if rows else ""

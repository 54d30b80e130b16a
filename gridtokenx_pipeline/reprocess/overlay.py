"""A warehouse whose past can be derived again without being touched: the stored lake, with some windows empty and writable.

The stored lake is attached read-only at one snapshot. Every table is a view on it; of the tables that are to be derived again,
the rows of the window are left out, and rows that are committed are kept in memory and shown in their place. So a stage that runs
on an overlay sees what it would have seen: what others made before, and what it made itself since it began.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import duckdb
import polars as pl

from gridtokenx_pipeline.contracts import TABLES, Table
from gridtokenx_pipeline.warehouse import Replace, Warehouse, WarehouseMissing, Written
from gridtokenx_pipeline.warehouse.extensions import ensure_extension_directory
from gridtokenx_pipeline.warehouse.lake import Change, _bounds, _literal, _stored

STORED, MADE = "stored", "made"

Window = tuple[dt.datetime, dt.datetime]


class Overlay(Warehouse):
    """See the module. `windows` are the tables to derive again and the window (UTC, end exclusive) that is empty at first.

    With `meter`, the rows of that meter alone, in tables that have a meter_id. Commits of other tables, of other meters and
    outside of the windows are dropped: they are no part of what is proven.
    """

    def __init__(self, directory: Path, windows: Mapping[Table, Window], meter: str = "", extensions: Path | None = None) -> None:
        super().__init__(directory, extensions, read_only=True)
        self.windows = {t: window for t, window in windows.items() if not meter or "meter_id" in t.by_name}
        self.meter = meter

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Return this object's connection. Raises `WarehouseMissing` where there is no lake."""
        if self._connection is None:
            if not self.catalog.exists():
                raise WarehouseMissing(f"no warehouse at {self.directory}: run the pipeline first (gridtokenx demo)")
            directory = str(ensure_extension_directory(self.extensions))
            connection = duckdb.connect(":memory:", config={"extension_directory": directory})
            connection.execute("LOAD ducklake; LOAD sqlite_scanner; SET TimeZone = 'UTC'; SET enable_progress_bar = false")
            place = f"DATA_PATH '{self.files}/', OVERRIDE_DATA_PATH true, READ_ONLY"
            connection.execute(f"ATTACH '{self.attach_uri}' AS {STORED} ({place})")
            row = connection.execute(f"SELECT max(snapshot_id) FROM ducklake_snapshots('{STORED}')").fetchone()
            # What the live pipeline commits from now on is not seen: a proof is about one state.
            connection.execute(f"DETACH {STORED}")
            connection.execute(f"ATTACH '{self.attach_uri}' AS {STORED} ({place}, SNAPSHOT_VERSION {row[0] if row else 0})")
            connection.execute(f"CREATE SCHEMA {MADE}")
            for table in TABLES:
                self._show(connection, table)
            self._connection = connection
        return self._connection

    def _show(self, connection: duckdb.DuckDBPyConnection, table: Table) -> None:
        columns = ", ".join(column.name for column in table.columns)
        stored = f"SELECT {columns} FROM {STORED}.{table.full_name}"
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {table.schema}")
        if table in self.windows:
            start, end = self.windows[table]
            types = ", ".join(f"{column.name} {column.type.sql}" for column in table.columns)
            connection.execute(f"CREATE TABLE {_made(table)} ({types})")
            inside = f"{table.window} >= TIMESTAMPTZ '{start.isoformat()}' AND {table.window} < TIMESTAMPTZ '{end.isoformat()}'"
            inside += f" AND meter_id = {_literal(self.meter)}" if self.meter else ""
            stored += f" WHERE NOT ({inside}) UNION ALL SELECT {columns} FROM {_made(table)}"
        connection.execute(f"CREATE VIEW {table.full_name} AS {stored}")

    def _never_filled(self, table: Table) -> bool:
        """Look into every table: what is derived here is in no catalog."""
        return False

    def partition(self, table: Table, start: dt.datetime, end: dt.datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the rows of a window of `table` as stored, and as derived here; of the meter alone where there is one."""
        stored = Table(f"{STORED}.{table.schema}", table.name, table.comment, table.columns, table.key, table.window)
        bounds, parameters = _bounds(table, start, end)
        bounds += f" AND meter_id = {_literal(self.meter)}" if self.meter else ""
        return self.read(stored, bounds, parameters), self.read(table, bounds, parameters)

    def commit(self, *changes: Change) -> list[Written]:
        """Put replaced windows in memory. Raises `ContractViolation` as the warehouse does."""
        return [self._keep(self._conform(change)) for change in changes]

    def _keep(self, change: Change) -> Written:
        table = change.table
        if not isinstance(change, Replace) or table not in self.windows:
            return Written(table.full_name, 0, changed=False)
        start, end = self.windows[table]
        window = pl.col(table.window)  # type: ignore[arg-type]
        mine = pl.col("meter_id") == self.meter if self.meter else pl.lit(True)
        frame = change.frame.filter((window >= start) & (window < end) & mine)
        bounds, parameters = _bounds(table, change.start, change.end)
        connection = self.connect()
        connection.execute(f"DELETE FROM {_made(table)} WHERE {bounds} AND {change.where}", list(parameters))
        if len(frame):
            connection.register("change_frame", frame)
            connection.execute(f"INSERT INTO {_made(table)} BY NAME {_stored(table)}")
        return Written(table.full_name, len(frame), changed=True)


def _made(table: Table) -> str:
    return f"{MADE}.{table.schema}_{table.name}"

"""The warehouse: DuckLake on DuckDB. The only module that opens it, for writing or for reading.

Readers never block on writers and never see half a write. The SQLite catalog takes one writer at a time: a
transaction that loses the race is rolled back and tried again, so every write is expressed as data
(`Replace`, `Append`, `SetState`) that can be applied again.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import tenacity

from gridtokenx_pipeline.contracts import TABLES, Column, Table, Type

from .extensions import ensure_extension_directory

if TYPE_CHECKING:
    import polars as pl

LAKE = "lake"
_BEGINNING, _END = dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC)
_RETRYABLE = ("database is locked", "failed to commit", "conflict")


class WarehouseMissing(FileNotFoundError):
    """There is no warehouse yet where one was to be read."""


class ContractDrift(RuntimeError):
    """A stored table does not have the columns its contract states."""


@dataclass(frozen=True)
class Replace:
    """Put `frame` (contract frame of `table`) in the place of all rows with `start` <= window < `end`.

    A table without a window is replaced whole. `where` (SQL over the stored columns) narrows what is replaced.
    """

    table: Table
    frame: pl.DataFrame
    start: dt.datetime = _BEGINNING
    end: dt.datetime = _END
    where: str = "true"


@dataclass(frozen=True)
class Append:
    """Add the rows of `frame` whose key `table` does not have yet; rows it has stay as they are."""

    table: Table
    frame: pl.DataFrame


@dataclass(frozen=True)
class SetState:
    """Set `state` on the rows of `table` that have these keys; `keys` holds key columns only."""

    table: Table
    keys: pl.DataFrame
    state: str


Change = Replace | Append | SetState


@dataclass(frozen=True)
class Written:
    """What a change did: rows now in its window (or added, or set), and whether anything differed from before."""

    table: str
    rows: int
    changed: bool


class Warehouse:
    """A DuckLake under one directory: `catalog.sqlite` and Parquet files in `files/`.

    One object holds one connection and is for one thread; open another object for another thread.
    """

    def __init__(self, directory: Path, extensions: Path | None = None, *, read_only: bool = False) -> None:
        self.directory = directory
        self.extensions = extensions or directory / "extensions"
        self.read_only = read_only
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._filled: set[Table] = set()

    @property
    def catalog(self) -> Path:
        """The catalog database."""
        return self.directory / "catalog.sqlite"

    @property
    def attach_uri(self) -> str:
        """What DuckDB (and dbt) attach."""
        return f"ducklake:sqlite:{self.catalog}"

    @property
    def files(self) -> Path:
        """The Parquet files' directory."""
        return self.directory / "files"

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Return this object's connection, opened and attached on first use; a writer creates missing tables.

        Raises `WarehouseMissing` when opened read-only before its tables were made.
        """
        if self._connection is None:
            if self.read_only and not self.catalog.exists():
                raise WarehouseMissing(f"no warehouse at {self.directory}: run the pipeline first (gridtokenx demo)")
            self.directory.mkdir(parents=True, exist_ok=True)
            directory = str(ensure_extension_directory(self.extensions))
            connection = duckdb.connect(":memory:", config={"extension_directory": directory})
            # Under `python -c` DuckDB believes a person is watching and draws progress into standard output.
            connection.execute("LOAD ducklake; LOAD sqlite_scanner; SET TimeZone = 'UTC'; SET enable_progress_bar = false")
            _retrying()(self._attach, connection)
            self._connection = connection
            try:
                if self.read_only:
                    self._require_tables()
                else:
                    self._ensure_tables(TABLES)
            except BaseException:
                self.close()
                raise
        return self._connection

    def _attach(self, connection: duckdb.DuckDBPyConnection) -> None:
        mode = ", READ_ONLY" if self.read_only else ""
        # The catalog remembers where its files were when it was made; a data directory that was moved or restored is elsewhere.
        place = f"DATA_PATH '{self.files}/', OVERRIDE_DATA_PATH true"
        connection.execute(f"ATTACH IF NOT EXISTS '{self.attach_uri}' AS {LAKE} ({place}{mode})")
        connection.execute(f"USE {LAKE}")

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Warehouse:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> pl.DataFrame:
        """Run a query and return its rows with the types of the stored columns (energy as decimals)."""
        return _retrying()(lambda: self.connect().execute(sql, list(parameters)).pl())

    def read(self, table: Table, where: str = "true", parameters: Sequence[Any] = ()) -> pl.DataFrame:
        """Return rows of `table` as a pipeline frame, ordered by the table's key."""
        columns = ", ".join(
            # Widened first: the product of a full DECIMAL(18,3) does not fit the type of its factors.
            f"CAST({column.name}::DECIMAL(21,3) * 1000 AS BIGINT) AS {column.frame_name}"
            if column.type is Type.ENERGY
            else column.name
            for column in table.columns
        )
        order = ", ".join(table.key)
        if self._never_filled(table):
            return table.empty()
        frame = self.query(f"SELECT {columns} FROM {table.full_name} WHERE {where} ORDER BY {order}", parameters)
        return frame.cast(table.frame_schema())  # type: ignore[arg-type]

    def _never_filled(self, table: Table) -> bool:
        """Whether no row was ever put into `table`, which the catalog says many times faster than a scan of nothing."""
        if table in self._filled:
            return False
        where = "t.table_name = ? AND s.schema_name = ? AND t.end_snapshot IS NULL AND s.end_snapshot IS NULL"
        metadata = f"__ducklake_metadata_{LAKE}"
        found = self.query(
            f"SELECT count(*) FROM {metadata}.ducklake_table_stats AS r JOIN {metadata}.ducklake_table AS t USING (table_id) "
            f"JOIN {metadata}.ducklake_schema AS s USING (schema_id) WHERE r.record_count > 0 AND {where}",
            (table.name, table.schema),
        ).item()
        if found:
            self._filled.add(table)
        return not found

    def read_window(self, table: Table, start: dt.datetime, end: dt.datetime) -> pl.DataFrame:
        """Return the rows of `table` with `start` <= window < `end` as a pipeline frame, ordered by key."""
        return self.read(table, *_bounds(table, start, end))

    def commit(self, *changes: Change) -> list[Written]:
        """Apply all changes in one transaction, or none; a lost race with another writer is tried again.

        A `Replace` by equal rows writes nothing, so that re-running a partition leaves no trace.
        Raises `ContractViolation` before anything is written when a frame does not fit its table.
        """
        prepared = [self._conform(change) for change in changes]
        return _retrying()(self._apply, prepared)

    def _conform(self, change: Change) -> Change:
        if isinstance(change, SetState):
            return change
        frame = change.table.conform(change.frame)
        if isinstance(change, Append):
            return Append(change.table, frame)
        if change.table.window is None:
            return Replace(change.table, frame, where=change.where)
        window = frame[change.table.window]
        if len(frame) and not (change.start <= window.min() and window.max() < change.end):  # type: ignore[operator]
            raise ValueError(f"{change.table.full_name}: rows outside {change.start} to {change.end}")
        return Replace(change.table, frame, change.start, change.end, change.where)

    def _apply(self, changes: Iterable[Change]) -> list[Written]:
        connection = self.connect()
        connection.execute("BEGIN")
        try:
            written = [self._apply_one(connection, change) for change in changes]
            if any(w.changed for w in written):
                connection.execute("COMMIT")
            else:
                connection.execute("ROLLBACK")
        except BaseException:
            try:
                connection.execute("ROLLBACK")
            except duckdb.Error:
                self.close()
            raise
        return written

    def _apply_one(self, connection: duckdb.DuckDBPyConnection, change: Change) -> Written:
        table = change.table
        if isinstance(change, SetState):
            connection.register("change_keys", change.keys)
            match = " AND ".join(f"t.{name} = k.{name}" for name in change.keys.columns)
            row = connection.execute(
                f"UPDATE {table.full_name} AS t SET state = ? FROM change_keys AS k WHERE {match} AND t.state <> ?",
                [change.state, change.state],
            ).fetchone()
            rows = int(row[0]) if row else 0
            return Written(table.full_name, rows, rows > 0)
        if isinstance(change, Append):
            connection.register("change_frame", change.frame)
            match = " AND ".join(f"t.{name} = f.{table.by_name[name].frame_name}" for name in table.key)
            row = connection.execute(
                f"INSERT INTO {table.full_name} BY NAME {_stored(table)} "
                f"WHERE NOT EXISTS (SELECT 1 FROM {table.full_name} AS t WHERE {match})"
            ).fetchone()
            rows = int(row[0]) if row else 0
            return Written(table.full_name, rows, rows > 0)
        keys = [table.by_name[name].frame_name for name in table.key]
        bounds, parameters = _bounds(table, change.start, change.end)
        before = self.read(table, f"{bounds} AND {change.where}", parameters)
        if before.equals(change.frame.sort(keys)):
            return Written(table.full_name, len(before), changed=False)
        connection.execute(f"DELETE FROM {table.full_name} WHERE {bounds} AND {change.where}", list(parameters))
        if len(change.frame):
            connection.register("change_frame", change.frame.sort(keys))
            connection.execute(f"INSERT INTO {table.full_name} BY NAME {_stored(table)}")
        return Written(table.full_name, len(change.frame), changed=True)

    def _require_tables(self) -> None:
        """Raise `WarehouseMissing` while the first writer is still making the tables, which it does in one commit."""
        last = TABLES[-1]
        where = f"database_name = '{LAKE}' AND schema_name = '{last.schema}' AND table_name = '{last.name}'"
        found = self.connect().execute(f"SELECT 1 FROM duckdb_tables() WHERE {where}")
        if found.fetchone() is None:
            raise WarehouseMissing(f"the warehouse at {self.directory} is still being made: try again in a moment")

    def _ensure_tables(self, tables: Iterable[Table]) -> None:
        connection = self.connect()
        rows = connection.execute(
            "SELECT schema_name || '.' || table_name, list(column_name) FROM duckdb_columns() "
            f"WHERE database_name = '{LAKE}' GROUP BY 1"
        ).fetchall()
        stored = {name: set(columns) for name, columns in rows}
        missing, additions = [], []
        for table in tables:
            columns = stored.get(table.full_name)
            if columns is None:
                missing.append(table)
            elif lacking := [c.name for c in table.columns if c.name not in columns and not c.nullable and c.default is None]:
                raise ContractDrift(f"{table.full_name} was made by another version: it lacks {', '.join(lacking)}")
            else:
                additions += [(table, c) for c in table.columns if c.name not in columns]
        if missing:
            _retrying()(self._create, missing)
        for table, column in additions:
            # Rows written before have the default; null, where there is none, is what a nullable column says anyway.
            _retrying()(self._add, table, column)

    def _add(self, table: Table, column: Column) -> None:
        connection = self.connect()
        value = _literal(column.default) if isinstance(column.default, str) else column.default
        default = "" if value is None else f" DEFAULT {value}"
        connection.execute(f"ALTER TABLE {table.full_name} ADD COLUMN IF NOT EXISTS {column.name} {column.type.sql}{default}")
        connection.execute(f"COMMENT ON COLUMN {table.full_name}.{column.name} IS {_literal(_comment(column))}")

    def _create(self, tables: Iterable[Table]) -> None:
        connection = self.connect()
        connection.execute(f"CALL {LAKE}.set_option('parquet_compression', 'zstd')")
        connection.execute("BEGIN")
        try:
            for table in tables:
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {table.schema}")
                columns = ", ".join(f"{c.name} {c.type.sql}{'' if c.nullable else ' NOT NULL'}" for c in table.columns)
                connection.execute(f"CREATE TABLE IF NOT EXISTS {table.full_name} ({columns})")
                connection.execute(f"COMMENT ON TABLE {table.full_name} IS {_literal(table.comment)}")
                for column in table.columns:
                    connection.execute(f"COMMENT ON COLUMN {table.full_name}.{column.name} IS {_literal(_comment(column))}")
            connection.execute("COMMIT")
        except BaseException:
            # A commit that lost the race has ended its transaction already.
            with contextlib.suppress(duckdb.Error):
                connection.execute("ROLLBACK")
            raise


def _stored(table: Table) -> str:
    """The query that turns the registered frame into stored columns: milli-watt-hours become exact decimals."""
    columns = ", ".join(
        f"CAST(f.{c.frame_name} AS DECIMAL(18,0)) * 0.001::DECIMAL(4,3) AS {c.name}" if c.type is Type.ENERGY else f"f.{c.name}"
        for c in table.columns
    )
    return f"SELECT {columns} FROM change_frame AS f"


def _bounds(table: Table, start: dt.datetime, end: dt.datetime) -> tuple[str, tuple[dt.datetime, ...]]:
    """The condition of a window, and its parameters."""
    if table.window is None:
        return "true", ()
    return f"{table.window} >= ? AND {table.window} < ?", (start, end)


def _comment(column: Column) -> str:
    return f"{column.comment} [{column.unit}]" if column.unit else column.comment


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _lost_race(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, duckdb.Error) and any(phrase in text for phrase in _RETRYABLE)


def _retrying() -> tenacity.Retrying:
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(_lost_race),
        wait=tenacity.wait_random_exponential(multiplier=0.05, max=1.0),
        stop=tenacity.stop_after_attempt(60),
        reraise=True,
    )

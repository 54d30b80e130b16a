"""Keeping the lake small and quick: few files a table, no snapshots beyond retention, no files that nothing refers to.

Every step is a transaction of its own that is tried again when it loses the race with a writer, so the five-minute line runs on
beside it. What was due before and is not done after is an error: maintenance that quietly does nothing is found out late.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .lake import LAKE, Warehouse, _retrying

# A file of which this share is deleted is written anew. Erasure writes every file anew that has lost a row.
REWRITE_SHARE = 0.1
# Readers that began before a file was replaced may still want it.
GRACE = dt.timedelta(minutes=10)
# With more small files than this in a table, merging has something to do.
MANY_FILES, SMALL_BYTES = 50, 16_000_000
_FREE_PAGES_SHARE = 0.25

# The catalog keeps the least and the greatest value that a column of a table ever had, of rows that are gone too. Null is "not
# known": then a query looks at the statistics of each file, which are of what is in it.
_FORGET_EXTREMES = """
UPDATE ducklake_table_column_stats SET min_value = NULL, max_value = NULL
WHERE EXISTS (
    SELECT 1 FROM ducklake_column AS c
    WHERE c.table_id = ducklake_table_column_stats.table_id AND c.column_id = ducklake_table_column_stats.column_id
        AND lower(c.column_type) IN ('varchar', 'blob', 'json')
)
"""

_END = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)

Progress = Callable[[str], None]


class MaintenanceFailed(RuntimeError):
    """Work was due and is not done; the message says which."""


@dataclass(frozen=True)
class TableSize:
    """Files of a table that its present state is made of. `deletes` are files that mark rows of others as deleted."""

    table: str
    files: int
    small_files: int
    bytes: int
    deletes: int


@dataclass(frozen=True)
class LakeSize:
    """What the lake takes up. `disk_*` count every file there is, also those of the past; `waiting` those to be removed."""

    tables: tuple[TableSize, ...]
    snapshots: int
    oldest_snapshot: dt.datetime | None
    disk_files: int
    disk_bytes: int
    catalog_bytes: int
    waiting: int

    @property
    def files(self) -> int:
        """Files that the present state of all tables is made of."""
        return sum(table.files + table.deletes for table in self.tables)


@dataclass(frozen=True)
class Maintained:
    """What a run did, and the lake before and after. Counts of rows, files and snapshots."""

    before: LakeSize
    after: LakeSize
    rows_flushed: int
    files_rewritten: int
    files_merged: int
    snapshots_expired: int
    files_removed: int
    vacuumed: bool


def measure(warehouse: Warehouse) -> LakeSize:
    """Return what the lake takes up now."""
    schema = f"__ducklake_metadata_{LAKE}"
    tables = warehouse.query(
        f"""
        SELECT s.schema_name || '.' || t.table_name AS name, count(f.data_file_id) AS files,
            count(f.data_file_id) FILTER (WHERE f.file_size_bytes < {SMALL_BYTES}) AS small,
            coalesce(sum(f.file_size_bytes), 0)::BIGINT AS bytes,
            (
                SELECT count(*) FROM {schema}.ducklake_delete_file AS d
                WHERE d.table_id = t.table_id AND d.end_snapshot IS NULL
            ) AS deletes
        FROM {schema}.ducklake_table AS t
        JOIN {schema}.ducklake_schema AS s ON s.schema_id = t.schema_id AND s.end_snapshot IS NULL
        LEFT JOIN {schema}.ducklake_data_file AS f ON f.table_id = t.table_id AND f.end_snapshot IS NULL
        WHERE t.end_snapshot IS NULL
        GROUP BY ALL ORDER BY name
        """
    )
    snapshots, oldest = warehouse.query(f"SELECT count(*), min(snapshot_time) FROM {LAKE}.snapshots()").row(0)
    waiting = warehouse.query(f"SELECT count(*) FROM {schema}.ducklake_files_scheduled_for_deletion").item()
    sizes = []
    for path in warehouse.files.rglob("*.parquet"):
        # A file may go while the folder is looked through.
        with contextlib.suppress(FileNotFoundError):
            sizes.append(path.stat().st_size)
    catalog = sum(path.stat().st_size for path in warehouse.directory.glob(f"{warehouse.catalog.name}*"))
    by_table = tuple(TableSize(*row) for row in tables.iter_rows())
    return LakeSize(by_table, snapshots, oldest, len(sizes), sum(sizes), catalog, waiting)


def maintain(
    warehouse: Warehouse,
    now: dt.datetime,
    keep: dt.timedelta,
    *,
    grace: dt.timedelta = GRACE,
    thorough: bool = False,
    progress: Progress = lambda _: None,
) -> Maintained:
    """Flush, rewrite, merge, expire what is older than `keep`, remove files, and report; `progress` hears of each step.

    `thorough` is for erasure: no history but the present, every file with deleted rows written anew, replaced files removed at
    once and the catalog written anew. Raises `MaintenanceFailed` when something that was due was not done.
    """
    before = measure(warehouse)
    # Threads only wait for each other at the SQLite catalog (a flush took five times as long with two), and with more than one
    # DuckLake 1.0 of DuckDB 1.5.5 was seen to abort the process with a damaged heap. The connection is closed at the end.
    warehouse.connect().execute("SET threads = 1")
    progress(f"flush rows that are kept in the catalog ({before.snapshots} snapshots, {before.files} files)")
    flushed = _sum(warehouse, f"CALL ducklake_flush_inlined_data('{LAKE}')", "rows_flushed")
    progress("rewrite files with deleted rows")
    share = 0.0 if thorough else REWRITE_SHARE
    rewritten = _sum(warehouse, f"CALL ducklake_rewrite_data_files('{LAKE}', delete_threshold => {share})", "files_processed")
    progress("merge small files")
    merged = _sum(warehouse, f"CALL ducklake_merge_adjacent_files('{LAKE}')", "files_processed")
    # The last commits are of this run: what they replaced is history as well.
    until = _END if thorough else now - keep
    progress(f"expire snapshots before {'now' if thorough else f'{until:%Y-%m-%d %H:%M} UTC'}")
    expired = _expire(warehouse, until)
    progress("remove files that nothing refers to")
    removed = _remove(warehouse, now, dt.timedelta(0) if thorough else grace)
    vacuumed = _vacuum(warehouse, required=thorough)
    after = measure(warehouse)
    _insist(warehouse, before, after, until, merged, thorough)
    return Maintained(before, after, flushed, rewritten, merged, expired, removed, vacuumed)


def change(warehouse: Warehouse, sql: str, parameters: Sequence[object] = ()) -> int:
    """Run one UPDATE or DELETE in a transaction of its own and return how many rows it changed; a lost race is tried again."""

    def attempt() -> int:
        row = warehouse.connect().execute(sql, list(parameters)).fetchone()
        return int(row[0]) if row else 0

    return _retrying()(attempt)


def _sum(warehouse: Warehouse, call: str, column: str) -> int:
    """Run a maintenance call in a transaction of its own; the sum of a column of what it answers."""
    rows = _retrying()(lambda: warehouse.connect().execute(call).pl())
    return int(rows[column].sum() or 0) if column in rows.columns else 0


def _expire(warehouse: Warehouse, until: dt.datetime) -> int:
    """Expire the snapshots before `until`, but never the present, and return how many.

    By number: the SQLite catalog keeps times as texts, and `older_than` is compared with them to the day only.
    """
    old = warehouse.query(
        f"SELECT snapshot_id FROM {LAKE}.snapshots() WHERE snapshot_time < {_literal(until)} "
        f"AND snapshot_id < (SELECT max(snapshot_id) FROM {LAKE}.snapshots()) ORDER BY 1"
    )["snapshot_id"]
    if old.is_empty():
        return 0
    return _count(warehouse, f"CALL ducklake_expire_snapshots('{LAKE}', versions => {old.to_list()})")


def _remove(warehouse: Warehouse, now: dt.datetime, grace: dt.timedelta) -> int:
    """Remove files that were replaced before `now` less `grace`, and return how many.

    Where some are younger, only those of earlier days go: to the day is how exactly `older_than` is compared.
    """
    waiting = f"__ducklake_metadata_{LAKE}.ducklake_files_scheduled_for_deletion"
    newest = warehouse.query(f"SELECT max(schedule_start::TIMESTAMPTZ) FROM {waiting}").item()
    if newest is None:
        return 0
    before = now - grace
    day = before.replace(hour=0, minute=0, second=0, microsecond=0) - dt.timedelta(days=1)
    which = "cleanup_all => true" if not grace or newest < before else f"older_than => {_literal(day)}"
    return _count(warehouse, f"CALL ducklake_cleanup_old_files('{LAKE}', {which})")


def _count(warehouse: Warehouse, call: str) -> int:
    return len(_retrying()(lambda: warehouse.connect().execute(call).pl()))


def _literal(moment: dt.datetime) -> str:
    return f"TIMESTAMPTZ '{moment.isoformat()}'"


def _vacuum(warehouse: Warehouse, *, required: bool) -> bool:
    """Write the catalog anew where much of it is free, or where `required`: what was deleted is in its free pages until then.

    Raises `MaintenanceFailed` if it is required and others keep the catalog busy.
    """
    warehouse.close()
    with contextlib.closing(sqlite3.connect(warehouse.catalog, timeout=20.0, isolation_level=None)) as catalog:
        free, pages = (int(catalog.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("freelist_count", "page_count"))
        if not required and free < _FREE_PAGES_SHARE * pages:
            return False
        try:
            if required:
                catalog.execute(_FORGET_EXTREMES)
            catalog.execute("VACUUM")
        except sqlite3.OperationalError as busy:
            if required:
                raise MaintenanceFailed(f"the lake's catalog could not be written anew: {busy}") from busy
            return False
    return True


def _insist(warehouse: Warehouse, before: LakeSize, after: LakeSize, until: dt.datetime, merged: int, thorough: bool) -> None:
    """Raise `MaintenanceFailed` for work that was due and is not done."""
    undone = []
    old = warehouse.query(
        f"SELECT count(*) FROM {LAKE}.snapshots() WHERE snapshot_time < {_literal(until)} "
        f"AND snapshot_id < (SELECT max(snapshot_id) FROM {LAKE}.snapshots())"
    ).item()
    # A writer that commits meanwhile makes snapshots that a thorough run is not about.
    if old and not (thorough and after.snapshots < before.snapshots):
        undone.append(f"{old} snapshots of the past are still there")
    crowded = [table.table for table in before.tables if table.small_files > MANY_FILES]
    if crowded and not merged:
        undone.append(f"nothing was merged, though {', '.join(crowded)} had more than {MANY_FILES} small files each")
    if thorough and after.waiting:
        undone.append(f"{after.waiting} files that nothing refers to were not removed")
    if undone:
        raise MaintenanceFailed("; ".join(undone))

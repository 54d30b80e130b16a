"""Connecting to the outbox's database, and asking it for much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

_T = TypeVar("_T")
_CHUNK = 400  # of the parameters that a statement may have: 999 in older SQLite


def open_engine(url: sa.URL) -> sa.Engine:
    """Return an engine for an SQLite file or PostgreSQL. Raises `ValueError` for a database in memory."""
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True)
    if url.database in (None, "", ":memory:"):
        raise ValueError("the outbox needs a database file: what it holds must outlive the process")
    Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url)
    sa.event.listen(engine, "connect", _tune_sqlite)
    # Without this a transaction that reads before it writes fails at once when another process writes in between.
    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _tune_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy's "begin" event begins, not the driver
    cursor = connection.cursor()
    for pragma in ("busy_timeout = 30000", "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def chunks(values: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """Yield `values` in parts that a statement can name."""
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]

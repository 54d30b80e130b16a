"""How the operational tables are reached: SQLite for one machine, PostgreSQL for several."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Dialect, Engine, create_engine, event, make_url


def engine_of(url: str) -> Engine:
    """Make the engine of an SQLAlchemy URL. Raises `ValueError` for a database that is neither SQLite nor PostgreSQL."""
    parsed = make_url(url)
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise ValueError(f"operational tables need SQLite or PostgreSQL, not {parsed.get_backend_name()}")
    engine = create_engine(parsed, pool_pre_ping=parsed.get_backend_name() == "postgresql")
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def _configure(connection: Any, _: Any) -> None:
            connection.execute("PRAGMA busy_timeout=10000")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")

    return engine


def insert_for(dialect: Dialect) -> Any:
    """The INSERT construct of a dialect, which knows ON CONFLICT."""
    # Each dialect takes a while to import, and a process needs one.
    if dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert
    else:
        from sqlalchemy.dialects.postgresql import insert  # type: ignore[assignment]
    return insert

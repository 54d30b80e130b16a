"""Bringing a database that an earlier version made up to the tables of this one."""

from __future__ import annotations

from sqlalchemy import Engine, MetaData, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateColumn

_ATTEMPTS = 5


def create_missing(engine: Engine, metadata: MetaData) -> None:
    """Create the tables of `metadata` that are missing, and add missing columns to those that are there.

    Idempotent, and safe where several processes start at once. A column that is added must be nullable or have a server
    default, so that rows of the earlier version have a value; raises `ValueError` for one that is neither.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            metadata.create_all(engine)
            _add_columns(engine, metadata)
            return
        except DBAPIError:
            # Another process may have created the same between the look and the statement; then the next look finds it.
            if attempt == _ATTEMPTS:
                raise


def _add_columns(engine: Engine, metadata: MetaData) -> None:
    inspector = inspect(engine)
    quote = engine.dialect.identifier_preparer.quote
    for table in metadata.sorted_tables:
        present = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name in present:
                continue
            if not column.nullable and column.server_default is None:
                raise ValueError(f"{table.name}.{column.name} cannot be added: rows that are there would have no value")
            definition = CreateColumn(column).compile(dialect=engine.dialect)
            with engine.begin() as connection:
                connection.exec_driver_sql(f"ALTER TABLE {quote(table.name)} ADD COLUMN {definition}")

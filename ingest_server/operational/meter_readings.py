"""The reading types that devices declared, by time: what the readings in the landing store mean, and since when.

A post of readings alone touches nothing here. A type that changes makes a new version, so that readings which came before it are
never read with the unit or the scale of the later one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import Column, Connection, Engine, Index, String, Table, Text, delete, select, update

from .engine import insert_for
from .tables import METADATA, UtcDateTime

READING_TYPES = Table(
    "mirror_reading_types",
    METADATA,
    Column("mup_id", String(16), primary_key=True, comment="Mirror usage point, by its path element."),
    Column("mrid", String(32), primary_key=True, comment="Mirror meter reading, as normalised."),
    Column("since", UtcDateTime, primary_key=True, comment="Receipt of the message that declared it."),
    Column("lfdi", String(40), nullable=False, comment="Device that owns the mirror."),
    Column("description", Text, comment="Of the mirror meter reading, as last declared."),
    Column("reading_type", Text, nullable=False, comment="The ReadingType element, without declaration and namespace."),
    Index("mirror_reading_types_mrid", "mrid"),
    Index("mirror_reading_types_mrid", "mrid"),
    comment="Versions of the reading types of mirrors; the newest holds from its `since` on.",
)
_KEPT_VERSIONS = 16


@dataclass(slots=True, frozen=True)
class DeclaredType:
    """A mirror meter reading that came with its type; `reading_type` is the element as a fragment."""

    mrid: str
    description: str | None
    reading_type: str


@dataclass(slots=True, frozen=True)
class StoredReadingType:
    """A row of `mirror_reading_types`; `since` is aware UTC."""

    mup_id: str
    mrid: str
    since: dt.datetime
    lfdi: str
    description: str | None
    reading_type: str


class MeterReadings:
    """The declared reading types. Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def declare(self, lfdi: str, mup_id: str, declared: Iterable[DeclaredType], since: dt.datetime) -> None:
        """Keep what a message received at `since` (aware) declared of a device's mirror. Idempotent.

        A type that is what held at `since` anyhow makes no version; of many versions the latest are kept.
        """
        with self._engine.begin() as connection:
            for one in declared:
                self._declare(connection, lfdi, mup_id, one, since)

    def _declare(self, connection: Connection, lfdi: str, mup_id: str, declared: DeclaredType, since: dt.datetime) -> None:
        mine = (READING_TYPES.c.mup_id == mup_id) & (READING_TYPES.c.mrid == declared.mrid)
        query = select(READING_TYPES.c.since, READING_TYPES.c.reading_type).where(mine).order_by(READING_TYPES.c.since.desc())
        versions = connection.execute(query).all()
        held = next((row.reading_type for row in versions if row.since <= since), None)
        if held != declared.reading_type:
            row = {
                "mup_id": mup_id,
                "mrid": declared.mrid,
                "since": since,
                "lfdi": lfdi,
                "description": declared.description,
                "reading_type": declared.reading_type,
            }
            connection.execute(insert_for(self._engine.dialect)(READING_TYPES).on_conflict_do_nothing(), row)
        if len(versions) >= _KEPT_VERSIONS:
            connection.execute(delete(READING_TYPES).where(mine, READING_TYPES.c.since < versions[_KEPT_VERSIONS - 1].since))
        connection.execute(update(READING_TYPES).where(mine).values(description=declared.description))

    def versions(self, mup_ids: Collection[str]) -> list[StoredReadingType]:
        """Return the versions of the types of mirrors, by mirror, mRID and time."""
        keys = (READING_TYPES.c.mup_id, READING_TYPES.c.mrid, READING_TYPES.c.since)
        query = select(READING_TYPES).where(READING_TYPES.c.mup_id.in_(list(mup_ids))).order_by(*keys)
        with self._engine.connect() as connection:
            return [StoredReadingType(**row._mapping) for row in connection.execute(query)]

    def declared_by_others(self, lfdi: str, mrids: Collection[str]) -> bool:
        """Return whether a device other than this one declared any of these mRIDs."""
        theirs = READING_TYPES.c.mrid.in_(list(mrids)) & (READING_TYPES.c.lfdi != lfdi)
        with self._engine.connect() as connection:
            return connection.execute(select(READING_TYPES.c.mrid).where(theirs).limit(1)).first() is not None

    def mrids(self, mup_id: str) -> set[str]:
        """Return the mRIDs of the mirror meter readings of a mirror whose type is known."""
        query = select(READING_TYPES.c.mrid).where(READING_TYPES.c.mup_id == mup_id).distinct()
        with self._engine.connect() as connection:
            return set(connection.execute(query).scalars())


def forget_reading_types(connection: Connection, mup_id: str) -> None:
    """Delete the reading types of a mirror that is being deleted, in the same transaction."""
    connection.execute(delete(READING_TYPES).where(READING_TYPES.c.mup_id == mup_id))

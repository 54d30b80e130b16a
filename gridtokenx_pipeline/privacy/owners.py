"""Who owns which meter, and since when: personal data, in the operational database alone.

The lake knows an owner by `owner_ref`, which is random and says nothing. Forgetting an owner empties name and contact and leaves
the rest of the row as a tombstone; erased pages are overwritten.
"""

from __future__ import annotations

import csv
import datetime as dt
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Index,
    MetaData,
    String,
    Table,
    Text,
    and_,
    delete,
    insert,
    select,
    update,
)

from ingest_server.operational.engine import engine_of
from ingest_server.operational.schema import create_missing
from ingest_server.operational.tables import UtcDateTime

METADATA = MetaData()

OWNERS = Table(
    "owners",
    METADATA,
    Column("owner_ref", String(32), primary_key=True, comment="Pseudonym: 128 random bits, hex. The lake has nothing but this."),
    Column("name", Text, comment="Null once forgotten."),
    Column("contact", Text, comment="Null once forgotten."),
    Column("since", UtcDateTime, nullable=False, comment="When the row was first written."),
    Column("forgotten_at", UtcDateTime, comment="Null while not forgotten."),
    Column("forgotten_by", Text, comment="Who had the owner forgotten."),
    Column("forgotten_reason", Text, comment="Why."),
    Column("erased_until", UtcDateTime, comment="Until when device data of the ownership is erased; null before the first time."),
)

METER_OWNERS = Table(
    "meter_owners",
    METADATA,
    Column("owner_ref", String(32), primary_key=True),
    Column("meter_id", Text, primary_key=True),
    Column("owned_from", UtcDateTime, primary_key=True),
    Column("owned_to", UtcDateTime, comment="Exclusive; null while it lasts."),
    Index("meter_owners_meter", "meter_id"),
)


class OwnersRefused(ValueError):
    """Rows of owners contradict each other or what is known; nothing was written."""


@dataclass(frozen=True)
class Ownership:
    """A meter owned from `start` to `end` (exclusive; None while it lasts), aware UTC."""

    owner_ref: str
    meter_id: str
    start: dt.datetime
    end: dt.datetime | None


@dataclass(frozen=True)
class Owner:
    """An owner; name and contact are None once forgotten. `erased_until` says how far device data is erased."""

    owner_ref: str
    name: str | None
    contact: str | None
    forgotten_at: dt.datetime | None
    forgotten_by: str | None
    forgotten_reason: str | None
    erased_until: dt.datetime | None


@dataclass(frozen=True)
class Line:
    """A line of an import: who, how to reach them, which meter, from when to when."""

    name: str
    contact: str
    meter_id: str
    start: dt.datetime
    end: dt.datetime | None


def read_csv(path: Path) -> list[Line]:
    """Read a file with the columns name, contact, meter_id, from, to: dates or times, in UTC where they say nothing.

    Raises `OwnersRefused` with the line number for what cannot be read.
    """
    lines = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        missing = {"name", "contact", "meter_id", "from", "to"} - set(rows.fieldnames or ())
        if missing:
            raise OwnersRefused(f"{path.name}: no column {', '.join(sorted(missing))}")
        for row in rows:
            try:
                end = _moment(row["to"]) if (row["to"] or "").strip() else None
                line = Line(row["name"].strip(), row["contact"].strip(), row["meter_id"].strip(), _moment(row["from"]), end)
            except (ValueError, AttributeError) as error:
                # The line itself may not be shown: logs keep what they are told.
                raise OwnersRefused(f"{path.name}, line {rows.line_num}: a column is missing or no date") from error
            if not line.name or not line.meter_id or (line.end is not None and line.end <= line.start):
                raise OwnersRefused(f"{path.name}, line {rows.line_num}: no name, no meter, or it ends before it begins")
            lines.append(line)
    return lines


def _moment(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text.strip())
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)


class Owners:
    """The owners' tables behind an SQLAlchemy URL (SQLite or PostgreSQL). Synchronous."""

    def __init__(self, url: str) -> None:
        self._engine: Engine = engine_of(url)

    def create_all(self) -> None:
        """Create the tables that are missing (and the folder of an SQLite file)."""
        database = self._engine.url.database
        if self._engine.dialect.name == "sqlite" and database:
            Path(database).parent.mkdir(parents=True, exist_ok=True)
        create_missing(self._engine, METADATA)

    def close(self) -> None:
        """Close the pooled connections."""
        self._engine.dispose()

    def add(self, lines: Iterable[Line], now: dt.datetime) -> int:
        """Add ownerships and return how many are new; a person (same name and contact) gets one pseudonym.

        An ownership that is known is left, but for an end it did not have. Raises `OwnersRefused` where a meter would have two
        owners at a time.
        """
        added = 0
        with self._engine.begin() as connection:
            known = {
                (row.name, row.contact): row.owner_ref
                for row in connection.execute(select(OWNERS).where(OWNERS.c.name.is_not(None)))
            }
            owned = {(o.owner_ref, o.meter_id, o.start): o for o in map(_ownership, connection.execute(select(METER_OWNERS)))}
            for line in lines:
                ref = known.get((line.name, line.contact))
                if ref is None:
                    ref = known[line.name, line.contact] = secrets.token_hex(16)
                    connection.execute(
                        insert(OWNERS), {"owner_ref": ref, "name": line.name, "contact": line.contact, "since": now}
                    )
                key = (ref, line.meter_id, line.start)
                before, after = owned.get(key), Ownership(*key, line.end)
                if before == after:
                    continue
                _alone(after, (other for place, other in owned.items() if place != key))
                owned[key] = after
                if before is None:
                    values = {"owner_ref": ref, "meter_id": line.meter_id, "owned_from": line.start, "owned_to": line.end}
                    connection.execute(insert(METER_OWNERS), values)
                    added += 1
                else:
                    connection.execute(update(METER_OWNERS).where(_same(before)).values(owned_to=line.end))
        return added

    def owners(self) -> list[Owner]:
        """Return every owner, forgotten ones included, by the time they were added."""
        with self._engine.connect() as connection:
            return [_owner(row) for row in connection.execute(select(OWNERS).order_by(OWNERS.c.since, OWNERS.c.owner_ref))]

    def owner(self, owner_ref: str) -> Owner:
        """Return an owner. Raises `KeyError` for an unknown pseudonym."""
        with self._engine.connect() as connection:
            row = connection.execute(select(OWNERS).where(OWNERS.c.owner_ref == owner_ref)).first()
        if row is None:
            raise KeyError(owner_ref)
        return _owner(row)

    def ownerships(self, owner_ref: str | None = None) -> list[Ownership]:
        """Return the ownerships of an owner, or of all, by meter and start."""
        query = select(METER_OWNERS).order_by(METER_OWNERS.c.meter_id, METER_OWNERS.c.owned_from)
        if owner_ref is not None:
            query = query.where(METER_OWNERS.c.owner_ref == owner_ref)
        with self._engine.connect() as connection:
            return [_ownership(row) for row in connection.execute(query)]

    def current(self, now: dt.datetime) -> dict[str, str]:
        """Return the pseudonym of each meter's owner at `now`."""
        return {o.meter_id: o.owner_ref for o in self.ownerships() if o.start <= now and (o.end is None or now < o.end)}

    def forget(self, owner_ref: str, *, by: str, reason: str, now: dt.datetime) -> None:
        """Empty name and contact, end what lasts, and leave the tombstone; once more changes nothing. Raises `KeyError`."""
        if self.owner(owner_ref).forgotten_at is not None:
            return
        with self._engine.begin() as connection:
            self._overwrite_deleted(connection)
            emptied = {"name": None, "contact": None, "forgotten_at": now, "forgotten_by": by, "forgotten_reason": reason}
            connection.execute(update(OWNERS).where(OWNERS.c.owner_ref == owner_ref).values(**emptied))
            lasts = METER_OWNERS.c.owned_to.is_(None) | (METER_OWNERS.c.owned_to > now)
            lasting = (METER_OWNERS.c.owner_ref == owner_ref) & lasts
            connection.execute(update(METER_OWNERS).where(lasting).values(owned_to=now))

    def erased(self, owner_ref: str, until: dt.datetime, *, whole: bool) -> None:
        """Record until when device data is erased; with `whole` the ownerships go too: nothing ties the tombstone to a meter."""
        with self._engine.begin() as connection:
            self._overwrite_deleted(connection)
            connection.execute(update(OWNERS).where(OWNERS.c.owner_ref == owner_ref).values(erased_until=until))
            if whole:
                connection.execute(delete(METER_OWNERS).where(METER_OWNERS.c.owner_ref == owner_ref))

    def write_anew(self) -> None:
        """Have no byte of a deleted value left in the files of the database: pages that are free, journal and log included."""
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if self._engine.dialect.name == "sqlite":
                connection.exec_driver_sql("VACUUM")
                busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar()
                if busy:
                    raise TimeoutError("the operational database is in use: its log still holds what was deleted; try again")
            else:
                for table in METADATA.sorted_tables:
                    connection.exec_driver_sql(f"VACUUM FULL {table.name}")

    def _overwrite_deleted(self, connection: Connection) -> None:
        if self._engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA secure_delete=ON")


def _alone(wanted: Ownership, others: Iterable[Ownership]) -> None:
    for other in others:
        overlap = other.meter_id == wanted.meter_id and _before(wanted.start, other.end) and _before(other.start, wanted.end)
        if overlap:
            raise OwnersRefused(f"{wanted.meter_id} would have two owners from {max(wanted.start, other.start):%Y-%m-%d}")


def _before(moment: dt.datetime, end: dt.datetime | None) -> bool:
    return end is None or moment < end


def _same(ownership: Ownership) -> ColumnElement[bool]:
    return and_(
        METER_OWNERS.c.owner_ref == ownership.owner_ref,
        METER_OWNERS.c.meter_id == ownership.meter_id,
        METER_OWNERS.c.owned_from == ownership.start,
    )


def _owner(row: object) -> Owner:
    fields = ("owner_ref", "name", "contact", "forgotten_at", "forgotten_by", "forgotten_reason", "erased_until")
    return Owner(*(getattr(row, name) for name in fields))


def _ownership(row: object) -> Ownership:
    return Ownership(*(getattr(row, name) for name in ("owner_ref", "meter_id", "owned_from", "owned_to")))

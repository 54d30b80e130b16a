"""The device registry, the mirrors that devices created, and security events: one small synchronous API.

Both the ingest server (off its event loop) and the pipeline use it; neither writes the tables by other means.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import ColumnElement, Dialect, Engine, Table, create_engine, event, func, insert, make_url, select, update

from .tables import DEVICES, METADATA, MIRROR_USAGE_POINTS, SECURITY_EVENTS

Status = Literal["active", "suspended", "revoked"]
CATEGORY_UNKNOWN = 0
"""DeviceCategoryType with no bit set."""


@dataclass(slots=True, frozen=True)
class Device:
    """A row of `devices`; times are aware UTC, `lfdi` is 40 upper-case hex digits."""

    lfdi: str
    sfdi: int
    meter_id: str
    zone: str
    pin: int
    status: Status = "active"
    role: str = "meter"
    device_category: int = CATEGORY_UNKNOWN
    registered_at: dt.datetime | None = None
    not_after: dt.datetime | None = None


@dataclass(slots=True, frozen=True)
class StoredMirrorUsagePoint:
    """A row of `mirror_usage_points`: the first-level elements of what a device posted."""

    lfdi: str
    mrid: str
    mup_id: str
    description: str | None
    role_flags: int | None
    service_category_kind: int | None
    status: int | None
    version: int | None
    created_at: dt.datetime
    updated_at: dt.datetime


@dataclass(slots=True, frozen=True)
class SecurityEvent:
    """A row of `security_events`."""

    id: int
    at: dt.datetime
    lfdi: str | None
    remote: str
    kind: str
    detail: str


def mup_id_of(lfdi: str, mrid: str) -> str:
    """Return the path element of a mirror: 16 upper-case hex digits, the same for ever.

    Devices choose mRIDs and collide (two EPRI clients started in one second do), hence the LFDI in the hash.
    """
    return hashlib.sha256(f"{lfdi}|{mrid}".encode()).hexdigest()[:16].upper()


class Registry:
    """The operational tables behind an SQLAlchemy URL (SQLite or PostgreSQL). Thread-safe."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)

    def create_all(self) -> None:
        """Create the tables that are missing (and the folder of an SQLite file)."""
        database = self._engine.url.database
        if self._engine.dialect.name == "sqlite" and database and database != ":memory:":
            Path(database).parent.mkdir(parents=True, exist_ok=True)
        METADATA.create_all(self._engine)

    def close(self) -> None:
        """Close the pooled connections."""
        self._engine.dispose()

    def register(self, devices: Iterable[Device]) -> None:
        """Insert or update devices by LFDI. Idempotent.

        An existing row keeps its status and the time it was first registered: registering a fleet again must not let a
        suspended device back in. Use `set_status` for that.
        """
        now = dt.datetime.now(dt.UTC)
        rows = [{**asdict(device), "registered_at": device.registered_at or now} for device in devices]
        if rows:
            self._upsert(DEVICES, rows, keep=("status", "registered_at"))

    def enrol(self, device: Device) -> bool:
        """Insert a device that the registry does not know; return False, changing nothing, if it does."""
        row = {**asdict(device), "registered_at": device.registered_at or dt.datetime.now(dt.UTC)}
        statement = _insert_for(self._engine.dialect)(DEVICES).on_conflict_do_nothing(index_elements=["lfdi"])
        with self._engine.begin() as connection:
            return bool(connection.execute(statement, row).rowcount)

    def set_status(self, lfdi: str, status: Status) -> None:
        """Set the status of a device. Raises `KeyError` for an unknown one."""
        with self._engine.begin() as connection:
            changed = connection.execute(update(DEVICES).where(DEVICES.c.lfdi == lfdi).values(status=status)).rowcount
        if not changed:
            raise KeyError(lfdi)

    def by_lfdi(self, lfdi: str) -> Device | None:
        """Return the device, whatever its status, or None."""
        with self._engine.connect() as connection:
            row = connection.execute(select(DEVICES).where(DEVICES.c.lfdi == lfdi)).one_or_none()
        return None if row is None else Device(**row._mapping)

    def devices(self) -> list[Device]:
        """Return all devices by meter id, then LFDI."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(DEVICES).order_by(DEVICES.c.meter_id, DEVICES.c.lfdi)).all()
        return [Device(**row._mapping) for row in rows]

    def put_mirror_usage_point(
        self,
        lfdi: str,
        mrid: str,
        *,
        description: str | None = None,
        role_flags: int | None = None,
        service_category_kind: int | None = None,
        status: int | None = None,
        version: int | None = None,
    ) -> tuple[StoredMirrorUsagePoint, bool]:
        """Create or overwrite the mirror of (lfdi, mrid); return it and whether it is new."""
        now = dt.datetime.now(dt.UTC)
        row = {
            "lfdi": lfdi,
            "mrid": mrid,
            "mup_id": mup_id_of(lfdi, mrid),
            "description": description,
            "role_flags": role_flags,
            "service_category_kind": service_category_kind,
            "status": status,
            "version": version,
            "created_at": now,
            "updated_at": now,
        }
        # created_at is kept on conflict, so it tells whose insert made the row: no race between a look and a write.
        self._upsert(MIRROR_USAGE_POINTS, [row], keep=("created_at",))
        stored = self._mirrors(MIRROR_USAGE_POINTS.c.mup_id == row["mup_id"])[0]
        return stored, stored.created_at == now

    def mirror_usage_point(self, mup_id: str) -> StoredMirrorUsagePoint | None:
        """Return the mirror with this path element, or None."""
        found = self._mirrors(MIRROR_USAGE_POINTS.c.mup_id == mup_id)
        return found[0] if found else None

    def mirror_usage_points(self, lfdi: str, start: int = 0, limit: int | None = None) -> list[StoredMirrorUsagePoint]:
        """Return the device's mirrors by mRID, descending (the order of IEEE 2030.5 lists), from `start`."""
        return self._mirrors(MIRROR_USAGE_POINTS.c.lfdi == lfdi, start, limit)

    def count_mirror_usage_points(self, lfdi: str) -> int:
        """Return how many mirrors the device has."""
        query = select(func.count()).select_from(MIRROR_USAGE_POINTS).where(MIRROR_USAGE_POINTS.c.lfdi == lfdi)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar_one()

    def record_security_event(
        self, kind: str, *, remote: str, detail: str = "", lfdi: str | None = None, at: dt.datetime | None = None
    ) -> None:
        """Append a security event; `at` is now unless given."""
        row = {"at": at or dt.datetime.now(dt.UTC), "lfdi": lfdi, "remote": remote, "kind": kind, "detail": detail}
        with self._engine.begin() as connection:
            connection.execute(insert(SECURITY_EVENTS), row)

    def security_events(self, after: int = 0, limit: int = 1000) -> list[SecurityEvent]:
        """Return events with an id above `after`, oldest first."""
        query = select(SECURITY_EVENTS).where(SECURITY_EVENTS.c.id > after).order_by(SECURITY_EVENTS.c.id).limit(limit)
        with self._engine.connect() as connection:
            return [SecurityEvent(**row._mapping) for row in connection.execute(query)]

    def _mirrors(self, where: ColumnElement[bool], start: int = 0, limit: int | None = None) -> list[StoredMirrorUsagePoint]:
        query = select(MIRROR_USAGE_POINTS).where(where).order_by(MIRROR_USAGE_POINTS.c.mrid.desc()).offset(start).limit(limit)
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return [StoredMirrorUsagePoint(**row._mapping) for row in rows]

    def _upsert(self, table: Table, rows: list[dict[str, Any]], keep: tuple[str, ...]) -> None:
        statement = _insert_for(self._engine.dialect)(table)
        keys = list(table.primary_key.columns.keys())
        changed = {name: statement.excluded[name] for name in rows[0] if name not in keys and name not in keep}
        with self._engine.begin() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), rows)


def _insert_for(dialect: Dialect) -> Any:
    # Each dialect takes a while to import, and a process needs one.
    if dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert
    else:
        from sqlalchemy.dialects.postgresql import insert  # type: ignore[assignment]
    return insert


def _engine(url: str) -> Engine:
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

"""The device registry, the mirrors that devices created, and security events: one small synchronous API.

Both the ingest server (off its event loop) and the pipeline use it; neither writes the tables by other means.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Table, delete, func, insert, select, update

from .engine import engine_of, insert_for
from .meter_readings import MeterReadings, forget_reading_types
from .resource_tables import RESOURCES as _RESOURCES  # noqa: F401 - one call creates all operational tables
from .schema import create_missing
from .tables import DEVICES, FLEETS, METADATA, MIRROR_USAGE_POINTS, SECURITY_EVENTS

Status = Literal["active", "suspended", "revoked"]
Role = Literal["meter", "aggregator", "operator", "auditor"]
ClientProfile = Literal["standard", "csip_aus"]
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
    profile: str = "standard"

    def in_force(self, now: dt.datetime) -> bool:
        """Whether it is to be served at `now` (aware): active, and neither expired nor past the grace of its renewal."""
        return self.status == "active" and (self.not_after is None or now < self.not_after)


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


MUP_ID = re.compile(r"[0-9A-F]{16}")
"""Matches the path element of a mirror."""


def mup_id_of(lfdi: str, mrid: str) -> str:
    """Return the path element of a mirror: 16 upper-case hex digits, the same for ever.

    Devices choose mRIDs and collide (two EPRI clients started in one second do), hence the LFDI in the hash.
    """
    return hashlib.sha256(f"{lfdi}|{mrid}".encode()).hexdigest()[:16].upper()


class Registry:
    """The operational tables behind an SQLAlchemy URL (SQLite or PostgreSQL). Thread-safe."""

    def __init__(self, url: str) -> None:
        self._engine = engine_of(url)
        self.meter_readings = MeterReadings(self._engine)

    def create_all(self) -> None:
        """Create the tables and columns that are missing (and the folder of an SQLite file)."""
        database = self._engine.url.database
        if self._engine.dialect.name == "sqlite" and database and database != ":memory:":
            Path(database).parent.mkdir(parents=True, exist_ok=True)
        create_missing(self._engine, METADATA)

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
        statement = insert_for(self._engine.dialect)(DEVICES).on_conflict_do_nothing(index_elements=["lfdi"])
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

    def by_sfdi(self, sfdi: int) -> list[Device]:
        """Return the devices with this SFDI by LFDI, whatever their status: one, or none, but for chance."""
        # The LFDI starts with what the SFDI is made of, and has the index.
        prefix = f"{sfdi // 10:09X}"
        query = select(DEVICES).where(DEVICES.c.lfdi.between(prefix, prefix + "G"), DEVICES.c.sfdi == sfdi)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(DEVICES.c.lfdi)).all()
        return [Device(**row._mapping) for row in rows]

    def devices(self) -> list[Device]:
        """Return all devices by meter id, then LFDI."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(DEVICES).order_by(DEVICES.c.meter_id, DEVICES.c.lfdi)).all()
        return [Device(**row._mapping) for row in rows]

    def succeed(self, old_lfdi: str, successor: Device, *, ends: dt.datetime | None) -> None:
        """Register the `successor` of a device: the same meter under a new certificate. Idempotent.

        The successor joins every fleet of the old one and, if it is an aggregator, takes its fleet over. The old one stays
        usable until `ends` (sooner, if it would have expired sooner), or is revoked at once where `ends` is None; its row
        stays, so that what it reported keeps its owner. Raises `KeyError` for an unknown `old_lfdi`.
        """
        with self._engine.begin() as connection:
            old = connection.execute(select(DEVICES).where(DEVICES.c.lfdi == old_lfdi)).one_or_none()
            if old is None:
                raise KeyError(old_lfdi)
            row = {**asdict(successor), "registered_at": successor.registered_at or dt.datetime.now(dt.UTC)}
            connection.execute(insert_for(self._engine.dialect)(DEVICES).on_conflict_do_nothing(index_elements=["lfdi"]), row)
            self._inherit_fleets(connection, old_lfdi, successor.lfdi)
            change: dict[str, Any] = {"status": "revoked"} if ends is None else {"not_after": min(ends, old.not_after or ends)}
            connection.execute(update(DEVICES).where(DEVICES.c.lfdi == old_lfdi).values(change))

    def change(self, lfdi: str, **values: Any) -> Device:
        """Change columns of a device (`role`, `profile`, `not_after`) and return it. Raises `KeyError` for an unknown one."""
        with self._engine.begin() as connection:
            changed = connection.execute(update(DEVICES).where(DEVICES.c.lfdi == lfdi).values(**values)).rowcount
            if not changed:
                raise KeyError(lfdi)
            return Device(**connection.execute(select(DEVICES).where(DEVICES.c.lfdi == lfdi)).one()._mapping)

    def by_meter(self, meter_id: str) -> list[Device]:
        """Return the devices that a meter has or had, the latest registration first."""
        query = select(DEVICES).where(DEVICES.c.meter_id == meter_id).order_by(DEVICES.c.registered_at.desc(), DEVICES.c.lfdi)
        with self._engine.connect() as connection:
            return [Device(**row._mapping) for row in connection.execute(query)]

    def set_fleet(self, aggregator_lfdi: str, lfdis: Iterable[str]) -> None:
        """Replace the devices that an aggregator acts for. Idempotent; an empty fleet sees nothing but the aggregator."""
        rows = [{"aggregator_lfdi": aggregator_lfdi, "lfdi": lfdi} for lfdi in sorted(set(lfdis))]
        with self._engine.begin() as connection:
            connection.execute(delete(FLEETS).where(FLEETS.c.aggregator_lfdi == aggregator_lfdi))
            if rows:
                connection.execute(insert(FLEETS), rows)

    def fleet_of(self, aggregator_lfdi: str) -> frozenset[str]:
        """Return the LFDIs that an aggregator acts for."""
        query = select(FLEETS.c.lfdi).where(FLEETS.c.aggregator_lfdi == aggregator_lfdi)
        with self._engine.connect() as connection:
            return frozenset(connection.execute(query).scalars())

    def add_to_fleet(self, aggregator_lfdi: str, lfdi: str) -> None:
        """Let an aggregator act for one more device. Idempotent."""
        row = {"aggregator_lfdi": aggregator_lfdi, "lfdi": lfdi}
        statement = insert_for(self._engine.dialect)(FLEETS).on_conflict_do_nothing(index_elements=["aggregator_lfdi", "lfdi"])
        with self._engine.begin() as connection:
            connection.execute(statement, row)

    def count_devices(self, lfdis: Collection[str] | None = None) -> int:
        """Return how many of these devices there are, of all where None."""
        query = select(func.count()).select_from(DEVICES).where(_among(DEVICES, lfdis))
        with self._engine.connect() as connection:
            return connection.execute(query).scalar_one()

    def devices_by_sfdi(self, lfdis: Collection[str] | None, start: int = 0, limit: int | None = None) -> list[Device]:
        """Return these devices (all where None) by ascending SFDI, the order of IEEE 2030.5 lists, from `start`."""
        query = select(DEVICES).where(_among(DEVICES, lfdis)).order_by(DEVICES.c.sfdi, DEVICES.c.lfdi).offset(start).limit(limit)
        with self._engine.connect() as connection:
            return [Device(**row._mapping) for row in connection.execute(query)]

    def unregister(self, device: Device) -> None:
        """End a registration: one that the device made itself is deleted, another one suspended so that its meter keeps it."""
        with self._engine.begin() as connection:
            if device.meter_id == str(device.sfdi):
                connection.execute(delete(DEVICES).where(DEVICES.c.lfdi == device.lfdi))
            else:
                connection.execute(update(DEVICES).where(DEVICES.c.lfdi == device.lfdi).values(status="suspended"))

    def delete_mirror_usage_point(self, mup_id: str) -> bool:
        """Forget a mirror and its reading types; returns whether it was there. What was landed of it stays."""
        with self._engine.begin() as connection:
            forget_reading_types(connection, mup_id)
            return bool(connection.execute(delete(MIRROR_USAGE_POINTS).where(MIRROR_USAGE_POINTS.c.mup_id == mup_id)).rowcount)

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

    def mirror_usage_points(
        self, lfdis: str | Collection[str] | None, start: int = 0, limit: int | None = None
    ) -> list[StoredMirrorUsagePoint]:
        """Return the mirrors of devices (of all where None) by mRID descending, the standard's order, from `start`."""
        return self._mirrors(_among(MIRROR_USAGE_POINTS, lfdis), start, limit)

    def count_mirror_usage_points(self, lfdis: str | Collection[str] | None) -> int:
        """Return how many mirrors devices have (all where None)."""
        query = select(func.count()).select_from(MIRROR_USAGE_POINTS).where(_among(MIRROR_USAGE_POINTS, lfdis))
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

    def _inherit_fleets(self, connection: Connection, old_lfdi: str, new_lfdi: str) -> None:
        statement = insert_for(self._engine.dialect)(FLEETS).on_conflict_do_nothing(index_elements=["aggregator_lfdi", "lfdi"])
        member = select(FLEETS.c.aggregator_lfdi).where(FLEETS.c.lfdi == old_lfdi)
        led = select(FLEETS.c.lfdi).where(FLEETS.c.aggregator_lfdi == old_lfdi)
        rows = [{"aggregator_lfdi": leader, "lfdi": new_lfdi} for leader in connection.execute(member).scalars()]
        rows += [{"aggregator_lfdi": new_lfdi, "lfdi": lfdi} for lfdi in connection.execute(led).scalars()]
        if rows:
            connection.execute(statement, rows)

    def _upsert(self, table: Table, rows: list[dict[str, Any]], keep: tuple[str, ...]) -> None:
        statement = insert_for(self._engine.dialect)(table)
        keys = list(table.primary_key.columns.keys())
        changed = {name: statement.excluded[name] for name in rows[0] if name not in keys and name not in keep}
        with self._engine.begin() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), rows)


def _among(table: Table, lfdis: str | Collection[str] | None) -> ColumnElement[bool]:
    if lfdis is None:
        return table.c.lfdi.is_not(None)
    return table.c.lfdi.in_([lfdis] if isinstance(lfdis, str) else list(lfdis))

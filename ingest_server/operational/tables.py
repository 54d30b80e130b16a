"""Operational tables, valid for SQLite and PostgreSQL."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Identity,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)


class UtcDateTime(TypeDecorator[dt.datetime]):
    """An aware UTC timestamp; SQLite keeps no time zone, so it is dropped on the way in and put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """Convert an aware time to UTC; raises `ValueError` for a naive one."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("timestamps must be aware")
        value = value.astimezone(dt.UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """Return the stored time, aware, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


METADATA = MetaData()

DEVICES = Table(
    "devices",
    METADATA,
    Column("lfdi", String(40), primary_key=True, comment="Long form device identifier: 40 upper-case hex digits."),
    Column("sfdi", BigInteger, nullable=False, comment="Short form device identifier, with its check digit."),
    Column("meter_id", Text, nullable=False, comment="Meter the certificate stands for; a re-keyed meter has two rows."),
    Column("zone", Text, nullable=False, comment="Market area."),
    Column("status", String(16), nullable=False, comment="active, suspended or revoked; only active devices are served."),
    Column("role", String(32), nullable=False, comment="What it may do: meter, aggregator, operator or auditor."),
    Column("pin", Integer, nullable=False, comment="Registration PIN, six digits with a check digit."),
    Column("device_category", BigInteger, nullable=False, comment="IEEE 2030.5 DeviceCategoryType bit map."),
    Column("registered_at", UtcDateTime, nullable=False, comment="When the row was first written."),
    Column("not_after", UtcDateTime, comment="End of the certificate's validity, or of the grace after its renewal."),
    Column(
        "profile",
        String(16),
        nullable=False,
        server_default="standard",
        comment="Which elements the client understands: standard, or csip_aus with its extensions.",
    ),
    CheckConstraint("status IN ('active', 'suspended', 'revoked')", name="devices_status"),
    Index("devices_meter", "meter_id"),
)

FLEETS = Table(
    "fleets",
    METADATA,
    Column("aggregator_lfdi", String(40), primary_key=True, comment="Client that acts for the device."),
    Column("lfdi", String(40), primary_key=True, comment="Device of the fleet."),
    Index("fleets_lfdi", "lfdi"),
)

MIRROR_USAGE_POINTS = Table(
    "mirror_usage_points",
    METADATA,
    Column("lfdi", String(40), primary_key=True, comment="Device that owns the mirror."),
    Column("mrid", String(32), primary_key=True, comment="mRID as normalised; unique within the device only."),
    Column("mup_id", String(16), nullable=False, unique=True, comment="Path element: first 16 hex digits of sha256(lfdi|mrid)."),
    Column("description", Text),
    Column("role_flags", Integer, comment="IEEE 2030.5 RoleFlagsType bit map."),
    Column("service_category_kind", Integer),
    Column("status", Integer, comment="UsagePointBase.status: 0 off, 1 on."),
    Column("version", Integer),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

SECURITY_EVENTS = Table(
    "security_events",
    METADATA,
    # SQLite auto-increments only a plain INTEGER primary key.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("lfdi", String(40), comment="Device that the certificate stands for, where there is one."),
    Column("remote", Text, nullable=False, comment="Peer address."),
    Column("kind", String(64), nullable=False),
    Column("detail", Text, nullable=False),
    Index("security_events_at", "at"),
)

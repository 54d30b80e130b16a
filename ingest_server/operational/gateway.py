"""What the gateway goes by: API keys, which protocol each meter speaks, and the keys that meters sign with.

API keys are kept as SHA-256 of a 256-bit random secret. Protocol changes are rows that are only ever added: the last one of a
meter is in force, all of them are its history.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from sqlalchemy import BigInteger, CheckConstraint, Column, Identity, Index, Integer, String, Table, Text, insert, select, update

from .engine import engine_of
from .schema import create_missing
from .tables import DEVICES, METADATA, UtcDateTime

Protocol = Literal["sep2", "legacy", "both"]
ALL_METERS = "*"

GATEWAY_KEYS = Table(
    "gateway_keys",
    METADATA,
    Column("key_id", String(16), primary_key=True, comment="Public part of the key."),
    Column("secret_sha256", String(64), nullable=False, comment="SHA-256 of the secret part, lower-case hex."),
    Column("meters", Text, nullable=False, comment='JSON array of meter ids, or "*" for every meter of the registry.'),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", Text, nullable=False, comment="Who issued it."),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime, comment="When it was revoked; null while it holds."),
)

METER_PROTOCOLS = Table(
    "meter_protocols",
    METADATA,
    # SQLite auto-increments only a plain INTEGER primary key.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
    Column("meter_id", Text, nullable=False),
    Column("protocol", String(8), nullable=False, comment="sep2, legacy or both, from `since` until the meter's next row."),
    Column("since", UtcDateTime, nullable=False),
    Column("changed_by", Text, nullable=False, comment="Who changed it."),
    Column("note", Text, nullable=False),
    CheckConstraint("protocol IN ('sep2', 'legacy', 'both')", name="meter_protocols_protocol"),
    Index("meter_protocols_meter", "meter_id"),
)

METER_SIGNING_KEYS = Table(
    "meter_signing_keys",
    METADATA,
    Column("meter_id", Text, primary_key=True),
    Column("public_key", String(64), nullable=False, comment="Ed25519 public key, lower-case hex."),
    Column("registered_at", UtcDateTime, nullable=False),
)


@dataclass(slots=True, frozen=True)
class ApiKey:
    """A row of `gateway_keys`; `meters` is None for every meter of the registry."""

    key_id: str
    secret_sha256: str
    meters: frozenset[str] | None
    created_at: dt.datetime
    created_by: str
    expires_at: dt.datetime
    revoked_at: dt.datetime | None

    def opened_by(self, secret: str) -> bool:
        """Whether this is the key's secret; takes the same time whatever is wrong with it."""
        return hmac.compare_digest(_sha256(secret), self.secret_sha256)


@dataclass(slots=True, frozen=True)
class ProtocolChange:
    """A row of `meter_protocols`."""

    meter_id: str
    protocol: Protocol
    since: dt.datetime
    changed_by: str
    note: str


@dataclass(slots=True, frozen=True)
class LegacyMeter:
    """What the gateway knows of a meter: its zone, whether one of its devices is active, its protocol (None: never set) and
    its Ed25519 public key in hex."""

    meter_id: str
    zone: str
    active: bool
    protocol: Protocol | None
    public_key: str | None


class GatewayTables:
    """The gateway's operational tables behind an SQLAlchemy URL (SQLite or PostgreSQL). Thread-safe, synchronous."""

    def __init__(self, url: str) -> None:
        self._engine = engine_of(url)

    def create_all(self) -> None:
        """Create the operational tables that are missing (and the folder of an SQLite file)."""
        database = self._engine.url.database
        if self._engine.dialect.name == "sqlite" and database and database != ":memory:":
            Path(database).parent.mkdir(parents=True, exist_ok=True)
        create_missing(self._engine, METADATA)

    def close(self) -> None:
        """Close the pooled connections."""
        self._engine.dispose()

    def issue_key(self, meters: Iterable[str] | None, *, by: str, now: dt.datetime, lifetime: dt.timedelta) -> tuple[ApiKey, str]:
        """Make an API key for `meters` (None: all of the registry); return its row and the key itself, which is kept nowhere."""
        secret = secrets.token_urlsafe(32)
        key = ApiKey(
            key_id=secrets.token_hex(8),
            secret_sha256=_sha256(secret),
            meters=None if meters is None else frozenset(meters),
            created_at=now,
            created_by=by,
            expires_at=now + lifetime,
            revoked_at=None,
        )
        row = {
            "key_id": key.key_id,
            "secret_sha256": key.secret_sha256,
            "meters": ALL_METERS if key.meters is None else json.dumps(sorted(key.meters)),
            "created_at": now,
            "created_by": by,
            "expires_at": key.expires_at,
        }
        with self._engine.begin() as connection:
            connection.execute(insert(GATEWAY_KEYS), row)
        return key, f"{key.key_id}.{secret}"

    def key(self, key_id: str) -> ApiKey | None:
        """Return the key with this public part, expired and revoked ones included, or None."""
        found = self._keys(key_id)
        return found[0] if found else None

    def all_keys(self) -> list[ApiKey]:
        """Return all keys, oldest first."""
        return self._keys(None)

    def revoke_key(self, key_id: str, now: dt.datetime) -> None:
        """Revoke a key for good; one that is revoked stays so since then. Raises `KeyError` for an unknown one."""
        if self.key(key_id) is None:
            raise KeyError(key_id)
        with self._engine.begin() as connection:
            where = (GATEWAY_KEYS.c.key_id == key_id) & GATEWAY_KEYS.c.revoked_at.is_(None)
            connection.execute(update(GATEWAY_KEYS).where(where).values(revoked_at=now))

    def set_protocol(self, meter_id: str, protocol: Protocol, *, by: str, now: dt.datetime, note: str = "") -> bool:
        """Have the meter speak `protocol` from now on; return False, changing nothing, where it does already.

        Raises `KeyError` for a meter that is not in the registry.
        """
        with self._engine.begin() as connection:
            if connection.execute(select(DEVICES.c.lfdi).where(DEVICES.c.meter_id == meter_id).limit(1)).first() is None:
                raise KeyError(meter_id)
            last = select(METER_PROTOCOLS.c.protocol).where(METER_PROTOCOLS.c.meter_id == meter_id)
            if connection.execute(last.order_by(METER_PROTOCOLS.c.id.desc()).limit(1)).scalar() == protocol:
                return False
            row = {"meter_id": meter_id, "protocol": protocol, "since": now, "changed_by": by, "note": note}
            connection.execute(insert(METER_PROTOCOLS), row)
        return True

    def protocol_changes(self, meter_id: str | None = None) -> list[ProtocolChange]:
        """Return the changes of a meter, or of all, in the order they were made."""
        query = select(METER_PROTOCOLS).order_by(METER_PROTOCOLS.c.id)
        if meter_id is not None:
            query = query.where(METER_PROTOCOLS.c.meter_id == meter_id)
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return [ProtocolChange(r.meter_id, r.protocol, r.since, r.changed_by, r.note) for r in rows]

    def register_signing_key(self, meter_id: str, public_key: str, now: dt.datetime) -> None:
        """Have the meter's readings verified against an Ed25519 public key (64 hex digits), which replaces an earlier one.

        Raises `ValueError` for what is no key.
        """
        raw = bytes.fromhex(public_key)
        if len(raw) != 32:
            raise ValueError(f"an Ed25519 public key has 64 hex digits, not {len(public_key)}")
        row = {"meter_id": meter_id, "public_key": raw.hex(), "registered_at": now}
        with self._engine.begin() as connection:
            connection.execute(METER_SIGNING_KEYS.delete().where(METER_SIGNING_KEYS.c.meter_id == meter_id))
            connection.execute(insert(METER_SIGNING_KEYS), row)

    def meter(self, meter_id: str) -> LegacyMeter | None:
        """Return what is known of a meter, or None where the registry has no device of it."""
        devices = (
            select(DEVICES.c.zone, DEVICES.c.status)
            .where(DEVICES.c.meter_id == meter_id)
            .order_by(DEVICES.c.registered_at.desc())
        )
        protocols = select(METER_PROTOCOLS.c.protocol).where(METER_PROTOCOLS.c.meter_id == meter_id)
        signing = select(METER_SIGNING_KEYS.c.public_key).where(METER_SIGNING_KEYS.c.meter_id == meter_id)
        with self._engine.connect() as connection:
            rows = connection.execute(devices).all()
            if not rows:
                return None
            protocol = connection.execute(protocols.order_by(METER_PROTOCOLS.c.id.desc()).limit(1)).scalar()
            public_key = connection.execute(signing).scalar()
        # A meter whose certificate was replaced has a device that is revoked beside one that is active.
        active = [row for row in rows if row.status == "active"]
        zone = (active or rows)[0].zone
        return LegacyMeter(meter_id, zone, bool(active), cast("Protocol | None", protocol), public_key)

    def meters(self) -> list[LegacyMeter]:
        """Return what is known of every meter of the registry, by meter id."""
        query = select(DEVICES.c.meter_id).group_by(DEVICES.c.meter_id).order_by(DEVICES.c.meter_id)
        with self._engine.connect() as connection:
            ids = list(connection.execute(query).scalars())
        return [meter for meter in map(self.meter, ids) if meter is not None]

    def _keys(self, key_id: str | None) -> list[ApiKey]:
        query = select(GATEWAY_KEYS).order_by(GATEWAY_KEYS.c.created_at, GATEWAY_KEYS.c.key_id)
        if key_id is not None:
            query = query.where(GATEWAY_KEYS.c.key_id == key_id)
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return [
            ApiKey(
                key_id=row.key_id,
                secret_sha256=row.secret_sha256,
                meters=None if row.meters == ALL_METERS else frozenset(json.loads(row.meters)),
                created_at=row.created_at,
                created_by=row.created_by,
                expires_at=row.expires_at,
                revoked_at=row.revoked_at,
            )
            for row in rows
        ]


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()

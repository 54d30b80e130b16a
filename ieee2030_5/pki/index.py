"""The index of everything an authority issued: what revocation lists and OCSP answers are made of.

An SQLite file in the authority's directory. Rows are never deleted, and a certificate is in it before it is anywhere else.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from cryptography import x509

from ieee2030_5.identity import lfdi_of

from .credential import der_of

Reason = Literal[
    "unspecified",
    "keyCompromise",
    "cACompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "privilegeWithdrawn",
]
"""Why a certificate was revoked (RFC 5280, 5.3.1; there is no hold: a registry row can be suspended instead)."""
REASONS: tuple[Reason, ...] = get_args(Reason)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS certificates (
    lfdi TEXT PRIMARY KEY,
    issuer_key_id TEXT NOT NULL,
    serial TEXT NOT NULL,
    name TEXT NOT NULL,
    profile TEXT NOT NULL,
    not_before TEXT NOT NULL,
    not_after TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'revoked')),
    revoked_at TEXT,
    reason TEXT,
    retires_at TEXT,
    der BLOB NOT NULL,
    UNIQUE (issuer_key_id, serial)
);
CREATE INDEX IF NOT EXISTS certificates_name ON certificates (name);
CREATE TABLE IF NOT EXISTS crl_numbers (issuer_key_id TEXT PRIMARY KEY, number INTEGER NOT NULL);
"""
_COLUMNS = "lfdi, issuer_key_id, serial, name, profile, not_before, not_after, status, revoked_at, reason, retires_at"


@dataclass(frozen=True, slots=True)
class Issued:
    """A row of the index; times are aware UTC, `retires_at` is the end of the grace after a renewal."""

    lfdi: str
    issuer_key_id: bytes
    serial: int
    name: str
    profile: str
    not_before: datetime
    not_after: datetime
    status: Literal["active", "revoked"]
    revoked_at: datetime | None
    reason: Reason | None
    retires_at: datetime | None


class IssuedIndex:
    """The index in an SQLite file, made on first use (0600). Processes may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, certificate: x509.Certificate, name: str, profile: str) -> None:
        """Record a certificate. Idempotent: one that is known keeps its status."""
        row = (
            lfdi_of(der_of(certificate)),
            issuer_key_id(certificate).hex(),
            f"{certificate.serial_number:x}",
            name,
            profile,
            _text(certificate.not_valid_before_utc),
            _text(certificate.not_valid_after_utc),
            der_of(certificate),
        )
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO certificates (lfdi, issuer_key_id, serial, name, profile, not_before, not_after, der)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )

    def find(self, lfdi: str) -> Issued | None:
        """Return the certificate with this LFDI, or None."""
        return next(iter(self._rows("lfdi = ?", lfdi)), None)

    def by_serial(self, issuer: bytes, serial: int) -> Issued | None:
        """Return the certificate that the authority with key identifier `issuer` issued under `serial`, or None."""
        return next(iter(self._rows("issuer_key_id = ? AND serial = ?", issuer.hex(), f"{serial:x}")), None)

    def by_name(self, name: str) -> list[Issued]:
        """Return the certificates of a meter, client or authority, the latest first."""
        return self._rows("name = ?", name)

    def all(self) -> list[Issued]:
        """Return every certificate, the latest first."""
        return self._rows("1 = 1")

    def revoked(self, issuer: bytes) -> list[Issued]:
        """Return what the authority with key identifier `issuer` issued and revoked."""
        return self._rows("issuer_key_id = ? AND status = 'revoked'", issuer.hex())

    def due(self, now: datetime) -> list[Issued]:
        """Return certificates whose grace is over and that are still active."""
        return self._rows("status = 'active' AND retires_at <= ?", _text(now))

    def certificate(self, lfdi: str) -> x509.Certificate | None:
        """Return the certificate itself, or None."""
        with self._transaction() as connection:
            row = connection.execute("SELECT der FROM certificates WHERE lfdi = ?", (lfdi,)).fetchone()
        return None if row is None else x509.load_der_x509_certificate(row[0])

    def revoke(self, lfdi: str, reason: Reason, now: datetime) -> bool:
        """Mark a certificate revoked; return False, changing nothing, for one that is unknown or was revoked before."""
        with self._transaction() as connection:
            changed = connection.execute(
                "UPDATE certificates SET status = 'revoked', revoked_at = ?, reason = ? WHERE lfdi = ? AND status = 'active'",
                (_text(now), reason, lfdi),
            )
            return bool(changed.rowcount)

    def retire(self, lfdi: str, at: datetime) -> None:
        """Set the end of a certificate's grace; an earlier one stays."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE certificates SET retires_at = min(coalesce(retires_at, ?1), ?1) WHERE lfdi = ?2", (_text(at), lfdi)
            )

    def next_crl_number(self, issuer: bytes) -> int:
        """Return the next number of an authority's CRL: it only ever rises (RFC 5280, 5.2.3)."""
        with self._transaction() as connection:
            row = connection.execute(
                "INSERT INTO crl_numbers VALUES (?, 1) ON CONFLICT (issuer_key_id) DO UPDATE SET number = number + 1"
                " RETURNING number",
                (issuer.hex(),),
            ).fetchone()
        return int(row[0])

    def _rows(self, where: str, *values: str) -> list[Issued]:
        if not self.path.exists():
            return []
        with self._transaction() as connection:
            query = f"SELECT {_COLUMNS} FROM certificates WHERE {where} ORDER BY rowid DESC"
            return [_issued(row) for row in connection.execute(query, values)]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        if not self.path.exists():
            self.path.touch(0o600)
        connection = sqlite3.connect(self.path, timeout=30)
        try:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'crl_numbers'").fetchone():
                connection.executescript(_SCHEMA)
            with connection:
                yield connection
        finally:
            connection.close()


def issuer_key_id(certificate: x509.Certificate) -> bytes:
    """Key identifier of who signed a certificate: its authorityKeyIdentifier, or its own where it is self-signed.

    Raises `ValueError` for a certificate with neither.
    """
    try:
        identifier = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        if identifier:
            return identifier
    except x509.ExtensionNotFound:
        if certificate.issuer == certificate.subject:
            return subject_key_id(certificate)
    raise ValueError("certificate without authorityKeyIdentifier")


def subject_key_id(authority: x509.Certificate) -> bytes:
    """Key identifier of an authority. Raises `ValueError` where its certificate has none."""
    try:
        return authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        raise ValueError("authority without subjectKeyIdentifier") from None


def _issued(row: tuple) -> Issued:
    lfdi, issuer, serial, name, profile, not_before, not_after, status, revoked_at, reason, retires_at = row
    return Issued(
        lfdi,
        bytes.fromhex(issuer),
        int(serial, 16),
        name,
        profile,
        _time(not_before),
        _time(not_after),
        status,
        _time(revoked_at) if revoked_at else None,
        reason,
        _time(retires_at) if retires_at else None,
    )


def _text(at: datetime) -> str:
    # One width, so that texts compare as times do.
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)

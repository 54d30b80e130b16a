"""Certificates and registry rows for the configured meters: what a campus needs before its first message."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.config import Settings
from ieee2030_5.identity import derive_pin
from ieee2030_5.keyfiles import check_private, write_atomically
from ieee2030_5.pki import Authority, Credential
from ingest_server.operational.registry import Device, Registry

SERVER_NAMES = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class Enrolment:
    """The campus's credentials: the server's, and one for each meter in the order of the configuration."""

    authority: Authority
    server: Credential
    meters: tuple[Credential, ...]

    @property
    def issued(self) -> int:
        """Certificates that were made now; the others were there and valid."""
        return sum(credential.issued for credential in (self.server, *self.meters))


def enrol(settings: Settings, names: Sequence[str] = SERVER_NAMES, on_progress: Callable[[str], None] | None = None) -> Enrolment:
    """Make (or reuse) the CA, the server's certificate for `names` and one certificate for each meter, and register the meters.

    A device that a meter had before its certificate was replaced stays in the registry, so that its history keeps its owner.
    Raises `ieee2030_5.pki.PkiError` and `PermissionError` for key material that must not be used.
    """
    told = on_progress or (lambda _: None)
    authority = Authority.ensure(settings.certs_dir)
    told("CA")
    server = authority.ensure_server(names)
    told("server")
    credentials = []
    for meter in settings.meters:
        credentials.append(authority.ensure_device(meter.id))
        told(meter.id)
    registry = Registry(settings.operational_url)
    registry.create_all()
    secret = _registration_secret(settings.certs_dir / "registration.secret")
    now = clock.now()
    registry.register(
        Device(
            lfdi=credential.lfdi,
            sfdi=credential.sfdi,
            meter_id=credential.name,
            zone=settings.zone,
            pin=derive_pin(credential.lfdi, secret),
            registered_at=now,
            not_after=credential.not_after,
        )
        for credential in credentials
    )
    registry.close()
    return Enrolment(authority, server, tuple(credentials))


def _registration_secret(path: Path) -> bytes:
    """The secret that registration PINs are derived from, made on first use."""
    if not path.exists():
        write_atomically(path, secrets.token_bytes(32), 0o600)
    check_private(path)
    return path.read_bytes()

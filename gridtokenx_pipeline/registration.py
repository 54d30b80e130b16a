"""The registry follows the certificates: who is registered for which meter, until when, and with what rights."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.config import Settings
from ieee2030_5.identity import derive_pin
from ieee2030_5.keyfiles import check_private, write_atomically
from ieee2030_5.pki import NEVER, Authority, Credential, Issued
from ingest_server.operational.registry import Device, Registry


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[Registry]:
    """The campus's device registry, with its tables."""
    registry = Registry(settings.operational_url)
    try:
        registry.create_all()
        yield registry
    finally:
        registry.close()


def follow(
    settings: Settings, registry: Registry, authority: Authority, credentials: Sequence[Credential], **rights: Any
) -> list[Device]:
    """Register what is new among `credentials`, and give every device the standing that its certificate has.

    A device that succeeds another of the same meter takes over its role, profile, category and fleets; a wholly new one gets
    `rights` (`role`, `profile`). A certificate that was revoked makes its device revoked, one in its grace makes it end with
    that. Idempotent, and never lets anyone back in. Returns the devices in the order of `credentials`.
    """
    secret = registration_secret(settings.certs_dir / "registration.secret")
    rows: dict[str, list[Device]] = {}
    by_lfdi: dict[str, Device] = {}
    for device in sorted(registry.devices(), key=lambda d: (d.registered_at is not None and d.registered_at.timestamp(), d.lfdi)):
        rows.setdefault(device.meter_id, []).append(device)
        by_lfdi[device.lfdi] = device
    issued = {row.lfdi: row for row in authority.index.all()}
    fresh: list[Device] = []
    for credential in credentials:
        known = by_lfdi.get(credential.lfdi)
        if known is not None:
            if (known.meter_id, known.zone) != (credential.name, settings.zone):
                fresh.append(replace(known, meter_id=credential.name, zone=settings.zone))
            continue
        former = [device for device in rows.get(credential.name, []) if device.lfdi != credential.lfdi]
        device = Device(
            lfdi=credential.lfdi,
            sfdi=credential.sfdi,
            meter_id=credential.name,
            zone=settings.zone,
            pin=derive_pin(credential.lfdi, secret),
            status="revoked" if credential.revoked else "active",
            registered_at=clock.now(),
            not_after=credential.not_after,
            **rights,
        )
        if former:
            last = former[-1]
            inherited = {"role": last.role, "profile": last.profile, "device_category": last.device_category}
            device = replace(device, **{**inherited, **rights})
            registry.succeed(last.lfdi, device, ends=NEVER)
        else:
            fresh.append(device)
    registry.register(fresh)
    for lfdi, known in by_lfdi.items():
        _settle(registry, known, issued.get(lfdi))
    found = {device.lfdi: device for device in registry.devices()}
    return [found[credential.lfdi] for credential in credentials]


def registration_secret(path: Path) -> bytes:
    """The secret that registration PINs are derived from, made on first use (0600)."""
    if not path.exists():
        write_atomically(path, secrets.token_bytes(32), 0o600)
    check_private(path)
    return path.read_bytes()


def _settle(registry: Registry, device: Device, row: Issued | None) -> None:
    if row is None:
        return
    if row.status == "revoked" and device.status != "revoked":
        registry.set_status(device.lfdi, "revoked")
    elif row.retires_at is not None and (device.not_after is None or row.retires_at < device.not_after):
        registry.change(device.lfdi, not_after=row.retires_at)

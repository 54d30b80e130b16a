"""What an operator does to certificates: issue, renew, replace, revoke, list. Registry and authority agree after each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.enrolment import Enrolment, enrol
from gridtokenx_pipeline.registration import follow, opened
from ieee2030_5 import pki
from ieee2030_5.pki import NEVER, OPERATIONAL_PERIOD, Authority, Credential, LeafProfile, Reason
from ingest_server.operational.registry import ClientProfile, Device, Registry, Role

WARNING_DAYS = (1, 7, 30)
"""Certificates that end within so many days are warned of, the sooner the louder."""


class UnknownName(ValueError):
    """Nobody of this name, or with this LFDI, has a certificate here."""


@dataclass(frozen=True)
class Renewal:
    """A meter's or client's old devices and its new one; `credential` is where the new certificate and key are."""

    former: tuple[str, ...]
    device: Device
    credential: Credential


def issue_client(
    settings: Settings,
    name: str,
    role: Role,
    *,
    client_profile: ClientProfile | None = None,
    fleet: Iterable[str] | None = None,
    profile: LeafProfile = "operational",
    period: timedelta = OPERATIONAL_PERIOD,
) -> tuple[Device, Credential]:
    """Make (or reuse) the certificate of a client that is no meter, and register it with its role.

    `fleet` names the meters an aggregator acts for (all their devices); None leaves its fleet as it is. Raises `ValueError` for
    a name that is a meter's or no name, and `UnknownName` for a meter of the fleet that is not registered.
    """
    if name in {meter.id for meter in settings.meters}:
        raise ValueError(f"{name} is a meter")
    authority = Authority.ensure(settings.certs_dir)
    with opened(settings) as registry:
        lfdis = None if fleet is None else [lfdi for meter in fleet for lfdi in _lfdis_of(registry, meter)]
        credential = authority.ensure_client(name, profile=profile, period=period)
        rights: dict[str, Any] = {"role": role} if client_profile is None else {"role": role, "profile": client_profile}
        (device,) = follow(settings, registry, authority, [credential], **rights)
        if any(getattr(device, right) != value for right, value in rights.items()):
            device = registry.change(device.lfdi, **rights)
        if lfdis is not None:
            registry.set_fleet(device.lfdi, lfdis)
    return device, credential


def set_client_profile(settings: Settings, name: str, client_profile: ClientProfile) -> None:
    """Say which elements the devices of a meter or client understand. Raises `UnknownName`."""
    with opened(settings) as registry:
        for lfdi in _lfdis_of(registry, name):
            registry.change(lfdi, profile=client_profile)


def renew(
    settings: Settings,
    name: str,
    *,
    grace: timedelta,
    keep_key: bool = False,
    profile: LeafProfile | None = None,
    period: timedelta = OPERATIONAL_PERIOD,
) -> Renewal:
    """Give a meter or client a new certificate; the old one is served until `grace` ends. See `ieee2030_5.pki.renew`.

    Raises `UnknownName`, and `ieee2030_5.pki.PkiError` for one that was revoked.
    """
    authority = Authority.ensure(settings.certs_dir)
    try:
        old, new = pki.renew(authority, name, grace=grace, keep_key=keep_key, profile=profile, period=period)
    except KeyError:
        raise UnknownName(f"{name} has no certificate here") from None
    with opened(settings) as registry:
        (device,) = follow(settings, registry, authority, [new])
    return Renewal((old.lfdi,), device, new)


def due(settings: Settings, within: timedelta) -> list[str]:
    """Return the names of meters and clients whose certificate ends `within` a time and has no successor, soonest first."""
    authority, horizon = Authority.ensure(settings.certs_dir), clock.now() + within
    rows = [row for row in authority.index.all() if row.profile == "operational" and row.status == "active"]
    ending = [row for row in rows if row.retires_at is None and row.not_after <= horizon]
    return list(dict.fromkeys(row.name for row in sorted(ending, key=lambda row: row.not_after)))


def replace(settings: Settings, name: str, reason: Reason) -> Renewal:
    """Emergency: shut every device of a meter or client out at once, and give it a new certificate. Raises `UnknownName`."""
    authority = Authority.ensure(settings.certs_dir)
    with opened(settings) as registry:
        try:
            authority.credential(name)
        except KeyError:
            raise UnknownName(f"{name} has no certificate here") from None
        _shut_out(registry, registry.by_meter(name))
        former, new = pki.replace(authority, name, reason)
        (device,) = follow(settings, registry, authority, [new])
    return Renewal(tuple(former), device, new)


def replace_issuing(settings: Settings) -> Enrolment:
    """Emergency: revoke the issuing authority, found another, and issue to everyone anew. Needs the root's key."""
    authority = Authority.ensure(settings.certs_dir)
    clients = sorted({path.stem for path in (settings.certs_dir / "clients").glob("*.pem")})
    renewed = pki.replace_issuing(authority)
    credentials = [renewed.ensure_client(client) for client in clients]
    with opened(settings) as registry:
        follow(settings, registry, renewed, credentials)
    return enrol(settings)


def revoke(settings: Settings, name: str, reason: Reason) -> list[str]:
    """Withdraw a meter or client (by name) or one device (by LFDI): from the registry first, then by revocation lists.

    A device that another authority certified is withdrawn from the registry alone. Returns the LFDIs; idempotent. Raises
    `UnknownName` where neither the registry nor the authority knows it.
    """
    authority = Authority.ensure(settings.certs_dir)
    index = authority.index
    with opened(settings) as registry:
        devices = registry.by_meter(name) or [d for d in [registry.by_lfdi(name.upper())] if d is not None]
        if not devices:
            raise UnknownName(f"{name} is neither a registered meter or client nor an LFDI")
        _shut_out(registry, devices)
        lfdis = [device.lfdi for device in devices]
        try:
            authority.credential(devices[0].meter_id)
        except KeyError:
            pass
        pki.revoke(authority, [lfdi for lfdi in lfdis if index.find(lfdi) is not None], reason)
    return lfdis


def listing(settings: Settings, *, authorities: bool = False) -> list[dict[str, Any]]:
    """Describe every registered device: who, until when, with which standing; with `authorities` also CAs, server, responders.

    `days_left` is None for what does not expire; `warning` is None, `expired` or the smallest of `WARNING_DAYS` that is not over.
    """
    index = {row.lfdi: row for row in pki.IssuedIndex(settings.certs_dir / "issued.sqlite").all()}
    rows = []
    with opened(settings) as registry:
        devices = registry.devices()
    for device in devices:
        row = index.pop(device.lfdi, None)
        rows.append(
            {
                "meter_id": device.meter_id,
                "lfdi": device.lfdi,
                "sfdi": device.sfdi,
                "pin": f"{device.pin:06d}",
                "status": device.status,
                "role": device.role,
                "client_profile": device.profile,
                "certificate_profile": row.profile if row else None,
                "reason": row.reason if row else None,
                **_term(device.not_after, device.status == "active"),
            }
        )
    if authorities:
        rows += [
            {
                "meter_id": row.name,
                "lfdi": row.lfdi,
                "sfdi": None,
                "pin": None,
                "status": row.status,
                "role": None,
                "client_profile": None,
                "certificate_profile": row.profile,
                "reason": row.reason,
                **_term(row.not_after, row.status == "active"),
            }
            for row in _in_use(index.values())
        ]
    return rows


def _in_use(rows: Iterable[pki.Issued]) -> Iterator[pki.Issued]:
    """Authorities, and of the server's and each responder's certificates the latest: the files hold no other."""
    seen: set[str] = set()
    for row in rows:
        if row.profile in ("root", "issuing") or (row.profile in ("server", "ocsp") and row.name not in seen):
            seen.add(row.name)
            yield row


def _term(not_after: dt.datetime | None, active: bool) -> dict[str, Any]:
    if not_after is None or not_after == NEVER:
        return {"not_after": not_after.isoformat() if not_after else None, "days_left": None, "warning": None}
    days = (not_after - clock.now()) / timedelta(days=1)
    within = next((f"{limit} d" for limit in WARNING_DAYS if days <= limit), None)
    warning = "expired" if days <= 0 else within
    return {"not_after": not_after.isoformat(), "days_left": int(days // 1), "warning": warning if active else None}


def _shut_out(registry: Registry, devices: Iterable[Device]) -> None:
    # The registry is what the server asks first; lists take until the next look at the file.
    for device in devices:
        if device.status != "revoked":
            registry.set_status(device.lfdi, "revoked")


def _lfdis_of(registry: Registry, name: str) -> list[str]:
    devices = registry.by_meter(name)
    if not devices:
        raise UnknownName(f"{name} is not registered")
    return [device.lfdi for device in devices]

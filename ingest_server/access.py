"""Who is asking: TLS client certificate -> LFDI -> registry row. Denied unless the row is there and active."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from aiohttp import web

from ieee2030_5.enums import ReasonCode
from ieee2030_5.identity import LFDI_OCTETS, is_sfdi, normalize_hex

from .certificates import CHECK_UNAVAILABLE, REVOKED, ClientCertificate, Fault, client_certificate
from .limits import Limits
from .metrics import Metrics
from .operational.registry import Device, Registry, StoredMirrorUsagePoint
from .replies import Refusal

log = logging.getLogger(__name__)

ENROLMENT_PATHS = frozenset({"/dcap", "/tm", "/edev", "/mup"})
FAILED_AUTHENTICATION = frozenset(
    {
        "certificate_key",
        "certificate_expired",
        "certificate_revoked",
        "unknown_device",
        "suspended_device",
        "revoked_device",
        "expired_device",
        "foreign_identity",
    }
)
"""Security events that count towards the cool-down. A foreign resource does not: it is a wrong path, not a wrong identity."""

_READING = frozenset({"GET", "HEAD"})
_EVERYTHING = frozenset({"operator", "auditor"})
_SFDI_DIGITS = 12
_MIRROR_CACHE_S = 60.0
_EVENT_PERIOD_S = 60.0
_CACHE_MAX = 100_000


@dataclass(slots=True, frozen=True)
class Scope:
    """The devices a client may deal with: those of `lfdis`, or every device where it is None."""

    lfdis: frozenset[str] | None

    def __contains__(self, lfdi: str) -> bool:
        return self.lfdis is None or lfdi in self.lfdis


_ALL = Scope(None)


@dataclass(slots=True, frozen=True)
class Peer:
    """The client of a request. `device` is None only for one that may enrol itself; `fleet` is an aggregator's."""

    lfdi: str
    sfdi: int
    remote: str
    device: Device | None
    fleet: frozenset[str] = frozenset()

    @property
    def known(self) -> Device:
        """The registry row; raises a 403 `Refusal` where there is none."""
        if self.device is None:
            raise Refusal(403, "device is not enrolled")
        return self.device

    @property
    def role(self) -> str:
        """`meter`, `aggregator`, `operator` or `auditor`; a device yet to enrol is a meter."""
        return self.device.role if self.device is not None else "meter"

    @property
    def may_write(self) -> bool:
        """Whether other methods than GET and HEAD are open to it."""
        return self.role != "auditor"

    @property
    def scope(self) -> Scope:
        """Its own device for a meter, its fleet besides for an aggregator, everything for an operator and an auditor.

        A role that is not known has the scope of a meter.
        """
        role = self.role
        if role in _EVERYTHING:
            return _ALL
        if role == "aggregator":
            return Scope(self.fleet | {self.lfdi})
        return Scope(frozenset((self.lfdi,)))


@dataclass(slots=True)
class Context:
    """What is found out about a request on its way; its log line is made of it.

    `routine` marks requests that come in such numbers that they are logged for debugging only.
    """

    lfdi: str | None = None
    peer: Peer | None = None
    message_id: str | None = None
    reason: str = ""
    routine: bool = False


CONTEXT: web.RequestKey[Context] = web.RequestKey("context", Context)


class Access:
    """Admits requests. Registry rows are cached for `ttl_s`, so a suspended device is out that much later at most."""

    def __init__(
        self,
        registry: Registry,
        *,
        ttl_s: float,
        enrolment: bool,
        limits: Limits | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._registry = registry
        self._ttl_s = ttl_s
        self._enrolment = enrolment
        self._limits = limits or Limits()
        self.metrics = metrics or Metrics()
        self._certificates: WeakKeyDictionary[ssl.SSLObject, ClientCertificate] = WeakKeyDictionary()
        self._is_revoked: Callable[[ClientCertificate], bool] = lambda certificate: False
        self._devices: dict[str, tuple[float, Device]] = {}
        self._fleets: dict[str, tuple[float, frozenset[str]]] = {}
        self._mirrors: dict[str, tuple[float, StoredMirrorUsagePoint]] = {}
        self._events: dict[tuple[str, str | None, str], float] = {}

    async def admit(self, request: web.Request) -> Peer:
        """Return the peer of a request.

        Raises a `Refusal`: 429 with Retry-After for a device over its request rate or in its cool-down; 403 for a
        certificate that is not P-256, has expired or is revoked, for an unknown device (unless it may enrol and asks for
        a resource that enrolment needs), for one that is not active, and for a role that may not use the method.
        """
        certificate = getattr(request.protocol, "certificate", None) or self.certificate(request.transport)
        lfdi = certificate.lfdi
        request[CONTEXT].lfdi = lfdi
        self._within_limits(lfdi)
        if certificate.checking is not None:
            await asyncio.wait((certificate.checking,))
        if certificate.fault is not None:
            raise _useless(request, certificate.fault)
        now = time.time()
        # A handshake checks the validity once, and a resumed session or a connection may outlive it.
        if certificate.not_after < now:
            raise _useless(request, Fault("certificate_expired", "certificate has expired"))
        device = await self._device(lfdi)
        if device is None and not (self._enrolment and _serves_enrolment(request)):
            raise Refusal(403, "device is not in the registry", security_kind="unknown_device")
        if device is not None and device.status != "active":
            raise Refusal(403, f"device is {device.status}", security_kind=f"{device.status}_device")
        if device is not None and device.not_after is not None and device.not_after.timestamp() < now:
            raise Refusal(403, "device has expired", security_kind="expired_device")
        fleet = await self._fleet(lfdi) if device is not None and device.role == "aggregator" else frozenset()
        peer = Peer(lfdi, device.sfdi if device else certificate.sfdi, request.remote or "", device, fleet)
        if request.method not in _READING and not peer.may_write:
            raise Refusal(403, f"{peer.role} may only read", security_kind="write_refused")
        return peer

    async def subject(self, peer: Peer, identifier: str | int) -> Device:
        """Return the device in the peer's scope with this LFDI (hex digits) or SFDI (decimal), whatever its status.

        Raises a 404 `Refusal`, for a device of others and for none alike.
        """
        lfdi = _lfdi(identifier)
        sfdi = _sfdi(identifier) if lfdi is None else None
        own = peer.device
        if own is not None and (lfdi == own.lfdi or sfdi == own.sfdi):
            return own
        if peer.scope.lfdis is None or peer.fleet:
            found = await self._device(lfdi) if lfdi is not None else await self._by_sfdi(sfdi, peer.scope)
            if found is not None and found.lfdi in peer.scope:
                return found
            if peer.scope.lfdis is None:
                raise Refusal(404, "no such end device")
        raise Refusal(404, "end device of another or none", security_kind="foreign_resource")

    async def mirror(self, peer: Peer, mup_id: str, *, fresh: bool = False) -> StoredMirrorUsagePoint:
        """Return a mirror of a device in the peer's scope; raises a 404 `Refusal` for others' and unknown ones alike.

        Another process may have deleted it up to a minute ago unless it is to be `fresh`.
        """
        if fresh:
            self.forget_mirror(mup_id)
        found = await self._mirror(mup_id)
        if found is None:
            raise Refusal(404, "no such mirror usage point")
        if found.lfdi != peer.lfdi and found.lfdi not in peer.scope:
            raise Refusal(404, "mirror usage point of another device", security_kind="foreign_resource")
        return found

    def remember(self, mirror: StoredMirrorUsagePoint) -> None:
        """Cache a mirror that has just been written."""
        _keep(self._mirrors, mirror.mup_id, (time.monotonic() + _MIRROR_CACHE_S, mirror))

    def forget_mirror(self, mup_id: str) -> None:
        """Drop a cached mirror, after it was deleted by this process."""
        self._mirrors.pop(mup_id, None)

    def forget(self, lfdi: str) -> None:
        """Drop what is cached of a device, after a change of its row or its fleet by this process."""
        self._devices.pop(lfdi, None)
        self._fleets.pop(lfdi, None)

    def certificate(self, transport: asyncio.BaseTransport | None) -> ClientCertificate:
        """Return the certificate of a connection. Raises `ConnectionResetError` where the client is gone."""
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object") if transport is not None else None
        if tls is None:
            raise ConnectionResetError("the client is gone")
        # A connection keeps its certificate: renegotiation is off.
        found = self._certificates.get(tls)
        if found is None:
            der = tls.getpeercert(True)
            if der is None:
                raise ConnectionResetError("the client is gone")
            started = time.perf_counter()
            found = self._certificates[tls] = client_certificate(der)
            if self._is_revoked(found):
                found.fault = REVOKED
            self.metrics.certificate_validation.observe(time.perf_counter() - started)
        return found

    def revoke(self, is_revoked: Callable[[ClientCertificate], bool]) -> int:
        """Refuse the certificates that `is_revoked` names, on open connections as on new ones; return how many are open."""
        self._is_revoked = is_revoked
        found = [certificate for certificate in list(self._certificates.values()) if is_revoked(certificate)]
        for certificate in found:
            certificate.fault = REVOKED
        return len(found)

    async def report(self, kind: str, *, lfdi: str | None, remote: str, detail: str) -> None:
        """Record a security event, at most once a minute per kind, device and address: a flood must not fill the table.

        A failed authentication counts towards the device's cool-down each time.
        """
        self.metrics.security_events[kind] += 1
        if lfdi is not None and kind in FAILED_AUTHENTICATION and self._limits.failed(lfdi):
            await self._record("cool_down", lfdi, remote, f"too many failed authentications, the last: {detail}")
        await self._record(kind, lfdi, remote, detail)

    async def _record(self, kind: str, lfdi: str | None, remote: str, detail: str) -> None:
        key = (kind, lfdi, remote)
        now = time.monotonic()
        if now < self._events.get(key, 0.0):
            return
        _keep(self._events, key, now + _EVENT_PERIOD_S)
        log.warning("security event", extra={"fields": {"kind": kind, "lfdi": lfdi, "remote": remote, "detail": detail}})
        try:
            await asyncio.to_thread(self._registry.record_security_event, kind, lfdi=lfdi, remote=remote, detail=detail)
        except Exception:
            # The request is refused in any case; the log line still tells.
            log.exception("security event not recorded")

    def _within_limits(self, lfdi: str) -> None:
        wait = self._limits.cooling(lfdi)
        if wait:
            self.metrics.cool_downs += 1
            raise Refusal(429, "cool-down after failed authentications", headers={"Retry-After": str(wait)})
        wait = self._limits.request(lfdi)
        if wait:
            self.metrics.rate_limited += 1
            raise Refusal(
                429,
                "more requests than a device may make in a minute",
                reason_code=ReasonCode.MAXIMUM_REQUEST_FREQUENCY_EXCEEDED,
                headers={"Retry-After": str(wait)},
                security_kind="rate_limit",
            )

    async def _device(self, lfdi: str) -> Device | None:
        cached = self._devices.get(lfdi)
        if cached is not None and time.monotonic() < cached[0]:
            return cached[1]
        device = await asyncio.to_thread(self._registry.by_lfdi, lfdi)
        # Only what exists is cached: the device may be registered, or enrol at another worker, a moment from now.
        if device is not None:
            _keep(self._devices, lfdi, (time.monotonic() + self._ttl_s, device))
        return device

    async def _by_sfdi(self, sfdi: int | None, scope: Scope) -> Device | None:
        if sfdi is None:
            return None
        # 36 bits do not identify a certificate for sure, so the scope decides between two of the same.
        found = await asyncio.to_thread(self._registry.by_sfdi, sfdi)
        return next((device for device in found if device.lfdi in scope), None)

    async def _fleet(self, lfdi: str) -> frozenset[str]:
        cached = self._fleets.get(lfdi)
        if cached is not None and time.monotonic() < cached[0]:
            return cached[1]
        fleet = frozenset(await asyncio.to_thread(self._registry.fleet_of, lfdi))
        _keep(self._fleets, lfdi, (time.monotonic() + self._ttl_s, fleet))
        return fleet

    async def _mirror(self, mup_id: str) -> StoredMirrorUsagePoint | None:
        cached = self._mirrors.get(mup_id)
        if cached is not None and time.monotonic() < cached[0]:
            return cached[1]
        mirror = await asyncio.to_thread(self._registry.mirror_usage_point, mup_id)
        if mirror is not None:
            self.remember(mirror)
        return mirror


def _serves_enrolment(request: web.Request) -> bool:
    return request.path in ENROLMENT_PATHS and (request.method in _READING or request.path == "/edev")


def _useless(request: web.Request, fault: Fault) -> Refusal:
    # No request can succeed on this connection. aiohttp closes it after the answer and reads no further.
    request.protocol.close()
    closing = {"Connection": "close"}
    if fault is CHECK_UNAVAILABLE:
        return Refusal(503, fault.reason, headers={**closing, "Retry-After": "30"}, security_kind=fault.kind)
    return Refusal(403, fault.reason, headers=closing, security_kind=fault.kind)


def _lfdi(identifier: str | int) -> str | None:
    if isinstance(identifier, int) or len(identifier) != 2 * LFDI_OCTETS:
        return None
    try:
        return normalize_hex(identifier, LFDI_OCTETS)
    except ValueError:
        return None


def _sfdi(identifier: str | int) -> int | None:
    text = str(identifier)
    if not (text.isascii() and text.isdigit() and len(text) <= _SFDI_DIGITS):
        return None
    # One path for a device: no leading zeros.
    return int(text) if text == str(int(text)) and is_sfdi(int(text)) else None


def _keep(cache: dict[Any, Any], key: Any, value: Any) -> None:
    if len(cache) >= _CACHE_MAX:
        cache.clear()
    cache[key] = value

"""Who is asking: TLS client certificate -> LFDI -> registry row. Denied unless the row is there and active."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

from aiohttp import web

from ieee2030_5.identity import lfdi_of, sfdi_of
from ieee2030_5.tls import require_p256

from .operational.registry import Device, Registry, StoredMirrorUsagePoint
from .replies import Refusal

log = logging.getLogger(__name__)

ENROLMENT_PATHS = frozenset({"/dcap", "/tm", "/edev"})
_MIRROR_CACHE_S = 60.0
_EVENT_PERIOD_S = 60.0
_CACHE_MAX = 100_000


@dataclass(slots=True, frozen=True)
class Peer:
    """The client of a request. `device` is None only for one that may enrol itself."""

    lfdi: str
    sfdi: int
    remote: str
    device: Device | None

    @property
    def known(self) -> Device:
        """The registry row; raises a 403 `Refusal` where there is none."""
        if self.device is None:
            raise Refusal(403, "device is not enrolled")
        return self.device


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

    def __init__(self, registry: Registry, *, ttl_s: float, enrolment: bool) -> None:
        self._registry = registry
        self._ttl_s = ttl_s
        self._enrolment = enrolment
        self._identities: WeakKeyDictionary[ssl.SSLObject, tuple[str, str]] = WeakKeyDictionary()
        self._devices: dict[str, tuple[float, Device]] = {}
        self._mirrors: dict[str, tuple[float, StoredMirrorUsagePoint]] = {}
        self._events: dict[tuple[str, str | None, str], float] = {}

    async def admit(self, request: web.Request) -> Peer:
        """Return the peer of a request.

        Raises a 403 `Refusal` for a certificate that is not P-256, an unknown device (unless it may enrol and asks for
        a resource that enrolment needs) and one that is not active.
        """
        remote = request.remote or ""
        lfdi, fault = self._identity(request.transport)
        request[CONTEXT].lfdi = lfdi
        if fault:
            raise Refusal(403, fault, security_kind="certificate_key")
        device = await self._device(lfdi)
        if device is None and not (self._enrolment and request.path in ENROLMENT_PATHS):
            raise Refusal(403, "device is not in the registry", security_kind="unknown_device")
        if device is not None and device.status != "active":
            raise Refusal(403, f"device is {device.status}", security_kind=f"{device.status}_device")
        return Peer(lfdi, device.sfdi if device else sfdi_of(lfdi), remote, device)

    async def mirror(self, peer: Peer, mup_id: str) -> StoredMirrorUsagePoint:
        """Return the peer's own mirror; raises a 404 `Refusal` for others' and unknown ones alike."""
        found = await self._mirror(mup_id)
        if found is None:
            raise Refusal(404, "no such mirror usage point")
        if found.lfdi != peer.lfdi:
            raise Refusal(404, "mirror usage point of another device", security_kind="foreign_resource")
        return found

    def remember(self, mirror: StoredMirrorUsagePoint) -> None:
        """Cache a mirror that has just been written."""
        _keep(self._mirrors, mirror.mup_id, (time.monotonic() + _MIRROR_CACHE_S, mirror))

    async def report(self, kind: str, *, lfdi: str | None, remote: str, detail: str) -> None:
        """Record a security event, at most once a minute per kind, device and address: a flood must not fill the table."""
        key = (kind, lfdi, remote)
        now = time.monotonic()
        if now < self._events.get(key, 0.0):
            return
        _keep(self._events, key, now + _EVENT_PERIOD_S)
        try:
            await asyncio.to_thread(self._registry.record_security_event, kind, lfdi=lfdi, remote=remote, detail=detail)
        except Exception:
            # The request is refused in any case; the log line still tells.
            log.exception("security event not recorded")

    def _identity(self, transport: asyncio.Transport | None) -> tuple[str, str]:
        """Return the LFDI of the peer's certificate, and what is wrong with its key ("" for nothing)."""
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object") if transport is not None else None
        if tls is None:
            raise ConnectionResetError("the client is gone")
        # A connection keeps its certificate: renegotiation is off.
        found = self._identities.get(tls)
        if found is None:
            der = tls.getpeercert(True)
            if der is None:
                raise ConnectionResetError("the client is gone")
            found = self._identities[tls] = (lfdi_of(der), _key_fault(der))
        return found

    async def _device(self, lfdi: str) -> Device | None:
        cached = self._devices.get(lfdi)
        if cached is not None and time.monotonic() < cached[0]:
            return cached[1]
        device = await asyncio.to_thread(self._registry.by_lfdi, lfdi)
        # Only what exists is cached: the device may be registered, or enrol at another worker, a moment from now.
        if device is not None:
            _keep(self._devices, lfdi, (time.monotonic() + self._ttl_s, device))
        return device

    async def _mirror(self, mup_id: str) -> StoredMirrorUsagePoint | None:
        cached = self._mirrors.get(mup_id)
        if cached is not None and time.monotonic() < cached[0]:
            return cached[1]
        mirror = await asyncio.to_thread(self._registry.mirror_usage_point, mup_id)
        if mirror is not None:
            self.remember(mirror)
        return mirror


def _keep(cache: dict[Any, Any], key: Any, value: Any) -> None:
    if len(cache) >= _CACHE_MAX:
        cache.clear()
    cache[key] = value


@lru_cache(maxsize=32_768)
def _key_fault(der: bytes) -> str:
    try:
        require_p256(der)
    except ValueError as error:
        return str(error)
    return ""

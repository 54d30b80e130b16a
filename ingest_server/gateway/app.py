"""The gateway's aiohttp application: authenticate, check, land, then acknowledge.

A body is landed once, as received, or not at all: each of its readings is checked by form, each of its meters by the
credential, the registry and the protocol it speaks, before anything is landed.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from sqlalchemy.exc import SQLAlchemyError

from ..drain import Drain
from ..landing.store import LandingStore, LandingUnavailable, RawMessage
from ..limits import Limits
from ..operational.gateway import GatewayTables, LegacyMeter
from ..operational.registry import Registry
from .auth import Authentication, Grant, NotAuthenticated
from .documents import DLMS_PATH, NO_DEVICE, READINGS_PATH, BadDocument, LegacyReading, read_body
from .replies import GatewayRefusal, reply, slow_down
from .signature import BadSignature, public_key, verify

log = logging.getLogger("ingest_server.gateway")

_EVENT_PERIOD_S = 60.0
_CACHE_MAX = 100_000

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True, frozen=True)
class GatewayState:
    """The gateway's parts. `max_body_bytes` and `body_timeout_s` bound a request, `ttl_s` how long a meter's row is believed."""

    store: LandingStore
    registry: Registry
    tables: GatewayTables
    authentication: Authentication
    limits: Limits
    max_body_bytes: int
    body_timeout_s: float
    ttl_s: float
    now: Callable[[], dt.datetime]


class _Memory:
    """What this process remembers between requests: meters for `ttl_s`, and which security events were just recorded."""

    def __init__(self) -> None:
        self.meters: dict[str, tuple[float, LegacyMeter]] = {}
        self.events: dict[tuple[str, str, str], float] = {}


@dataclass(slots=True)
class _Said:
    """What is found out about a request on its way; its log line and security event are made of it."""

    credential: str = ""
    message_id: str = ""


SAID: web.RequestKey[_Said] = web.RequestKey("gateway_said", _Said)
STATE: web.AppKey[GatewayState] = web.AppKey("gateway_state", GatewayState)
DRAIN: web.AppKey[Drain] = web.AppKey("gateway_drain", Drain)
MEMORY: web.AppKey[_Memory] = web.AppKey("gateway_memory", _Memory)


def create_gateway_app(state: GatewayState) -> web.Application:
    """Return the application. It answers every request with JSON, bad ones included."""
    app = web.Application(middlewares=[_serve], client_max_size=state.max_body_bytes)
    app[STATE] = state
    app[DRAIN] = Drain()
    app[MEMORY] = _Memory()
    app.router.add_post(READINGS_PATH, _post_readings)
    app.router.add_post(DLMS_PATH, _post_dlms)
    return app


@web.middleware
async def _serve(request: web.Request, handler: Handler) -> web.StreamResponse:
    started = time.perf_counter()
    request[SAID] = _Said()
    refusal: GatewayRefusal | None = None
    response: web.StreamResponse
    drain = request.app[DRAIN]
    drain.begin()
    try:
        try:
            response = await handler(request)
        except GatewayRefusal as error:
            refusal = error
        except web.HTTPException as error:
            allow = error.headers.get("Allow")
            code = {404: "not_found", 405: "method_not_allowed"}.get(error.status, "refused")
            refusal = GatewayRefusal(error.status, code, error.reason, headers={"Allow": allow} if allow else None)
        except (LandingUnavailable, SQLAlchemyError) as error:
            log.error("gateway unavailable", extra={"fields": {"reason": f"{type(error).__name__}: {error}"}})
            refusal = GatewayRefusal(503, "try_later", "nothing of this request is kept", headers={"Retry-After": "5"})
        except ConnectionError:
            raise
        except Exception:
            log.exception("gateway request failed", extra={"fields": {"method": request.method, "path": request.path}})
            refusal = GatewayRefusal(500, "internal_error", "internal error")
        if refusal is not None:
            response = refusal.response()
            await _report(request, refusal)
        # After a body that did not come, what follows on the connection is not a request.
        if drain.draining or response.status == 408:
            response.force_close()
        response.headers["Server"] = "GridTokenX"
        _log(request, response.status, refusal, time.perf_counter() - started)
    finally:
        drain.end()
    return response


async def _post_readings(request: web.Request) -> web.Response:
    """Land one reading, an array, or `{"readings": [...]}`; the answer names each reading accepted."""
    return await _accept(request, 200, ("readings", "original"))


async def _post_dlms(request: web.Request) -> web.Response:
    """Land a DLMS/COSEM reading. Today's meters take 202 alone for success."""
    return await _accept(request, 202, ("dlms",))


async def _accept(request: web.Request, status: int, shapes: tuple[str, ...]) -> web.Response:
    state = request.app[STATE]
    # Before the body: who is not known need not send it.
    grant = await _authenticate(request)
    body = await _body(request)
    try:
        readings = read_body(body)
        for index, reading in enumerate(readings):
            if reading.shape not in shapes:
                raise BadDocument(f"a reading of shape {reading.shape} does not belong to this path", index=index)
    except BadDocument as error:
        raise GatewayRefusal(413 if error.code == "batch_too_large" else 400, error.code, str(error)) from None
    meters = await _meters(request, grant, readings)
    _check_signatures(readings, meters)
    _check_rate(state.limits, meters)
    received_at = state.now()
    message = RawMessage(
        received_at=received_at,
        device_lfdi=NO_DEVICE,
        method=request.method,
        path=request.path,
        content_type="application/json",
        body=body,
        body_sha256=hashlib.sha256(body).hexdigest(),
        source="gateway",
        meter_id=readings[0].meter_id if len(meters) == 1 else "",
        zone=next(iter(meters.values())).zone,
    )
    message_id = await state.store.append(message)
    request[SAID].message_id = message_id
    return reply(status, _receipt(readings, message_id, received_at))


async def _authenticate(request: web.Request) -> Grant:
    state, remote = request.app[STATE], request.remote or ""
    try:
        claimed = state.authentication.claimed(request.headers)
    except NotAuthenticated as error:
        claimed = error.credential
    request[SAID].credential = claimed
    # By credential and address: a guesser elsewhere must not lock out the one whose credential it guesses.
    key = f"gateway|{claimed}|{remote}"
    if wait := state.limits.cooling(key):
        raise slow_down("cool_down", f"too many failed authentications, again in {wait} s", wait)
    try:
        grant = await state.authentication.grant(request.headers)
    except NotAuthenticated as error:
        state.limits.failed(key)
        raise GatewayRefusal(
            401, error.code, str(error), headers={"WWW-Authenticate": "Bearer"}, security_kind=f"gateway_{error.code}"
        ) from None
    request[SAID].credential = grant.credential
    return grant


async def _body(request: web.Request) -> bytes:
    state = request.app[STATE]
    if request.content_type.lower() != "application/json":
        raise GatewayRefusal(415, "media_type", f"media type {ascii(request.content_type)[:64]}, expected application/json")
    coding = request.headers.get("Content-Encoding", "identity")
    if coding.lower() != "identity":
        raise GatewayRefusal(415, "content_coding", f"content coding {ascii(coding)[:32]} is not taken")
    limit = state.max_body_bytes
    if request.content_length is not None and request.content_length > limit:
        raise GatewayRefusal(413, "body_too_large", f"body of {request.content_length} bytes, limit {limit}")
    try:
        async with asyncio.timeout(state.body_timeout_s):
            return await request.read()
    except TimeoutError:
        raise GatewayRefusal(408, "body_timeout", f"body not complete after {state.body_timeout_s:g} s") from None
    except web.HTTPRequestEntityTooLarge:
        raise GatewayRefusal(413, "body_too_large", f"body above {limit} bytes") from None
    except (web.RequestPayloadError, web.HTTPBadRequest) as error:
        raise GatewayRefusal(400, "invalid_body", f"body not readable: {error}") from None


async def _meters(request: web.Request, grant: Grant, readings: list[LegacyReading]) -> dict[str, LegacyMeter]:
    """The registry's rows of the meters in a body. Raises 403, 409 or 400 naming the first reading whose meter may not post."""
    found: dict[str, LegacyMeter] = {}
    zone = ""
    for index, reading in enumerate(readings):
        meter_id = reading.meter_id
        if meter_id in found:
            continue
        where = f"reading {index}: meter {meter_id}"
        if not grant.covers(meter_id):
            raise GatewayRefusal(
                403, "not_your_meter", f"{where} is not covered by the credential", security_kind="gateway_foreign_meter"
            )
        meter = await _meter(request, meter_id)
        if meter is None:
            raise GatewayRefusal(403, "unknown_meter", f"{where} is not in the registry", security_kind="gateway_unknown_meter")
        if not meter.active:
            raise GatewayRefusal(
                403, "meter_not_active", f"{where} is suspended or revoked", security_kind="gateway_inactive_meter"
            )
        if meter.protocol == "sep2":
            raise GatewayRefusal(409, "migrated", f"{where} has migrated to IEEE 2030.5 and is no longer taken here")
        zone = zone or meter.zone
        if meter.zone != zone:
            raise GatewayRefusal(400, "several_zones", f"{where} is of zone {meter.zone}, those before it of {zone}")
        found[meter_id] = meter
    return found


async def _meter(request: web.Request, meter_id: str) -> LegacyMeter | None:
    state, cache = request.app[STATE], request.app[MEMORY].meters
    cached = cache.get(meter_id)
    if cached is not None and time.monotonic() < cached[0]:
        return cached[1]
    meter = await asyncio.to_thread(state.tables.meter, meter_id)
    if meter is not None:
        if len(cache) >= _CACHE_MAX:
            cache.clear()
        cache[meter_id] = (time.monotonic() + state.ttl_s, meter)
    return meter


def _check_signatures(readings: list[LegacyReading], meters: dict[str, LegacyMeter]) -> None:
    for index, reading in enumerate(readings):
        registered = meters[reading.meter_id].public_key
        # Only the DLMS form defines what is signed; a meter with a key must not get round it by another form.
        if registered is None:
            continue
        try:
            if reading.shape != "dlms":
                raise BadSignature("the meter's key is registered, and only its signed DLMS readings are taken")
            verify(reading, public_key(registered))
        except BadSignature as error:
            detail = f"reading {index}: meter {reading.meter_id}: {error}"
            raise GatewayRefusal(403, "bad_signature", detail, security_kind="gateway_bad_signature") from None


def _check_rate(limits: Limits, meters: dict[str, LegacyMeter]) -> None:
    for meter_id in meters:
        if wait := limits.request(f"gateway|{meter_id}"):
            raise slow_down("rate_limit", f"meter {meter_id}: too many requests, again in {wait} s", wait)


def _receipt(readings: list[LegacyReading], message_id: str, received_at: dt.datetime) -> dict[str, Any]:
    results = [
        {
            "index": index,
            "id": f"{message_id}-{index}",
            "meter_id": reading.meter_id,
            "timestamp": reading.at.isoformat().replace("+00:00", "Z"),
            "status": "accepted",
        }
        for index, reading in enumerate(readings)
    ]
    head = {"id": message_id, "status": "submitted", "created_at": received_at.isoformat().replace("+00:00", "Z")}
    return {**head, "accepted": len(results), "results": results}


async def _report(request: web.Request, refusal: GatewayRefusal) -> None:
    """Record a security event, at most once a minute per kind, credential and address: a flood must not fill the table."""
    if refusal.security_kind is None:
        return
    events, remote = request.app[MEMORY].events, request.remote or ""
    key, now = (refusal.security_kind, request[SAID].credential, remote), time.monotonic()
    if now < events.get(key, 0.0):
        return
    if len(events) >= _CACHE_MAX:
        events.clear()
    events[key] = now + _EVENT_PERIOD_S
    detail = f"{request.method} {request.path[:200]} by {key[1]}: {refusal.detail}"
    try:
        await asyncio.to_thread(
            request.app[STATE].registry.record_security_event, refusal.security_kind, remote=remote, detail=detail
        )
    except Exception:
        # The request is refused in any case; the log line still tells.
        log.exception("security event not recorded")


def _log(request: web.Request, status: int, refusal: GatewayRefusal | None, seconds: float) -> None:
    # Readings come often, and the landing store has a row of each.
    level = logging.DEBUG if refusal is None else logging.ERROR if status >= 500 else logging.WARNING
    if not log.isEnabledFor(level):
        return
    fields = {
        "credential": request[SAID].credential,
        "remote": request.remote,
        "method": request.method,
        "path": request.path,
        "status": status,
        "reason": refusal.detail if refusal else "",
        "ms": round(seconds * 1000, 2),
    }
    if request[SAID].message_id:
        fields["message_id"] = request[SAID].message_id
    log.log(level, "refused" if refusal else "served", extra={"fields": fields})

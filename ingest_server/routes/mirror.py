"""Metering mirror (IEEE 2030.5-2018, 10.11): what is posted here is landed before it is acknowledged."""

from __future__ import annotations

import asyncio
import datetime as dt

from aiohttp import web

from ieee2030_5.regular import declared_types, is_reading_post
from ieee2030_5.resources import MirrorMeterReading, MirrorMeterReadingList, MirrorUsagePoint, MirrorUsagePointList

from ..access import CONTEXT
from ..acknowledgement import Acknowledgement
from ..body import Document, parse_document, raw_message, read_body, read_document
from ..mirroring import (
    acted_for,
    check_distinct,
    check_readings,
    check_room,
    check_room_for_types,
    checked_mirror,
    readings_location,
    remember_mirror,
    remember_types,
)
from ..operational.registry import MUP_ID, Device, StoredMirrorUsagePoint
from ..replies import Page, Refusal, bad_format, bad_value, located, resource
from ..state import State, peer_of, state_of

ROUTES = web.RouteTableDef()


def _href(mirror: StoredMirrorUsagePoint) -> str:
    return f"/mup/{mirror.mup_id}"


def _first_level(mirror: StoredMirrorUsagePoint, state: State) -> MirrorUsagePoint:
    return MirrorUsagePoint(
        href=_href(mirror),
        mrid=mirror.mrid,
        description=mirror.description,
        version=mirror.version,
        role_flags=mirror.role_flags,
        service_category_kind=mirror.service_category_kind,
        status=mirror.status,
        device_lfdi=mirror.lfdi,
        post_rate=state.options.post_rate_s,
    )


async def _own(request: web.Request, *, fresh: bool = False) -> StoredMirrorUsagePoint:
    mup_id = request.match_info["mup_id"]
    if not MUP_ID.fullmatch(mup_id):
        raise Refusal(404, "no such mirror usage point")
    return await state_of(request).access.mirror(peer_of(request), mup_id, fresh=fresh)


async def _land(request: web.Request, body: bytes, subject: Device | None) -> dt.datetime:
    """Land a request that is about `subject`, its sender if None; return when it was received."""
    state = state_of(request)
    received_at = state.now()
    message = raw_message(request, peer_of(request), body, received_at, subject=subject)
    request[CONTEXT].message_id = await state.store.append(message)
    return received_at


@ROUTES.get("/mup")
async def mirror_usage_point_list(request: web.Request) -> web.Response:
    """The mirrors in the client's scope, first-level elements only, by mRID descending."""
    state, peer, page = state_of(request), peer_of(request), Page.of(request)
    lfdis = peer.scope.lfdis
    total = await asyncio.to_thread(state.registry.count_mirror_usage_points, lfdis)
    rows = await asyncio.to_thread(state.registry.mirror_usage_points, lfdis, page.start, page.limit)
    return resource(
        MirrorUsagePointList(
            href="/mup",
            poll_rate=state.options.poll_rate_s,
            all=total,
            results=len(rows),
            mirror_usage_points=[_first_level(row, state) for row in rows],
        )
    )


@ROUTES.post("/mup")
async def post_mirror_usage_point(request: web.Request) -> web.Response:
    """Create a mirror (201) or overwrite the one with the same mRID (204), with or without meter readings inside."""
    state = state_of(request)
    document = await read_document(request, state.options)
    mup = document.decode(MirrorUsagePoint)
    lfdi, mrid = checked_mirror(mup)
    subject = await acted_for(state, peer_of(request), lfdi)
    await check_distinct(state, peer_of(request), lfdi, mup.mirror_meter_readings)
    await check_room(state, lfdi, mrid, mup.mirror_meter_readings)
    received_at = await _land(request, document.body, subject)
    # After landing: were it before, a crash between the two would leave a mirror whose reading types nobody has.
    stored, created = await remember_mirror(state, lfdi, mrid, mup, received_at)
    return located(201 if created else 204, _href(stored))


@ROUTES.get("/mup/{mup_id}")
async def mirror_usage_point(request: web.Request) -> web.Response:
    """First-level elements of an own mirror; its readings are not served here (10.11.3)."""
    return resource(_first_level(await _own(request, fresh=True), state_of(request)))


@ROUTES.put("/mup/{mup_id}")
async def put_mirror_usage_point(request: web.Request) -> web.Response:
    """Overwrite a mirror, as posting it to the list again would."""
    state, mirror = state_of(request), await _own(request, fresh=True)
    document = await read_document(request, state.options)
    mup = document.decode(MirrorUsagePoint)
    lfdi, mrid = checked_mirror(mup)
    if lfdi != mirror.lfdi:
        raise Refusal(403, "deviceLFDI is not the mirror's", security_kind="foreign_identity")
    if mrid != mirror.mrid:
        raise bad_value("mRID is not the mirror's")
    subject = await acted_for(state, peer_of(request), lfdi)
    await check_distinct(state, peer_of(request), lfdi, mup.mirror_meter_readings)
    await check_room(state, lfdi, mrid, mup.mirror_meter_readings)
    received_at = await _land(request, document.body, subject)
    await remember_mirror(state, lfdi, mrid, mup, received_at)
    return located(204, _href(mirror))


@ROUTES.delete("/mup/{mup_id}")
async def delete_mirror_usage_point(request: web.Request) -> web.Response:
    """End a mirror and its usage point; what was landed of it stays landed."""
    state, mirror = state_of(request), await _own(request, fresh=True)
    await _land(request, b"", await acted_for(state, peer_of(request), mirror.lfdi))
    await asyncio.to_thread(state.registry.delete_mirror_usage_point, mirror.mup_id)
    state.access.forget_mirror(mirror.mup_id)
    state.types.forget(mirror.mup_id)
    return web.Response(status=204)


@ROUTES.post("/mup/{mup_id}")
async def post_readings(request: web.Request) -> web.StreamResponse:
    """Land a MirrorMeterReading or a list of them. The Location is where the usage point shows them (10.11.3)."""
    state, mirror = state_of(request), await _own(request)
    body = await read_body(request, state.options)
    readings: list[MirrorMeterReading] = []
    regular = is_reading_post(body)
    declared = declared_types(body) if regular else {}
    # Types are stored, so a post with a new one is read whole even where it need not be checked.
    if not regular or not state.types.holds(mirror.mup_id, declared):
        readings = _checked_post(parse_document(body, state.options))
        await check_room_for_types(state, mirror.mup_id, readings)
    peer = peer_of(request)
    subject = None if mirror.lfdi == peer.lfdi else await acted_for(state, peer, mirror.lfdi)
    received_at = await _land(request, body, subject)
    if readings:
        await remember_types(state, mirror, readings, received_at)
        state.types.note(mirror.mup_id, declared)
    request[CONTEXT].routine = True
    return Acknowledgement(readings_location(mirror.mup_id, body))


def _checked_post(document: Document) -> list[MirrorMeterReading]:
    if document.name == "MirrorMeterReading":
        readings = [document.decode(MirrorMeterReading)]
    elif document.name == "MirrorMeterReadingList":
        readings = document.decode(MirrorMeterReadingList).mirror_meter_readings
    else:
        raise bad_format(f"root element {document.name}, expected MirrorMeterReading or MirrorMeterReadingList")
    check_readings(readings)
    return readings

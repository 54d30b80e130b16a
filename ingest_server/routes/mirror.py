"""Metering mirror (IEEE 2030.5-2018, 10.11): what is posted here is landed before it is acknowledged."""

from __future__ import annotations

import asyncio
import re

from aiohttp import web

from ieee2030_5.resources import MirrorMeterReading, MirrorMeterReadingList, MirrorUsagePoint, MirrorUsagePointList

from ..access import CONTEXT, Peer
from ..body import Document, raw_message, read_document
from ..operational.registry import StoredMirrorUsagePoint
from ..replies import Page, Refusal, bad_format, bad_value, located, resource
from ..state import State, peer_of, state_of

ROUTES = web.RouteTableDef()
_MUP_ID = re.compile(r"[0-9A-F]{16}")


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


async def _own(request: web.Request) -> StoredMirrorUsagePoint:
    mup_id = request.match_info["mup_id"].upper()
    if not _MUP_ID.fullmatch(mup_id):
        raise Refusal(404, "no such mirror usage point")
    return await state_of(request).access.mirror(peer_of(request), mup_id)


async def _land(request: web.Request, document: Document) -> None:
    state = state_of(request)
    message = raw_message(request, peer_of(request), document.body, state.now())
    request[CONTEXT].message_id = await state.store.append(message)


@ROUTES.get("/mup")
async def mirror_usage_point_list(request: web.Request) -> web.Response:
    """The device's own mirrors, first-level elements only, by mRID descending."""
    state, peer, page = state_of(request), peer_of(request), Page.of(request)
    lfdi = peer.known.lfdi
    total = await asyncio.to_thread(state.registry.count_mirror_usage_points, lfdi)
    rows = await asyncio.to_thread(state.registry.mirror_usage_points, lfdi, page.start, page.limit)
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
    state, peer = state_of(request), peer_of(request)
    document = await read_document(request, state.options)
    mup = document.decode(MirrorUsagePoint)
    mrid = _check_mirror(peer, mup)
    await _land(request, document)
    # After landing: were it before, a crash between the two would leave a mirror whose reading types nobody has.
    stored, created = await asyncio.to_thread(
        state.registry.put_mirror_usage_point,
        peer.lfdi,
        mrid,
        description=mup.description,
        role_flags=mup.role_flags,
        service_category_kind=mup.service_category_kind,
        status=mup.status,
        version=mup.version,
    )
    state.access.remember(stored)
    return located(201 if created else 204, _href(stored))


@ROUTES.get("/mup/{mup_id}")
async def mirror_usage_point(request: web.Request) -> web.Response:
    """First-level elements of an own mirror; its readings are not served here (10.11.3)."""
    return resource(_first_level(await _own(request), state_of(request)))


@ROUTES.post("/mup/{mup_id}")
async def post_readings(request: web.Request) -> web.Response:
    """Land a MirrorMeterReading or a list of them. The Location is the mirror: readings have no other address here."""
    mirror = await _own(request)
    document = await read_document(request, state_of(request).options)
    if document.name == "MirrorMeterReading":
        readings = [document.decode(MirrorMeterReading)]
    elif document.name == "MirrorMeterReadingList":
        readings = document.decode(MirrorMeterReadingList).mirror_meter_readings
    else:
        raise bad_format(f"root element {document.name}, expected MirrorMeterReading or MirrorMeterReadingList")
    _check_readings(readings)
    await _land(request, document)
    request[CONTEXT].routine = True
    return located(201, _href(mirror))


def _check_mirror(peer: Peer, mup: MirrorUsagePoint) -> str:
    if mup.device_lfdi is None:
        raise bad_value("MirrorUsagePoint without deviceLFDI")
    if mup.device_lfdi != peer.lfdi:
        raise Refusal(403, "deviceLFDI is not the certificate's", security_kind="foreign_identity")
    if mup.mrid is None:
        raise bad_value("MirrorUsagePoint without mRID")
    _check_readings(mup.mirror_meter_readings)
    return mup.mrid


def _check_readings(readings: list[MirrorMeterReading]) -> None:
    if any(reading.mrid is None for reading in readings):
        raise bad_value("MirrorMeterReading without mRID")

"""Usage points (IEEE 2030.5-2018, 10.10): what devices mirrored here, to be read back. Made by posting to /mup, never here."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace

from aiohttp import web

from ieee2030_5.resources import (
    Link,
    ListLink,
    MeterReading,
    MeterReadingList,
    ReadingList,
    ReadingSet,
    ReadingSetList,
    ReadingType,
    UsagePoint,
    UsagePointList,
)

from ..landing.history import SqliteHistory
from ..operational.registry import MUP_ID, StoredMirrorUsagePoint
from ..readback import MeterReadBack, ReadBack, SetReadBack, reading_id
from ..replies import Page, Refusal, resource, try_later
from ..state import State, peer_of, state_of

ROUTES = web.RouteTableDef()
READ_BACK: web.AppKey[ReadBack] = web.AppKey("read_back", ReadBack)
# Each usage point of a page has its messages read, for the length of its list.
_MAX_USAGE_POINTS = 32


def read_back_of(state: State) -> ReadBack:
    """Return what reads the server's own landing segments."""
    return ReadBack(SqliteHistory(state.options.landing_dir), state.registry.meter_readings)


def usage_point_path(mup_id: str) -> str:
    """Return the address of the usage point that a mirror stands for."""
    return f"/upt/{mup_id}"


@ROUTES.get("/upt")
async def usage_point_list(request: web.Request) -> web.Response:
    """The usage points of the devices in the client's scope, by mRID descending."""
    state, peer, page = state_of(request), peer_of(request), Page.of(request)
    lfdis = peer.scope.lfdis
    total = await asyncio.to_thread(state.registry.count_mirror_usage_points, lfdis)
    limit = min(page.limit, _MAX_USAGE_POINTS)
    mirrors = await asyncio.to_thread(state.registry.mirror_usage_points, lfdis, page.start, limit)
    return resource(
        UsagePointList(
            href="/upt",
            poll_rate=state.options.poll_rate_s,
            all=total,
            results=len(mirrors),
            usage_points=[_usage_point(mirror, await _read(request, mirror)) for mirror in mirrors],
        )
    )


@ROUTES.get("/upt/{upt}")
async def usage_point(request: web.Request) -> web.Response:
    """A usage point."""
    mirror, meters = await _meters(request)
    return resource(_usage_point(mirror, meters))


@ROUTES.get("/upt/{upt}/mr")
async def meter_reading_list(request: web.Request) -> web.Response:
    """Its meter readings, by mRID descending."""
    page = Page.of(request)
    _, meters = await _meters(request)
    shown = [_meter_reading(meter, f"{request.path}/{meter.id}") for meter in page.cut(meters)]
    return resource(MeterReadingList(href=request.path, all=len(meters), results=len(shown), meter_readings=shown))


@ROUTES.get("/upt/{upt}/mr/{mr}")
async def meter_reading(request: web.Request) -> web.Response:
    """A meter reading."""
    return resource(_meter_reading(await _meter(request), request.path))


@ROUTES.get("/upt/{upt}/mr/{mr}/rt")
async def reading_type(request: web.Request) -> web.Response:
    """What its readings mean; empty for a device that never said so."""
    meter = await _meter(request)
    return resource(replace(meter.reading_type or ReadingType(), href=request.path))


@ROUTES.get("/upt/{upt}/mr/{mr}/r")
async def latest_reading(request: web.Request) -> web.Response:
    """The reading that started last."""
    meter = await _meter(request)
    if meter.latest is None:
        raise Refusal(404, "no reading here")
    return resource(replace(meter.latest, href=request.path))


@ROUTES.get("/upt/{upt}/mr/{mr}/rs")
async def reading_set_list(request: web.Request) -> web.Response:
    """Its sets of readings, the latest first; `a` is compared with their start."""
    page = Page.of(request)
    meter = await _meter(request)
    sets = [one for one in meter.sets if not page.after or (one.period.start or 0) > page.after]
    shown = [_reading_set(one, f"{request.path}/{one.id}") for one in page.cut(sets)]
    return resource(ReadingSetList(href=request.path, all=len(sets), results=len(shown), reading_sets=shown))


@ROUTES.get("/upt/{upt}/mr/{mr}/rs/{rs}")
async def reading_set(request: web.Request) -> web.Response:
    """A set of readings."""
    return resource(_reading_set(await _set(request), request.path))


@ROUTES.get("/upt/{upt}/mr/{mr}/rs/{rs}/r")
async def reading_list(request: web.Request) -> web.Response:
    """The readings of a set, by localID ascending."""
    page = Page.of(request)
    readings = (await _set(request)).readings
    shown = [replace(one, href=f"{request.path}/{reading_id(place)}") for place, one in page.cut(readings)]
    return resource(ReadingList(href=request.path, all=len(readings), results=len(shown), readings=shown))


@ROUTES.get("/upt/{upt}/mr/{mr}/rs/{rs}/r/{r}")
async def reading(request: web.Request) -> web.Response:
    """A reading of a set."""
    for place, one in (await _set(request)).readings:
        if reading_id(place) == request.match_info["r"]:
            return resource(replace(one, href=request.path))
    raise Refusal(404, "no such reading")


async def _meters(request: web.Request) -> tuple[StoredMirrorUsagePoint, list[MeterReadBack]]:
    """Return the mirror behind a usage point, and its meter readings; raises a 404 `Refusal` for others' and none alike."""
    mup_id = request.match_info["upt"]
    if not MUP_ID.fullmatch(mup_id):
        raise Refusal(404, "no such usage point")
    mirror = await state_of(request).access.mirror(peer_of(request), mup_id, fresh=True)
    return mirror, await _read(request, mirror)


async def _read(request: web.Request, mirror: StoredMirrorUsagePoint) -> list[MeterReadBack]:
    try:
        return await asyncio.to_thread(request.app[READ_BACK].meter_readings, mirror, state_of(request).now())
    except (sqlite3.Error, OSError) as error:
        raise try_later(f"reading back failed: {type(error).__name__}: {error}") from None


async def _meter(request: web.Request) -> MeterReadBack:
    _, meters = await _meters(request)
    for meter in meters:
        if meter.id == request.match_info["mr"]:
            return meter
    raise Refusal(404, "no such meter reading")


async def _set(request: web.Request) -> SetReadBack:
    meter = await _meter(request)
    for one in meter.sets:
        if one.id == request.match_info["rs"]:
            return one
    raise Refusal(404, "no such reading set")


def _usage_point(mirror: StoredMirrorUsagePoint, meters: list[MeterReadBack]) -> UsagePoint:
    href = usage_point_path(mirror.mup_id)
    return UsagePoint(
        href=href,
        mrid=mirror.mrid,
        description=mirror.description,
        version=mirror.version,
        role_flags=mirror.role_flags,
        service_category_kind=mirror.service_category_kind,
        status=mirror.status,
        device_lfdi=mirror.lfdi,
        meter_reading_list_link=ListLink(href=f"{href}/mr", all=len(meters)),
    )


def _meter_reading(meter: MeterReadBack, href: str) -> MeterReading:
    return MeterReading(
        href=href,
        mrid=meter.mrid,
        description=meter.description,
        version=meter.version,
        reading_link=Link(href=f"{href}/r") if meter.latest is not None else None,
        reading_set_list_link=ListLink(href=f"{href}/rs", all=len(meter.sets)),
        reading_type_link=Link(href=f"{href}/rt"),
    )


def _reading_set(one: SetReadBack, href: str) -> ReadingSet:
    return ReadingSet(
        href=href,
        mrid=one.mrid,
        description=one.description,
        version=one.version,
        time_period=one.period,
        reading_list_link=ListLink(href=f"{href}/r", all=len(one.readings)),
    )

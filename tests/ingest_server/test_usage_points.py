"""What was mirrored, read back as usage points, and the life of a mirror besides posting to it."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
from ingest_harness import SEP, Pki, Server, device_row, mup, mup_with_types, readings, serving
from lxml import etree

from ieee2030_5.resources import (
    DateTimeInterval,
    Error,
    MeterReading,
    MeterReadingList,
    MirrorMeterReading,
    MirrorMeterReadingList,
    MirrorReadingSet,
    MirrorUsagePoint,
    Reading,
    ReadingList,
    ReadingSet,
    ReadingSetList,
    ReadingType,
    UnitValue,
    UsagePoint,
    UsagePointList,
)
from ieee2030_5.xml import decode, encode, parse
from ingest_server.landing.sqlite import SqliteLandingStore
from ingest_server.landing.store import RawMessage
from ingest_server.options import ServerOptions

HOUR = 3600
START = int(time.time()) // HOUR * HOUR - HOUR
MRID = "0A" * 16


def interval(start: int, duration: int = 15) -> DateTimeInterval:
    return DateTimeInterval(start=start, duration=duration)


def reading(start: int, value: int, **fields: object) -> Reading:
    return Reading(time_period=interval(start), value=value, **fields)


def meter_readings(*rows: MirrorMeterReading) -> bytes:
    return encode(MirrorMeterReadingList(mirror_meter_readings=list(rows)))


async def post(server: Server, path: str, body: bytes, name: str = "METER_A") -> str:
    async with server.session(name).post(path, data=body, headers=SEP) as response:
        assert response.status in (201, 204), await response.read()
        return response.headers["Location"]


async def status(server: Server, method: str, path: str, name: str = "METER_A", body: bytes | None = None) -> int:
    async with server.session(name).request(method, path, data=body, headers=SEP if body is not None else {}) as response:
        return response.status


async def mirrored(server: Server, name: str = "METER_A") -> str:
    """Mirror a usage point of three meter readings with types; return the mirror's address."""
    return await post(server, "/mup", mup_with_types(server.pki.devices[name].lfdi), name)


@pytest.fixture
def get(server: Server, sep_schema: etree.XMLSchema) -> Callable:
    """GET a resource: valid by the standard's schema, and at the address it says."""

    async def run(path: str, cls: type, name: str = "METER_A"):
        async with server.session(name).get(path) as response:
            body = await response.read()
            assert response.status == 200, (path, body)
        root = parse(body)
        sep_schema.assertValid(root)
        assert root.get("href") == path.partition("?")[0]
        return decode(root, cls)

    return run


async def walk(get: Callable, usage_point: str, name: str = "METER_A") -> dict[str, dict[int | None, list[int | None]]]:
    """Follow every link from a usage point, and return the values by meter reading and start of the set."""
    found: dict[str, dict[int | None, list[int | None]]] = {}
    point = await get(usage_point, UsagePoint, name)
    link = point.meter_reading_list_link
    meters = await get(f"{link.href}?l=255", MeterReadingList, name)
    assert (meters.all, meters.results) == (link.all, len(meters.meter_readings))
    assert [m.mrid for m in meters.meter_readings] == sorted((m.mrid for m in meters.meter_readings), reverse=True)
    for meter in meters.meter_readings:
        assert await get(meter.href, MeterReading, name) == meter
        await get(meter.reading_type_link.href, ReadingType, name)
        link = meter.reading_set_list_link
        sets = await get(f"{link.href}?l=255", ReadingSetList, name)
        assert (sets.all, sets.results) == (link.all, len(sets.reading_sets))
        values = found[meter.mrid] = {}
        for one in sets.reading_sets:
            assert await get(one.href, ReadingSet, name) == one
            link = one.reading_list_link
            # Clients in the field keep it in 64 bytes, with a query behind it.
            assert len(link.href) < 45
            listed = await get(f"{link.href}?l=255", ReadingList, name)
            assert (listed.all, listed.results) == (link.all, len(listed.readings))
            for item in listed.readings:
                assert await get(item.href, Reading, name) == item
            values[one.time_period.start] = [item.value for item in listed.readings]
        if meter.reading_link is not None:
            await get(meter.reading_link.href, Reading, name)
    return found


async def test_every_link_of_a_usage_point_leads_to_what_was_posted(server: Server, get: Callable) -> None:
    lfdi = server.pki.devices["METER_A"].lfdi
    mirror = await mirrored(server)
    mup_id = mirror.removeprefix("/mup/")
    for start, value in ((START, 1), (START + 15, 2), (START + HOUR, 3)):
        assert await post(server, mirror, readings(start, value)) == f"/upt/{mup_id}/mr"
    listed = await get("/upt?l=5", UsagePointList)
    assert (listed.all, listed.results, listed.poll_rate) == (1, 1, 900)
    (point,) = listed.usage_points
    assert point == await get(f"/upt/{mup_id}", UsagePoint)
    assert (point.mrid, point.role_flags, point.device_lfdi, point.description) == ("AB" * 16, 0x0B, lfdi, "METER_A")
    walked = await walk(get, point.href)
    assert walked == {f"{n:032X}": {START + HOUR: [3], START: [1, 2]} for n in (3, 2, 1)}
    # Latest set first.
    assert [list(sets) for sets in walked.values()] == [[START + HOUR, START]] * 3
    meter = (await get(f"/upt/{mup_id}/mr?s=2", MeterReadingList)).meter_readings[0]
    kind = await get(meter.reading_type_link.href, ReadingType)
    assert (kind.uom, kind.kind) == (72, 12)
    latest = await get(meter.reading_link.href, Reading)
    assert (latest.value, latest.time_period.start) == (3, START + HOUR)
    for path in ("/upt", point.href, meter.href, f"{meter.href}/rs", f"{meter.href}/rt", f"{meter.href}/r"):
        async with server.session().head(path) as head:
            assert (head.status, await head.read()) == (200, b"")
        async with server.session().get(path, headers={"If-None-Match": head.headers["ETag"]}) as again:
            assert again.status == 304


async def test_a_single_meter_reading_is_where_its_location_says(server: Server, get: Callable) -> None:
    mirror = await mirrored(server)
    bodies = [
        encode(MirrorMeterReading(mrid="01", reading=reading(START, 7))),
        # Not of the regular form, so that the parser reads it.
        encode(MirrorMeterReading(mrid="ab" * 16, description="ünlike", reading=reading(START, 8))),
    ]
    for body, mrid in zip(bodies, ["1".rjust(32, "0"), "AB" * 16], strict=True):
        location = await post(server, mirror, body)
        assert location.startswith(mirror.replace("mup", "upt") + "/mr/")
        meter = await get(location, MeterReading)
        assert meter.mrid == mrid
    assert meter.description == "ünlike"
    # Its type was never declared, and a usage point says no more than it knows.
    assert await get(meter.reading_type_link.href, ReadingType) == ReadingType(href=meter.reading_type_link.href)


async def test_readings_posted_again_replace_and_are_seen_at_once(server: Server, get: Callable) -> None:
    mirror = await mirrored(server)
    point = mirror.replace("mup", "upt")
    for value in (1, 5, 2):
        await post(server, mirror, readings(START, value))
        assert (await walk(get, point))[f"{1:032X}"] == {START: [value]}
    assert len(server.landed()) == 4


async def test_sets_keep_their_identity_and_readings_their_order(server: Server, get: Callable) -> None:
    mirror = await mirrored(server)
    first = MirrorReadingSet(
        mrid="05" * 16,
        description="day",
        time_period=interval(START, 2 * HOUR),
        readings=[
            Reading(local_id=2, value=20),
            Reading(local_id=1, tou_tier=2, value=12),
            Reading(local_id=1, tou_tier=1, value=11),
            Reading(local_id=1, consumption_block=1, tou_tier=0, value=13, quality_flags=1),
        ],
    )
    # Less than what the schema asks of a set: served complete all the same.
    second = MirrorReadingSet(readings=[reading(START - 30, 1), reading(START - 15, 2)])
    await post(server, mirror, meter_readings(MirrorMeterReading(mrid=MRID, mirror_reading_sets=[first, second])))
    again = replace(first, readings=[Reading(local_id=2, value=21)])
    await post(server, mirror, encode(MirrorMeterReading(mrid=MRID, mirror_reading_sets=[again])))
    point = mirror.replace("mup", "upt")
    assert (await walk(get, point))[MRID] == {START: [11, 12, 13, 21], START - 30: [1, 2]}
    meter = (await get(f"{point}/mr", MeterReadingList)).meter_readings[0]
    sets = (await get(f"{meter.href}/rs?l=9", ReadingSetList)).reading_sets
    assert [(s.mrid, s.description, s.time_period.duration) for s in sets] == [
        ("05" * 16, "day", 2 * HOUR),
        (sets[1].mrid, None, 30),
    ]
    assert sets[1].mrid.endswith("00007ED9")
    later = await get(f"{meter.href}/rs?l=9&a={START - 30}", ReadingSetList)
    assert (later.all, [s.mrid for s in later.reading_sets]) == (1, ["05" * 16])
    past = await get(f"{meter.href}/rs?s=2", ReadingSetList)
    assert (past.all, past.results) == (2, 0)


async def test_readings_at_the_ends_of_time_and_without_time_are_served(server: Server, get: Callable) -> None:
    mirror = await mirrored(server)
    rows = [
        MirrorMeterReading(mrid=MRID, reading=Reading(time_period=DateTimeInterval(start=start, duration=None), value=1))
        for start in (-(1 << 63), (1 << 63) - 1)
    ]
    await post(server, mirror, meter_readings(*rows, MirrorMeterReading(mrid=MRID, reading=Reading(value=2))))
    sets = (await walk(get, mirror.replace("mup", "upt")))[MRID]
    assert sorted(value for values in sets.values() for value in values) == [1, 1, 2]


async def test_readings_inside_a_mirror_are_read_back(server: Server, get: Callable) -> None:
    lfdi = server.pki.devices["METER_A"].lfdi
    inside = [MirrorMeterReading(mrid=MRID, reading_type=ReadingType(uom=38), reading=reading(START, 4))]
    mirror = await post(server, "/mup", mup(lfdi, mirror_meter_readings=inside))
    other = await post(server, "/mup", mup(lfdi, mrid="CD" * 16))
    assert await walk(get, mirror.replace("mup", "upt")) == {MRID: {START: [4]}}
    assert await walk(get, other.replace("mup", "upt")) == {}


async def test_a_changed_type_does_not_relabel_what_came_before(server: Server, get: Callable) -> None:
    mirror = await mirrored(server)
    point = mirror.replace("mup", "upt")

    async def show(uom: int) -> tuple[int | None, dict]:
        await post(
            server, mirror, encode(MirrorMeterReading(mrid=MRID, reading_type=ReadingType(uom=uom), description=f"in {uom}"))
        )
        meter = (await get(f"{point}/mr", MeterReadingList)).meter_readings[0]
        assert (meter.mrid, meter.description) == (MRID, f"in {uom}")
        kind = await get(meter.reading_type_link.href, ReadingType)
        return kind.uom, (await walk(get, point))[MRID]

    # The first declaration is of what came before it too, and a repeated one changes nothing.
    await post(server, mirror, encode(MirrorMeterReading(mrid=MRID, reading=reading(START, 1))))
    assert await show(72) == (72, {START: [1]})
    assert await show(72) == (72, {START: [1]})
    assert await show(38) == (38, {})
    await post(server, mirror, encode(MirrorMeterReading(mrid=MRID, reading=reading(START + 15, 2))))
    assert await show(38) == (38, {START: [2]})
    assert len(server.registry.meter_readings.versions([mirror.removeprefix("/mup/")])) == 3 + 2
    incomplete = ReadingType(uom=38, calorific_value=UnitValue(multiplier=0))
    assert await status(server, "POST", mirror, body=encode(MirrorMeterReading(mrid=MRID, reading_type=incomplete))) == 400


async def test_put_overwrites_and_only_its_own(server: Server, get: Callable) -> None:
    a, b = (server.pki.devices[name].lfdi for name in ("METER_A", "METER_B"))
    mirror = await mirrored(server)
    body = mup(a, description="renamed", status=0)
    async with server.session().put(mirror, data=body, headers=SEP) as response:
        assert (response.status, response.headers["Location"]) == (204, mirror)
    point = await get(mirror.replace("mup", "upt"), UsagePoint)
    assert (point.description, point.status) == ("renamed", 0)
    landed = server.landed()[-1]
    assert (landed.method, landed.path, landed.body) == ("PUT", mirror, body)
    assert await status(server, "PUT", mirror, body=mup(a, mrid="CD" * 16)) == 400
    assert await status(server, "PUT", mirror, body=mup(b)) == 403
    assert await status(server, "PUT", mirror, "METER_B", mup(b)) == 404
    assert await status(server, "PUT", "/mup/" + "0" * 16, body=body) == 404
    assert len(server.landed()) == 2


async def test_a_deleted_mirror_is_gone_and_starts_anew(server: Server, get: Callable) -> None:
    mirror = await mirrored(server)
    point = mirror.replace("mup", "upt")
    await post(server, mirror, readings(START, 1))
    assert await status(server, "DELETE", mirror, "METER_B") == 404
    assert await status(server, "DELETE", mirror) == 204
    # POST first: it is the one that may answer from memory.
    for method, body in (
        ("POST", readings(0)),
        ("GET", None),
        ("PUT", mup(server.pki.devices["METER_A"].lfdi)),
        ("DELETE", None),
    ):
        assert await status(server, method, mirror, body=body) == 404, method
    assert await status(server, "GET", point) == 404
    assert (await get("/upt", UsagePointList)).all == 0
    assert [m.method for m in server.landed()] == ["POST", "POST", "DELETE"]
    # The same mRID has the same address, and nothing of what it had before.
    assert await post(server, "/mup", mup(server.pki.devices["METER_A"].lfdi)) == mirror
    assert await walk(get, point) == {}


async def test_usage_points_are_their_owners(server: Server, get: Callable) -> None:
    mirror = await mirrored(server)
    location = await post(server, mirror, encode(MirrorMeterReading(mrid=MRID, reading=reading(START, 1))))
    for path in (location, f"{location}/r", f"{location}/rs", mirror.replace("mup", "upt")):
        assert await status(server, "GET", path) == 200
        assert await status(server, "GET", path, "METER_B") == 404
    assert (await get("/upt", UsagePointList, "METER_B")).all == 0
    for path in ("/upt/x", "/upt/" + "0" * 16, f"{location}x", f"{location}/rs/x", f"{location}/rs/x/r", f"{location}/x"):
        assert await status(server, "GET", path) == 404
    for method in ("PUT", "POST", "DELETE"):
        async with server.session().request(method, f"{location}/rs", data=readings(0), headers=SEP) as response:
            assert (response.status, set(response.headers["Allow"].split(","))) == (405, {"GET", "HEAD"})


async def test_an_aggregator_mirrors_for_its_fleet_and_others_read_it(options: ServerOptions, pki: Pki) -> None:
    a, b, leader = (pki.devices[name] for name in ("METER_A", "METER_B", "STRANGER"))
    async with serving(options, pki) as server:
        server.registry.register([replace(device_row(leader, 111115), role="aggregator")])
        server.registry.set_fleet(leader.lfdi, [a.lfdi, "0" * 40])
        mirror = await post(server, "/mup", mup(a.lfdi), "STRANGER")
        await post(server, mirror, readings(START, 9), "STRANGER")
        assert [(m.device_lfdi, m.meter_id, m.sender_lfdi) for m in server.landed()] == [(a.lfdi, "METER_A", leader.lfdi)] * 2
        await post(server, mirror, readings(START, 8))
        assert server.landed()[-1].sender_lfdi == ""
        latest = f"{await post(server, mirror, encode(MirrorMeterReading(mrid=MRID, reading=reading(START, 9))), 'STRANGER')}/r"
        for name, expected in (("METER_A", 200), ("STRANGER", 200), ("METER_B", 404)):
            assert await status(server, "GET", latest, name) == expected
        for lfdi in (b.lfdi, "0" * 40):
            assert await status(server, "POST", "/mup", "STRANGER", mup(lfdi)) == 403
        server.registry.set_status(a.lfdi, "suspended")
        assert await status(server, "POST", mirror, "STRANGER", readings(0)) == 403
        assert await status(server, "DELETE", mirror, "STRANGER") == 403
        for role, writes in (("auditor", 403), ("operator", 204)):
            server.registry.register([replace(device_row(b, 123455), role=role)])
            assert await status(server, "GET", latest, "METER_B") == 200
            assert await status(server, "DELETE", mirror, "METER_B") == writes
        assert await status(server, "GET", latest, "STRANGER") == 404
        assert [m.device_lfdi for m in server.landed()] == [a.lfdi] * 5
        assert server.landed()[-1].sender_lfdi == b.lfdi


async def test_one_device_cannot_fill_the_registry(options: ServerOptions, pki: Pki) -> None:
    lfdi = pki.devices["METER_A"].lfdi
    kinds = [MirrorMeterReading(mrid=f"{n:032X}", reading_type=ReadingType(uom=72)) for n in range(4)]
    async with serving(replace(options, max_mirrors_per_device=2, max_meter_readings_per_mirror=3), pki) as server:
        mirror = await post(server, "/mup", mup(lfdi, mirror_meter_readings=kinds[:2]))
        await post(server, "/mup", mup(lfdi, mrid="CD" * 16))
        await post(server, "/mup", mup(pki.devices["METER_B"].lfdi), "METER_B")
        before = len(server.landed())
        refused = [
            ("/mup", mup(lfdi, mrid="EF" * 16)),
            ("/mup", mup(lfdi, mirror_meter_readings=kinds)),
            (mirror, meter_readings(*kinds[2:])),
        ]
        for path, body in refused:
            async with server.session().post(path, data=body, headers=SEP) as response:
                assert (response.status, decode(parse(await response.read()), Error).reason_code) == (400, 2)
        assert len(server.landed()) == before
        await post(server, "/mup", mup(lfdi, mirror_meter_readings=kinds[:1]))
        await post(server, mirror, meter_readings(*kinds[1:3]))
        await post(server, mirror, meter_readings(*(MirrorMeterReading(mrid=row.mrid, reading=reading(0, 1)) for row in kinds)))


async def test_a_mirror_that_says_little_is_a_whole_usage_point(server: Server, get: Callable) -> None:
    lfdi = server.pki.devices["METER_A"].lfdi
    mirror = await post(server, "/mup", encode(MirrorUsagePoint(mrid="AB" * 16, device_lfdi=lfdi)))
    await get(mirror, MirrorUsagePoint)
    point = await get(mirror.replace("mup", "upt"), UsagePoint)
    assert (point.role_flags, point.service_category_kind, point.status) == (1, 0, 1)


@pytest.fixture
async def other_store(options: ServerOptions) -> AsyncIterator[SqliteLandingStore]:
    store = SqliteLandingStore(options.landing_dir, worker=1)
    yield store
    store.close()


async def test_what_other_workers_take_and_delete_shows_at_once(
    server: Server, options: ServerOptions, other_store: SqliteLandingStore, get: Callable
) -> None:
    mirror = await mirrored(server)
    point = mirror.replace("mup", "upt")
    mup_id = mirror.removeprefix("/mup/")
    await post(server, mirror, readings(START, 1))
    assert (await walk(get, point))[f"{1:032X}"] == {START: [1]}
    newest = server.landed()[-1]
    body = readings(START + 15, 2)
    message = {name: getattr(newest, name) for name in ("device_lfdi", "method", "path", "content_type", "body_sha256")}
    await other_store.append(RawMessage(received_at=dt.datetime.now(dt.UTC), body=body, **message))
    assert (await walk(get, point))[f"{1:032X}"] == {START: [1, 2]}
    server.later(dt.timedelta(hours=2))
    await post(server, mirror, readings(START, 3))
    assert (await walk(get, point))[f"{1:032X}"] == {START: [3, 2]}
    # What is three days old is landed, and not looked for.
    server.later(dt.timedelta(hours=74))
    assert (await walk(get, point))[f"{1:032X}"] == {}
    server.registry.delete_mirror_usage_point(mup_id)
    assert await status(server, "GET", point) == 404
    assert await status(server, "PUT", mirror, body=mup(newest.device_lfdi)) == 404

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from dataclasses import replace

import pytest
from ingest_harness import SEP, Pki, Server, mup, mup_with_types, readings, serving

from ieee2030_5.resources import Error, MirrorMeterReading, MirrorUsagePoint, MirrorUsagePointList
from ieee2030_5.xml import decode, encode, parse
from ingest_server.options import ServerOptions


async def create(server: Server, name: str = "METER_A", mrid: str = "AB" * 16) -> str:
    body = mup(server.pki.devices[name].lfdi, mrid)
    async with server.session(name).post("/mup", data=body, headers=SEP) as response:
        assert response.status == 201
        return response.headers["Location"]


async def refused(server: Server, path: str, body: bytes, headers: dict = SEP, name: str = "METER_A") -> tuple[int, int | None]:
    """Post, expect a refusal with an Error body, and return status and reason code."""
    before = len(server.landed())
    async with server.session(name).post(path, data=body, headers=headers) as response:
        content = await response.read()
        assert response.status >= 400
        assert response.content_type == "application/sep+xml"
        assert response.content_length == len(content)
        # Nothing lands when refused.
        assert len(server.landed()) == before
        return response.status, decode(parse(content), Error).reason_code


async def test_mirror_is_created_then_overwritten_and_both_are_landed(server: Server) -> None:
    lfdi = server.pki.devices["METER_A"].lfdi
    session = server.session()
    bodies = [mup_with_types(lfdi), mup(lfdi, role_flags=0x09, description="renamed")]
    async with session.post("/mup", data=bodies[0], headers=SEP) as response:
        assert response.status == 201
        location = response.headers["Location"]
    async with session.post("/mup", data=bodies[1], headers=SEP) as response:
        assert (response.status, response.headers["Location"]) == (204, location)
    async with session.get(location) as response:
        got = decode(parse(await response.read()), MirrorUsagePoint)
    assert (got.href, got.mrid, got.role_flags, got.description) == (location, "AB" * 16, 0x09, "renamed")
    assert (got.device_lfdi, got.post_rate, got.mirror_meter_readings) == (lfdi, 15, [])
    landed = server.landed()
    assert [m.body for m in landed] == bodies
    first = landed[0]
    assert (first.device_lfdi, first.meter_id, first.zone) == (lfdi, "METER_A", "stanford")
    assert (first.method, first.path, first.content_type, first.source) == ("POST", "/mup", "application/sep+xml", "sep2")
    assert first.body_sha256 == hashlib.sha256(bodies[0]).hexdigest()


async def test_readings_are_landed_as_they_came(server: Server) -> None:
    location = await create(server)
    single = encode(MirrorMeterReading(mrid="01" * 16))
    draft = readings(30).replace(b"urn:ieee:std:2030.5:ns", b"http://ieee.org/2030.5")
    bodies = [readings(0), single, draft]
    for body, content_type in zip(
        bodies, ["application/sep+xml", "application/sep+xml; level=-S1", "application/xml"], strict=True
    ):
        async with server.session().post(location, data=body, headers={"Content-Type": content_type}) as response:
            assert response.status == 201
            assert response.headers["Location"].startswith(location.replace("/mup", "/upt") + "/mr")
            assert response.content_length == 0
    landed = server.landed()[1:]
    assert [m.body for m in landed] == bodies
    assert {m.path for m in landed} == {location}
    assert [m.content_type for m in landed] == ["application/sep+xml", "application/sep+xml; level=-S1", "application/xml"]


async def test_lists_are_paged_in_descending_mrid(server: Server) -> None:
    mrids = [f"{n:032X}" for n in (3, 1, 2)]
    for mrid in mrids:
        await create(server, mrid=mrid)
    await create(server, "METER_B")

    async def page(query: str) -> MirrorUsagePointList:
        async with server.session().get(f"/mup{query}") as response:
            assert response.status == 200
            return decode(parse(await response.read()), MirrorUsagePointList)

    everything = await page("?s=0&l=255&a=0")
    assert (everything.href, everything.all, everything.results) == ("/mup", 3, 3)
    assert [m.mrid for m in everything.mirror_usage_points] == sorted(mrids, reverse=True)
    assert all(m.href for m in everything.mirror_usage_points)
    assert [m.mrid for m in (await page("")).mirror_usage_points] == [f"{3:032X}"]
    assert [m.mrid for m in (await page("?s=1&l=5")).mirror_usage_points] == [f"{2:032X}", f"{1:032X}"]
    past = await page("?s=3&l=3")
    assert (past.all, past.results, past.mirror_usage_points) == (3, 0, [])
    assert (await page("?l=0")).results == 0
    assert (await page("?s=4294967295&l=4294967295")).results == 0
    for query in ("?s=-1", "?l=x", "?a=", "?s=4294967296", "?l=1e3"):
        async with server.session().get(f"/mup{query}") as response:
            assert response.status == 400


async def test_another_devices_mirror_is_not_there(server: Server) -> None:
    location = await create(server)
    for path in (location, "/mup/" + "0" * 16, "/mup/nonsense"):
        assert (await refused(server, path, readings(0), name="METER_B"))[0] == 404
        async with server.session("METER_B").get(path) as response:
            assert response.status == 404
    assert server.registry.security_events()[-1].kind == "foreign_resource"


async def test_two_devices_may_choose_the_same_mrid(server: Server) -> None:
    assert await create(server, "METER_A") != await create(server, "METER_B")


async def test_mirror_of_another_identity_is_forbidden(server: Server) -> None:
    foreign = mup(server.pki.devices["METER_B"].lfdi)
    assert (await refused(server, "/mup", foreign))[0] == 403
    event = server.registry.security_events()[-1]
    assert (event.kind, event.lfdi) == ("foreign_identity", server.pki.devices["METER_A"].lfdi)


async def test_stripped_and_lower_case_identifiers_are_understood(server: Server) -> None:
    lfdi = server.pki.devices["METER_A"].lfdi
    body = mup(lfdi, "00" * 15 + "AB").replace(b"00" * 15 + b"AB", b"ab").replace(lfdi.encode(), lfdi.lower().encode())
    async with server.session().post("/mup", data=body, headers=SEP) as response:
        assert response.status == 201
    assert server.registry.mirror_usage_points(lfdi)[0].mrid == "00" * 15 + "AB"


@pytest.mark.parametrize(
    ("old", "new", "reason_code"),
    [
        (b"<mRID>" + b"AB" * 16 + b"</mRID>", b"", 1),
        (b"AB" * 16, b"AB" * 17, 1),
        (b"AB" * 16, b"no hex", 1),
        (b"<status>1<", b"<status>x<", 1),
        (b"urn:ieee:std:2030.5:ns", b"urn:other", 0),
        (b"MirrorUsagePoint", b"MirrorMeterReading", 0),
        (b"</MirrorUsagePoint>", b"", 0),
        (b"<MirrorUsagePoint", b"<!DOCTYPE x><MirrorUsagePoint", 0),
    ],
)
async def test_bad_mirrors_are_400(server: Server, old: bytes, new: bytes, reason_code: int) -> None:
    body = mup(server.pki.devices["METER_A"].lfdi)
    assert old in body
    assert await refused(server, "/mup", body.replace(old, new)) == (400, reason_code)
    assert server.registry.count_mirror_usage_points(server.pki.devices["METER_A"].lfdi) == 0


async def test_mirror_without_device_is_400(server: Server) -> None:
    assert await refused(server, "/mup", encode(MirrorUsagePoint(mrid="AB" * 16))) == (400, 1)


async def test_bad_readings_are_400(server: Server) -> None:
    location = await create(server)
    good = readings(0)
    assert await refused(server, location, b"") == (400, 0)
    assert await refused(server, location, b"\xff\xfe<\x00") == (400, 0)
    assert await refused(server, location, encode(MirrorUsagePoint(mrid="AB" * 16))) == (400, 0)
    assert await refused(server, location, good.replace(b"<mRID>%032X</mRID>" % 1, b"")) == (400, 1)
    # Int48 is the range of a reading.
    assert await refused(server, location, good.replace(b"<value>1<", b"<value>140737488355328<", 1)) == (400, 1)
    async with server.session().post(
        location, data=good.replace(b"<value>1<", b"<value>140737488355327<"), headers=SEP
    ) as response:
        assert response.status == 201


async def test_wrong_media_types_are_415(server: Server) -> None:
    location = await create(server)
    for content_type in ("text/xml", "application/json", "application/sep-exi"):
        assert (await refused(server, location, readings(0), {"Content-Type": content_type}))[0] == 415
    assert (await refused(server, location, readings(0), {**SEP, "Content-Encoding": "gzip"}))[0] in (400, 415)


async def test_large_bodies_are_413_declared_or_streamed(server: Server) -> None:
    location = await create(server)
    assert (await refused(server, location, b" " * 300_000))[0] == 413

    async def stream():
        for _ in range(30):
            yield b" " * 10_000

    async with server.session().post(location, data=stream(), headers=SEP) as response:
        assert response.status == 413
    assert len(server.landed()) == 1


async def test_store_failure_is_503_with_retry_after(server: Server) -> None:
    location = await create(server)
    (segment,) = server.landing_dir.glob("*.sqlite")
    with sqlite3.connect(segment) as other:
        other.execute("CREATE TRIGGER full BEFORE INSERT ON messages BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    for path, body in ((location, readings(0)), ("/mup", mup(server.pki.devices["METER_A"].lfdi, "CD" * 16))):
        assert (await refused(server, path, body))[0] == 503
        async with server.session().post(path, data=body, headers=SEP) as response:
            assert int(response.headers["Retry-After"]) > 0
    # Landing comes first, so a mirror that was not landed does not exist either.
    assert server.registry.count_mirror_usage_points(server.pki.devices["METER_A"].lfdi) == 1
    with sqlite3.connect(segment) as other:
        other.execute("DROP TRIGGER full")
    other.close()
    async with server.session().post(location, data=readings(0), headers=SEP) as response:
        assert response.status == 201


async def test_pipelined_posts_with_padded_length_are_answered_in_order(server: Server) -> None:
    location = await create(server)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=server.pki.client("METER_A"))
    bodies = [readings(start) for start in range(14)]
    for n, body in enumerate(bodies):
        target = location if n != 7 else "/mup/0000000000000000"
        head = f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/sep+xml\r\nContent-Length: {len(body)}   \r\n\r\n"
        writer.write(head.encode() + body)
    statuses = []
    for _ in bodies:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        statuses.append(int(head.split()[1]))
        length = next(int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-length"))
        await reader.readexactly(length)
    writer.close()
    assert statuses == [201] * 7 + [404] + [201] * 6
    assert [m.body for m in server.landed()[1:]] == bodies[:7] + bodies[8:]


async def test_content_type_that_is_not_utf8_is_landed_escaped_and_blocks_nobody(server: Server) -> None:
    location = await create(server)
    body = readings(0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=server.pki.client("METER_A"))
    head = f"POST {location} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nContent-Type: application/sep+xml; x="
    writer.write(head.encode() + b'"\xff"\r\n\r\n' + body)
    assert (await asyncio.wait_for(reader.readline(), 10)).split()[1] == b"201"
    writer.close()
    assert server.landed()[-1].content_type == 'application/sep+xml; x="\\udcff"'
    async with server.session("METER_B").post("/mup", data=mup(server.pki.devices["METER_B"].lfdi), headers=SEP) as response:
        assert response.status == 201


async def test_body_that_does_not_come_is_408_and_the_connection_ends(options: ServerOptions, pki: Pki) -> None:
    async with serving(replace(options, body_timeout_s=0.3), pki) as server:
        location = await create(server)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=pki.client("METER_A"))
        writer.write(f"POST {location} HTTP/1.1\r\nHost: x\r\nContent-Type: application/sep+xml\r\n".encode())
        writer.write(b"Content-Length: 900\r\n\r\n<Mirror")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert head.startswith(b"HTTP/1.1 408 ")
        assert b"\r\nConnection: close\r\n" in head
        writer.close()
        assert [m.path for m in server.landed()] == ["/mup"]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /mup HTTP/1.1\r\nHost: x\r\nContent-Type: application/sep+xml\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nabc\r\n0\r\n\r\n",
        b"POST /mup HTTP/1.1\r\nHost: x\r\nContent-Type: application/sep+xml\r\nContent-Length: -5\r\n\r\n",
        b"POST /mup HTTP/1.1\r\nHost: x\r\nContent-Type: application/sep+xml\r\nContent-Encoding: deflate\r\nContent-Length: 3\r\n\r\nabc",
        b"POST /mup HTTP/1.1\r\nHost: x\r\nContent-Type: \xff;;=\r\nContent-Length: 3\r\n\r\nabc",
        b"POST /mup/%00%ff HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        b"GET /edev?s=%ff&l=\xc2\xb2 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"BREW /mup HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01 nonsense\r\n\r\n",
    ],
)
async def test_broken_http_is_a_client_error(server: Server, request_bytes: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=server.pki.client("METER_A"))
    writer.write(request_bytes)
    status = int((await reader.readline()).split()[1])
    writer.close()
    assert 400 <= status < 500
    assert server.landed() == []
    async with server.session().get("/dcap") as response:
        assert response.status == 200


async def test_client_that_leaves_halfway_leaves_nothing(server: Server) -> None:
    location = await create(server)
    _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=server.pki.client("METER_A"))
    writer.write(
        f"POST {location} HTTP/1.1\r\nHost: x\r\nContent-Type: application/sep+xml\r\nContent-Length: 900\r\n\r\n<Mirror".encode()
    )
    await writer.drain()
    writer.transport.abort()
    async with server.session().post(location, data=readings(0), headers=SEP) as response:
        assert response.status == 201
    assert [m.path for m in server.landed()] == ["/mup", location]

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from ieee2030_5.client import Client, NotTrusted, ProtocolError, Refused, Retry, Unavailable
from ieee2030_5.identity import lfdi_of, sfdi_of
from ieee2030_5.resources import (
    DateTimeInterval,
    DeviceCapability,
    EndDevice,
    EndDeviceList,
    Error,
    Link,
    ListLink,
    MirrorMeterReading,
    MirrorMeterReadingList,
    MirrorUsagePoint,
    MirrorUsagePointList,
    Reading,
    Time,
)
from ieee2030_5.retry import retry_after_s
from ieee2030_5.tls import server_context
from ieee2030_5.xml import MEDIA_TYPE, decode, encode, parse

QUICK = Retry(attempts=4, base_s=0.001, max_s=0.002)
READINGS = MirrorMeterReadingList(
    mirror_meter_readings=[
        MirrorMeterReading(mrid="0B" * 16, reading=Reading(time_period=DateTimeInterval(duration=15, start=60), value=7))
    ]
)
Fault = Callable[[web.Request], web.Response]


class MeterServer:
    """A server of odd paths, so that only discovery can find them. `faults` are served, oldest first, before anything works."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, str]] = []
        self.connections: set[int] = set()
        self.points: dict[str, MirrorUsagePoint] = {}
        self.readings: dict[tuple[str, int], int] = {}
        self.devices: list[EndDevice] = []
        self.capability = DeviceCapability(
            href="/dcap",
            time_link=Link(href="/odd/clock"),
            end_device_list_link=ListLink(href="/odd/devices", all=0),
            mirror_usage_point_list_link=ListLink(href="/odd/mirrors", all=0),
        )

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append((request.method, request.path, request.headers.get("Accept", "")))
        self.connections.add(id(request.transport))
        body = await request.read()
        if request.method == "POST" and request.path == "/odd/mirrors/1":
            for reading in decode(parse(body), MirrorMeterReadingList).mirror_meter_readings:
                self.readings[reading.mrid, reading.reading.time_period.start] = reading.reading.value
        if self.faults:
            return self.faults.pop(0)(request)
        return self.answer(request, body)

    def answer(self, request: web.Request, body: bytes) -> web.Response:
        match request.method, request.path:
            case "GET", "/dcap":
                return _xml(self.capability)
            case "GET", "/odd/clock":
                return _xml(Time(href="/odd/clock", current_time=1782072000, quality=7, tz_offset=0))
            case "GET", "/odd/devices":
                page = self._page(request, self.devices)
                return _xml(EndDeviceList(href="/odd/devices", all=len(self.devices), results=len(page), end_devices=page))
            case "GET", "/odd/mirrors":
                points = list(self.points.values())
                page = self._page(request, points)
                return _xml(
                    MirrorUsagePointList(href="/odd/mirrors", all=len(points), results=len(page), mirror_usage_points=page)
                )
            case "POST", "/odd/mirrors":
                assert request.content_type == MEDIA_TYPE
                point = decode(parse(body), MirrorUsagePoint)
                known = point.mrid in self.points
                self.points[point.mrid] = point
                return web.Response(status=204 if known else 201, headers={"Location": "/odd/mirrors/1"})
            case "POST", "/odd/mirrors/1":
                return web.Response(status=201)
        return web.Response(status=404)

    @staticmethod
    def _page(request: web.Request, items: list[Any]) -> list[Any]:
        start, limit = int(request.query.get("s", 0)), int(request.query.get("l", 1))
        return items[start : start + min(limit, 3)]


def _xml(resource: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=encode(resource), content_type=MEDIA_TYPE)


def status(code: int, **headers: str) -> Fault:
    return lambda request: web.Response(status=code, headers=headers)


def drop(request: web.Request) -> web.Response:
    request.transport.abort()
    return web.Response()


def cut_off(request: web.Request) -> web.Response:
    request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n<Time")
    request.transport.close()
    return web.Response()


@asynccontextmanager
async def serving(certificates, server: MeterServer, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    context = context or server_context(certificates.ca, certificates.server.certificate, certificates.server.key)
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield f"https://localhost:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def session(certificates) -> AsyncIterator[tuple[MeterServer, Client]]:
    server = MeterServer()
    async with serving(certificates, server) as url, device(certificates, url) as client:
        yield server, client


def device(certificates, url: str, **options: Any) -> Client:
    options = {
        "retry": QUICK,
        "ca": certificates.ca,
        "cert": certificates.meter.certificate,
        "key": certificates.meter.key,
        **options,
    }
    return Client(url, **options)


async def test_discovery_follows_links_on_one_connection(session, certificates) -> None:
    server, client = session
    assert (await client.time()).current_time == 1782072000
    location = await client.post_mirror_usage_point(MirrorUsagePoint(mrid="0A" * 16, device_lfdi=client.lfdi))
    await client.post_readings(location, READINGS)
    await client.post_readings(location, encode(READINGS))
    assert await client.post_mirror_usage_point(MirrorUsagePoint(mrid="0A" * 16)) == location
    assert [path for method, path, _ in server.requests if method == "GET"] == ["/dcap", "/odd/clock"]
    assert server.readings == {("0B" * 16, 60): 7}
    assert len(server.connections) == 1
    assert {accept for _, _, accept in server.requests} == {MEDIA_TYPE}
    assert client.lfdi == certificates.meter.lfdi
    assert (client.requests, client.retries) == (6, 0)


async def test_the_server_sees_the_device_certificate(certificates) -> None:
    server = MeterServer()
    seen = []
    server.faults.append(
        lambda r: seen.append(lfdi_of(r.transport.get_extra_info("ssl_object").getpeercert(True))) or _xml(server.capability)
    )
    async with serving(certificates, server) as url, device(certificates, url) as client:
        await client.device_capability()
        assert seen == [client.lfdi]


async def test_the_own_end_device_is_found_over_pages(session) -> None:
    server, client = session
    assert await client.end_device() is None
    others = [EndDevice(href=f"/odd/devices/{n}", lfdi=f"{n:040X}", sfdi=sfdi_of(f"{n:040X}")) for n in range(7)]
    server.devices = [*others, EndDevice(href="/odd/devices/me", lfdi=client.lfdi, sfdi=sfdi_of(client.lfdi))]
    own = await client.end_device()
    assert own is not None
    assert own.href == "/odd/devices/me"
    assert server.requests[-1][:2] == ("GET", "/odd/devices")


async def test_all_mirror_usage_points_are_read(session) -> None:
    server, client = session
    for n in range(7):
        await client.post_mirror_usage_point(MirrorUsagePoint(mrid=f"{n:032X}"))
    assert [point.mrid for point in await client.mirror_usage_points()] == list(server.points)


@pytest.mark.parametrize(
    "fault",
    [status(503, **{"Retry-After": "0"}), status(429), status(500), status(502), drop, cut_off],
    ids=["503", "429", "500", "502", "drop", "cut_off"],
)
async def test_a_request_survives_passing_faults(session, fault: Fault) -> None:
    server, client = session
    server.faults += [fault] * 3
    assert (await client.time()).current_time == 1782072000
    assert [path for _, path, _ in server.requests] == ["/dcap"] * 4 + ["/odd/clock"]
    assert client.retries


async def test_a_post_whose_answer_was_lost_is_repeated_without_harm(session) -> None:
    server, client = session
    location = await client.post_mirror_usage_point(MirrorUsagePoint(mrid="0A" * 16))
    server.faults += [drop, status(503), drop]
    await client.post_readings(location, READINGS)
    assert server.readings == {("0B" * 16, 60): 7}
    assert [path for _, path, _ in server.requests].count(location) == 4


async def test_retries_end(session) -> None:
    server, client = session
    server.faults += [status(503)] * 10
    with pytest.raises(Unavailable, match="503") as caught:
        await client.time()
    assert (caught.value.status, caught.value.attempts) == (503, QUICK.attempts)
    assert len(server.requests) == QUICK.attempts
    server.faults = [drop] * 10
    with pytest.raises(Unavailable) as caught:
        await client.time()
    assert caught.value.status is None


async def test_a_server_that_is_down_comes_back(certificates) -> None:
    server = MeterServer()
    async with serving(certificates, server) as url:
        pass
    port = int(url.rpartition(":")[2])
    async with device(certificates, url, retry=Retry(attempts=50, base_s=0.01, max_s=0.05)) as client:
        with pytest.raises(Unavailable):
            await client.post_raw("/dcap", b"")
        pending = asyncio.create_task(client.device_capability())
        await asyncio.sleep(0.02)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", server.handle)
        runner = web.AppRunner(app)
        await runner.setup()
        context = server_context(certificates.ca, certificates.server.certificate, certificates.server.key)
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context, reuse_address=True).start()
        assert (await pending).href == "/dcap"
        await client.close()
        await runner.cleanup()


@pytest.mark.parametrize(("code", "reason"), [(400, 1), (403, 0), (404, None), (405, None), (409, 2), (413, None), (415, None)])
async def test_a_refusal_is_final_and_says_why(session, code: int, reason: int | None) -> None:
    server, client = session
    body = encode(Error(reason_code=reason)) if reason is not None else b"no"
    server.faults.append(lambda request: web.Response(status=code, body=body))
    with pytest.raises(Refused) as caught:
        await client.post("/odd/mirrors/1", READINGS)
    assert (caught.value.status, caught.value.reason_code, caught.value.path) == (code, reason, "/odd/mirrors/1")
    assert len(server.requests) == 1


async def test_redirects_are_not_followed(session) -> None:
    server, client = session
    server.faults.append(status(301, Location="/odd/clock"))
    with pytest.raises(Refused, match="301"):
        await client.get("/x", Time)


async def test_answers_that_break_the_protocol(session) -> None:
    server, client = session
    with pytest.raises(ProtocolError, match="another server"):
        await client.get("https://elsewhere.example/tm", Time)
    server.faults.append(lambda request: web.Response(body=b"<!DOCTYPE x><x/>"))
    with pytest.raises(ProtocolError, match="DOCTYPE"):
        await client.get("/x", Time)
    server.faults.append(lambda request: web.Response(body=b" " * (1 << 21)))
    with pytest.raises(ProtocolError, match="over"):
        await client.get("/x", Time)
    await client.device_capability()
    server.faults.append(status(201))
    with pytest.raises(ProtocolError, match="without Location"):
        await client.post_mirror_usage_point(MirrorUsagePoint(mrid="0A" * 16))
    server.capability = DeviceCapability(href="/dcap")
    await client.device_capability(refresh=True)
    with pytest.raises(ProtocolError, match="TimeLink"):
        await client.time()


async def test_absolute_links_to_the_same_server_are_followed(session) -> None:
    server, client = session
    server.capability.time_link = Link(href=str(client.base_url.join(client.base_url / "odd/clock")))
    assert (await client.time()).quality == 7


async def test_post_raw_returns_any_answer_once(session) -> None:
    server, client = session
    server.faults.append(status(503))
    assert (await client.post_raw("/odd/mirrors", b"<nonsense", "text/plain")).status == 503
    server.faults.append(drop)
    with pytest.raises(Unavailable):
        await client.post_raw("/odd/mirrors", b"")
    assert len(server.requests) == 2


async def test_an_untrusted_server_is_not_asked_twice(certificates) -> None:
    server = MeterServer()
    async with serving(certificates, server) as url, device(certificates, url, ca=certificates.foreign_ca) as client:
        with pytest.raises(NotTrusted):
            await client.time()
        assert client.requests == 1
    assert server.requests == []


async def test_a_foreign_device_gets_nowhere(certificates) -> None:
    server = MeterServer()
    foreign = {"cert": certificates.foreign_meter.certificate, "key": certificates.foreign_meter.key}
    async with serving(certificates, server) as url, device(certificates, url, **foreign) as client:
        with pytest.raises(Unavailable):
            await client.time()
    assert server.requests == []


async def test_a_silent_server_times_out(certificates) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with device(certificates, url, timeout_s=0.05, retry=Retry(attempts=2, base_s=0.001)) as client:
        with pytest.raises(Unavailable, match="Timeout"):
            await client.time()
        assert client.requests == 2
    listener.close()


async def test_misuse_is_named(certificates) -> None:
    with pytest.raises(ValueError, match="https"):
        device(certificates, "http://localhost")
    with pytest.raises(RuntimeError, match="not open"):
        await device(certificates, "https://localhost").time()


def test_session_options_reach_aiohttp(certificates) -> None:
    client = device(certificates, "https://localhost", headers={"User-Agent": "meter/1"})

    async def open_session() -> aiohttp.ClientSession:
        async with client:
            return client._session

    assert asyncio.run(open_session()).headers["User-Agent"] == "meter/1"


def test_waits_grow_are_jittered_and_honour_the_server() -> None:
    retry = Retry(base_s=1, max_s=8, retry_after_max_s=60)
    for attempt, most in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (500, 8)]:
        waits = [retry.wait_s(attempt) for _ in range(50)]
        assert all(most / 2 <= wait <= most for wait in waits)
        assert len(set(waits)) > 1
    assert retry.wait_s(1, 30) == 30
    assert retry.wait_s(1, 3600) == 60
    assert retry.wait_s(4, 0.5) >= 4


def test_retry_after_is_read_in_both_forms() -> None:
    assert retry_after_s("7") == 7
    assert retry_after_s("") is None
    assert retry_after_s("soon") is None
    assert 3000 < (retry_after_s(format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)) or 0) <= 3600
    assert retry_after_s(format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)) == 0

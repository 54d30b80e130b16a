"""A campus against a small real TLS server that can fail in the ways servers do."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from aiohttp import web

from campus_simulator.campus import run_live, run_window
from campus_simulator.device import meter_reading_mrid
from campus_simulator.memory import MemoryConflict, MeterStore
from campus_simulator.models import Building, Site, Window
from campus_simulator.session import Device, MeterOutcome, Options
from ieee2030_5 import xml
from ieee2030_5.client import Retry
from ieee2030_5.enums import AccumulationBehaviour
from ieee2030_5.identity import lfdi_of, sfdi_of
from ieee2030_5.pki import Authority
from ieee2030_5.resources import (
    DeviceCapability,
    EndDevice,
    EndDeviceList,
    Error,
    Link,
    ListLink,
    MirrorMeterReadingList,
    MirrorUsagePoint,
    Time,
)
from ieee2030_5.tls import server_context

NOON = Window(dt.datetime(2026, 6, 21, 20, tzinfo=dt.UTC), 4)
BUILDINGS = [
    Building("METER_A", "Hall A", "academic", 50, 30, 40),
    Building("METER_B", "Hall B", "athletic", 80, 60, 70),
    Building("METER_C", "Hall C", "research", 65, 45, 58),
]
Fault = Callable[[str, int], web.StreamResponse | None]
"""Answer to give instead, from the LFDI and the number of the post of this device (from 0)."""


def document(resource: object, status: int = 200, **headers: str) -> web.Response:
    return web.Response(body=xml.encode(resource), status=status, headers={"Content-Type": xml.MEDIA_TYPE, **headers})


@dataclass
class Server:
    url: str = ""
    fault: Fault = lambda lfdi, number: None
    registered: Callable[[str], bool] = lambda lfdi: True
    points: dict[str, MirrorUsagePoint] = field(default_factory=dict)
    declared: Counter = field(default_factory=Counter)
    attempts: Counter = field(default_factory=Counter)
    taken: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/dcap", self.dcap)
        app.router.add_get("/t", self.time)
        app.router.add_get("/devices", self.devices)
        app.router.add_post("/mirrors", self.declare)
        app.router.add_post("/mirrors/{id}", self.post)
        return app

    @staticmethod
    def lfdi(request: web.Request) -> str:
        return lfdi_of(request.transport.get_extra_info("ssl_object").getpeercert(True))

    async def dcap(self, request: web.Request) -> web.Response:
        return document(
            DeviceCapability(
                href="/dcap",
                time_link=Link(href="/t"),
                end_device_list_link=ListLink(href="/devices", all=1),
                mirror_usage_point_list_link=ListLink(href="/mirrors", all=1),
            )
        )

    async def time(self, request: web.Request) -> web.Response:
        return document(Time(href="/t", current_time=int(time.time()), quality=7))

    async def devices(self, request: web.Request) -> web.Response:
        lfdi = self.lfdi(request)
        mine = [EndDevice(href="/devices/1", lfdi=lfdi, sfdi=sfdi_of(lfdi))] if self.registered(lfdi) else []
        return document(EndDeviceList(href="/devices", all=len(mine), results=len(mine), end_devices=mine))

    async def declare(self, request: web.Request) -> web.Response:
        lfdi = self.lfdi(request)
        point = xml.decode(xml.parse(await request.read()), MirrorUsagePoint)
        assert point.device_lfdi == lfdi
        known = lfdi in self.points
        self.points[lfdi] = point
        self.declared[lfdi] += 1
        return web.Response(status=204 if known else 201, headers={"Location": f"/mirrors/{lfdi[:8]}"})

    async def post(self, request: web.Request) -> web.StreamResponse:
        lfdi = self.lfdi(request)
        assert request.match_info["id"] == lfdi[:8]
        assert request.content_type == xml.MEDIA_TYPE
        body = await request.read()
        number = self.attempts[lfdi]
        self.attempts[lfdi] += 1
        answer = self.fault(lfdi, number)
        if answer is not None:
            return answer
        self.taken[lfdi].append(body)
        return web.Response(status=201)

    def starts(self, lfdi: str) -> list[int]:
        """Starts of the intervals taken from a device, in the order they came."""
        mrid = meter_reading_mrid(lfdi, "load", AccumulationBehaviour.DELTA_DATA)
        lists = [xml.decode(xml.parse(body), MirrorMeterReadingList) for body in self.taken[lfdi]]
        return [m.reading.time_period.start for found in lists for m in found.mirror_meter_readings if m.mrid == mrid]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.ensure(tmp_path_factory.mktemp("certs"))


@pytest.fixture
async def server(authority: Authority) -> AsyncIterator[Server]:
    credential = authority.ensure_server(["localhost"])
    context = server_context(authority.certificate_path, credential.certificate, credential.key)
    server = Server()
    runner = web.AppRunner(server.app())
    await runner.setup()
    site = web.TCPSite(runner, "localhost", 0, ssl_context=context, shutdown_timeout=0.1)
    await site.start()
    server.url = f"https://localhost:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


@pytest.fixture
def fleet(authority: Authority) -> list[Device]:
    credentials = [authority.ensure_device(building.meter_id) for building in BUILDINGS]
    return [Device(b, c.certificate, c.key) for b, c in zip(BUILDINGS, credentials, strict=True)]


@pytest.fixture
def options(server: Server, authority: Authority, site: Site, tmp_path: Path) -> Options:
    retry = Retry(attempts=3, base_s=0.01, max_s=0.05)
    return Options(server.url, authority.certificate_path, site, tmp_path / "memory", retry=retry, jitter_s=0.05, timeout_s=5)


async def test_a_window_arrives_whole_and_in_order(server: Server, fleet: list[Device], options: Options) -> None:
    steps: list[tuple[str, int]] = []
    report = await run_window(fleet, NOON, options, lambda outcome: steps.append((outcome.meter_id, outcome.posted)))
    assert (report.posted, report.retried, report.refused, report.failures) == (12, 0, 0, {})
    assert list(report.meters) == [b.meter_id for b in BUILDINGS]
    for outcome in report.meters.values():
        assert server.starts(outcome.lfdi) == [NOON.start_s + 15 * i for i in range(4)]
        assert server.points[outcome.lfdi].description == outcome.meter_id
        assert abs(outcome.clock_offset_s) < 60
        assert [count for meter, count in steps if meter == outcome.meter_id] == [1, 2, 3, 4]

    first = {lfdi: list(bodies) for lfdi, bodies in server.taken.items()}
    server.taken.clear()
    await run_window(fleet, NOON, options)
    assert server.taken == first


async def test_failures_on_the_way_are_retried_and_lose_nothing(server: Server, fleet: list[Device], options: Options) -> None:
    server.fault = lambda lfdi, number: web.Response(status=503, headers={"Retry-After": "0"}) if number % 2 == 0 else None
    report = await run_window(fleet, NOON, options)
    assert (report.posted, report.retried, report.failures) == (12, 12, {})
    assert all(len(bodies) == len(set(bodies)) == 4 for bodies in server.taken.values())


async def test_refused_intervals_are_reported_with_their_reason(server: Server, fleet: list[Device], options: Options) -> None:
    server.fault = lambda lfdi, number: document(Error(reason_code=1), 400) if number == 2 else None
    report = await run_window(fleet, NOON, options)
    assert (report.posted, report.refused, report.failures) == (9, 3, {})
    for outcome in report.meters.values():
        (refusal,) = outcome.refused
        assert (refusal.start_s, refusal.status, refusal.reason_code) == (NOON.start_s + 30, 400, 1)


async def test_a_forgotten_usage_point_is_declared_again(server: Server, fleet: list[Device], options: Options) -> None:
    server.fault = lambda lfdi, number: web.Response(status=404) if number == 1 else None
    report = await run_window(fleet, NOON, options)
    assert (report.posted, report.refused, report.failures) == (12, 0, {})
    assert set(server.declared.values()) == {2}


async def test_one_meters_failure_leaves_the_others_alone(server: Server, fleet: list[Device], options: Options) -> None:
    strangers = [replace(fleet[0], key=fleet[0].key.with_name("missing.key")), *fleet[1:]]

    def fault(lfdi: str, number: int) -> web.Response | None:
        return web.Response(status=403) if server.points[lfdi].description == "METER_B" and number == 1 else None

    server.fault = fault
    report = await run_window(strangers, NOON, options)
    assert set(report.failures) == {"METER_A", "METER_B"}
    assert "403" in report.failures["METER_B"]
    assert [outcome.posted for outcome in report.meters.values()] == [0, 1, 4]


async def test_an_unregistered_meter_is_told_so(server: Server, fleet: list[Device], options: Options) -> None:
    server.registered = lambda lfdi: False
    report = await run_window(fleet[:1], NOON, options)
    assert "no EndDevice" in report.failures["METER_A"]
    assert not server.points


async def test_a_conflicting_window_posts_nothing(server: Server, fleet: list[Device], options: Options) -> None:
    await run_window(fleet[:1], NOON, options)
    server.taken.clear()
    with pytest.raises(MemoryConflict):
        await run_window(fleet, replace(NOON, start=NOON.start + dt.timedelta(seconds=15)), options)
    assert not server.taken
    assert not MeterStore(options.memory_dir).history("METER_B")


async def live(
    fleet: list[Device],
    options: Options,
    enough: Callable[[], bool],
    on_progress: Callable[[MeterOutcome], None] = lambda _: None,
) -> None:
    """Run live, with intervals of a second, until `enough` holds after a step."""
    reached = asyncio.Event()

    def progress(outcome: MeterOutcome) -> None:
        on_progress(outcome)
        if enough():
            reached.set()

    running = asyncio.create_task(run_live(fleet, options, progress, interval_s=1))
    waiting = asyncio.create_task(reached.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED, timeout=60)
    assert reached.is_set(), running
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def assert_unbroken(server: Server) -> None:
    for lfdi in server.taken:
        starts = sorted(set(server.starts(lfdi)))
        assert starts == list(range(starts[0], starts[-1] + 1))
        assert len(set(server.taken[lfdi])) == len(starts)


async def test_live_meters_hold_readings_through_an_outage(server: Server, fleet: list[Device], options: Options) -> None:
    seen: list[MeterOutcome] = []
    down = True
    server.fault = lambda lfdi, number: web.Response(status=503) if down and number else None
    failures: set[str] = set()

    def progress(outcome: MeterOutcome) -> None:
        seen.append(outcome)
        if outcome.failure:
            failures.add(outcome.meter_id)

    def recovered() -> bool:
        nonlocal down
        down = down and len(failures) < 3
        return not down and len(server.taken) == 3 and all(len(set(server.starts(lfdi))) >= 4 for lfdi in server.taken)

    await live(fleet, options, recovered, on_progress=progress)
    assert_unbroken(server)
    assert {outcome.failure for outcome in seen} == {None}


async def test_live_goes_on_where_it_stopped(server: Server, fleet: list[Device], options: Options) -> None:
    await live(fleet[:1], options, lambda: len(server.taken) == 1 and all(len(b) >= 2 for b in server.taken.values()))
    before = sum(map(len, server.taken.values()))
    await live(fleet[:1], options, lambda: sum(map(len, server.taken.values())) >= before + 2)
    assert_unbroken(server)


async def test_live_refuses_a_clock_behind_its_memory(server: Server, fleet: list[Device], options: Options) -> None:
    await run_window(fleet[:1], NOON, options)
    with pytest.raises(MemoryConflict, match="ahead of the clock"):
        await run_live(fleet[:1], options, now=lambda: NOON.start_s + 10.0)

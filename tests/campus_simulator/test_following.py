"""Meters that follow the programs of a real server."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import following_harness as harness
import pytest
from following_harness import BUILDINGS, Campus, control, der_program, load_program, tariff

from campus_simulator.campus import run_live, run_window
from campus_simulator.device import meter_reading_mrid
from campus_simulator.memory import MeterStore
from campus_simulator.models import ENERGY_CHANNELS, Site, Window
from campus_simulator.session import Options
from ieee2030_5 import xml
from ieee2030_5.client import Retry
from ieee2030_5.enums import AccumulationBehaviour
from ieee2030_5.extensions.p2p import StandingOffer
from ieee2030_5.namespaces import P2P
from ieee2030_5.pki import Authority
from ieee2030_5.resources import DERControlBase, DERStatus, LogEvent, MirrorMeterReadingList, Response
from ieee2030_5.resources import response as responses
from ingest_server.notifications.notifier import Notifier
from ingest_server.notifications.outbox import Outbox
from ingest_server.notifications.post import Sender


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.ensure(tmp_path_factory.mktemp("certs"))


@pytest.fixture
async def campus(authority: Authority, tmp_path: Path) -> AsyncIterator[Campus]:
    async with harness.campus(authority, tmp_path) as running:
        yield running


@pytest.fixture
def options(campus: Campus, site: Site, tmp_path: Path) -> Options:
    return Options(campus.server.url, campus.ca, site, tmp_path / "memory", retry=Retry(attempts=3, base_s=0.01), jitter_s=0.05)


@pytest.fixture
def window() -> Window:
    """Noon of a June day to come: a server shows no events that are over."""
    return Window(dt.datetime(dt.datetime.now(dt.UTC).year + 1, 6, 21, 20, tzinfo=dt.UTC), 40)


def energies(campus: Campus, meter: int, channel: str) -> list[int]:
    lfdi = campus.server.pki.devices[BUILDINGS[meter].meter_id].lfdi
    mrid = meter_reading_mrid(lfdi, channel, AccumulationBehaviour.DELTA_DATA)
    bodies = [m.body for m in campus.server.landed() if m.device_lfdi == lfdi and b"<MirrorMeterReadingList" in m.body]
    lists = [xml.decode(xml.parse(body), MirrorMeterReadingList) for body in bodies]
    return [m.reading.value for found in lists for m in found.mirror_meter_readings if m.mrid == mrid]


def answers(campus: Campus) -> list[tuple[str, int, int]]:
    found = []
    for body in campus.landed("/rsp"):
        root = xml.parse(body)
        answer: Response = xml.decode(root, getattr(responses, xml.local_name(root)))
        found.append((xml.local_name(root), answer.status, answer.created_date_time))
    return found


async def test_a_window_without_programs_costs_few_requests(campus: Campus, options: Options, window: Window) -> None:
    seen: list[str] = []
    counting = campus.server.resources.page

    def page(path: str, *args: object, **kwargs: object):
        seen.append(path)
        return counting(path, *args, **kwargs)

    campus.server.resources.page = page  # type: ignore[method-assign]
    report = await run_window(campus.fleet, window, options)
    assert (report.posted, report.refused, report.retried, report.failures) == (80, 0, 0, {})
    assert [path for path in seen if path.startswith(("/derp", "/dr", "/tp", "/msg"))] == []
    plain = replace(options, follow=False, memory_dir=options.memory_dir.with_name("plain"))
    before = energies(campus, 0, "generation")
    await run_window(campus.fleet, window, plain)
    assert energies(campus, 0, "generation") == before * 2
    others = [
        m for m in campus.server.landed() if b"<MirrorMeterReadingList" not in m.body and b"<MirrorUsagePoint" not in m.body
    ]
    assert len(others) <= 2 * 6
    assert {m.path.rpartition("/")[2] for m in others} == {"dercap", "derg", "ders", "dera", "ps"}


async def test_controls_hold_for_their_time_and_are_answered(campus: Campus, options: Options, window: Window) -> None:
    start = window.start_s + 150
    campus.server.resources.publish(
        [
            *der_program(control(1, start, 150, DERControlBase(op_mod_max_lim_w=1000))),
            *load_program(2, start, 150, duty=20),
        ]
    )
    report = await run_window(campus.fleet, window, options)
    assert (report.posted, report.failures) == (80, {})
    limited = {n: energies(campus, n, "generation") for n in (0, 1)}
    shed = {n: energies(campus, n, "load") for n in (0, 1)}
    first = list(campus.server.landed())
    campus.server.resources.retract(["/derp/A", "/dr/1"])
    await run_window(campus.fleet, window, options)
    again = {n: energies(campus, n, "generation")[40:] for n in (0, 1)}
    assert again == limited, "a meter does not contradict what it measured"
    await run_window(campus.fleet, window, replace(options, memory_dir=options.memory_dir.with_name("free")))
    for n, building in enumerate(BUILDINGS):
        free, used = energies(campus, n, "generation")[80:], energies(campus, n, "load")[80:]
        cap = int(building.rated_kw * 1_000_000 * 15 // 3600) // 10
        assert limited[n][:10] == free[:10]
        assert limited[n][20:] == free[20:]
        assert all(value <= cap + 62_500 < free_value for value, free_value in zip(limited[n][10:20], free[10:20], strict=True))
        assert shed[n][:10] == used[:10]
        assert shed[n][20:] == used[20:]
        assert all(less < value for less, value in zip(shed[n][10:20], used[10:20], strict=True))
    assert len(first) > 80
    for kind in ("DERControlResponse", "DrResponse"):
        got = sorted((status, at) for name, status, at in answers(campus) if name == kind)
        assert got == sorted([(1, window.start_s), (2, start), (3, start + 150)] * 2)
    logged = [xml.decode(xml.parse(body), LogEvent) for body in campus.landed("/lel")]
    assert sorted((e.function_set, e.log_event_code, e.created_date_time) for e in logged) == sorted(
        [(s, c, t) for s in (5, 11) for c, t in ((1, start), (2, start + 150))] * 2
    )
    shed_offers = campus.landed("/lsl")
    assert len(shed_offers) == 2


async def test_the_battery_follows_prices(campus: Campus, options: Options, window: Window) -> None:
    campus.server.resources.publish(tariff(window.start_s, 300, [100_000, 400_000]))
    report = await run_window(campus.fleet[:1], window, options)
    assert report.failures == {}
    charge, discharge = energies(campus, 0, "charge"), energies(campus, 0, "discharge")
    full = 15 * 1_000_000 * 15 // 3600
    assert set(charge[:20]) == {full}
    assert not any(charge[20:])
    assert not any(discharge[:20])
    assert set(discharge[20:]) == {full}


async def test_each_meter_offers_once_a_day(campus: Campus, options: Options, window: Window) -> None:
    options = replace(options, offer_band=(80_000, 280_000))
    for _ in range(2):
        assert (await run_window(campus.fleet, window, options)).failures == {}
    bodies = campus.landed("/p2p/offer")
    assert len(bodies) == 4
    offers = {offer.mrid: offer for offer in (xml.decode(xml.parse(b, namespaces=(P2P,)), StandingOffer) for b in bodies)}
    assert len(offers) == len(campus.server.resources.owned("StandingOffer")) == 2
    assert all(80_000 <= o.price_limit < 280_000 and o.interval.start <= window.start_s for o in offers.values())
    assert sorted(o.energy_limit for o in offers.values()) == [50_000 * 300 // 3600, 80_000 * 300 // 3600]


async def test_a_wrong_pin_stops_a_meter(campus: Campus, options: Options, window: Window) -> None:
    fleet = [replace(campus.fleet[0], pin=123455), replace(campus.fleet[1], pin=harness.PIN)]
    report = await run_window(fleet, window, options)
    assert list(report.failures) == ["METER_A"]
    assert "PIN" in report.failures["METER_A"]
    assert report.meters["METER_B"].posted == 40


async def until(reached: Callable[[], bool]) -> None:
    for _ in range(300):
        if reached():
            return
        await asyncio.sleep(0.1)
    raise TimeoutError


async def test_a_live_meter_is_notified_obeys_and_answers(campus: Campus, options: Options) -> None:
    """Its next poll is a minute away: only a notification can make it obey so soon."""
    server = campus.server
    outbox = Outbox(f"sqlite:///{server.landing_dir.parent / 'operational.sqlite'}", server.resources)
    sender = Sender(campus.ca, server.pki.server.certificate, server.pki.server.key, timeout_s=3)
    notifier = Notifier(server.state, outbox, sender)
    await notifier.step()
    live = asyncio.create_task(run_live(campus.fleet[:1], replace(options, subscribe=True), interval_s=1))
    try:
        await until(lambda: b"/derp" in b"".join(campus.landed("/sub")) and len(energies(campus, 0, "charge")) > 1)
        unordered = energies(campus, 0, "charge")
        charge = DERControlBase(op_mod_fixed_w=-10_000)
        server.resources.publish(der_program(control(7, int(time.time()) - 5, 3600, charge, status=1)))
        await notifier.step()
        await until(lambda: len(answers(campus)) == 2)
        taken = len(energies(campus, 0, "charge"))
        await until(lambda: len(energies(campus, 0, "charge")) >= taken + 4)
    finally:
        live.cancel()
        await asyncio.gather(live, return_exceptions=True)
        outbox.close()
    full = 15 * 1_000_000 // 3600
    readings = energies(campus, 0, "charge")
    assert full not in unordered
    assert readings[-1] == full
    assert [(name, status) for name, status, _ in answers(campus)] == [("DERControlResponse", 1), ("DERControlResponse", 2)]
    flows = {channel: energies(campus, 0, channel) for channel in ENERGY_CHANNELS}
    for i in range(len(readings)):
        assert flows["generation"][i] + flows["discharge"][i] + flows["import"][i] == (
            flows["load"][i] + flows["charge"][i] + flows["export"][i]
        )
    [entered] = [xml.decode(xml.parse(body), LogEvent) for body in campus.landed("/lel")]
    assert entered.log_event_code == 1
    assert [xml.decode(xml.parse(body), DERStatus).operational_mode_status.value for body in campus.landed("/ders")] == [2]
    before = len(readings)
    recorded = MeterStore(options.memory_dir).latest("METER_A")
    assert recorded.told.pieces[-1][2].battery == -10_000
    window = Window(dt.datetime.fromtimestamp(recorded.start_s, dt.UTC), recorded.end_s - recorded.start_s, 1)
    server.resources.retract(["/derp/A"])
    await run_window(campus.fleet[:1], window, options)
    assert energies(campus, 0, "charge")[before:] == readings, "the same time measured again gives the same readings"

"""A real ingest server with a small fleet, and programs to publish on it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "ingest_server"))

from ingest_harness import Pki, Server, device_row, serving

from campus_simulator.models import Building
from campus_simulator.session import Device
from ieee2030_5.pki import Authority
from ieee2030_5.resources import (
    ConsumptionTariffInterval,
    DateTimeInterval,
    DemandResponseProgram,
    DERControl,
    DERControlBase,
    DERProgram,
    DutyCycle,
    EndDeviceControl,
    EventStatus,
    Link,
    ListLink,
    RateComponent,
    TariffProfile,
    TimeTariffInterval,
)
from ingest_server.operational.registry import Registry
from ingest_server.operational.resources import Publication
from ingest_server.options import ServerOptions

BUILDINGS = [Building("METER_A", "Hall A", "academic", 50, 30, 40), Building("METER_B", "Hall B", "athletic", 80, 0, 70)]
PIN = 111115


@dataclass
class Campus:
    server: Server
    fleet: list[Device]

    @property
    def ca(self) -> Path:
        return self.server.pki.authority.certificate_path

    def landed(self, end: str) -> list[bytes]:
        """Bodies landed at paths that end so, in the order they came."""
        return [m.body for m in self.server.landed() if m.path.endswith(end)]


@asynccontextmanager
async def campus(authority: Authority, directory: Path) -> AsyncIterator[Campus]:
    credentials = {b.meter_id: authority.ensure_device(b.meter_id) for b in BUILDINGS}
    pki = Pki(authority, authority.ensure_server(["localhost", "127.0.0.1"]), credentials)
    url = f"sqlite:///{directory / 'operational.sqlite'}"
    registry = Registry(url)
    registry.create_all()
    registry.register(device_row(credential, PIN) for credential in credentials.values())
    registry.close()
    options = ServerOptions(
        host="127.0.0.1", port=0, workers=1, ca=authority.certificate_path, cert=pki.server.certificate, key=pki.server.key,
        landing_dir=directory / "landing", operational_url=url, device_cache_s=0.0, poll_rate_s=60,
    )  # fmt: skip
    async with serving(options, pki) as server:
        yield Campus(server, [Device(b, credentials[b.meter_id].certificate, credentials[b.meter_id].key) for b in BUILDINGS])


def mrid(number: int) -> str:
    return f"{number:024X}00007ED9"


def event(number: int, start: int, duration: int, status: int = 0, **fields: object) -> dict:
    return {
        "mrid": mrid(number), "creation_time": start - 3600, "reply_to": "/rsps/1/rsp", "response_required": 3,
        "interval": DateTimeInterval(start=start, duration=duration),
        "event_status": EventStatus(current_status=status, date_time=start - 3600, potentially_superseded=False), **fields,
    }  # fmt: skip


def der_program(*controls: DERControl, name: str = "A", primacy: int = 1, **fields: object) -> list[Publication]:
    path = f"/derp/{name}"
    program = DERProgram(
        mrid=mrid(0xD000 + ord(name[0])), primacy=primacy, der_control_list_link=ListLink(href=f"{path}/derc"),
        default_der_control_link=Link(href=f"{path}/dderc"), **fields,
    )  # fmt: skip
    return [Publication(path, program), *(Publication(f"{path}/derc/{c.mrid[16:24]}", c) for c in controls)]


def control(number: int, start: int, duration: int, base: DERControlBase, **fields: object) -> DERControl:
    return DERControl(**event(number, start, duration, **fields), der_control_base=base)


def load_program(number: int, start: int, duration: int, duty: int, category: int = 1 << 9) -> list[Publication]:
    program = DemandResponseProgram(mrid=mrid(0xE000), primacy=2, end_device_control_list_link=ListLink(href="/dr/1/edc"))
    shed = EndDeviceControl(
        **event(number, start, duration), duty_cycle=DutyCycle(normal_value=duty), device_category=category,
        dr_program_mandatory=False, load_shift_forward=False,
    )  # fmt: skip
    return [Publication("/dr/1", program), Publication(f"/dr/1/edc/{number}", shed)]


def tariff(start: int, step_s: int, prices: list[int]) -> list[Publication]:
    component = RateComponent(
        mrid=mrid(0xF001), role_flags=0, time_tariff_interval_list_link=ListLink(href="/tp/1/rc/1/tti"),
    )  # fmt: skip
    component.reading_type_link = Link(href="/rt/1")
    found = [
        Publication("/tp/1", TariffProfile(
            mrid=mrid(0xF000), currency=840, price_power_of_ten_multiplier=-6, primacy=3, service_category_kind=0,
            rate_component_list_link=ListLink(href="/tp/1/rc"),
        )),
        Publication("/tp/1/rc/1", component),
    ]  # fmt: skip
    for n, price in enumerate(prices):
        path = f"/tp/1/rc/1/tti/{n}"
        interval = TimeTariffInterval(
            **event(0xF100 + n, start + n * step_s, step_s), tou_tier=0,
            consumption_tariff_interval_list_link=ListLink(href=f"{path}/cti"),
        )  # fmt: skip
        interval.response_required = None
        found += [
            Publication(path, interval),
            Publication(f"{path}/cti/1", ConsumptionTariffInterval(consumption_block=0, price=price, start_value=0)),
        ]
    return found

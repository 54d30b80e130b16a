"""Programs: the lists that events are published in, one of each kind for the campus and for each meter that is singled out.

Identifiers follow from what a program is for, so that publishing it again changes nothing. A meter's own program has the lower
primacy value, which is the stronger (IEEE 2030.5-2018, 12.1.3).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ieee2030_5.enums import AccumulationBehaviour, Commodity, FlowDirection, Kind, ServiceKind, Uom
from ieee2030_5.resources import (
    DemandResponseProgram,
    DERProgram,
    Link,
    ListLink,
    MessagingProgram,
    RateComponent,
    ReadingType,
    TariffProfile,
)
from ingest_server.operational.resources import EVERYONE, Publication

PEN = "00007ED9"
"""32473 in hexadecimal, the enterprise number kept for documentation (RFC 5612); the last eight digits of our mRIDs."""
CAMPUS = "campus"
_PRIMACY = {True: 5, False: 2}
PRICE_POWER_OF_TEN = -6
"""Prices and amounts are published in millionths of the currency unit."""
_KILO = 3


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a program is for: the campus, or the device with `lfdi`."""

    lfdi: str = EVERYONE

    @property
    def identifier(self) -> str:
        """Path element of the target's programs."""
        return self.lfdi[:8] or CAMPUS

    @property
    def primacy(self) -> int:
        """Strength of the target's programs; the lowest value wins."""
        return _PRIMACY[self.lfdi == EVERYONE]


def mrid_of(*key: object) -> str:
    """The mRID of a thing that is fully described by `key`."""
    return hashlib.sha256("|".join(map(str, key)).encode()).hexdigest()[:24].upper() + PEN


def der_program(target: Target) -> list[Publication]:
    """The DER program of a target."""
    path = f"/derp/{target.identifier}"
    program = DERProgram(
        mrid=mrid_of(path),
        description=f"DER control {target.identifier}",
        active_der_control_list_link=ListLink(href=f"{path}/actderc"),
        default_der_control_link=Link(href=f"{path}/dderc"),
        der_control_list_link=ListLink(href=f"{path}/derc"),
        der_curve_list_link=ListLink(href=f"{path}/dc"),
        primacy=target.primacy,
    )
    return [Publication(path, program, target.lfdi)]


def demand_response_program(target: Target) -> list[Publication]:
    """The demand response program of a target."""
    path = f"/dr/{target.identifier}"
    program = DemandResponseProgram(
        mrid=mrid_of(path),
        description=f"Demand response {target.identifier}",
        active_end_device_control_list_link=ListLink(href=f"{path}/actedc"),
        end_device_control_list_link=ListLink(href=f"{path}/edc"),
        primacy=target.primacy,
    )
    return [Publication(path, program, target.lfdi)]


def messaging_program(target: Target) -> list[Publication]:
    """The messaging program of a target."""
    path = f"/msg/{target.identifier}"
    program = MessagingProgram(
        mrid=mrid_of(path),
        description=f"Messages {target.identifier}",
        active_text_message_list_link=ListLink(href=f"{path}/acttxt"),
        locale="en",
        primacy=target.primacy,
        text_message_list_link=ListLink(href=f"{path}/txt"),
    )
    return [Publication(path, program, target.lfdi)]


def tariff(target: Target, currency: int) -> list[Publication]:
    """The tariff of a target with its one rate component: prices per kWh in micro-units of `currency` (ISO 4217 number)."""
    path = f"/tp/{target.identifier}"
    component = f"{path}/rc/1"
    profile = TariffProfile(
        mrid=mrid_of(path),
        description=f"P2P energy {target.identifier}",
        currency=currency,
        price_power_of_ten_multiplier=PRICE_POWER_OF_TEN,
        primacy=target.primacy,
        rate_component_list_link=ListLink(href=f"{path}/rc"),
        service_category_kind=ServiceKind.ELECTRICITY,
    )
    return [Publication(path, profile, target.lfdi), *rate_component(component, "Energy", FlowDirection.FORWARD, target.lfdi)]


def rate_component(path: str, description: str, flow: FlowDirection, owner: str = EVERYONE) -> list[Publication]:
    """A rate component at an address, and what it prices: a kWh that flows to (forward) or from (reverse) the customer."""
    rate = RateComponent(
        mrid=mrid_of(path),
        description=description,
        active_time_tariff_interval_list_link=ListLink(href=f"{path}/acttti"),
        reading_type_link=Link(href=f"{path}/rt"),
        role_flags=0,
        time_tariff_interval_list_link=ListLink(href=f"{path}/tti"),
    )
    return [Publication(path, rate, owner), Publication(f"{path}/rt", energy_type(flow, _KILO), owner)]


def energy_type(flow: FlowDirection, power_of_ten: int) -> ReadingType:
    """Energy that flowed in a time: in Wh x 10^`power_of_ten`."""
    return ReadingType(
        accumulation_behaviour=AccumulationBehaviour.DELTA_DATA,
        commodity=Commodity.ELECTRICITY_SECONDARY_METERED,
        flow_direction=flow,
        kind=Kind.ENERGY,
        power_of_ten_multiplier=power_of_ten,
        uom=Uom.WH,
    )

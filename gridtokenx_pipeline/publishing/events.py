"""Events for devices: control of their generation and storage, of their load, prices and messages (IEEE 2030.5-2018, 12.1.3).

Each function returns everything that has to be there for the event to be found: its program and itself. The identifier of an
event follows from its program, its start and its kind; published again with other content it replaces itself.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import Any

from ieee2030_5.resources import (
    ConsumptionTariffInterval,
    DateTimeInterval,
    DERControl,
    DERControlBase,
    DutyCycle,
    EndDeviceControl,
    EventStatus,
    ListLink,
    TextMessage,
    TimeTariffInterval,
)
from ingest_server.operational.resources import Publication

from .programs import Target, demand_response_program, der_program, messaging_program, mrid_of, tariff

RESPONSES = "/rsps/1/rsp"
RECEIVED, SPECIFIC = 1, 2
"""Bits of responseRequired: tell when it was received; tell when it starts, ends and is not followed."""
SCHEDULED, CANCELLED = 0, 2
_EVERY_CATEGORY = (1 << 26) - 1
"""All bits that DeviceCategoryType defines."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """When an event holds: from `start` (aware UTC) for `duration_s`, begun up to `randomize_s` later at each device."""

    start: dt.datetime
    duration_s: int
    created_at: dt.datetime
    randomize_s: int = 0

    @property
    def start_s(self) -> int:
        """Start in epoch seconds."""
        return int(self.start.timestamp())


def der_control(target: Target, occasion: Occasion, base: DERControlBase) -> list[Publication]:
    """A control of generation and storage."""
    path = f"/derp/{target.identifier}/derc/{_identifier(target, occasion, 'derc')}"
    control = DERControl(der_control_base=base, **_event(path, occasion))
    return [*der_program(target), Publication(path, control, target.lfdi)]


def load_control(target: Target, occasion: Occasion, shed_percent: int, *, mandatory: bool = False) -> list[Publication]:
    """A wish that loads run `100 - shed_percent` percent of the time. Raises `ValueError` outside 0..100."""
    if not 0 <= shed_percent <= 100:
        raise ValueError(f"a load can be shed by 0 to 100 percent, not {shed_percent}")
    path = f"/dr/{target.identifier}/edc/{_identifier(target, occasion, 'edc')}"
    control = EndDeviceControl(
        device_category=_EVERY_CATEGORY,
        dr_program_mandatory=mandatory,
        duty_cycle=DutyCycle(normal_value=100 - shed_percent),
        load_shift_forward=False,
        **_event(path, occasion),
    )
    return [*demand_response_program(target), Publication(path, control, target.lfdi)]


def price(target: Target, occasion: Occasion, micro_per_kwh: int, currency: int) -> list[Publication]:
    """A price in micro-units of `currency` (ISO 4217 number) per kWh."""
    path = f"/tp/{target.identifier}/rc/1/tti/{_identifier(target, occasion, 'tti')}"
    interval = TimeTariffInterval(
        consumption_tariff_interval_list_link=ListLink(href=f"{path}/cti"), tou_tier=0, **_event(path, occasion)
    )
    consumption = ConsumptionTariffInterval(consumption_block=0, price=micro_per_kwh, start_value=0)
    return [
        *tariff(target, currency),
        Publication(path, interval, target.lfdi),
        Publication(f"{path}/cti/1", consumption, target.lfdi),
    ]


def message(
    target: Target, occasion: Occasion, text: str, priority: int = 0, originator: str = "GridTokenX"
) -> list[Publication]:
    """A text for the customer; `priority` 0 low, 1 normal, 2 high, 3 critical."""
    path = f"/msg/{target.identifier}/txt/{_identifier(target, occasion, text)}"
    note = TextMessage(originator=originator, priority=priority, text_message=text, **_event(path, occasion))
    return [*messaging_program(target), Publication(path, note, target.lfdi)]


def cancelled(event: Any, now: dt.datetime, reason: str = "cancelled by the operator") -> Any:
    """The event, called off. Devices that have it stop it; it stays in its list until it would have ended."""
    status = EventStatus(
        current_status=CANCELLED, date_time=int(now.timestamp()), potentially_superseded=False, reason=reason[:192]
    )
    return replace(event, event_status=status)


def _event(path: str, occasion: Occasion) -> dict[str, Any]:
    created = int(occasion.created_at.timestamp())
    fields: dict[str, Any] = {
        "mrid": mrid_of(path),
        "reply_to": RESPONSES,
        "response_required": RECEIVED | SPECIFIC,
        "creation_time": created,
        "event_status": EventStatus(current_status=SCHEDULED, date_time=created, potentially_superseded=False),
        "interval": DateTimeInterval(duration=occasion.duration_s, start=occasion.start_s),
    }
    if "/txt/" not in path:
        fields["randomize_start"] = occasion.randomize_s
    return fields


def _identifier(target: Target, occasion: Occasion, kind: str) -> str:
    return mrid_of(target.identifier, kind, occasion.start_s)[:8]

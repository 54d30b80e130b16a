"""The programs a device belongs to, and their events: function set assignments, then programs, then lists of events.

Everything is found by links. A list that its link says is empty is not asked for, and a function set that the server does not
have holds nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

from ieee2030_5.enums import FlowDirection
from ieee2030_5.events import LOAD, PRICE, WEAKEST, Candidate
from ieee2030_5.resources import (
    ConsumptionTariffIntervalList,
    DefaultDERControl,
    DemandResponseProgram,
    DemandResponseProgramList,
    DERControlList,
    DERProgramList,
    EndDevice,
    EndDeviceControlList,
    FlowReservationResponseList,
    FunctionSetAssignmentsList,
    ListLink,
    MessagingProgramList,
    RateComponentList,
    ReadingType,
    TariffProfileList,
    TextMessageList,
    TimeTariffIntervalList,
)

from .errors import Refused
from .session import Client

FLOW = "flow"
"""What a FlowReservationResponse grants."""
MESSAGE = "message"
DEFAULT_POLL_S = 900
"""Where no list says how often it wants to be read (DeviceCapability.pollRate's default)."""
_ABSENT = (403, 404, 405, 410)
_LOAD_CONTROLS = ("appliance_load_reduction", "duty_cycle", "offset", "set_point", "target_reduction")


@dataclass(frozen=True, slots=True)
class Abilities:
    """What the device can follow: modes (names of `DERControlBase` fields), load controls, and its categories (bit mask)."""

    modes: frozenset[str] = frozenset()
    load_controls: frozenset[str] = frozenset(_LOAD_CONTROLS)
    category: int = 0


@dataclass(frozen=True, slots=True)
class Price:
    """`price` (in the tariff's unit, 10^`multiplier`) holds for the time of the event with this mRID."""

    mrid: str
    start: int
    end: int
    price: int
    multiplier: int


@dataclass(slots=True)
class Found:
    """What a reading of the programs gave.

    `defaults` are the default controls by ascending primacy; `prices` those of the strongest tariff's consumption;
    `watched` are the addresses whose changes would change this; `poll_rate_s` is how often to ask.
    """

    candidates: list[Candidate] = field(default_factory=list)
    defaults: list[tuple[int, DefaultDERControl]] = field(default_factory=list)
    prices: list[Price] = field(default_factory=list)
    load_programs: list[DemandResponseProgram] = field(default_factory=list)
    watched: list[str] = field(default_factory=list)
    poll_rate_s: int = DEFAULT_POLL_S


class ProgramReader:
    """Reads a device's programs again and again, remembering prices, which do not change once published."""

    def __init__(self, client: Client, device: EndDevice, abilities: Abilities) -> None:
        self._client = client
        self._device = device
        self._abilities = abilities
        self._prices: dict[tuple[str, int | None, int | None], int | None] = {}
        self._forward: dict[str, bool] = {}
        self._device_is_current = True

    async def read(self, start: float, end: float) -> Found:
        """Read everything that bears on [start, end), epoch seconds. Raises `ClientError` where the server does not answer."""
        found = Found()
        rates: list[int] = []
        assignments = await self._assignments(found, rates)
        links = {name: _distinct(getattr(a, name) for a in assignments) for name in _READERS}
        for name, reader in _READERS.items():
            for link in links[name]:
                await reader(self, found, link, rates, (start, end))
        await self._reservations(found)
        found.defaults.sort(key=lambda pair: pair[0])
        found.poll_rate_s = min(rates, default=DEFAULT_POLL_S)
        return found

    async def _assignments(self, found: Found, rates: list[int]) -> list[Any]:
        link = self._device.function_set_assignments_list_link
        if link is None or not link.href:
            return [await self._client.device_capability()]
        return [item async for item in self._items(found, link, FunctionSetAssignmentsList, rates)]

    async def _items(
        self, found: Found, link: ListLink | None, cls: type[Any], rates: list[int] | None = None
    ) -> AsyncIterator[Any]:
        if link is None or not link.href:
            return
        found.watched.append(link.href)
        if link.all == 0:
            return
        try:
            page = await self._client.read_list(link.href, cls)
        except Refused as refused:
            if refused.status not in _ABSENT:
                raise
            return
        if rates is not None and page.poll_rate_s:
            rates.append(page.poll_rate_s)
        for item in page.items:
            yield item

    async def _der(self, found: Found, link: ListLink, rates: list[int], span: tuple[float, float]) -> None:
        async for program in self._items(found, link, DERProgramList, rates):
            primacy = WEAKEST if program.primacy is None else program.primacy
            async for event in self._items(found, program.der_control_list_link, DERControlList):
                asked = set_modes(event.der_control_base)
                found.candidates.append(self._candidate(event, program, primacy, asked & self._abilities.modes))
            default = program.default_der_control_link
            if default is not None and default.href:
                found.watched.append(default.href)
                control = await self._optional(default.href, DefaultDERControl)
                if control is not None:
                    found.defaults.append((primacy, control))

    async def _load(self, found: Found, link: ListLink, rates: list[int], span: tuple[float, float]) -> None:
        async for program in self._items(found, link, DemandResponseProgramList, rates):
            found.load_programs.append(program)
            primacy = WEAKEST if program.primacy is None else program.primacy
            async for event in self._items(found, program.end_device_control_list_link, EndDeviceControlList):
                asked = any(getattr(event, name) is not None for name in self._abilities.load_controls)
                targets = frozenset({LOAD}) if asked else frozenset[str]()
                found.candidates.append(self._candidate(event, program, primacy, targets))

    async def _messages(self, found: Found, link: ListLink, rates: list[int], span: tuple[float, float]) -> None:
        async for program in self._items(found, link, MessagingProgramList, rates):
            primacy = WEAKEST if program.primacy is None else program.primacy
            async for event in self._items(found, program.text_message_list_link, TextMessageList):
                found.candidates.append(
                    Candidate(event, program.href or program.mrid or "", primacy, frozenset({MESSAGE}), shared=True)
                )

    async def _tariffs(self, found: Found, link: ListLink, rates: list[int], span: tuple[float, float]) -> None:
        profiles = [profile async for profile in self._items(found, link, TariffProfileList, rates)]
        profiles.sort(key=lambda p: (WEAKEST if p.primacy is None else p.primacy, p.mrid or ""))
        for profile in profiles:
            primacy = WEAKEST if profile.primacy is None else profile.primacy
            async for component in self._items(found, profile.rate_component_list_link, RateComponentList):
                if not await self._is_consumption(component):
                    continue
                events = self._items(found, component.time_tariff_interval_list_link, TimeTariffIntervalList)
                async for event in events:
                    program = component.href or component.mrid or ""
                    found.candidates.append(Candidate(event, program, primacy, frozenset({PRICE})))
                    await self._price(found, event, profile.price_power_of_ten_multiplier or 0, span)

    async def _price(self, found: Found, event: Any, multiplier: int, span: tuple[float, float]) -> None:
        interval, link = event.interval, event.consumption_tariff_interval_list_link
        if interval is None or interval.start is None or not interval.duration or link is None or not link.href or not event.mrid:
            return
        end = interval.start + interval.duration
        if end <= span[0] or interval.start >= span[1]:
            return
        key = (event.mrid, event.version, event.creation_time)
        if key not in self._prices:
            # The block from the first watt-hour on: others start where a customer has used more.
            blocks = [block async for block in self._items(Found(), link, ConsumptionTariffIntervalList)]
            blocks.sort(key=lambda block: block.start_value or 0)
            self._prices[key] = blocks[0].price if blocks else None
        price = self._prices[key]
        if price is not None:
            found.prices.append(Price(event.mrid, interval.start, end, price, multiplier))

    async def _is_consumption(self, component: Any) -> bool:
        link = component.reading_type_link
        if link is None or not link.href:
            return True
        if link.href not in self._forward:
            kind = await self._optional(link.href, ReadingType)
            self._forward[link.href] = kind is None or kind.flow_direction != FlowDirection.REVERSE
        return self._forward[link.href]

    async def _reservations(self, found: Found) -> None:
        href = self._device.href
        own = self._device.flow_reservation_response_list_link
        if own is None or not own.href or not href:
            return
        # The device's own document tells how many there are: it changes rarely, so asking for it again is cheap.
        device = self._device if self._device_is_current else await self._optional(href, EndDevice)
        self._device_is_current = False
        link = device.flow_reservation_response_list_link if device is not None else None
        async for event in self._items(found, link, FlowReservationResponseList):
            found.candidates.append(Candidate(event, own.href, 0, frozenset({FLOW})))

    async def _optional(self, href: str, cls: type[Any]) -> Any:
        try:
            return await self._client.get(href, cls)
        except Refused as refused:
            if refused.status not in _ABSENT:
                raise
            return None

    def _candidate(self, event: Any, program: Any, primacy: int, targets: frozenset[str]) -> Candidate:
        category = event.device_category
        applies = not category or bool(category & self._abilities.category)
        return Candidate(event, program.href or program.mrid or "", primacy, targets, applies)


_READERS = {
    "der_program_list_link": ProgramReader._der,
    "demand_response_program_list_link": ProgramReader._load,
    "tariff_profile_list_link": ProgramReader._tariffs,
    "messaging_program_list_link": ProgramReader._messages,
}


def set_modes(base: Any) -> frozenset[str]:
    """Names of the modes that a DERControlBase (or None) sets; `ramp_tms` is how, not what."""
    if base is None:
        return frozenset()
    return frozenset(name for name in base.__dataclass_fields__ if name.startswith("op_mod_") and getattr(base, name) is not None)


def _distinct(links: Iterable[ListLink | None]) -> list[ListLink]:
    by_href = {link.href: link for link in links if link is not None and link.href}
    return list(by_href.values())

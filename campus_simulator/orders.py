"""What a meter is told, as its building obeys it: piecewise constant, always the same for the same events.

A control is taken up and left at the boundaries of the meter's intervals: an interval obeys what is in force at its start.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from ieee2030_5.client.programs import FLOW, Abilities, Price
from ieee2030_5.client.watch import EventBook
from ieee2030_5.enums import DeviceCategory
from ieee2030_5.events import LOAD, PRICE, Span

from .models import Building

WHOLE = 10_000
"""A hundred percent in hundredths."""
FOLLOWED_MODES = frozenset({"op_mod_connect", "op_mod_energize", "op_mod_fixed_w", "op_mod_max_lim_w"})
_PRICE_BAND = 20
"""A price is cheap or dear from a twentieth below or above the mean."""
_LOAD_PER_DEGREE = 600
"""Hundredths of a percent of a building's load that a degree Celsius of set point moves."""
_COOLING, _HEATING = 2400, 2000
"""Set points in normal times, hundredths of a degree Celsius."""
_KWH, _KW, _W = 0, 1, 2
"""Units of a target reduction (UnitType)."""
_APPLIANCE_REDUCTION = {0: 1_000, 1: 3_000}
"""Hundredths of a percent of the load, moderate and aggressive (ApplianceLoadReductionType)."""


@dataclass(frozen=True, slots=True)
class Order:
    """What holds in an interval; the default is nothing at all. Percentages are in hundredths.

    `connected` is False where the inverters are off. `max_output` bounds generation and discharge less charge, `battery` sets the
    battery's power (positive gives), both of the rated power. `charge_w` is power granted to the battery. `price` is -1 for a
    cheap time and 1 for a dear one. `load_less` and `load_less_w` are the share and the power that the load is to fall by.
    """

    connected: bool = True
    max_output: int | None = None
    battery: int | None = None
    charge_w: int | None = None
    price: int = 0
    load_less: int = 0
    load_less_w: int = 0


NOTHING = Order()


@dataclass(frozen=True, slots=True)
class Orders:
    """Orders in pieces (start, end, order), epoch seconds, ascending and apart; nothing is ordered between them."""

    pieces: tuple[tuple[int, int, Order], ...] = ()

    def at(self, moment: int) -> Order:
        """The order at a moment."""
        return next((order for start, end, order in self.pieces if start <= moment < end), NOTHING)

    def between(self, start: int, end: int) -> Orders:
        """The part in [start, end)."""
        return Orders(tuple((max(s, start), min(e, end), order) for s, e, order in self.pieces if s < end and e > start))

    def then(self, other: Orders) -> Orders:
        """These orders, followed by those of `other`, which begin where these end or later."""
        joined = list(self.pieces)
        for start, end, order in other.pieces:
            if joined and joined[-1][1] == start and joined[-1][2] == order:
                start = joined.pop()[0]
            joined.append((start, end, order))
        return Orders(tuple(joined))

    def to_json(self) -> str:
        """Return the orders as JSON, always the same for the same orders."""
        rows = [[s, e, {k: v for k, v in asdict(order).items() if v != getattr(NOTHING, k)}] for s, e, order in self.pieces]
        return json.dumps(rows, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Orders:
        """Read what `to_json` wrote; raises `ValueError` or `TypeError` for anything else."""
        return cls(tuple((int(s), int(e), Order(**values)) for s, e, values in json.loads(text)))


NO_ORDERS = Orders()


def abilities_of(building: Building) -> Abilities:
    """What a building can follow: its inverter's modes, control of its load, and the categories it answers for."""
    category = (
        DeviceCategory.MANAGED_LOADS
        | DeviceCategory.ENERGY_MANAGEMENT_SYSTEM
        | DeviceCategory.SMART_ENERGY_MODULE
        | DeviceCategory.PHOTOVOLTAIC
    )
    if building.battery_kwh:
        category |= DeviceCategory.PHOTOVOLTAIC_AND_STORAGE | DeviceCategory.MIXED_DER
    if building.building_type == "residential":
        category |= DeviceCategory.SIMPLE_LOADS | DeviceCategory.THERMOSTAT
    return Abilities(modes=FOLLOWED_MODES, category=int(category))


def orders_of(
    book: EventBook, building: Building, start_s: int, end_s: int, interval_s: int, *, as_known: bool = False
) -> Orders:
    """Return what holds in each interval of [start_s, end_s), from the events in `book`.

    With `as_known`, only what the meter had seen by the start of an interval counts for it: it cannot obey before it knows.
    """
    times = {start_s, *(t for span in book.schedule.spans for t in (span.start, span.end))}
    if as_known:
        times |= {*book.seen.values(), book.defaults_since}
    edges = sorted({t for t in (-(-t // interval_s) * interval_s for t in times) if start_s <= t < end_s})
    mean = _mean(book.prices.values())
    found = Orders()
    for begin, end in zip(edges, [*edges[1:], end_s], strict=True):
        spans = book.schedule.targets_at(begin)
        if as_known:
            spans = {target: span for target, span in spans.items() if book.seen.get(span.candidate.mrid, begin) <= begin}
        defaults = book.defaults if not as_known or book.defaults_since <= begin else []
        order = _order(spans, _default_base(defaults), book, mean, building)
        if order != NOTHING:
            found = found.then(Orders(((begin, end, order),)))
    return found


def _default_base(defaults: Iterable[tuple[int, Any]]) -> Any:
    return next((control.der_control_base for _, control in defaults if control.der_control_base is not None), None)


def _order(spans: dict[str, Span], default: Any, book: EventBook, mean: tuple[int, int, int] | None, building: Building) -> Order:
    def mode(name: str) -> Any:
        span = spans.get(name)
        event: Any = span.candidate.event if span is not None else None
        return getattr(event.der_control_base if event is not None else default, name, None)

    connected = mode("op_mod_connect") is not False and mode("op_mod_energize") is not False
    order = Order(connected=connected, max_output=mode("op_mod_max_lim_w"))
    fixed = mode("op_mod_fixed_w")
    if fixed is not None and building.battery_kwh:
        order = replace(order, battery=fixed)
    elif fixed is not None:
        # Without a battery the set point is the inverter's, which can make less than the sky gives, but not more.
        limits = [max(fixed, 0), *([order.max_output] if order.max_output is not None else [])]
        order = replace(order, max_output=min(limits))
    if (flow := spans.get(FLOW)) is not None:
        event = flow.candidate.event
        order = replace(order, charge_w=_watts(getattr(event, "power_available", None)))
    if (load := spans.get(LOAD)) is not None:
        share, power = load_reduction(load.candidate.event)
        order = replace(order, load_less=share, load_less_w=power)
    if (priced := spans.get(PRICE)) is not None and mean is not None:
        order = replace(order, price=_level(book.prices.get(priced.candidate.mrid), mean))
    return order


def _watts(power: Any) -> int | None:
    if power is None or power.value is None:
        return None
    exponent = power.multiplier or 0
    return int(power.value * 10**exponent if exponent >= 0 else power.value // 10**-exponent)


def _mean(prices: Iterable[Price]) -> tuple[int, int, int] | None:
    """(sum of price x seconds, seconds, multiplier) of what is known; None where nothing can be compared."""
    known = list(prices)
    if not known:
        return None
    multiplier = min(p.multiplier for p in known)
    total = sum(p.price * 10 ** (p.multiplier - multiplier) * (p.end - p.start) for p in known)
    return total, sum(p.end - p.start for p in known), multiplier


def _level(price: Price | None, mean: tuple[int, int, int]) -> int:
    if price is None:
        return 0
    total, seconds, multiplier = mean
    scaled = price.price * 10 ** (price.multiplier - multiplier) * seconds
    band = abs(total) // _PRICE_BAND
    return -1 if scaled < total - band else 1 if scaled > total + band else 0


def load_reduction(event: Any) -> tuple[int, int]:
    """What an EndDeviceControl asks of a load: (hundredths of a percent, W) less; negative shares are more.

    The reduction of a target is an amount (B.2.3.4, TargetReduction). An event may state several; the one that asks most counts.
    """
    shares, power = [0], 0
    if (duty := event.duty_cycle) is not None and duty.normal_value is not None:
        shares.append(max(0, WHOLE - 100 * duty.normal_value))
    if (appliance := event.appliance_load_reduction) is not None:
        shares.append(_APPLIANCE_REDUCTION.get(appliance.type, 0))
    if (offset := event.offset) is not None:
        degrees = max(offset.cooling_offset or 0, offset.heating_offset or 0)
        shares += [degrees * _LOAD_PER_DEGREE // 10, offset.load_adjustment_percentage_offset or 0]
    if (point := event.set_point) is not None:
        warmer = point.cooling_setpoint - _COOLING if point.cooling_setpoint is not None else 0
        cooler = _HEATING - point.heating_setpoint if point.heating_setpoint is not None else 0
        shares.append(max(warmer, cooler, 0) * _LOAD_PER_DEGREE // 100)
    if (target := event.target_reduction) is not None and target.value:
        seconds = event.interval.duration or 1
        scale = {_KWH: 3_600_000, _KW: 1_000 * seconds, _W: seconds}.get(target.type)
        power = target.value * scale // seconds if scale is not None else 0
    if event.load_shift_forward:
        return -max(shares), -power
    return max(shares), power

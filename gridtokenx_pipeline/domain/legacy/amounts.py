"""One legacy reading to amounts: which channel, which interval, how much, or why it cannot be told.

Battery discharge is never generation. The first simulator added it to `energy_generated`, so for a meter with a battery that
field is generation only where the discharge is told besides, where nothing was generated, or where the meter has no panels;
everything else is refused with its reason. That a meter has no battery is believed of its own type only if the configuration
gives it none either. Amounts are decimals to the end, then whole milli-watt-hours, rounded half to even.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

from gridtokenx_pipeline.domain.channels import STATE_OF_CHARGE
from gridtokenx_pipeline.domain.legacy.feeds import Feed
from gridtokenx_pipeline.domain.reasons import Reason
from ieee2030_5.enums import AccumulationBehaviour, Kind, Uom
from ingest_server.gateway.documents import EXPORT_OBIS, LegacyReading

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_WITHOUT_STORAGE = frozenset({"Solar_Prosumer", "Grid_Consumer"})
_STORAGE_ONLY = "Battery_Storage"
_MILLI_PER_KWH = 6
_MILLI_PER_WH = 3


class Unit(NamedTuple):
    """Codes of the ReadingType that an amount would have had (IEEE 2030.5-2018)."""

    uom: int
    power_of_ten: int
    kind: int | None
    accumulation: int


INTERVAL = Unit(Uom.WH, -3, Kind.ENERGY, AccumulationBehaviour.DELTA_DATA)
REGISTER = Unit(Uom.WH, -3, Kind.ENERGY, AccumulationBehaviour.SUMMATION)
CHARGE = Unit(Uom.NOT_APPLICABLE, -2, None, AccumulationBehaviour.INSTANTANEOUS)
_MEASURED = {
    "power": (Unit(Uom.W, 0, Kind.POWER, AccumulationBehaviour.INSTANTANEOUS), 3),
    "voltage": (Unit(Uom.V, -3, None, AccumulationBehaviour.INSTANTANEOUS), 3),
    "current": (Unit(Uom.A, -3, None, AccumulationBehaviour.INSTANTANEOUS), 3),
    "frequency": (Unit(Uom.HZ, -3, None, AccumulationBehaviour.INSTANTANEOUS), 3),
    "power_factor": (Unit(Uom.POWER_FACTOR, -3, None, AccumulationBehaviour.INSTANTANEOUS), 3),
}


@dataclass(slots=True, frozen=True)
class Amount:
    """`value` of `unit` on a channel, or under a measurement's name, from `start` for `duration_s` (0: at that moment).

    `error` and `detail` say what is wrong with it (reason code, text); None where nothing is wrong yet.
    """

    name: str
    unit: Unit
    value: int
    start: dt.datetime
    duration_s: int
    error: str | None = None
    detail: str | None = None


def amounts(reading: LegacyReading, feed: Feed, *, has_battery: bool) -> list[Amount]:
    """Return every amount of a reading, at least one. Nothing is raised for a reading that passed `read_body`.

    `has_battery`: whether the configuration gives the meter one.
    """
    if not has_battery and reading.meter_type in _WITHOUT_STORAGE:
        feed = replace(feed, storage="none")
    length = reading.interval_s or feed.interval_s
    start, fault = _placed(reading.at, length, feed)
    found = [replace(amount, start=start, duration_s=length or 0) for amount in _of_interval(reading, feed)]
    if fault:
        found = [replace(amount, error=Reason.BAD_INTERVAL.value, detail=fault) for amount in found]
    moment = reading.at
    for name, value in reading.measurements:
        unit, shift = _MEASURED[name]
        found.append(Amount(name, unit, _whole(value, shift), moment, 0))
    return found


def _placed(at: dt.datetime, length: int | None, feed: Feed) -> tuple[dt.datetime, str]:
    """The start of the interval, and what is wrong with it ("" for nothing)."""
    if length is None:
        return at, "neither the reading nor the configuration of its feed says how long the interval was"
    stamp, step = (at - _EPOCH) // _MICROSECOND, length * 1_000_000
    nearest = (stamp + step // 2) // step * step
    off = abs(stamp - nearest)
    start = nearest - (step if feed.stamp == "end" else 0)
    if off > feed.clock_tolerance_s * 1_000_000:
        seconds = Decimal(off).scaleb(-6).normalize()
        written = f"{at:%Y-%m-%dT%H:%M:%S.%fZ}"
        return at, f"timestamp {written} is {seconds:f} s off a multiple of {length} s, tolerance {feed.clock_tolerance_s} s"
    return _EPOCH + start * _MICROSECOND, ""


def _of_interval(reading: LegacyReading, feed: Feed) -> Iterator[Amount]:
    """Energy and state of charge, not placed in time yet."""
    if reading.shape == "dlms":
        yield from _obis(reading, feed)
    else:
        if reading.consumed is not None:
            yield _energy("load", reading.consumed)
        if reading.generated is not None:
            yield from _generated(reading, reading.generated, feed.storage)
        elif reading.battery_discharge is not None:
            yield _energy("discharge", reading.battery_discharge)
    if reading.battery_charge is not None:
        yield _energy("charge", reading.battery_charge)
    if reading.battery_level is not None and feed.storage != "none":
        yield Amount(STATE_OF_CHARGE, CHARGE, _whole(reading.battery_level, 2), reading.at, 0)


def _obis(reading: LegacyReading, feed: Feed) -> Iterator[Amount]:
    gross = feed.flow == "gross"
    if reading.imported is not None:
        yield _obis_amount("load" if gross else "import", reading.imported, feed)
    if reading.exported is None:
        return
    if not gross:
        yield _obis_amount("export", reading.exported, feed)
    elif feed.obis == "register":
        # What a register of both has counted since it was installed cannot be taken apart.
        whole = feed.storage != "unknown"
        amount = _obis_amount("generation", reading.exported, feed)
        yield amount if whole else _held(amount, f"register {EXPORT_OBIS}")
        if feed.storage == "none":
            yield from _no_storage(reading)
    else:
        yield from _generated(reading, reading.exported.scaleb(-3), feed.storage)


def _obis_amount(channel: str, wh: Decimal, feed: Feed) -> Amount:
    unit = REGISTER if feed.obis == "register" else INTERVAL
    return Amount(channel, unit, _whole(wh, _MILLI_PER_WH), _EPOCH, 0)


def _generated(reading: LegacyReading, kwh: Decimal, storage: str) -> Iterator[Amount]:
    """energy_generated, less what the battery gave."""
    discharge = reading.battery_discharge
    if storage == "none":
        yield _energy("generation", kwh)
        yield from _no_storage(reading)
    elif storage == "separate":
        yield _energy("generation", kwh)
        if discharge is not None:
            yield _energy("discharge", discharge)
    elif discharge is not None:
        amount = _energy("generation", kwh - discharge)
        yield (
            amount
            if 0 <= discharge <= kwh
            else _held(amount, f"energy_generated {kwh} kWh with battery_discharge {discharge} kWh")
        )
        yield _energy("discharge", discharge)
    elif kwh == 0:
        yield _energy("generation", kwh)
        yield _energy("discharge", kwh)
    elif reading.meter_type == _STORAGE_ONLY and reading.irradiance is None:
        yield _energy("generation", Decimal(0))
        yield _energy("discharge", kwh)
    else:
        yield _held(_energy("generation", kwh), f"energy_generated {kwh} kWh")


def _no_storage(reading: LegacyReading) -> Iterator[Amount]:
    # Both are known to be nothing, and a market position needs them. A reading that states them all the same is believed.
    if reading.battery_charge is None:
        yield _energy("charge", Decimal(0))
    yield _energy("discharge", reading.battery_discharge or Decimal(0))


def _held(amount: Amount, what: str) -> Amount:
    detail = f"{what} may hold battery discharge, and nothing says how much"
    return replace(amount, error=Reason.STORAGE_IN_GENERATION.value, detail=detail)


def _energy(channel: str, kwh: Decimal) -> Amount:
    return Amount(channel, INTERVAL, _whole(kwh, _MILLI_PER_KWH), _EPOCH, 0)


def _whole(value: Decimal, shift: int) -> int:
    return int(value.scaleb(shift).to_integral_value(ROUND_HALF_EVEN))

"""A simulated meter's documents: its mirror usage point, and one list of readings for each interval.

Energy goes out twice, as the interval's own (delta data) and as the register at its end (summation), both in milli-watt-hours;
the state of charge at the interval's end goes out in hundredths of a percent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from ieee2030_5.enums import AccumulationBehaviour, Commodity, DataQualifier, FlowDirection, Kind, RoleFlags, ServiceKind, Uom
from ieee2030_5.enums import UsagePointStatus as Status
from ieee2030_5.resources import (
    DateTimeInterval,
    MirrorMeterReading,
    MirrorMeterReadingList,
    MirrorUsagePoint,
    Reading,
    ReadingType,
)

from .meter import Series
from .models import ENERGY_CHANNELS, STATE_OF_CHARGE, Building

PEN = 32473
"""IANA enterprise number for documentation (RFC 5612), where a manufacturer puts its own."""

_FROM_CUSTOMER = frozenset({"generation", "discharge", "export"})


def mrid_of(lfdi: str, *names: object) -> str:
    """Return an mRID that is always the same for the same names: 96 bits of SHA-256, then the enterprise number."""
    digest = hashlib.sha256("|".join(map(str, (lfdi, *names))).encode()).hexdigest()[:24]
    return f"{digest}{PEN:08x}".upper()


def usage_point_mrid(lfdi: str) -> str:
    """Return the mRID of the device's mirror usage point."""
    return mrid_of(lfdi, "MirrorUsagePoint")


def meter_reading_mrid(lfdi: str, channel: str, behaviour: AccumulationBehaviour) -> str:
    """Return the mRID of the device's mirror meter reading of a channel, as interval, register or instantaneous value."""
    return mrid_of(lfdi, channel, int(behaviour))


def _energy_type(channel: str, behaviour: AccumulationBehaviour, interval_s: int | None) -> ReadingType:
    return ReadingType(
        accumulation_behaviour=behaviour,
        commodity=Commodity.ELECTRICITY_SECONDARY_METERED,
        data_qualifier=DataQualifier.NORMAL,
        flow_direction=FlowDirection.REVERSE if channel in _FROM_CUSTOMER else FlowDirection.FORWARD,
        interval_length=interval_s,
        kind=Kind.ENERGY,
        power_of_ten_multiplier=-3,
        uom=Uom.WH,
    )


def _state_of_charge_type(interval_s: int) -> ReadingType:
    return ReadingType(
        accumulation_behaviour=AccumulationBehaviour.INSTANTANEOUS,
        commodity=Commodity.ELECTRICITY_SECONDARY_METERED,
        data_qualifier=DataQualifier.NORMAL,
        interval_length=interval_s,
        kind=Kind.NOT_APPLICABLE,
        power_of_ten_multiplier=-2,
        uom=Uom.NOT_APPLICABLE,
    )


def mirror_usage_point(building: Building, lfdi: str, interval_s: int) -> MirrorUsagePoint:
    """Return the usage point of a meter with the type of each of its 13 mirror meter readings, and no reading.

    Each of the six energies has an interval and a register; all are described by the channel's name.
    """

    def declare(channel: str, behaviour: AccumulationBehaviour, reading_type: ReadingType) -> MirrorMeterReading:
        mrid = meter_reading_mrid(lfdi, channel, behaviour)
        return MirrorMeterReading(mrid=mrid, description=channel, reading_type=reading_type)

    declared = []
    for channel in ENERGY_CHANNELS:
        for behaviour, length in ((AccumulationBehaviour.DELTA_DATA, interval_s), (AccumulationBehaviour.SUMMATION, None)):
            declared.append(declare(channel, behaviour, _energy_type(channel, behaviour, length)))
    declared.append(declare(STATE_OF_CHARGE, AccumulationBehaviour.INSTANTANEOUS, _state_of_charge_type(interval_s)))
    return MirrorUsagePoint(
        mrid=usage_point_mrid(lfdi),
        description=building.meter_id,
        role_flags=RoleFlags.IS_MIRROR | RoleFlags.IS_PREMISES_AGGREGATION_POINT | RoleFlags.IS_DER,
        service_category_kind=ServiceKind.ELECTRICITY,
        status=Status.ON,
        device_lfdi=lfdi,
        mirror_meter_readings=declared,
    )


def interval_readings(series: Series, lfdi: str) -> Iterator[MirrorMeterReadingList]:
    """Yield the document of each interval of a series, in order: 13 mirror meter readings of one reading each.

    An interval's energy has the interval as its time period; registers and the state of charge are instants at its end.
    """
    intervals = [meter_reading_mrid(lfdi, channel, AccumulationBehaviour.DELTA_DATA) for channel in ENERGY_CHANNELS]
    registers = [meter_reading_mrid(lfdi, channel, AccumulationBehaviour.SUMMATION) for channel in ENERGY_CHANNELS]
    charge = meter_reading_mrid(lfdi, STATE_OF_CHARGE, AccumulationBehaviour.INSTANTANEOUS)
    energies = [series.energy[channel].tolist() for channel in ENERGY_CHANNELS]
    totals = [series.registers[channel].tolist() for channel in ENERGY_CHANNELS]
    charges = series.state_of_charge.tolist()
    length = series.window.interval_s
    for i in range(series.window.intervals):
        start = series.window.start_s + i * length
        period, instant = DateTimeInterval(duration=length, start=start), DateTimeInterval(duration=0, start=start + length)
        items = []
        for interval, register, energy, total in zip(intervals, registers, energies, totals, strict=True):
            items.append(MirrorMeterReading(mrid=interval, reading=Reading(time_period=period, value=energy[i])))
            items.append(MirrorMeterReading(mrid=register, reading=Reading(time_period=instant, value=total[i])))
        items.append(MirrorMeterReading(mrid=charge, reading=Reading(time_period=instant, value=charges[i])))
        yield MirrorMeterReadingList(all=len(items), results=len(items), mirror_meter_readings=items)

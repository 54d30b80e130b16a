"""Metering: usage points, meter readings, sets of readings, readings and their types (IEEE 2030.5-2018, 10.10)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from .base import DateTimeInterval, IdentifiedObject, Link, ListLink, Resource, SubscribableList
from .fields import attribute, children, element
from .quantities import UnitValue
from .types import BOOLEAN, HEX16, INT8, INT48, LFDI, UINT8, UINT32, UINT48


@dataclass(slots=True, kw_only=True)
class ReadingBase(Resource):
    """A value; its unit and scale are in the reading type."""

    consumption_block: Annotated[int | None, element("consumptionBlock", UINT8)] = None
    quality_flags: Annotated[int | None, element("qualityFlags", HEX16)] = None
    time_period: Annotated[DateTimeInterval | None, element("timePeriod", DateTimeInterval)] = None
    tou_tier: Annotated[int | None, element("touTier", UINT8)] = None
    value: Annotated[int | None, element("value", INT48)] = None


@dataclass(slots=True, kw_only=True)
class Reading(ReadingBase):
    """A value of a meter reading; `local_id` tells apart readings of one set."""

    subscribable: Annotated[int | None, attribute("subscribable", UINT8)] = None
    local_id: Annotated[int | None, element("localID", HEX16)] = None


@dataclass(slots=True, kw_only=True)
class ReadingType(Resource):
    """What readings mean: codes as in `enums`, lengths in seconds, scale as a power of ten."""

    accumulation_behaviour: Annotated[int | None, element("accumulationBehaviour", UINT8)] = None
    calorific_value: Annotated[UnitValue | None, element("calorificValue", UnitValue)] = None
    commodity: Annotated[int | None, element("commodity", UINT8)] = None
    conversion_factor: Annotated[UnitValue | None, element("conversionFactor", UnitValue)] = None
    data_qualifier: Annotated[int | None, element("dataQualifier", UINT8)] = None
    flow_direction: Annotated[int | None, element("flowDirection", UINT8)] = None
    interval_length: Annotated[int | None, element("intervalLength", UINT32)] = None
    kind: Annotated[int | None, element("kind", UINT8)] = None
    max_number_of_intervals: Annotated[int | None, element("maxNumberOfIntervals", UINT8)] = None
    number_of_consumption_blocks: Annotated[int | None, element("numberOfConsumptionBlocks", UINT8)] = None
    number_of_tou_tiers: Annotated[int | None, element("numberOfTouTiers", UINT8)] = None
    phase: Annotated[int | None, element("phase", UINT8)] = None
    power_of_ten_multiplier: Annotated[int | None, element("powerOfTenMultiplier", INT8)] = None
    sub_interval_length: Annotated[int | None, element("subIntervalLength", UINT32)] = None
    supply_limit: Annotated[int | None, element("supplyLimit", UINT48)] = None
    tiered_consumption_blocks: Annotated[bool | None, element("tieredConsumptionBlocks", BOOLEAN)] = None
    uom: Annotated[int | None, element("uom", UINT8)] = None


@dataclass(slots=True, kw_only=True)
class UsagePointBase(IdentifiedObject):
    """What usage points and their mirrors share; `role_flags` as `enums.RoleFlags`."""

    role_flags: Annotated[int | None, element("roleFlags", HEX16)] = None
    service_category_kind: Annotated[int | None, element("serviceCategoryKind", UINT8)] = None
    status: Annotated[int | None, element("status", UINT8)] = None


@dataclass(slots=True, kw_only=True)
class MeterReadingBase(IdentifiedObject):
    """What all meter readings share."""


@dataclass(slots=True, kw_only=True)
class ReadingSetBase(IdentifiedObject):
    """What all sets of readings share: the period they cover."""

    time_period: Annotated[DateTimeInterval | None, element("timePeriod", DateTimeInterval)] = None


@dataclass(slots=True, kw_only=True)
class UsagePoint(UsagePointBase):
    """A point where energy is metered, for reading."""

    device_lfdi: Annotated[str | None, element("deviceLFDI", LFDI)] = None
    meter_reading_list_link: Annotated[ListLink | None, element("MeterReadingListLink", ListLink)] = None


@dataclass(slots=True, kw_only=True)
class UsagePointList(SubscribableList):
    """Usage points, by descending mRID."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    usage_points: Annotated[list[UsagePoint], children("UsagePoint", UsagePoint)] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class MeterReading(MeterReadingBase):
    """Readings of one type at a usage point."""

    rate_component_list_link: Annotated[ListLink | None, element("RateComponentListLink", ListLink)] = None
    reading_link: Annotated[Link | None, element("ReadingLink", Link)] = None
    reading_set_list_link: Annotated[ListLink | None, element("ReadingSetListLink", ListLink)] = None
    reading_type_link: Annotated[Link | None, element("ReadingTypeLink", Link)] = None


@dataclass(slots=True, kw_only=True)
class MeterReadingList(SubscribableList):
    """Meter readings, by descending mRID."""

    meter_readings: Annotated[list[MeterReading], children("MeterReading", MeterReading)] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class ReadingSet(ReadingSetBase):
    """A set of readings of one period."""

    reading_list_link: Annotated[ListLink | None, element("ReadingListLink", ListLink)] = None


@dataclass(slots=True, kw_only=True)
class ReadingSetList(SubscribableList):
    """Sets of readings, latest period first."""

    reading_sets: Annotated[list[ReadingSet], children("ReadingSet", ReadingSet)] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class ReadingList(SubscribableList):
    """Readings, by ascending local identifier."""

    readings: Annotated[list[Reading], children("Reading", Reading)] = field(default_factory=list)

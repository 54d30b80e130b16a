"""Readings and their types (IEEE 2030.5-2018, 10.10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from .base import DateTimeInterval, Resource
from .fields import attribute, element
from .types import BOOLEAN, HEX16, INT8, INT32, INT48, UINT8, UINT32, UINT48


@dataclass(slots=True, kw_only=True)
class UnitValue:
    """A number with its unit: value x 10^multiplier."""

    multiplier: Annotated[int | None, element("multiplier", INT8)] = None
    unit: Annotated[int | None, element("unit", UINT8)] = None
    value: Annotated[int | None, element("value", INT32)] = None


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

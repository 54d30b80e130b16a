"""Tariffs and prices (IEEE 2030.5-2018, pricing function set)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from .base import IdentifiedObject, Link, List, ListLink, RandomizableEvent, Resource, SubscribableList
from .fields import attribute, children, element
from .quantities import UnitValue
from .types import HEX16, INT8, INT32, STRING20, UINT8, UINT16, UINT32, UINT48


@dataclass(slots=True, kw_only=True)
class EnvironmentalCost:
    """Environmental cost of energy; `cost_level` of `num_cost_levels` grows with scarcity."""

    amount: Annotated[int | None, element("amount", UINT32)] = None
    cost_kind: Annotated[int | None, element("costKind", UINT8)] = None
    cost_level: Annotated[int | None, element("costLevel", UINT8)] = None
    num_cost_levels: Annotated[int | None, element("numCostLevels", UINT8)] = None


@dataclass(slots=True, kw_only=True)
class ConsumptionTariffInterval(Resource):
    """A price from consumption `start_value` on; `price` in the tariff's unit and scale."""

    consumption_block: Annotated[int | None, element("consumptionBlock", UINT8)] = None
    environmental_costs: Annotated[list[EnvironmentalCost], children("EnvironmentalCost", EnvironmentalCost)] = field(
        default_factory=list
    )
    price: Annotated[int | None, element("price", INT32)] = None
    start_value: Annotated[int | None, element("startValue", UINT48)] = None


@dataclass(slots=True, kw_only=True)
class ConsumptionTariffIntervalList(List):
    """Prices by ascending start value."""

    consumption_tariff_intervals: Annotated[
        list[ConsumptionTariffInterval], children("ConsumptionTariffInterval", ConsumptionTariffInterval)
    ] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class RateComponent(IdentifiedObject):
    """One part of a tariff: the reading type it prices and its time intervals."""

    active_time_tariff_interval_list_link: Annotated[ListLink | None, element("ActiveTimeTariffIntervalListLink", ListLink)] = (
        None
    )
    flow_rate_end_limit: Annotated[UnitValue | None, element("flowRateEndLimit", UnitValue)] = None
    flow_rate_start_limit: Annotated[UnitValue | None, element("flowRateStartLimit", UnitValue)] = None
    reading_type_link: Annotated[Link | None, element("ReadingTypeLink", Link)] = None
    role_flags: Annotated[int | None, element("roleFlags", HEX16)] = None
    time_tariff_interval_list_link: Annotated[ListLink | None, element("TimeTariffIntervalListLink", ListLink)] = None


@dataclass(slots=True, kw_only=True)
class RateComponentList(List):
    """Rate components, by descending mRID."""

    rate_components: Annotated[list[RateComponent], children("RateComponent", RateComponent)] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class TariffProfile(IdentifiedObject):
    """A tariff; `currency` as ISO 4217 number, prices scaled by the power of ten."""

    currency: Annotated[int | None, element("currency", UINT16)] = None
    price_power_of_ten_multiplier: Annotated[int | None, element("pricePowerOfTenMultiplier", INT8)] = None
    primacy: Annotated[int | None, element("primacy", UINT8)] = None
    rate_code: Annotated[str | None, element("rateCode", STRING20)] = None
    rate_component_list_link: Annotated[ListLink | None, element("RateComponentListLink", ListLink)] = None
    service_category_kind: Annotated[int | None, element("serviceCategoryKind", UINT8)] = None


@dataclass(slots=True, kw_only=True)
class TariffProfileList(SubscribableList):
    """Tariffs, by descending mRID."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    tariff_profiles: Annotated[list[TariffProfile], children("TariffProfile", TariffProfile)] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class TimeTariffInterval(RandomizableEvent):
    """A price's time: an event of a rate component."""

    consumption_tariff_interval_list_link: Annotated[ListLink | None, element("ConsumptionTariffIntervalListLink", ListLink)] = (
        None
    )
    tou_tier: Annotated[int | None, element("touTier", UINT8)] = None


@dataclass(slots=True, kw_only=True)
class TimeTariffIntervalList(SubscribableList):
    """Time tariff intervals, by ascending start, latest creation first."""

    time_tariff_intervals: Annotated[list[TimeTariffInterval], children("TimeTariffInterval", TimeTariffInterval)] = field(
        default_factory=list
    )

"""Configuration of a device by its operator (IEEE 2030.5-2018, configuration function set)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from .base import Link, List, ListLink, Resource, SubscribableResource
from .fields import attribute, children, element
from .types import HEX32, INT32, STRING32, STRING42, TIME, UINT32


@dataclass(slots=True, kw_only=True)
class PowerConfiguration:
    """Battery settings; the charge is low when it lasts for less than `low_charge_threshold` seconds."""

    battery_install_time: Annotated[int | None, element("batteryInstallTime", TIME)] = None
    low_charge_threshold: Annotated[int | None, element("lowChargeThreshold", UINT32)] = None


@dataclass(slots=True, kw_only=True)
class TimeConfiguration:
    """Local time rules of a device; offsets in seconds, rules as packed bit fields."""

    dst_end_rule: Annotated[int | None, element("dstEndRule", HEX32)] = None
    dst_offset: Annotated[int | None, element("dstOffset", INT32)] = None
    dst_start_rule: Annotated[int | None, element("dstStartRule", HEX32)] = None
    tz_offset: Annotated[int | None, element("tzOffset", INT32)] = None


@dataclass(slots=True, kw_only=True)
class PriceResponseCfg(Resource):
    """How a device answers the prices of one rate component: thresholds in the tariff's price unit."""

    consume_threshold: Annotated[int | None, element("consumeThreshold", INT32)] = None
    max_reduction_threshold: Annotated[int | None, element("maxReductionThreshold", INT32)] = None
    rate_component_link: Annotated[Link | None, element("RateComponentLink", Link)] = None


@dataclass(slots=True, kw_only=True)
class PriceResponseCfgList(List):
    """How a device answers prices."""

    price_response_cfgs: Annotated[list[PriceResponseCfg], children("PriceResponseCfg", PriceResponseCfg)] = field(
        default_factory=list
    )


@dataclass(slots=True, kw_only=True)
class Configuration(SubscribableResource):
    """Settings of a device that its operator may write."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    current_locale: Annotated[str | None, element("currentLocale", STRING42)] = None
    power_configuration: Annotated[PowerConfiguration | None, element("PowerConfiguration", PowerConfiguration)] = None
    price_response_cfg_list_link: Annotated[ListLink | None, element("PriceResponseCfgListLink", ListLink)] = None
    time_configuration: Annotated[TimeConfiguration | None, element("TimeConfiguration", TimeConfiguration)] = None
    user_device_name: Annotated[str | None, element("userDeviceName", STRING32)] = None

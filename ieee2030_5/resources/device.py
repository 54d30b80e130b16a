"""What a device says of itself: information, status, power status, temperature (IEEE 2030.5-2018, common resources)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from .base import Link, List, ListLink, Resource
from .fields import attribute, children, element
from .quantities import ActivePower, RealEnergy
from .types import HEX32, HEX64, INT8, INT16, LFDI, PERCENT, STRING32, STRING42, TIME, UINT8, UINT16, UINT32


@dataclass(slots=True, kw_only=True)
class DRLCCapabilities:
    """What a load can be told to do: `options_implemented` is a bit mask."""

    average_energy: Annotated[RealEnergy | None, element("averageEnergy", RealEnergy)] = None
    max_demand: Annotated[ActivePower | None, element("maxDemand", ActivePower)] = None
    options_implemented: Annotated[int | None, element("optionsImplemented", HEX32)] = None


@dataclass(slots=True, kw_only=True)
class GPSLocation:
    """A position in decimal degrees (WGS 84), as text."""

    lat: Annotated[str | None, element("lat", STRING32)] = None
    lon: Annotated[str | None, element("lon", STRING32)] = None


@dataclass(slots=True, kw_only=True)
class DeviceInformation(Resource):
    """Manufacturer's data of a device; `mf_id` is its IANA enterprise number, `functions_implemented` a bit mask."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    drlc_capabilities: Annotated[DRLCCapabilities | None, element("DRLCCapabilities", DRLCCapabilities)] = None
    functions_implemented: Annotated[int | None, element("functionsImplemented", HEX64)] = None
    gps_location: Annotated[GPSLocation | None, element("gpsLocation", GPSLocation)] = None
    lfdi: Annotated[str | None, element("lFDI", LFDI)] = None
    mf_date: Annotated[int | None, element("mfDate", TIME)] = None
    mf_hw_ver: Annotated[str | None, element("mfHwVer", STRING32)] = None
    mf_id: Annotated[int | None, element("mfID", UINT32)] = None
    mf_info: Annotated[str | None, element("mfInfo", STRING32)] = None
    mf_model: Annotated[str | None, element("mfModel", STRING32)] = None
    mf_ser_num: Annotated[str | None, element("mfSerNum", STRING32)] = None
    primary_power: Annotated[int | None, element("primaryPower", UINT8)] = None
    secondary_power: Annotated[int | None, element("secondaryPower", UINT8)] = None
    supported_locale_list_link: Annotated[ListLink | None, element("SupportedLocaleListLink", ListLink)] = None
    sw_act_time: Annotated[int | None, element("swActTime", TIME)] = None
    sw_ver: Annotated[str | None, element("swVer", STRING32)] = None


@dataclass(slots=True, kw_only=True)
class SupportedLocale(Resource):
    """A language a device can show (RFC 4646)."""

    locale: Annotated[str | None, element("locale", STRING42)] = None


@dataclass(slots=True, kw_only=True)
class SupportedLocaleList(List):
    """The languages a device can show."""

    supported_locales: Annotated[list[SupportedLocale], children("SupportedLocale", SupportedLocale)] = field(
        default_factory=list
    )


@dataclass(slots=True, kw_only=True)
class Temperature:
    """A temperature in degrees Celsius: value x 10^multiplier; `subject` 0 enclosure, 1 transformer, 2 heat sink."""

    multiplier: Annotated[int | None, element("multiplier", INT8)] = None
    subject: Annotated[int | None, element("subject", UINT8)] = None
    value: Annotated[int | None, element("value", INT16)] = None


@dataclass(slots=True, kw_only=True)
class DeviceStatus(Resource):
    """Running state of a device; `op_time` is seconds of operation since the counter was reset."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    changed_time: Annotated[int | None, element("changedTime", TIME)] = None
    on_count: Annotated[int | None, element("onCount", UINT16)] = None
    op_state: Annotated[int | None, element("opState", UINT8)] = None
    op_time: Annotated[int | None, element("opTime", UINT32)] = None
    temperatures: Annotated[list[Temperature], children("Temperature", Temperature)] = field(default_factory=list)
    time_link: Annotated[Link | None, element("TimeLink", Link)] = None


@dataclass(slots=True, kw_only=True)
class PEVInfo:
    """A charging vehicle's needs; durations in seconds, percentages in hundredths."""

    charging_power_now: Annotated[ActivePower | None, element("chargingPowerNow", ActivePower)] = None
    energy_request_now: Annotated[RealEnergy | None, element("energyRequestNow", RealEnergy)] = None
    max_forward_power: Annotated[ActivePower | None, element("maxForwardPower", ActivePower)] = None
    minimum_charging_duration: Annotated[int | None, element("minimumChargingDuration", UINT32)] = None
    target_state_of_charge: Annotated[int | None, element("targetStateOfCharge", PERCENT)] = None
    time_charge_is_needed: Annotated[int | None, element("timeChargeIsNeeded", TIME)] = None
    time_charging_status_pev: Annotated[int | None, element("timeChargingStatusPEV", TIME)] = None


@dataclass(slots=True, kw_only=True)
class PowerStatus(Resource):
    """Power source and battery of a device; durations in seconds, percentages in hundredths."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    battery_status: Annotated[int | None, element("batteryStatus", UINT8)] = None
    changed_time: Annotated[int | None, element("changedTime", TIME)] = None
    current_power_source: Annotated[int | None, element("currentPowerSource", UINT8)] = None
    estimated_charge_remaining: Annotated[int | None, element("estimatedChargeRemaining", PERCENT)] = None
    estimated_time_remaining: Annotated[int | None, element("estimatedTimeRemaining", UINT32)] = None
    pev_info: Annotated[PEVInfo | None, element("PEVInfo", PEVInfo)] = None
    session_time_on_battery: Annotated[int | None, element("sessionTimeOnBattery", UINT32)] = None
    total_time_on_battery: Annotated[int | None, element("totalTimeOnBattery", UINT32)] = None

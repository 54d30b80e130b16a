"""What a building's inverter, battery and load say of themselves: capability, settings, status, availability, and requests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from ieee2030_5.events import Course
from ieee2030_5.resources import (
    ActivePower,
    ConnectStatus,
    DateTimeInterval,
    DERAvailability,
    DERCapability,
    DERSettings,
    DERStatus,
    EndDeviceControl,
    FlowReservationRequest,
    InverterStatus,
    Link,
    LoadShedAvailability,
    LogEvent,
    OperationalModeStatus,
    PowerStatus,
    RequestStatus,
    SignedRealEnergy,
    StateOfChargeStatus,
    StorageModeStatus,
    WattHour,
)

from .battery import C_RATE, RESERVE_PCT
from .control import SHEDDABLE_PCT
from .device import PEN, mrid_of
from .meter import Series
from .models import KWH, Building, Site
from .orders import WHOLE, Order

_PHOTOVOLTAIC, _PHOTOVOLTAIC_AND_STORAGE = 4, 83
_CHARGE_MODE, _DISCHARGE_MODE = 1 << 0, 1 << 1
_MODE_BITS = (1 << 2) | (1 << 3) | (1 << 7) | (1 << 20)
"""opModConnect, opModEnergize, opModFixedW, opModMaxLimW (DERControlType)."""
_GRADIENT = 10_000
"""Hundredths of a percent per second: the inverters follow at once."""
_CONNECTED, _AVAILABLE, _OPERATING = 1, 2, 4
_OFF, _SLEEPING, _TRACKING, _DERATED = 1, 2, 4, 5
_MAINS = 1
_BATTERY_NORMAL, _BATTERY_LOW, _NO_BATTERY = 1, 2, 4
_VENDOR_PROFILE = 1
_DRLC, _DER = 5, 11
ENTERED, LEFT = 1, 2
"""Our codes of log events: a control began and ended."""
EVENING_H, NIGHT_H, MORNING_H = 18, 22, 6
_WISHED_PCT, _TARGET_PCT = 50, 80


def watts(power_w: int) -> ActivePower:
    """Active power that fits 16 bits, in the smallest power of ten that does."""
    multiplier = 0
    while abs(power_w) > 32_767:
        power_w, multiplier = power_w // 10, multiplier + 1
    return ActivePower(multiplier=multiplier, value=power_w)


def _watt_hours(energy_wh: int) -> WattHour:
    multiplier = 0
    while energy_wh > 65_535:
        energy_wh, multiplier = energy_wh // 10, multiplier + 1
    return WattHour(multiplier=multiplier, value=energy_wh)


def _battery_w(building: Building) -> int:
    return int(min(C_RATE * building.battery_kwh, building.rated_kw) * 1000)


def capability(building: Building) -> DERCapability:
    """Ratings of a building's inverter and battery."""
    rated = int(building.rated_kw * 1000)
    document = DERCapability(modes_supported=_MODE_BITS, rtg_max_w=watts(rated), type=_PHOTOVOLTAIC)
    if building.battery_kwh:
        document.modes_supported = _MODE_BITS | _CHARGE_MODE | _DISCHARGE_MODE
        document.rtg_max_charge_rate_w = document.rtg_max_discharge_rate_w = watts(_battery_w(building))
        document.rtg_max_wh = _watt_hours(int(building.battery_kwh * 1000))
        document.type = _PHOTOVOLTAIC_AND_STORAGE
    return document


def settings(building: Building, at_s: int) -> DERSettings:
    """Settings of a building's inverter and battery: its ratings, as of `at_s`."""
    rated = capability(building)
    return DERSettings(
        modes_enabled=rated.modes_supported,
        set_grad_w=_GRADIENT,
        set_max_charge_rate_w=rated.rtg_max_charge_rate_w,
        set_max_discharge_rate_w=rated.rtg_max_discharge_rate_w,
        set_max_w=rated.rtg_max_w,
        set_max_wh=rated.rtg_max_wh,
        updated_time=at_s,
    )


def status(building: Building, series: Series, order: Order) -> DERStatus:
    """Status at the end of a series, under the order that held then."""
    at = series.window.end_s
    made = int(series.energy["generation"][-1])
    charge, discharge = int(series.energy["charge"][-1]), int(series.energy["discharge"][-1])
    state = (
        _OFF
        if not order.connected
        else _DERATED
        if order.max_output is not None
        else _TRACKING
        if made or charge or discharge
        else _SLEEPING
    )
    connection = (_CONNECTED | _AVAILABLE | _OPERATING) if order.connected else _AVAILABLE
    document = DERStatus(
        gen_connect_status=ConnectStatus(date_time=at, value=connection),
        inverter_status=InverterStatus(date_time=at, value=state),
        operational_mode_status=OperationalModeStatus(date_time=at, value=2 if order.connected else 1),
        reading_time=at,
    )
    if building.battery_kwh:
        mode = 0 if charge else 1 if discharge else 2
        document.state_of_charge_status = StateOfChargeStatus(date_time=at, value=int(series.state_of_charge[-1]))
        document.storage_mode_status = StorageModeStatus(date_time=at, value=mode)
        document.stor_connect_status = ConnectStatus(date_time=at, value=connection)
    return document


def availability(building: Building, series: Series) -> DERAvailability:
    """What the battery could still give and take at the end of a series, at its full power."""
    power_w = _battery_w(building)
    stored_wh = int(series.stored[-1]) * 1000 // KWH
    capacity_wh = int(building.battery_kwh * 1000)
    spare_wh = max(stored_wh - capacity_wh * RESERVE_PCT // 100, 0)
    document = DERAvailability(reading_time=series.window.end_s, stat_w_avail=watts(power_w if spare_wh else 0))
    if power_w:
        document.availability_duration = spare_wh * 3600 // power_w
        document.max_charge_duration = max(capacity_wh - stored_wh, 0) * 3600 // power_w
        document.reserve_charge_percent = WHOLE if stored_wh < capacity_wh else 0
        document.reserve_percent = min(power_w * WHOLE // int(building.rated_kw * 1000), WHOLE) if spare_wh else 0
    return document


def power_status(building: Building, series: Series) -> PowerStatus:
    """The building's power source and battery at the end of a series."""
    document = PowerStatus(battery_status=_NO_BATTERY, changed_time=series.window.end_s, current_power_source=_MAINS)
    if building.battery_kwh:
        charge = int(series.state_of_charge[-1])
        document.battery_status = _BATTERY_LOW if charge <= RESERVE_PCT * 100 else _BATTERY_NORMAL
        document.estimated_charge_remaining = charge
    return document


def load_shed(building: Building, program_href: str) -> LoadShedAvailability:
    """How much of its load a building could do without for an hour, told to a demand response program."""
    share = SHEDDABLE_PCT[building.building_type]
    return LoadShedAvailability(
        availability_duration=3600,
        demand_response_program_link=Link(href=program_href),
        sheddable_percent=share * 100,
        sheddable_power=watts(int(building.baseline_kw * 10 * share)),
    )


def log_event(course: Course, code: int, at_s: int) -> LogEvent:
    """The entry for a control that began (`ENTERED`) or ended (`LEFT`), with an identifier made of the event's."""
    event = course.candidate.event
    return LogEvent(
        created_date_time=at_s,
        details=f"{'control' if code == ENTERED else course.outcome.name.lower()} {(event.mrid or '')[:8]}"[:32],
        function_set=_DRLC if isinstance(event, EndDeviceControl) else _DER,
        log_event_code=code,
        log_event_id=int((event.mrid or "0")[:8], 16) % 0x10000,
        log_event_pen=PEN,
        profile_id=_VENDOR_PROFILE,
    )


def evening_requests(building: Building, site: Site, series: Series, lfdi: str) -> Iterator[FlowReservationRequest]:
    """Requests for energy overnight: one on each evening of the series on which the battery is less than half full.

    It asks for what fills it to 80 %, between 22:00 and 06:00 local time, at the battery's power.
    """
    if not building.battery_kwh:
        return
    zone = ZoneInfo(site.timezone)
    window = series.window
    day = dt.datetime.fromtimestamp(window.start_s, zone).date() - dt.timedelta(days=1)
    last = dt.datetime.fromtimestamp(window.end_s, zone).date()
    while day <= last:
        evening = int(dt.datetime.combine(day, dt.time(EVENING_H), zone).timestamp())
        index = (evening - window.start_s) // window.interval_s
        if 0 <= index < window.intervals and series.state_of_charge[index] < _WISHED_PCT * 100:
            night = int(dt.datetime.combine(day, dt.time(NIGHT_H), zone).timestamp())
            morning = int(dt.datetime.combine(day + dt.timedelta(days=1), dt.time(MORNING_H), zone).timestamp())
            missing_wh = int(building.battery_kwh * 10 * (_TARGET_PCT * 100 - int(series.state_of_charge[index])) / 100)
            power_w = _battery_w(building)
            yield FlowReservationRequest(
                mrid=mrid_of(lfdi, "FlowReservationRequest", day.isoformat()),
                description="overnight charge",
                creation_time=evening,
                duration_requested=min(missing_wh * 3600 // power_w, 65_535),
                energy_requested=SignedRealEnergy(multiplier=0, value=missing_wh),
                interval_requested=DateTimeInterval(duration=morning - night, start=night),
                power_requested=watts(power_w),
                request_status=RequestStatus(date_time=evening, request_status=0),
            )
        day += dt.timedelta(days=1)

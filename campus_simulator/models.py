"""What is simulated, where and when."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

BUILDING_TYPES = ("academic", "residential", "administrative", "athletic", "research", "support")
ENERGY_CHANNELS = ("generation", "load", "charge", "discharge", "import", "export")
STATE_OF_CHARGE = "state_of_charge"
CHANNELS = (*ENERGY_CHANNELS, STATE_OF_CHARGE)

BLOCK_S = 3600
"""Physics is computed in whole UTC hours, and windows are cut out of them: see `meter.simulate`."""

KWH = 1_000_000
"""Milli-watt-hours in a kilowatt-hour."""


@dataclass(frozen=True, slots=True)
class Building:
    """A metered building. `rated_kw` is the AC rating of its solar inverter, `baseline_kw` the scale of its load.

    Raises `ValueError` for an unknown `building_type`, for a rating or baseline that is not positive, or a negative battery.
    """

    meter_id: str
    building: str
    building_type: str
    rated_kw: float
    battery_kwh: float
    baseline_kw: float

    def __post_init__(self) -> None:
        if self.building_type not in BUILDING_TYPES:
            raise ValueError(f"{self.meter_id}: building type {self.building_type!r} is none of {', '.join(BUILDING_TYPES)}")
        if self.rated_kw <= 0 or self.baseline_kw <= 0 or self.battery_kwh < 0:
            raise ValueError(f"{self.meter_id}: rated_kw and baseline_kw must be positive, and battery_kwh not negative")


@dataclass(frozen=True, slots=True)
class Site:
    """Where the campus is: degrees north and east, metres above the sea, IANA time zone (buildings follow local hours).

    Raises `zoneinfo.ZoneInfoNotFoundError` for an unknown time zone.
    """

    latitude: float
    longitude: float
    altitude_m: float
    timezone: str

    def __post_init__(self) -> None:
        ZoneInfo(self.timezone)


@dataclass(frozen=True, slots=True)
class Window:
    """`intervals` intervals of `interval_s` seconds from `start`; interval i is [start + i * interval_s, + interval_s).

    Raises `ValueError` when `start` has no time zone or is not on an interval boundary counted from the epoch, when there is no
    interval, or when intervals do not divide the hour.
    """

    start: dt.datetime
    intervals: int
    interval_s: int = 15

    def __post_init__(self) -> None:
        if self.interval_s <= 0 or BLOCK_S % self.interval_s:
            raise ValueError(f"an interval of {self.interval_s} s does not divide the hour")
        if self.intervals <= 0:
            raise ValueError("a window needs at least one interval")
        if self.start.tzinfo is None:
            raise ValueError("the start of a window needs a time zone")
        if self.start.microsecond or self.start_s % self.interval_s:
            raise ValueError(f"{self.start.isoformat()} is not a multiple of {self.interval_s} s")

    @property
    def start_s(self) -> int:
        """Start of the window, epoch seconds."""
        return int(self.start.timestamp())

    @property
    def end_s(self) -> int:
        """End of the window (exclusive), epoch seconds."""
        return self.start_s + self.intervals * self.interval_s

    @property
    def end(self) -> dt.datetime:
        """End of the window (exclusive), UTC."""
        return dt.datetime.fromtimestamp(self.end_s, dt.UTC)

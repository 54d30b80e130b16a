"""Metering mirror: what meters post (IEEE 2030.5-2018, 10.11)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from .base import List
from .fields import attribute, children, element
from .metering import MeterReadingBase, Reading, ReadingSetBase, ReadingType, UsagePointBase
from .types import LFDI, TIME, UINT32


@dataclass(slots=True, kw_only=True)
class MirrorReadingSet(ReadingSetBase):
    """Readings of one period."""

    readings: Annotated[list[Reading], children("Reading", Reading)] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class MirrorMeterReading(MeterReadingBase):
    """Readings of one type: the type, one reading, or sets of them. Update times are UTC epoch seconds."""

    last_update_time: Annotated[int | None, element("lastUpdateTime", TIME)] = None
    mirror_reading_sets: Annotated[list[MirrorReadingSet], children("MirrorReadingSet", MirrorReadingSet)] = field(
        default_factory=list
    )
    next_update_time: Annotated[int | None, element("nextUpdateTime", TIME)] = None
    reading: Annotated[Reading | None, element("Reading", Reading)] = None
    reading_type: Annotated[ReadingType | None, element("ReadingType", ReadingType)] = None


@dataclass(slots=True, kw_only=True)
class MirrorMeterReadingList(List):
    """Several mirror meter readings posted at once."""

    mirror_meter_readings: Annotated[list[MirrorMeterReading], children("MirrorMeterReading", MirrorMeterReading)] = field(
        default_factory=list
    )


@dataclass(slots=True, kw_only=True)
class MirrorUsagePoint(UsagePointBase):
    """A device's usage point on the server; `role_flags` as `enums.RoleFlags`, `post_rate` in seconds."""

    device_lfdi: Annotated[str | None, element("deviceLFDI", LFDI)] = None
    mirror_meter_readings: Annotated[list[MirrorMeterReading], children("MirrorMeterReading", MirrorMeterReading)] = field(
        default_factory=list
    )
    post_rate: Annotated[int | None, element("postRate", UINT32)] = None


@dataclass(slots=True, kw_only=True)
class MirrorUsagePointList(List):
    """Mirror usage points, by descending mRID."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    mirror_usage_points: Annotated[list[MirrorUsagePoint], children("MirrorUsagePoint", MirrorUsagePoint)] = field(
        default_factory=list
    )

"""Time (IEEE 2030.5-2018, 11.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from .base import Resource
from .fields import attribute, element
from .types import INT32, TIME, UINT8, UINT32


@dataclass(slots=True, kw_only=True)
class Time(Resource):
    """The server's time. Times are UTC epoch seconds, offsets seconds; local time = current + tz offset + dst offset."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    current_time: Annotated[int | None, element("currentTime", TIME)] = None
    dst_end_time: Annotated[int | None, element("dstEndTime", TIME)] = None
    dst_offset: Annotated[int | None, element("dstOffset", INT32)] = None
    dst_start_time: Annotated[int | None, element("dstStartTime", TIME)] = None
    local_time: Annotated[int | None, element("localTime", TIME)] = None
    quality: Annotated[int | None, element("quality", UINT8)] = None
    tz_offset: Annotated[int | None, element("tzOffset", INT32)] = None

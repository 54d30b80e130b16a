"""Log events (IEEE 2030.5-2018, log event function set)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from .base import Resource, SubscribableList
from .fields import attribute, children, element
from .types import STRING32, TIME, UINT8, UINT16, UINT32


@dataclass(slots=True, kw_only=True)
class LogEvent(Resource):
    """Something a device reports: `log_event_code` means what `function_set` of profile `profile_id` (2 is IEEE 2030.5) says."""

    created_date_time: Annotated[int | None, element("createdDateTime", TIME)] = None
    details: Annotated[str | None, element("details", STRING32)] = None
    extended_data: Annotated[int | None, element("extendedData", UINT32)] = None
    function_set: Annotated[int | None, element("functionSet", UINT8)] = None
    log_event_code: Annotated[int | None, element("logEventCode", UINT8)] = None
    log_event_id: Annotated[int | None, element("logEventID", UINT16)] = None
    log_event_pen: Annotated[int | None, element("logEventPEN", UINT32)] = None
    profile_id: Annotated[int | None, element("profileID", UINT8)] = None


@dataclass(slots=True, kw_only=True)
class LogEventList(SubscribableList):
    """Log events, by ascending time and identifier."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    log_events: Annotated[list[LogEvent], children("LogEvent", LogEvent)] = field(default_factory=list)

"""Common types: resources, lists, links, intervals and errors (IEEE 2030.5-2018, B.2.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from .fields import attribute, element
from .types import ANY_URI, BOOLEAN, HEX8, INT16, INT64, MRID, STRING32, STRING192, TIME, UINT8, UINT16, UINT32


@dataclass(slots=True, kw_only=True)
class Resource:
    """Anything with a URI."""

    href: Annotated[str | None, attribute("href", ANY_URI)] = None


@dataclass(slots=True, kw_only=True)
class SubscribableResource(Resource):
    """A resource that can be subscribed to (0 no, 1 unconditionally, 2 conditionally, 3 both)."""

    subscribable: Annotated[int | None, attribute("subscribable", UINT8)] = None


@dataclass(slots=True, kw_only=True)
class List(Resource):
    """A page of a list: `all` items exist, `results` of them are in this document."""

    all: Annotated[int | None, attribute("all", UINT32)] = None
    results: Annotated[int | None, attribute("results", UINT32)] = None


@dataclass(slots=True, kw_only=True)
class SubscribableList(SubscribableResource):
    """A page of a list that can be subscribed to."""

    all: Annotated[int | None, attribute("all", UINT32)] = None
    results: Annotated[int | None, attribute("results", UINT32)] = None


@dataclass(slots=True, kw_only=True)
class IdentifiedObject(Resource):
    """A resource with a global identifier: 32 hex digits, the last eight the IANA enterprise number of its maker."""

    mrid: Annotated[str | None, element("mRID", MRID)] = None
    description: Annotated[str | None, element("description", STRING32)] = None
    version: Annotated[int | None, element("version", UINT16)] = None


@dataclass(slots=True, kw_only=True)
class SubscribableIdentifiedObject(SubscribableResource):
    """An identified object that can be subscribed to."""

    mrid: Annotated[str | None, element("mRID", MRID)] = None
    description: Annotated[str | None, element("description", STRING32)] = None
    version: Annotated[int | None, element("version", UINT16)] = None


@dataclass(slots=True, kw_only=True)
class RespondableResource(Resource):
    """A resource that wants responses: posted to `reply_to`, when as the bits of `response_required` say.

    Bit 0 asks for a response on receipt, bit 1 for those of its course, bit 2 for one of the customer.
    """

    reply_to: Annotated[str | None, attribute("replyTo", ANY_URI)] = None
    response_required: Annotated[int | None, attribute("responseRequired", HEX8)] = None


@dataclass(slots=True, kw_only=True)
class RespondableIdentifiedObject(RespondableResource):
    """An identified object that wants responses."""

    mrid: Annotated[str | None, element("mRID", MRID)] = None
    description: Annotated[str | None, element("description", STRING32)] = None
    version: Annotated[int | None, element("version", UINT16)] = None


@dataclass(slots=True, kw_only=True)
class RespondableSubscribableIdentifiedObject(RespondableResource):
    """An identified object that wants responses and can be subscribed to."""

    subscribable: Annotated[int | None, attribute("subscribable", UINT8)] = None
    mrid: Annotated[str | None, element("mRID", MRID)] = None
    description: Annotated[str | None, element("description", STRING32)] = None
    version: Annotated[int | None, element("version", UINT16)] = None


@dataclass(slots=True, kw_only=True)
class Link:
    """A reference to a resource."""

    href: Annotated[str | None, attribute("href", ANY_URI)] = None


@dataclass(slots=True, kw_only=True)
class ListLink(Link):
    """A reference to a list; `all` is the number of its items."""

    all: Annotated[int | None, attribute("all", UINT32)] = None


@dataclass(slots=True, kw_only=True)
class DateTimeInterval:
    """`duration` seconds from `start` (UTC epoch seconds)."""

    duration: Annotated[int | None, element("duration", UINT32)] = None
    start: Annotated[int | None, element("start", INT64)] = None


@dataclass(slots=True, kw_only=True)
class EventStatus:
    """Where an event is in its life; `current_status` is one of `enums.EventStatusCode`, times are UTC epoch seconds."""

    current_status: Annotated[int | None, element("currentStatus", UINT8)] = None
    date_time: Annotated[int | None, element("dateTime", TIME)] = None
    potentially_superseded: Annotated[bool | None, element("potentiallySuperseded", BOOLEAN)] = None
    potentially_superseded_time: Annotated[int | None, element("potentiallySupersededTime", TIME)] = None
    reason: Annotated[str | None, element("reason", STRING192)] = None


@dataclass(slots=True, kw_only=True)
class Event(RespondableSubscribableIdentifiedObject):
    """Something that holds for an interval."""

    creation_time: Annotated[int | None, element("creationTime", TIME)] = None
    event_status: Annotated[EventStatus | None, element("EventStatus", EventStatus)] = None
    interval: Annotated[DateTimeInterval | None, element("interval", DateTimeInterval)] = None


@dataclass(slots=True, kw_only=True)
class RandomizableEvent(Event):
    """An event whose start and duration devices vary by up to these seconds (-3600..3600), so that not all act at once."""

    randomize_duration: Annotated[int | None, element("randomizeDuration", INT16)] = None
    randomize_start: Annotated[int | None, element("randomizeStart", INT16)] = None


@dataclass(slots=True, kw_only=True)
class Error:
    """Body of a refused request; `reason_code` is one of `enums.ReasonCode`, `max_retry_duration` is in seconds."""

    max_retry_duration: Annotated[int | None, element("maxRetryDuration", UINT16)] = None
    reason_code: Annotated[int | None, element("reasonCode", UINT16)] = None

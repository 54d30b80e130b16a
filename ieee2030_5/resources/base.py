"""Common types: resources, lists, links, intervals and errors (IEEE 2030.5-2018, B.2.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from .fields import attribute, element
from .types import ANY_URI, INT64, MRID, STRING32, UINT8, UINT16, UINT32


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
class Error:
    """Body of a refused request; `reason_code` is one of `enums.ReasonCode`, `max_retry_duration` is in seconds."""

    max_retry_duration: Annotated[int | None, element("maxRetryDuration", UINT16)] = None
    reason_code: Annotated[int | None, element("reasonCode", UINT16)] = None

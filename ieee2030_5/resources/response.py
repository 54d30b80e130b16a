"""Responses to events, and the sets they are kept in (IEEE 2030.5-2018, response function set)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from .base import IdentifiedObject, List, ListLink, Resource
from .drlc import ApplianceLoadReduction, DutyCycle, Offset, SetPoint
from .fields import attribute, children, element
from .types import LFDI, MRID, TIME, UINT8, UINT16, UINT32


@dataclass(slots=True, kw_only=True)
class Response(Resource):
    """How a device took an event: `subject` is the event's mRID, `status` one of `enums.ResponseStatus`."""

    created_date_time: Annotated[int | None, element("createdDateTime", TIME)] = None
    end_device_lfdi: Annotated[str | None, element("endDeviceLFDI", LFDI)] = None
    status: Annotated[int | None, element("status", UINT8)] = None
    subject: Annotated[str | None, element("subject", MRID)] = None


@dataclass(slots=True, kw_only=True)
class DERControlResponse(Response):
    """Response to a DER control."""


@dataclass(slots=True, kw_only=True)
class FlowReservationResponseResponse(Response):
    """Response to a flow reservation response, itself an event."""


@dataclass(slots=True, kw_only=True)
class PriceResponse(Response):
    """Response to a time tariff interval."""


@dataclass(slots=True, kw_only=True)
class TextResponse(Response):
    """Response to a text message."""


@dataclass(slots=True, kw_only=True)
class AppliedTargetReduction:
    """The reduction a device applied: `value` in the unit of `type`."""

    type: Annotated[int | None, element("type", UINT8)] = None
    value: Annotated[int | None, element("value", UINT16)] = None


@dataclass(slots=True, kw_only=True)
class DrResponse(Response):
    """Response to an end device control, with what was applied; `override_duration` in seconds."""

    appliance_load_reduction: Annotated[
        ApplianceLoadReduction | None, element("ApplianceLoadReduction", ApplianceLoadReduction)
    ] = None
    applied_target_reduction: Annotated[
        AppliedTargetReduction | None, element("AppliedTargetReduction", AppliedTargetReduction)
    ] = None
    duty_cycle: Annotated[DutyCycle | None, element("DutyCycle", DutyCycle)] = None
    offset: Annotated[Offset | None, element("Offset", Offset)] = None
    override_duration: Annotated[int | None, element("overrideDuration", UINT16)] = None
    set_point: Annotated[SetPoint | None, element("SetPoint", SetPoint)] = None


@dataclass(slots=True, kw_only=True)
class ResponseList(List):
    """Responses, latest first; items may be of any class of response."""

    responses: Annotated[list[Response], children("Response", Response, polymorphic=True)] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class ResponseSet(IdentifiedObject):
    """A place to post responses to."""

    response_list_link: Annotated[ListLink | None, element("ResponseListLink", ListLink)] = None


@dataclass(slots=True, kw_only=True)
class ResponseSetList(List):
    """Response sets, by descending mRID."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    response_sets: Annotated[list[ResponseSet], children("ResponseSet", ResponseSet)] = field(default_factory=list)

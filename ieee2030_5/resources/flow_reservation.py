"""Flow reservation: a device asks for energy and is told when to take it (IEEE 2030.5-2018, flow reservation)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from .base import DateTimeInterval, Event, IdentifiedObject, List, SubscribableList
from .fields import attribute, children, element
from .quantities import ActivePower, SignedRealEnergy
from .types import MRID, TIME, UINT8, UINT16, UINT32


@dataclass(slots=True, kw_only=True)
class RequestStatus:
    """State of a request: 0 requested, 1 cancelled."""

    date_time: Annotated[int | None, element("dateTime", TIME)] = None
    request_status: Annotated[int | None, element("requestStatus", UINT8)] = None


@dataclass(slots=True, kw_only=True)
class FlowReservationRequest(IdentifiedObject):
    """A device's request for energy; `duration_requested` in seconds."""

    creation_time: Annotated[int | None, element("creationTime", TIME)] = None
    duration_requested: Annotated[int | None, element("durationRequested", UINT16)] = None
    energy_requested: Annotated[SignedRealEnergy | None, element("energyRequested", SignedRealEnergy)] = None
    interval_requested: Annotated[DateTimeInterval | None, element("intervalRequested", DateTimeInterval)] = None
    power_requested: Annotated[ActivePower | None, element("powerRequested", ActivePower)] = None
    request_status: Annotated[RequestStatus | None, element("RequestStatus", RequestStatus)] = None


@dataclass(slots=True, kw_only=True)
class FlowReservationRequestList(List):
    """Requests, by ascending start."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    flow_reservation_requests: Annotated[
        list[FlowReservationRequest], children("FlowReservationRequest", FlowReservationRequest)
    ] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class FlowReservationResponse(Event):
    """The event that grants a request, `subject` its mRID."""

    energy_available: Annotated[SignedRealEnergy | None, element("energyAvailable", SignedRealEnergy)] = None
    power_available: Annotated[ActivePower | None, element("powerAvailable", ActivePower)] = None
    subject: Annotated[str | None, element("subject", MRID)] = None


@dataclass(slots=True, kw_only=True)
class FlowReservationResponseList(SubscribableList):
    """Answers to requests, by ascending start, latest creation first."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    flow_reservation_responses: Annotated[
        list[FlowReservationResponse], children("FlowReservationResponse", FlowReservationResponse)
    ] = field(default_factory=list)

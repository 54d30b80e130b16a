"""Answers to events (IEEE 2030.5-2018, response function set)."""

from __future__ import annotations

from typing import Any

from ieee2030_5.events import Due
from ieee2030_5.resources import (
    AppliedTargetReduction,
    DERControl,
    DERControlResponse,
    DrResponse,
    EndDeviceControl,
    FlowReservationResponse,
    FlowReservationResponseResponse,
    PriceResponse,
    Response,
    TextMessage,
    TextResponse,
    TimeTariffInterval,
)

from .session import Client

_KINDS: dict[type[Any], type[Response]] = {
    DERControl: DERControlResponse,
    EndDeviceControl: DrResponse,
    FlowReservationResponse: FlowReservationResponseResponse,
    TextMessage: TextResponse,
    TimeTariffInterval: PriceResponse,
}


def response_to(due: Due, lfdi: str) -> Response:
    """The response that a device with this LFDI owes; one to an EndDeviceControl says what of it was applied."""
    event: Any = due.candidate.event
    cls = _KINDS.get(type(event), Response)
    response = cls(created_date_time=due.at, end_device_lfdi=lfdi, status=int(due.status), subject=event.mrid)
    if isinstance(response, DrResponse):
        response.appliance_load_reduction = event.appliance_load_reduction
        response.duty_cycle = event.duty_cycle
        response.offset = event.offset
        response.set_point = event.set_point
        if event.target_reduction is not None:
            response.applied_target_reduction = AppliedTargetReduction(
                type=event.target_reduction.type, value=event.target_reduction.value
            )
    return response


async def post_response(client: Client, due: Due) -> None:
    """Post a response to where its event wants it (`replyTo`). Raises `ClientError`."""
    reply_to = due.candidate.event.reply_to
    assert reply_to is not None
    await client.post(reply_to, response_to(due, client.lfdi))

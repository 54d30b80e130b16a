"""End devices and registration (IEEE 2030.5-2018, 10.3 and 10.5). A device sees itself and nothing else."""

from __future__ import annotations

import asyncio
import secrets

from aiohttp import web

from ieee2030_5.identity import pin_with_check_digit
from ieee2030_5.resources import EndDevice, EndDeviceList, Link, Registration

from ..access import CONTEXT, Peer
from ..body import read_document
from ..operational.registry import CATEGORY_UNKNOWN, Device
from ..replies import Page, Refusal, bad_value, located, resource
from ..state import peer_of, state_of

ROUTES = web.RouteTableDef()


def _href(device: Device) -> str:
    return f"/edev/{device.sfdi}"


def _epoch(device: Device) -> int:
    return int(device.registered_at.timestamp()) if device.registered_at else 0


def _end_device(device: Device) -> EndDevice:
    href = _href(device)
    # Without postRate: it is new in 2018 and stops clients built on the draft. They learn it from their mirror.
    return EndDevice(
        href=href,
        device_category=device.device_category,
        lfdi=device.lfdi,
        sfdi=device.sfdi,
        changed_time=_epoch(device),
        enabled=True,
        registration_link=Link(href=f"{href}/rg"),
    )


def _own(request: web.Request) -> Device:
    device = peer_of(request).known
    if request.match_info["sfdi"] != str(device.sfdi):
        raise Refusal(404, "end device of another or none", security_kind="foreign_resource")
    return device


@ROUTES.get("/edev")
async def end_device_list(request: web.Request) -> web.Response:
    """The device's own entry, or an empty list before it enrolled."""
    state, peer, page = state_of(request), peer_of(request), Page.of(request)
    own = [_end_device(peer.device)] if peer.device else []
    shown = page.cut(own)
    return resource(
        EndDeviceList(href="/edev", poll_rate=state.options.poll_rate_s, all=len(own), results=len(shown), end_devices=shown)
    )


@ROUTES.get("/edev/{sfdi}")
async def end_device(request: web.Request) -> web.Response:
    """The device's own entry; 404 for any other."""
    return resource(_end_device(_own(request)))


@ROUTES.get("/edev/{sfdi}/rg")
async def registration(request: web.Request) -> web.Response:
    """When the device was registered, and the PIN by which it knows that it came to the right server."""
    device = _own(request)
    return resource(
        Registration(
            href=f"{_href(device)}/rg",
            poll_rate=state_of(request).options.poll_rate_s,
            date_time_registered=_epoch(device),
            pin=device.pin,
        )
    )


@ROUTES.post("/edev")
async def enrol(request: web.Request) -> web.Response:
    """In-band registration: 201 for a new device where enrolment is open, 409 for a known one, 403 for another's identity."""
    state, peer = state_of(request), peer_of(request)
    document = await read_document(request, state.options)
    posted = document.decode(EndDevice)
    _check_identity(peer, posted)
    if peer.device is not None:
        raise Refusal(409, "device is registered")
    device = Device(
        lfdi=peer.lfdi,
        sfdi=peer.sfdi,
        # The operator gives it the name of its meter; until then the identifier on its label stands for it.
        meter_id=str(peer.sfdi),
        zone=state.options.enrolment_zone or "",
        pin=pin_with_check_digit(secrets.randbelow(100_000)),
        device_category=posted.device_category or CATEGORY_UNKNOWN,
    )
    if not await asyncio.to_thread(state.registry.enrol, device):
        raise Refusal(409, "device is registered")
    request[CONTEXT].reason = "enrolled"
    return located(201, _href(device))


def _check_identity(peer: Peer, posted: EndDevice) -> None:
    # Some clients give the SFDI alone, so either will do; whichever is there must be the certificate's.
    if posted.lfdi is None and posted.sfdi is None:
        raise bad_value("EndDevice without lFDI and sFDI")
    if posted.lfdi not in (None, peer.lfdi) or posted.sfdi not in (None, peer.sfdi):
        raise Refusal(403, "EndDevice is not the certificate's", security_kind="foreign_identity")

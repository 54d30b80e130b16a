"""End devices and registration (IEEE 2030.5-2018, 10.3 and 10.5). A client sees the devices in its scope and no others."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace

from aiohttp import web

from ieee2030_5.identity import pin_with_check_digit, sfdi_of
from ieee2030_5.resources import EndDevice, EndDeviceList, Link, ListLink, Registration
from ieee2030_5.xml import document, encode_fragment, list_document

from ..access import CONTEXT, Peer
from ..body import read_document
from ..links import counted
from ..operational.registry import CATEGORY_UNKNOWN, Device
from ..rendering import PROFILES
from ..replies import Page, Refusal, bad_value, fragment_resource, located, resource
from ..state import State, peer_of, state_of

ROUTES = web.RouteTableDef()


def _href(device: Device) -> str:
    return f"/edev/{device.sfdi}"


def _epoch(device: Device) -> int:
    return int(device.registered_at.timestamp()) if device.registered_at else 0


def _end_device(device: Device) -> EndDevice:
    href = _href(device)
    # Without postRate: it is new in 2018 and stops clients built on the draft. They learn it from their mirror.
    end_device = EndDevice(
        href=href,
        configuration_link=Link(href=f"{href}/cfg"),
        der_list_link=ListLink(href=f"{href}/der"),
        device_category=device.device_category,
        device_information_link=Link(href=f"{href}/di"),
        device_status_link=Link(href=f"{href}/dstat"),
        lfdi=device.lfdi,
        load_shed_availability_list_link=ListLink(href=f"{href}/lsl"),
        log_event_list_link=ListLink(href=f"{href}/lel"),
        power_status_link=Link(href=f"{href}/ps"),
        sfdi=device.sfdi,
        changed_time=_epoch(device),
        enabled=device.status == "active",
        flow_reservation_request_list_link=ListLink(href=f"{href}/frq"),
        flow_reservation_response_list_link=ListLink(href=f"{href}/frp"),
        function_set_assignments_list_link=ListLink(href=f"{href}/fsa"),
        registration_link=Link(href=f"{href}/rg"),
        subscription_list_link=ListLink(href=f"{href}/sub"),
    )
    end_device.connection_point_link = Link(href=f"{href}/cp")
    return end_device


async def _fragments(state: State, peer: Peer, devices: list[Device]) -> list[str]:
    extensions = PROFILES.get(peer.device.profile) if peer.device is not None else None
    texts = [encode_fragment(_end_device(device), extensions or ()) for device in devices]
    shown = []
    for device, text in zip(devices, texts, strict=True):
        shown += await counted(state, peer, [text], (device.lfdi,))
    return shown


async def _subject(request: web.Request) -> Device:
    return await state_of(request).access.subject(peer_of(request), request.match_info["sfdi"])


@ROUTES.get("/edev")
async def end_device_list(request: web.Request) -> web.Response:
    """The devices in the client's scope, by ascending SFDI; none before it enrolled."""
    state, peer, page = state_of(request), peer_of(request), Page.of(request)
    total, devices = 0, []
    if peer.device is not None:
        lfdis = peer.scope.lfdis
        total = await asyncio.to_thread(state.registry.count_devices, lfdis)
        devices = await asyncio.to_thread(state.registry.devices_by_sfdi, lfdis, page.start, page.limit)
    return fragment_resource(
        list_document(
            EndDeviceList,
            href="/edev",
            all=total,
            results=len(devices),
            subscribable=1,
            poll_rate=state.options.poll_rate_s,
            fragments=await _fragments(state, peer, devices),
        )
    )


@ROUTES.get("/edev/{sfdi}")
async def end_device(request: web.Request) -> web.Response:
    """A device in the client's scope; 404 for any other."""
    [fragment] = await _fragments(state_of(request), peer_of(request), [await _subject(request)])
    return fragment_resource(document(fragment))


@ROUTES.get("/edev/{sfdi}/rg")
async def registration(request: web.Request) -> web.Response:
    """When the device was registered, and the PIN by which it knows that it came to the right server."""
    device = await _subject(request)
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
    """In-band registration: 201 for a new device where enrolment is open, 409 for a known one, 403 for another's identity.

    An aggregator registers devices of its own fleet.
    """
    state, peer = state_of(request), peer_of(request)
    posted = (await read_document(request, state.options)).decode(EndDevice)
    lfdi = _identity(peer, posted)
    if lfdi == peer.lfdi and peer.device is not None:
        raise Refusal(409, "device is registered")
    known = await asyncio.to_thread(state.registry.by_lfdi, lfdi)
    if known is not None:
        raise Refusal(409, "device is registered")
    device = Device(
        lfdi=lfdi,
        sfdi=sfdi_of(lfdi),
        # The operator gives it the name of its meter; until then the identifier on its label stands for it.
        meter_id=str(sfdi_of(lfdi)),
        zone=peer.device.zone if peer.device is not None else state.options.enrolment_zone or "",
        pin=pin_with_check_digit(secrets.randbelow(100_000)),
        device_category=posted.device_category or CATEGORY_UNKNOWN,
        profile=peer.device.profile if peer.device is not None else state.options.enrolment_profile,
    )
    if not await asyncio.to_thread(state.registry.enrol, device):
        raise Refusal(409, "device is registered")
    if lfdi != peer.lfdi:
        await asyncio.to_thread(state.registry.add_to_fleet, peer.lfdi, lfdi)
        state.access.forget(peer.lfdi)
    request[CONTEXT].reason = "enrolled"
    return located(201, _href(device))


@ROUTES.put("/edev/{sfdi}")
async def update(request: web.Request) -> web.Response:
    """A device tells its category anew; who it is does not change."""
    state, peer, device = state_of(request), peer_of(request), await _subject(request)
    posted = (await read_document(request, state.options)).decode(EndDevice)
    if posted.lfdi not in (None, device.lfdi) or posted.sfdi not in (None, device.sfdi):
        raise Refusal(403, "EndDevice is not the one at this address", security_kind="foreign_identity")
    changed = replace(device, device_category=posted.device_category or device.device_category)
    await asyncio.to_thread(state.registry.register, [changed])
    state.access.forget(device.lfdi)
    request[CONTEXT].reason = f"updated by {peer.role}"
    return located(204, _href(device))


@ROUTES.delete("/edev/{sfdi}")
async def remove(request: web.Request) -> web.Response:
    """End a registration: one made in band is gone and may be made again, one of the operator's is suspended."""
    state, device = state_of(request), await _subject(request)
    await asyncio.to_thread(state.registry.unregister, device)
    state.access.forget(device.lfdi)
    detail = f"DELETE {_href(device)} by {peer_of(request).lfdi}"
    await state.access.report("registration_ended", lfdi=device.lfdi, remote=request.remote or "", detail=detail)
    return web.Response(status=204)


def _identity(peer: Peer, posted: EndDevice) -> str:
    """LFDI of the device to register. Raises a `Refusal`: 400 without a consistent identity, 403 for one that is another's."""
    # Some clients give the SFDI alone, so either will do; whichever is there must be the certificate's.
    if posted.lfdi is None and posted.sfdi is None:
        raise bad_value("EndDevice without lFDI and sFDI")
    if posted.lfdi in (None, peer.lfdi) and posted.sfdi in (None, peer.sfdi):
        return peer.lfdi
    if peer.role in ("aggregator", "operator") and posted.lfdi is not None:
        if posted.sfdi not in (None, sfdi_of(posted.lfdi)):
            raise bad_value("sFDI is not that of the lFDI")
        return posted.lfdi
    raise Refusal(403, "EndDevice is not the certificate's", security_kind="foreign_identity")

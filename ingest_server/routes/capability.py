"""Device capability, time and the server's own device (IEEE 2030.5-2018, 10.2, 10.4 and 11.1)."""

from __future__ import annotations

from aiohttp import web

from ieee2030_5.enums import TimeQuality
from ieee2030_5.identity import sfdi_of
from ieee2030_5.resources import DeviceCapability, Link, ListLink, SelfDevice, Time
from ieee2030_5.xml import document, encode_fragment

from ..links import counted
from ..operational.registry import CATEGORY_UNKNOWN
from ..replies import fragment_resource, resource
from ..state import peer_of, state_of

ROUTES = web.RouteTableDef()


@ROUTES.get("/dcap")
async def device_capability(request: web.Request) -> web.Response:
    """Links to what this device may use; a device yet to enrol sees the time, the list to enrol in and an empty mirror."""
    state, peer = state_of(request), peer_of(request)
    capability = DeviceCapability(
        href="/dcap",
        poll_rate=state.options.poll_rate_s,
        time_link=Link(href="/tm"),
        end_device_list_link=ListLink(href="/edev", all=None if peer.device is not None else 0),
        mirror_usage_point_list_link=ListLink(href="/mup"),
    )
    if peer.device is not None:
        capability.customer_account_list_link = ListLink(href="/bill")
        capability.demand_response_program_list_link = ListLink(href="/dr")
        capability.der_program_list_link = ListLink(href="/derp")
        capability.messaging_program_list_link = ListLink(href="/msg")
        capability.response_set_list_link = ListLink(href="/rsps")
        capability.tariff_profile_list_link = ListLink(href="/tp")
        capability.usage_point_list_link = ListLink(href="/upt")
        capability.self_device_link = Link(href="/sdev")
    [fragment] = await counted(state, peer, [encode_fragment(capability)], peer.scope.lfdis)
    return fragment_resource(document(fragment))


@ROUTES.get("/tm")
async def time(request: web.Request) -> web.Response:
    """The server's time, in UTC without daylight saving."""
    state = state_of(request)
    now = int(state.now().timestamp())
    return resource(
        Time(
            href="/tm",
            poll_rate=state.options.poll_rate_s,
            current_time=now,
            dst_end_time=0,
            dst_offset=0,
            dst_start_time=0,
            local_time=now,
            quality=TimeQuality.LEVEL_3,
            tz_offset=0,
        )
    )


@ROUTES.get("/sdev")
async def self_device(request: web.Request) -> web.Response:
    """The server as a device, by its TLS certificate."""
    state = state_of(request)
    lfdi = state.server_lfdi
    return resource(
        SelfDevice(
            href="/sdev", poll_rate=state.options.poll_rate_s, device_category=CATEGORY_UNKNOWN, lfdi=lfdi, sfdi=sfdi_of(lfdi)
        )
    )

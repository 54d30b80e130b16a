"""What a subscription may ask for (IEEE 2030.5-2018, 8.6): a resource that its owner sees, told to an address of its owner's."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import TYPE_CHECKING

from aiohttp import web
from yarl import URL

from ieee2030_5.enums import ReasonCode
from ieee2030_5.function_sets import find

from .rendering import View
from .replies import Refusal, bad_value
from .state import state_of

if TYPE_CHECKING:
    from ieee2030_5.resources import Subscription


async def check_subscription(request: web.Request, view: View, subscription: Subscription) -> None:
    """Raise a 400 `Refusal` for a subscription that cannot be served.

    Neither for conditions (they watch readings, which are not told), nor for a resource that is none of the tree or belongs to a
    device out of the client's scope, nor for a notification address that is not https or not the subscriber's own host: a
    server that posts to any address it is told is a tool for whoever wants to reach its network.
    """
    if subscription.condition is not None:
        raise Refusal(400, "conditional subscription", reason_code=ReasonCode.CONDITIONAL_SUBSCRIPTION_FIELD_NOT_SUPPORTED)
    if subscription.encoding not in (None, 0):
        raise bad_value("only the XML encoding of notifications is served")
    await _check_resource(request, view, subscription.subscribed_resource or "")
    await _check_address(request, view, subscription.notification_uri or "")


async def _check_resource(request: web.Request, view: View, address: str) -> None:
    path = address.partition("?")[0]
    if find(path) is None:
        raise bad_value(f"subscribedResource {path[:64]!r} is no resource that can be subscribed to")
    parts = path.split("/")
    if parts[1] == "edev":
        await state_of(request).access.subject(view.peer, parts[2])


async def _check_address(request: web.Request, view: View, uri: str) -> None:
    try:
        url = URL(uri)
        port = url.port
    except ValueError:
        raise bad_value(f"notificationURI {uri[:64]!r} is no address") from None
    if url.scheme != "https" or not url.host or not port:
        raise bad_value("notificationURI is not an https address")
    if url.host.lower() in state_of(request).options.notification_hosts:
        return
    if _address(view.peer.remote) not in await _addresses(url.host):
        raise Refusal(
            400,
            f"notificationURI host {url.host[:64]!r} is not the subscriber's",
            reason_code=ReasonCode.INVALID_REQUEST_VALUES,
            security_kind="foreign_notification",
        )


async def _addresses(host: str) -> set[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {_address(str(address[4][0])) for address in found}


def _address(text: str) -> str:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text.lower()
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)

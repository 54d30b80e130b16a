"""Every resource of `function_sets.NODES`: read as published, written as far as the tree lets a device write.

What a device writes is landed first and then kept for reading back; what it means is for those who read the landing store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from aiohttp import web

from ieee2030_5.function_sets import CSIP_AUS, IDENTIFIER, NODES, P2P, Node, class_of
from ieee2030_5.requirements import missing
from ieee2030_5.xml import NAMESPACES, InvalidResource, encode_fragment, namespace_of

from ..access import CONTEXT, Peer
from ..body import Document, raw_message, read_document
from ..items import item_id
from ..operational.registry import Device
from ..operational.resources import ALL_EXTENSIONS, EVERYONE, Publication
from ..rendering import View, render, require_parent
from ..replies import Page, Refusal, bad_format, bad_value, fragment_resource, located
from ..state import State, peer_of, state_of
from ..subscriptions import check_subscription

_READ = ("GET", "HEAD")
_OPERATOR = "operator"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def routes() -> list[web.RouteDef]:
    """Return routes for each node; a method that the node does not allow is answered by 405 and what it does allow."""
    found = []
    for node in NODES:
        path = node.path.replace("}", f":{IDENTIFIER}}}")
        makers = {"GET": _reader, "PUT": _putter, "POST": _poster, "DELETE": _deleter}
        # A route for GET answers HEAD too.
        found += [web.route(method, path, make(node)) for method, make in makers.items()]
    return found


def _allowed(node: Node, peer: Peer) -> tuple[str, ...]:
    operator = peer.role == _OPERATOR
    single = not node.is_list
    writes = {
        "PUT": single and (node.put or operator),
        "POST": node.is_list and not node.active_of and (node.post or operator),
        "DELETE": single and (node.delete or (operator and node.path.endswith("}"))),
    }
    return (*_READ, *(method for method, allowed in writes.items() if allowed))


async def _view(request: web.Request, node: Node) -> View:
    """Return the view of a request that the node allows; raises a 404 or 405 `Refusal`."""
    peer = peer_of(request)
    if node.extension == CSIP_AUS and peer.known.profile != CSIP_AUS:
        raise Refusal(404, "an extension that the device's profile does not have")
    sfdi = request.match_info.get("edev")
    device: Device | None = None
    owners: Collection[str] | None = peer.scope.lfdis
    if sfdi is not None:
        device = await state_of(request).access.subject(peer, sfdi)
        owners = (device.lfdi,)
    allowed = _allowed(node, peer)
    if request.method not in allowed:
        raise Refusal(405, f"{request.method} of a {node.type}", headers={"Allow": ", ".join(allowed)})
    return View(peer, device, owners)


def _reader(node: Node) -> Handler:
    async def read(request: web.Request) -> web.Response:
        view = await _view(request, node)
        page = Page.of(request) if node.is_list else Page(0, 1)
        return fragment_resource(await render(state_of(request), node, view, request.path, page))

    return read


def _putter(node: Node) -> Handler:
    async def put(request: web.Request) -> web.Response:
        state, view = state_of(request), await _view(request, node)
        posted = await _read(request, node)
        known = await asyncio.to_thread(state.resources.get, request.path, view.owners)
        if known is None:
            # A device makes list items by POST; a PUT replaces them, or fills a resource that is always there.
            if node.path.endswith("}") and view.peer.role != _OPERATOR:
                raise Refusal(404, f"no {node.type} here")
            await require_parent(state, node, view, request.path)
        resource = posted.decode(class_of(posted.name) if posted.name in node.accepts else node.cls)
        await _check(request, node, view, resource)
        await _land(request, view, posted.body)
        await _publish(state, Publication(request.path, resource, known.owner if known is not None else _owner(view)))
        # CSIP-AUS tells the first PUT of a connection point from later ones.
        return located(201 if known is None and node.extension == CSIP_AUS else 204, request.path)

    return put


def _poster(node: Node) -> Handler:
    async def post(request: web.Request) -> web.Response:
        state, view = state_of(request), await _view(request, node)
        await require_parent(state, node, view, request.path)
        posted = await _read(request, node)
        expected: dict[str, Any] = {cls.__name__: cls for cls in node.posted}
        if posted.name not in expected:
            raise bad_format(f"root element {posted.name}, expected {' or '.join(expected)}")
        resource = posted.decode(expected[posted.name])
        await _check(request, node, view, resource)
        path = f"{request.path}/{_identifier(node, _owner(view), resource)}"
        await _land(request, view, posted.body)
        await _publish(state, Publication(path, resource, _owner(view)))
        return located(201, path)

    return post


def _deleter(node: Node) -> Handler:
    async def remove(request: web.Request) -> web.Response:
        state, view = state_of(request), await _view(request, node)
        row = await asyncio.to_thread(state.resources.get, request.path, view.owners)
        if row is None or (row.owner == EVERYONE and view.peer.role != _OPERATOR):
            raise Refusal(404, f"no {node.type} here")
        await _land(request, view, b"")
        await asyncio.to_thread(state.resources.retract, [request.path])
        return web.Response(status=204)

    return remove


async def _read(request: web.Request, node: Node) -> Document:
    own = namespace_of(node.cls)
    # Clients of CSIP-AUS name its resources in either namespace.
    namespaces = (own,) if node.extension == P2P else (own, *NAMESPACES)
    return await read_document(request, state_of(request).options, namespaces)


async def _check(request: web.Request, node: Node, view: View, resource: Any) -> None:
    """Refuse a document that could not be served again, or that speaks for another device."""
    lacking = missing(resource)
    if lacking:
        raise bad_value(f"{type(resource).__name__} without {lacking}")
    if hasattr(resource, "end_device_lfdi") and resource.end_device_lfdi not in view.peer.scope:
        raise Refusal(403, "endDeviceLFDI is not the certificate's", security_kind="foreign_identity")
    if node.type in ("Subscription", "SubscriptionList"):
        await check_subscription(request, view, resource)


def _identifier(node: Node, owner: str, resource: Any) -> str:
    """The path element of a posted item: the same for the same item from the same device, so that a repeated post is one item."""
    resource.href = None
    parts = [repr(getattr(resource, name)) for name in node.key] or [encode_fragment(resource, ALL_EXTENSIONS)]
    return item_id(owner, node.path, *parts)


def _owner(view: View) -> str:
    """Whom a written resource belongs to. What an operator writes outside of a device's subtree is for everyone."""
    if view.device is not None:
        return view.device.lfdi
    return EVERYONE if view.peer.role == _OPERATOR else view.peer.lfdi


async def _land(request: web.Request, view: View, body: bytes) -> None:
    state = state_of(request)
    message = raw_message(request, view.peer, body, state.now(), subject=view.device)
    request[CONTEXT].message_id = await state.store.append(message)


async def _publish(state: State, publication: Publication) -> None:
    try:
        await asyncio.to_thread(state.resources.publish, [publication])
    except InvalidResource as error:
        raise bad_value(str(error)) from None

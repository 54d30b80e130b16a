"""A published resource as one client sees it: visible items, current event states, counted links, its profile's extensions."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ieee2030_5.function_sets import BY_PATH, Node, class_of
from ieee2030_5.namespaces import CSIP_AUS
from ieee2030_5.xml import decode, document, encode_fragment, list_document, namespace_of, parse

from .access import Peer
from .links import counted
from .operational.registry import Device
from .operational.resources import StoredResource
from .provisioning import DEFAULT_ITEMS, DEFAULT_RESOURCES, default_item
from .replies import Page, Refusal
from .state import State

PROFILES: dict[str, frozenset[str]] = {"csip_aus": frozenset({CSIP_AUS})}
"""Namespaces of the extensions that a client profile asks for."""
_SUBSCRIBABLE = 1


@dataclass(frozen=True, slots=True)
class View:
    """Through whose eyes the tree is seen. `device` is the end device whose subtree it is in, `owners` as in the store."""

    peer: Peer
    device: Device | None
    owners: Collection[str] | None

    @property
    def extensions(self) -> frozenset[str]:
        """Namespaces that the peer's profile asks for."""
        return PROFILES.get(self.peer.known.profile, frozenset())


async def render(state: State, node: Node, view: View, path: str, page: Page) -> bytes:
    """Return the document at an address of `node`. Raises a 404 `Refusal` where the view has none."""
    if node.is_list:
        return await _list(state, node, view, path, page)
    fragment, extended = await single(state, node, view, path)
    if extended:
        fragment = encode_fragment(_resource(fragment, node.cls), view.extensions)
    [fragment] = await counted(state, view.peer, [fragment], view.owners)
    return document(fragment, namespace_of(node.cls))


async def single(state: State, node: Node, view: View, path: str) -> tuple[str, bool]:
    """Return the fragment at an address and whether it holds extensions; raises a 404 `Refusal`."""
    row = await asyncio.to_thread(state.resources.get, path, view.owners)
    if row is not None:
        return _current(row, int(state.now().timestamp())), row.extended
    above, _, name = path.rpartition("/")
    if node.parent in DEFAULT_ITEMS and name == DEFAULT_ITEMS[node.parent]:
        published, _ = await asyncio.to_thread(state.resources.page, above, view.owners, now=0, limit=0)
        if not published:
            return encode_fragment(default_item(node.parent, path)), False
    if path in DEFAULT_RESOURCES:
        return encode_fragment(DEFAULT_RESOURCES[path]()), False
    raise Refusal(404, f"no {node.type} here")


async def require_parent(state: State, node: Node, view: View, path: str) -> None:
    """Raise a 404 `Refusal` unless what the resource belongs to is there."""
    parent = BY_PATH.get(node.parent or "")
    if parent is not None and not parent.is_list:
        await single(state, parent, view, path.rpartition("/")[0])


async def _list(state: State, node: Node, view: View, path: str, page: Page) -> bytes:
    await require_parent(state, node, view, path)
    now = int(state.now().timestamp())
    base = f"{path.rpartition('/')[0]}/{node.active_of}" if node.active_of else path
    total, rows = await asyncio.to_thread(
        state.resources.page, base, view.owners,
        now=now, start=page.start, limit=page.limit, after=page.after, active=bool(node.active_of),
    )  # fmt: skip
    if total or node.path not in DEFAULT_ITEMS or page.after:
        fragments = [_item(row, _current(row, now), view.extensions) for row in rows]
    else:
        items = [encode_fragment(default_item(node.path, path))]
        total, fragments = len(items), page.cut(items)
    return list_document(
        node.cls,
        href=path,
        all=total,
        results=len(fragments),
        subscribable=_SUBSCRIBABLE,
        poll_rate=state.options.poll_rate_s,
        fragments=await counted(state, view.peer, fragments, view.owners),
    )


def _current(row: StoredResource, now: int) -> str:
    """The fragment with its event's status as of now: publishers write events once, before they start (12.1.3)."""
    if row.event_status == 0 and row.starts_at is not None and row.starts_at <= now:
        return row.fragment.replace("<currentStatus>0</currentStatus>", "<currentStatus>1</currentStatus>", 1)
    return row.fragment


def _item(row: StoredResource, fragment: str, extensions: frozenset[str]) -> str:
    return encode_fragment(_resource(fragment, class_of(row.kind)), extensions) if row.extended else fragment


def _resource(fragment: str, cls: type[Any]) -> Any:
    namespace = namespace_of(cls)
    return decode(parse(document(fragment, namespace), namespaces=(namespace,)), cls)

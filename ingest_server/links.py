"""Links to lists carry how many items the list has for the one who asks (IEEE 2030.5-2018, 6.2.4): filled in when served."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Iterable

from ieee2030_5.function_sets import find

from .access import Peer
from .provisioning import DEFAULT_ITEMS
from .state import State

_LIST_LINK = re.compile(r'<([A-Za-z0-9]+ListLink) href="([^"]*)"/>')


async def counted(state: State, peer: Peer, fragments: Iterable[str], owners: Collection[str] | None) -> list[str]:
    """Return the fragments with `all` in each link to a list of this server; links that have one are left alone."""
    texts = list(fragments)
    wanted = {match[2] for text in texts for match in _LIST_LINK.finditer(text)}
    if not wanted:
        return texts
    counts = await _counts(state, peer, wanted, owners)
    return [
        _LIST_LINK.sub(lambda m: f'<{m[1]} href="{m[2]}" all="{counts[m[2]]}"/>' if m[2] in counts else m[0], text)
        for text in texts
    ]


async def _counts(state: State, peer: Peer, paths: set[str], owners: Collection[str] | None) -> dict[str, int]:
    found: dict[str, int] = {}
    for path in paths & {"/edev", "/mup", "/upt"}:
        counter: Callable[..., int] = (
            state.registry.count_devices if path == "/edev" else state.registry.count_mirror_usage_points
        )
        found[path] = await asyncio.to_thread(counter, peer.scope.lfdis)
    generic = [path for path in paths - found.keys() if find(path) is not None]
    if generic:
        now = int(state.now().timestamp())
        stored = await asyncio.to_thread(state.resources.counts, generic, owners, now=now)
        for path, count in stored.items():
            node = find(path)
            found[path] = count or (1 if node is not None and node.path in DEFAULT_ITEMS else 0)
    return found

"""What request handlers share."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

from .access import CONTEXT, Access, Peer
from .landing.store import LandingStore
from .operational.registry import Registry
from .operational.resources import ResourceStore
from .options import ServerOptions
from .type_memory import TypeMemory


def utc_now() -> dt.datetime:
    """Return the current time, aware, in UTC."""
    return dt.datetime.now(dt.UTC)


@dataclass(slots=True, frozen=True)
class State:
    """The server's parts; `server_lfdi` identifies its own certificate."""

    options: ServerOptions
    registry: Registry
    store: LandingStore
    access: Access
    server_lfdi: str
    resources: ResourceStore
    now: Callable[[], dt.datetime] = utc_now
    types: TypeMemory = field(default_factory=TypeMemory)


STATE: web.AppKey[State] = web.AppKey("state", State)


def state_of(request: web.Request) -> State:
    """Return the server's parts."""
    return request.app[STATE]


def peer_of(request: web.Request) -> Peer:
    """Return the admitted client."""
    peer = request[CONTEXT].peer
    assert peer is not None
    return peer

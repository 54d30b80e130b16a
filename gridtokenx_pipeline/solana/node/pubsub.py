"""The node's websocket: `signatureSubscribe` and `slotSubscribe`, which is what clients confirm transactions by.

Shapes as in the Solana RPC reference. Notifications go out once a slot.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from typing import Any

from aiohttp import WSMsgType, web
from solders.signature import Signature

from .bank import DEPTH, Bank
from .checks import commitment_of
from .slots import FINALITY_SLOTS
from .wire import RpcError, invalid


def serve_websocket(app: web.Application, bank: Bank) -> None:
    """Let `GET /` of `app` become a websocket on which clients subscribe; closed when the application stops."""

    sockets: set[web.WebSocketResponse] = set()

    async def connect(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=1 << 16)
        if not socket.can_prepare(request):
            raise web.HTTPMethodNotAllowed("GET", ["POST"])
        await socket.prepare(request)
        sockets.add(socket)
        subscriber = Subscriber(bank)
        ticking = asyncio.create_task(_tick(socket, subscriber, bank.slot_ms / 1000))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT and (answer := subscriber.answer(message.data)) is not None:
                    await socket.send_json(answer)
        finally:
            ticking.cancel()
            sockets.discard(socket)
        return socket

    async def close(_app: web.Application) -> None:
        await asyncio.gather(*(socket.close() for socket in list(sockets)))

    app.router.add_get("/", connect)
    app.on_shutdown.append(close)


async def _tick(socket: web.WebSocketResponse, subscriber: Subscriber, seconds: float) -> None:
    while not socket.closed:
        for notification in subscriber.due():
            await socket.send_json(notification)
        await asyncio.sleep(seconds)


class Subscriber:
    """What one connection has subscribed to."""

    def __init__(self, bank: Bank):
        self._bank = bank
        self._numbers = itertools.count()
        self._signatures: dict[int, tuple[str, str]] = {}
        self._slots: dict[int, int] = {}

    def answer(self, text: str) -> dict[str, Any] | None:
        """Return the answer to one call, or `None` for a notification, such as the pings of some clients."""
        number = None
        try:
            call = json.loads(text)
            number = call.get("id")
            if number is None:
                return None
            result = self._do(call.get("method"), call.get("params") or [])
        except RpcError as error:
            return {"jsonrpc": "2.0", "error": error.body, "id": number}
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            return {"jsonrpc": "2.0", "error": {"code": -32602, "message": f"Invalid params: {error}"}, "id": number}
        return {"jsonrpc": "2.0", "result": result, "id": number}

    def _do(self, method: str, params: list[Any]) -> Any:
        if method == "signatureSubscribe":
            wanted = str(Signature.from_string(params[0])), commitment_of(params[1] if len(params) > 1 else None)
            number = next(self._numbers)
            self._signatures[number] = wanted
            return number
        if method == "slotSubscribe":
            number = next(self._numbers)
            self._slots[number] = self._bank.slot
            return number
        if method in ("signatureUnsubscribe", "slotUnsubscribe"):
            held: dict[int, Any] = self._signatures if method == "signatureUnsubscribe" else self._slots
            if held.pop(params[0], None) is None:
                raise invalid("Invalid subscription id.")
            return True
        raise RpcError(-32601, "Method not found")

    def due(self) -> Iterator[dict[str, Any]]:
        """Yield the notifications that are due. One on a signature ends its subscription."""
        slot = self._bank.slot
        for number, (signature, level) in list(self._signatures.items()):
            entry = self._bank.entry(signature)
            if entry is not None and slot - entry.slot >= DEPTH[level]:
                del self._signatures[number]
                context = {"slot": self._bank.slot_at(level)}
                yield _notification("signatureNotification", {"context": context, "value": {"err": entry.err}}, number)
        for number, told in self._slots.items():
            # Whoever falls far behind is told of the newest alone.
            for newer in range(max(told + 1, slot - FINALITY_SLOTS), slot + 1):
                parents = {"parent": newer - 1, "root": max(0, newer - FINALITY_SLOTS), "slot": newer}
                yield _notification("slotNotification", parents, number)
            self._slots[number] = slot


def _notification(method: str, result: Any, number: int) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": {"result": result, "subscription": number}}

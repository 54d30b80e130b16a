"""The JSON-RPC itself: calls and batches answered from a bank, over HTTP or for whoever holds the bank."""

from __future__ import annotations

import ipaddress
import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

from .bank import Bank
from .methods import METHODS, Methods
from .pubsub import serve_websocket
from .wire import RpcError, invalid

MAX_BODY_BYTES = 1 << 20


def application(bank: Bank, middlewares: Sequence[Middleware] = ()) -> web.Application:
    """Return the node's web application: JSON-RPC, single or batch, by POST to `/`, subscriptions over a websocket at
    `/`; `GET /health` answers `ok`.
    """

    async def post(request: web.Request) -> web.Response:
        return web.json_response(respond(bank, await request.read(), loopback=_is_loopback(request.remote)))

    async def health(_request: web.Request) -> web.Response:
        return web.Response(text="ok")

    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=list(middlewares))
    app.router.add_post("/", post)
    app.router.add_get("/health", health)
    serve_websocket(app, bank)
    return app


def respond(bank: Bank, body: bytes, *, loopback: bool) -> Any:
    """Return the answer, ready for JSON, to the call or batch of calls in `body`. `loopback` permits airdrops.

    Every failure is told in the answer; nothing is raised.
    """
    try:
        calls = json.loads(body)
    except ValueError:
        return _error(None, {"code": -32700, "message": "Parse error"})
    if not isinstance(calls, list):
        return answer(bank, calls, loopback=loopback)
    if not calls:
        return _error(None, {"code": -32600, "message": "Invalid request"})
    return [answer(bank, call, loopback=loopback) for call in calls]


def answer(bank: Bank, call: Any, *, loopback: bool) -> dict[str, Any]:
    """Return the answer to one call. `loopback` permits airdrops."""
    if not isinstance(call, dict) or call.get("jsonrpc") != "2.0" or not isinstance(call.get("method"), str):
        return _error(None, {"code": -32600, "message": "Invalid request"})
    name, params, number = call["method"], call.get("params") or [], call.get("id")
    if name not in METHODS:
        return _error(number, {"code": -32601, "message": "Method not found"})
    try:
        if not isinstance(params, list):
            raise invalid("Invalid params: expected an array")
        result = getattr(Methods(bank, loopback=loopback), name)(*params)
    except RpcError as error:
        return _error(number, error.body)
    except sqlite3.Error as error:
        return _error(number, {"code": -32603, "message": f"Internal error: the ledger cannot be written ({error})"})
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        return _error(number, {"code": -32602, "message": f"Invalid params: {error}"})
    return {"jsonrpc": "2.0", "result": result, "id": number}


def _error(number: Any, body: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "error": body, "id": number}


def _is_loopback(remote: str | None) -> bool:
    try:
        return remote is not None and ipaddress.ip_address(remote).is_loopback
    except ValueError:
        return False

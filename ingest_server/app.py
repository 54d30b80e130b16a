"""The aiohttp application: admit, route, answer, log one line."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from aiohttp import web
from sqlalchemy.exc import SQLAlchemyError

from .landing.store import LandingUnavailable
from .replies import Refusal, try_later
from .routes import capability, end_device, mirror
from .state import STATE, State, state_of

log = logging.getLogger("ingest_server.access")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(state: State) -> web.Application:
    """Return the application. It answers every request, bad ones included, with IEEE 2030.5 documents."""
    app = web.Application(middlewares=[_serve], client_max_size=state.options.max_body_bytes)
    app[STATE] = state
    for module in (capability, end_device, mirror):
        app.add_routes(module.ROUTES)
    return app


@web.middleware
async def _serve(request: web.Request, handler: Handler) -> web.StreamResponse:
    started = time.perf_counter()
    refusal: Refusal | None = None
    response: web.StreamResponse
    try:
        peer = await state_of(request).access.admit(request)
        request["peer"] = peer
        response = await handler(request)
    except Refusal as error:
        refusal = error
    except web.HTTPException as error:
        # The router's own: no such path, or a method that the path does not have.
        allow = error.headers.get("Allow")
        refusal = Refusal(error.status, error.reason, headers={"Allow": allow} if allow else None)
    except (LandingUnavailable, SQLAlchemyError) as error:
        refusal = try_later(f"{type(error).__name__}: {error}")
    except ConnectionError:
        raise
    except Exception:
        log.exception("request failed", extra={"fields": {"method": request.method, "path": request.path}})
        refusal = Refusal(500, "internal error")
    if refusal is not None:
        response = refusal.response()
    response.headers["Server"] = "GridTokenX"
    _log(request, response.status, refusal, time.perf_counter() - started)
    if refusal is not None and refusal.security_kind:
        await state_of(request).access.report(
            refusal.security_kind,
            lfdi=request.get("lfdi"),
            remote=request.remote or "",
            detail=f"{request.method} {request.path[:200]}: {refusal.reason}",
        )
    return response


def _log(request: web.Request, status: int, refusal: Refusal | None, seconds: float) -> None:
    if refusal is not None:
        level = logging.ERROR if status >= 500 else logging.WARNING
    else:
        # Readings come by the hundred a second, and the landing store has a row of each.
        level = logging.DEBUG if request.get("routine") else logging.INFO
    if not log.isEnabledFor(level):
        return
    peer = request.get("peer")
    device = peer.device if peer else None
    fields = {
        "lfdi": request.get("lfdi"),
        "meter": device.meter_id if device else None,
        "remote": request.remote,
        "method": request.method,
        "path": request.path,
        "status": status,
        "reason": refusal.reason if refusal else request.get("reason", ""),
        "ms": round(seconds * 1000, 2),
    }
    if message_id := request.get("message_id"):
        fields["message_id"] = message_id
    log.log(level, "refused" if refusal else "served", extra={"fields": fields})

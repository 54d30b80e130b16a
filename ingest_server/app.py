"""The aiohttp application: admit, route, answer, log one line."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from aiohttp import HttpVersion10, HttpVersion11, web
from sqlalchemy.exc import SQLAlchemyError

from .access import CONTEXT, Context
from .drain import Drain
from .landing.store import LandingUnavailable
from .replies import Refusal, bad_format, conditional, try_later
from .routes import capability, end_device, mirror, tree, usage_point
from .state import STATE, State, state_of

log = logging.getLogger("ingest_server.access")

_SPOKEN = (HttpVersion10, HttpVersion11)

DRAIN: web.AppKey[Drain] = web.AppKey("drain", Drain)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(state: State) -> web.Application:
    """Return the application. It answers every request, bad ones included, with IEEE 2030.5 documents."""
    app = web.Application(middlewares=[_serve], client_max_size=state.options.max_body_bytes)
    app[STATE] = state
    app[DRAIN] = Drain()
    app[usage_point.READ_BACK] = usage_point.read_back_of(state)
    for module in (capability, end_device, mirror, usage_point):
        app.add_routes(module.ROUTES)
    app.add_routes(tree.routes())
    return app


@web.middleware
async def _serve(request: web.Request, handler: Handler) -> web.StreamResponse:
    started = time.perf_counter()
    context = request[CONTEXT] = Context()
    drain = request.app[DRAIN]
    drain.begin()
    try:
        response, refusal = await _answer(request, handler)
        # After a body that did not come, what follows on the connection is not a request.
        if drain.draining or response.status == 408:
            response.force_close()
        seconds = time.perf_counter() - started
        state_of(request).access.metrics.request(_template(request), request.method, response.status, seconds)
        _log(request, response.status, refusal, seconds)
        if refusal is not None and refusal.security_kind:
            await state_of(request).access.report(
                refusal.security_kind,
                lfdi=context.lfdi,
                remote=request.remote or "",
                detail=f"{request.method} {request.path[:200]}: {refusal.reason}",
            )
    finally:
        drain.end()
    return response


def _template(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"


async def _answer(request: web.Request, handler: Handler) -> tuple[web.StreamResponse, Refusal | None]:
    refusal: Refusal | None = None
    response: web.StreamResponse
    try:
        if request.version is not HttpVersion11 and request.version not in _SPOKEN:
            raise bad_format(f"HTTP/{request.version.major}.{request.version.minor}")
        request[CONTEXT].peer = await state_of(request).access.admit(request)
        response = conditional(request, await handler(request))
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
    return response, refusal


def _log(request: web.Request, status: int, refusal: Refusal | None, seconds: float) -> None:
    context = request[CONTEXT]
    if status == 429:
        # A device that asks too much would fill the log; the security event tells once a minute.
        level = logging.DEBUG
    elif refusal is not None:
        level = logging.ERROR if status >= 500 else logging.WARNING
    else:
        # Readings come by the hundred a second, and the landing store has a row of each.
        level = logging.DEBUG if context.routine else logging.INFO
    if not log.isEnabledFor(level):
        return
    device = context.peer.device if context.peer else None
    fields = {
        "lfdi": context.lfdi,
        "meter": device.meter_id if device else None,
        "remote": request.remote,
        "method": request.method,
        "path": request.path,
        "status": status,
        "reason": refusal.reason if refusal else context.reason,
        "ms": round(seconds * 1000, 2),
    }
    if context.message_id:
        fields["message_id"] = context.message_id
    log.log(level, "refused" if refusal else "served", extra={"fields": fields})

"""The gateway's listener in a worker: its own port, TLS without client certificates, the worker's landing store."""

from __future__ import annotations

import datetime as dt
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from ..landing.store import LandingStore
from ..limits import Limits
from ..operational.gateway import GatewayTables
from ..operational.registry import Registry
from ..options import ServerOptions
from .app import DRAIN, GatewayState, create_gateway_app
from .auth import Authentication, Tokens

log = logging.getLogger(__name__)

_BACKLOG = 2048


def gateway_tls(cert: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 and 1.3 with OpenSSL's default ciphers; clients prove themselves by token or key, not by certificate.

    Raises `OSError` and `ssl.SSLError` for the files.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key)
    return context


def gateway_tokens(options: ServerOptions) -> Tokens | None:
    """What verifies bearer tokens, None where only API keys are taken. Raises as `Tokens.from_file`."""
    path = options.gateway_token_key
    return None if path is None else Tokens.from_file(path, options.gateway_algorithm, options.gateway_audience)


def check_gateway(options: ServerOptions) -> None:
    """Raise what starting the gateway would raise of its options (`OSError`, `ValueError`), and create its tables."""
    gateway_tls(options.cert, options.key)
    if gateway_tokens(options) is None and options.gateway_require in ("token", "both"):
        raise ValueError(f"gateway_require {options.gateway_require!r} needs gateway_token_key")
    with _tables(options) as tables:
        tables.create_all()


@dataclass(slots=True, frozen=True)
class Gateway:
    """A gateway that accepts connections."""

    _runner: web.AppRunner
    _site: web.SockSite
    _tables: GatewayTables
    _tls: ssl.SSLContext
    _options: ServerOptions

    def reload(self) -> None:
        """Take up a replaced certificate for connections to come. A bad one is logged, and the one before stays."""
        try:
            gateway_tls(self._options.cert, self._options.key)
            self._tls.load_cert_chain(self._options.cert, self._options.key)
        except (OSError, ValueError) as error:
            log.error("gateway keeps its certificate", extra={"fields": {"reason": str(error)}})

    async def drain(self, seconds: float) -> None:
        """Accept nothing new, and let what has begun end within `seconds`."""
        await self._site.stop()
        app = self._runner.app
        await app[DRAIN].wait(seconds)

    async def close(self) -> None:
        """Close the connections."""
        await self._runner.cleanup()
        self._tables.close()


async def start_gateway(
    options: ServerOptions,
    sock: socket.socket,
    *,
    store: LandingStore,
    registry: Registry,
    limits: Limits,
    now: Callable[[], dt.datetime],
) -> Gateway:
    """Serve on a bound socket. Raises as `check_gateway`."""
    tls = gateway_tls(options.cert, options.key)
    tables = GatewayTables(options.operational_url)
    try:
        authentication = Authentication(
            tables, gateway_tokens(options), options.gateway_require, ttl_s=options.device_cache_s, now=now
        )
        state = GatewayState(
            store=store,
            registry=registry,
            tables=tables,
            authentication=authentication,
            limits=limits,
            max_body_bytes=options.max_body_bytes,
            body_timeout_s=options.body_timeout_s,
            ttl_s=options.device_cache_s,
            now=now,
        )
        runner = web.AppRunner(
            create_gateway_app(state),
            handle_signals=False,
            access_log=None,
            keepalive_timeout=options.keepalive_s,
            shutdown_timeout=options.shutdown_s,
        )
        await runner.setup()
        site = web.SockSite(runner, sock, ssl_context=tls, backlog=_BACKLOG)
        await site.start()
    except BaseException:
        tables.close()
        raise
    return Gateway(runner, site, tables, tls, options)


@contextmanager
def _tables(options: ServerOptions) -> Iterator[GatewayTables]:
    tables = GatewayTables(options.operational_url)
    try:
        yield tables
    finally:
        tables.close()

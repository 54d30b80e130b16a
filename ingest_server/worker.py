"""One worker process: `python -m ingest_server.worker --index N --port P --parent PID`, options as JSON on standard input.

Prints `ready` on standard output once it accepts connections, stops on SIGTERM or SIGINT after finishing what it has
begun, and dies with its parent, so that a new server never competes with the orphans of a killed one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import ssl
import sys
from pathlib import Path

from aiohttp import web

from ieee2030_5.identity import lfdi_of
from ieee2030_5.tls import server_context

from . import logs
from .access import Access
from .app import DRAIN, create_app
from .landing.sqlite import SqliteLandingStore
from .landing.store import SegmentInUse
from .operational.registry import Registry
from .options import ServerOptions
from .ports import listening_socket
from .state import State

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_BACKLOG = 2048
_LOCK_WAIT_S = 2.0


async def serve(options: ServerOptions, index: int, port: int, stop: asyncio.Event) -> None:
    """Serve until `stop`; prints `ready` when connections are accepted.

    Raises `SegmentInUse` if another process has this worker's landing segments, `OSError` for the port or the
    certificate files, `ssl.SSLError` for what is in them.
    """
    context = server_context(options.ca, options.cert, options.key, tls13=options.tls13)
    registry = Registry(options.operational_url)
    store = await asyncio.to_thread(
        SqliteLandingStore,
        options.landing_dir,
        index,
        max_group=options.commit_max_messages,
        max_wait_s=options.commit_wait_ms / 1000,
        lock_wait_s=_LOCK_WAIT_S,
    )
    try:
        access = Access(registry, ttl_s=options.device_cache_s, enrolment=options.enrolment_zone is not None)
        app = create_app(State(options, registry, store, access, _server_lfdi(options.cert)))
        runner = web.AppRunner(
            app,
            handle_signals=False,
            access_log=None,
            keepalive_timeout=options.keepalive_s,
            shutdown_timeout=options.shutdown_s,
        )
        await runner.setup()
        try:
            site = web.SockSite(runner, listening_socket(options.host, port), ssl_context=context, backlog=_BACKLOG)
            await site.start()
            print("ready", flush=True)
            log.info("worker accepts connections", extra={"fields": {"worker": index, "port": port}})
            await stop.wait()
            await site.stop()
            await app[DRAIN].wait(options.shutdown_s)
        finally:
            await runner.cleanup()
    finally:
        await asyncio.to_thread(store.close)
        registry.close()


def _server_lfdi(cert: Path) -> str:
    pem = cert.read_text(encoding="ascii")
    end = "-----END CERTIFICATE-----"
    return lfdi_of(ssl.PEM_cert_to_DER_cert(pem[pem.index("-----BEGIN CERTIFICATE-----") : pem.index(end) + len(end)]))


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit("the server that started this worker is gone")


async def _main(options: ServerOptions, index: int, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(options, index, port, stop)


def main() -> int:
    """Run a worker; returns the exit code: 0 after a stop that was asked for, 1 when it could not start."""
    parser = argparse.ArgumentParser(prog="python -m ingest_server.worker", description=__doc__)
    parser.add_argument("--index", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    arguments = parser.parse_args()
    _die_with(arguments.parent)
    options = ServerOptions.from_json(sys.stdin.read())
    logs.configure(options.log_level, f"worker-{arguments.index}")
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    try:
        asyncio.run(_main(options, arguments.index, arguments.port))
    except (SegmentInUse, OSError, ValueError) as error:
        log.error("worker could not run", extra={"fields": {"reason": str(error)}})
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

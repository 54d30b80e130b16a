"""One worker process: `python -m ingest_server.worker --index N --port P --parent PID`, options as JSON on standard input.

Prints `ready` on standard output once it accepts connections and a line of JSON with what it has counted every second
from then on. Loads certificates and revocation lists again on SIGHUP. Stops on SIGTERM or SIGINT after finishing what it
has begun, and dies with its parent, so that a new server never competes with the orphans of a killed one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import gc
import json
import logging
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from aiohttp import web

from . import logs
from .access import Access
from .app import DRAIN, create_app
from .front import Front
from .landing.sqlite import SqliteLandingStore
from .landing.store import LandingStore, LandingUnavailable, RawMessage, SegmentInUse
from .limits import Limits
from .metrics import Metrics
from .operational.registry import Registry
from .operational.resources import ResourceStore
from .options import ServerOptions
from .ports import listening_socket
from .state import State, utc_now

if TYPE_CHECKING:
    from .gateway.listener import Gateway

log = logging.getLogger(__name__)

REPORT_S = 1.0
_PR_SET_PDEATHSIG = 1
_LOCK_WAIT_S = 2.0
_GC_THRESHOLDS = (50_000, 20, 1000)


class MeasuredStore:
    """A landing store whose commits are counted and timed."""

    def __init__(self, store: LandingStore, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics

    async def append(self, message: RawMessage) -> str:
        """Append to the store behind it."""
        started = time.perf_counter()
        try:
            message_id = await self._store.append(message)
        except LandingUnavailable:
            self._metrics.landing_failures += 1
            raise
        self._metrics.landed(time.perf_counter() - started)
        return message_id

    def close(self) -> None:
        """Close the store behind it."""
        self._store.close()


async def serve(options: ServerOptions, index: int, port: int, stop: asyncio.Event, limits_fd: int | None = None) -> None:
    """Serve until `stop`; prints `ready` when connections are accepted.

    `limits_fd` is of the block of counts that the workers share. Raises `SegmentInUse` if another process has this
    worker's landing segments, `OSError` for the port or the certificate files, `ssl.SSLError` for what is in them.
    """
    # Before the files are read the first time: a change after that must not be missed.
    hung_up = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hung_up.set)
    registry = Registry(options.operational_url)
    resources = ResourceStore(options.operational_url)
    metrics = Metrics()
    limits = Limits(
        requests_per_minute=options.rate_limit_per_min,
        failures=options.max_failed_auth,
        cool_down_s=options.cool_down_s,
        shared=limits_fd,
    )
    access = Access(
        registry, ttl_s=options.device_cache_s, enrolment=options.enrolment_zone is not None, limits=limits, metrics=metrics
    )
    front = Front(options, access)
    store = await asyncio.to_thread(
        SqliteLandingStore,
        options.landing_dir,
        index,
        max_group=options.commit_max_messages,
        max_wait_s=options.commit_wait_ms / 1000,
        lock_wait_s=_LOCK_WAIT_S,
    )
    try:
        measured = MeasuredStore(store, metrics)
        state = State(options, registry, measured, access, front.lfdi, resources)
        app = create_app(state)
        runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=options.shutdown_s)
        await runner.setup()
        assert runner.server is not None
        reporting = reloading = gateway = notifying = None
        try:
            front.start(
                runner.server,
                listening_socket(options.host, port),
                access_log=None,
                keepalive_timeout=options.keepalive_s,
            )
            if options.gateway_port is not None:
                gateway = await _gateway(options, registry, measured, limits_fd)
            reloading = asyncio.create_task(_reload_on_hangup(front, gateway, hung_up))
            if index == 0:
                notifying = asyncio.create_task(_notify(state))
            print("ready", flush=True)
            reporting = asyncio.create_task(_report(metrics))
            log.info("worker accepts connections", extra={"fields": {"worker": index, "port": port}})
            await stop.wait()
            await front.stop()
            drains = [app[DRAIN].wait(options.shutdown_s), *([gateway.drain(options.shutdown_s)] if gateway is not None else [])]
            await asyncio.gather(*drains)
        finally:
            for task in (reporting, reloading, notifying):
                if task is not None:
                    task.cancel()
            if gateway is not None:
                await gateway.close()
            await runner.cleanup()
    finally:
        await asyncio.to_thread(store.close)
        registry.close()
        resources.close()


async def _gateway(options: ServerOptions, registry: Registry, store: LandingStore, limits_fd: int | None) -> Gateway:
    from .gateway.listener import start_gateway

    assert options.gateway_port is not None
    limits = Limits(
        requests_per_minute=options.gateway_rate_per_min,
        failures=options.max_failed_auth,
        cool_down_s=options.cool_down_s,
        shared=limits_fd,
    )
    sock = listening_socket(options.host, options.gateway_port)
    return await start_gateway(options, sock, store=store, registry=registry, limits=limits, now=utc_now)


async def _notify(state: State) -> None:
    from .notifications.notifier import Notifier
    from .notifications.outbox import Outbox
    from .notifications.post import Sender

    options = state.options
    outbox = Outbox(options.operational_url, state.resources)
    try:
        await Notifier(state, outbox, Sender(options.ca, options.cert, options.key, options.notification_hosts)).run()
    finally:
        outbox.close()


async def _reload_on_hangup(front: Front, gateway: Gateway | None, hung_up: asyncio.Event) -> None:
    while True:
        await hung_up.wait()
        hung_up.clear()
        await front.reload()
        if gateway is not None:
            gateway.reload()


async def _report(metrics: Metrics) -> None:
    """Write a snapshot every second; while the reader does not keep up, or is not there, none."""
    try:
        transport, _ = await asyncio.get_running_loop().connect_write_pipe(asyncio.Protocol, sys.stdout)
    except ValueError:
        # Not a pipe: someone runs the worker by hand.
        return
    while not transport.is_closing():
        if not transport.get_write_buffer_size():
            transport.write(json.dumps(metrics.snapshot()).encode() + b"\n")
        await asyncio.sleep(REPORT_S)


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit("the server that started this worker is gone")


async def _main(options: ServerOptions, index: int, port: int, limits_fd: int | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(options, index, port, stop, limits_fd)


def main() -> int:
    """Run a worker; returns the exit code: 0 after a stop that was asked for, 1 when it could not start."""
    parser = argparse.ArgumentParser(prog="python -m ingest_server.worker", description=__doc__)
    parser.add_argument("--index", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--limits-fd", type=int)
    arguments = parser.parse_args()
    _die_with(arguments.parent)
    # A reload that is asked for before the files were first read has nothing to do.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    options = ServerOptions.from_json(sys.stdin.read())
    logs.configure(options.log_level, f"worker-{arguments.index}")
    # Ten thousand connections are a million objects that stay: looking through them at the usual rate takes more time than
    # serving does, and stops everything for a second each time.
    gc.set_threshold(*_GC_THRESHOLDS)
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    try:
        asyncio.run(_main(options, arguments.index, arguments.port, arguments.limits_fd))
    except (SegmentInUse, OSError, ValueError) as error:
        log.error("worker could not run", extra={"fields": {"reason": str(error)}})
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""The parent of the workers: checks the ground, starts them on one port, restarts those that die, stops them in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import ssl
import sys
import time
from pathlib import Path

from ieee2030_5.tls import server_context

from . import logs
from .operational.registry import Registry
from .options import ServerOptions
from .ports import PortUnavailable, reserve_port

log = logging.getLogger(__name__)

# The workers of a server that was killed need a moment to be gone.
_PORT_WAIT_S = 2.0
_BACK_OFF_S = (0.1, 5.0)
_HEALTHY_S = 30.0
_START_S = 60.0
_STOP_MARGIN_S = 5.0


class CannotStart(Exception):
    """The server cannot run with these options; the message says what to change."""


def run(options: ServerOptions) -> None:
    """Serve until SIGTERM or SIGINT; call it in the main thread.

    Prints one line, `ready https://HOST:PORT workers=N pid=PID`, on standard output when every worker accepts.
    Raises `CannotStart` where the port is taken, a certificate file is missing or wrong, or a worker cannot start.
    """
    logs.configure(options.log_level, "supervisor")
    try:
        reservation = reserve_port(options.host, options.port, wait_s=_PORT_WAIT_S)
    except PortUnavailable as error:
        raise CannotStart(str(error)) from None
    try:
        _prepare(options)
        asyncio.run(_Supervisor(options, reservation.getsockname()[1]).run())
    finally:
        reservation.close()


def _prepare(options: ServerOptions) -> None:
    for path in (options.ca, options.cert, options.key):
        if not Path(path).is_file():
            raise CannotStart(f"certificate file {path} is not there")
    try:
        server_context(options.ca, options.cert, options.key, tls13=options.tls13)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise CannotStart(f"certificate files {options.ca}, {options.cert}, {options.key}: {error}") from None
    options.landing_dir.mkdir(parents=True, exist_ok=True)
    # Once, before the workers: two processes creating the same tables at the same time get in each other's way.
    registry = Registry(options.operational_url)
    registry.create_all()
    registry.close()


class _Supervisor:
    def __init__(self, options: ServerOptions, port: int) -> None:
        self._options = options
        self._port = port
        self._stop = asyncio.Event()
        self._processes: dict[int, asyncio.subprocess.Process] = {}

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        keepers: list[asyncio.Task[None]] = []
        try:
            started = await asyncio.gather(*(self._start(i) for i in range(self._options.workers)))
            if not all(started):
                if self._stop.is_set():
                    return
                raise CannotStart("a worker could not start; its last log line says why")
            host = f"[{self._options.host}]" if ":" in self._options.host else self._options.host
            print(f"ready https://{host}:{self._port} workers={self._options.workers} pid={os.getpid()}", flush=True)
            keepers = [asyncio.create_task(self._keep(i)) for i in range(self._options.workers)]
            await self._stop.wait()
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)
            await self._stop_workers()

    async def _start(self, index: int) -> bool:
        """Start a worker and return whether it became ready."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ingest_server.worker",
            "--index", str(index), "--port", str(self._port), "--parent", str(os.getpid()),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=_environment(),
        )  # fmt: skip
        self._processes[index] = process
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(ConnectionError):
            process.stdin.write(self._options.to_json().encode())
            await process.stdin.drain()
        process.stdin.close()
        try:
            line = await asyncio.wait_for(process.stdout.readline(), _START_S)
        except TimeoutError:
            process.kill()
            return False
        return line.strip() == b"ready"

    async def _keep(self, index: int) -> None:
        shortest, longest = _BACK_OFF_S
        pause = shortest
        while True:
            since = time.monotonic()
            code = await self._processes[index].wait()
            if self._stop.is_set():
                return
            if time.monotonic() - since > _HEALTHY_S:
                pause = shortest
            log.error("worker ended, restarting", extra={"fields": {"worker": index, "code": code, "pause_s": pause}})
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest)
            if await self._start(index):
                log.info("worker is back", extra={"fields": {"worker": index}})

    async def _stop_workers(self) -> None:
        running = [p for p in self._processes.values() if p.returncode is None]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        if not running:
            return
        waits = [asyncio.create_task(p.wait()) for p in running]
        _, late = await asyncio.wait(waits, timeout=self._options.shutdown_s + _STOP_MARGIN_S)
        for process in running:
            if process.returncode is None:
                log.error("worker did not stop in time, killed", extra={"fields": {"pid": process.pid}})
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        await asyncio.gather(*late)


def _environment() -> dict[str, str]:
    """Let `python -m` find the packages from wherever the server was started."""
    root = str(Path(__file__).resolve().parent.parent)
    known = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{known}" if known else root}

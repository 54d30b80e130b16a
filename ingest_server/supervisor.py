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
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from aiohttp import web

from . import logs
from .credentials import Credentials, files_state, is_stale, load_credentials
from .limits import shared_file
from .operational.registry import Registry
from .operations import Expiry, Operations, WorkerReports
from .options import ServerOptions
from .ports import PortUnavailable, reserve_port

log = logging.getLogger(__name__)

# The workers of a server that was killed need a moment to be gone.
_PORT_WAIT_S = 2.0
_BACK_OFF_S = (0.1, 5.0)
_HEALTHY_S = 30.0
_START_S = 60.0
_STOP_MARGIN_S = 5.0
_REPORT_BYTES = 4 * 1024 * 1024


class CannotStart(Exception):
    """The server cannot run with these options; the message says what to change."""


def run(options: ServerOptions) -> None:
    """Serve until SIGTERM or SIGINT; call it in the main thread.

    Prints one line, `ready https://HOST:PORT workers=N pid=PID`, with an operations port ` ops=http://HOST:PORT` and with a
    gateway ` gateway=https://HOST:PORT`, on standard output when every worker accepts. SIGHUP, or a change of the files,
    makes new handshakes use certificates and revocation lists as they are then. Raises `CannotStart` where the port is
    taken, a certificate file is missing or wrong, or a worker cannot start.
    """
    logs.configure(options.log_level, "supervisor")
    try:
        reservation = reserve_port(options.host, options.port, wait_s=_PORT_WAIT_S)
    except PortUnavailable as error:
        raise CannotStart(str(error)) from None
    try:
        with _with_gateway_port(options) as options:
            credentials = _prepare(options)
            asyncio.run(_Supervisor(options, reservation.getsockname()[1], credentials).run())
    finally:
        reservation.close()


@contextlib.contextmanager
def _with_gateway_port(options: ServerOptions) -> Iterator[ServerOptions]:
    """Hold the gateway's port, if it is to have one, for the workers to share."""
    if options.gateway_port is None:
        yield options
        return
    try:
        reservation = reserve_port(options.host, options.gateway_port, wait_s=_PORT_WAIT_S)
    except PortUnavailable as error:
        raise CannotStart(f"gateway: {error}") from None
    with reservation:
        yield replace(options, gateway_port=reservation.getsockname()[1])


def _prepare(options: ServerOptions) -> Credentials:
    for path in (options.ca, options.cert, options.key, options.crl):
        if path is not None and not Path(path).is_file():
            raise CannotStart(f"certificate file {path} is not there")
    try:
        credentials = load_credentials(options)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise CannotStart(f"certificate files {options.ca}, {options.cert}, {options.key}: {error}") from None
    options.landing_dir.mkdir(parents=True, exist_ok=True)
    # Once, before the workers: two processes creating the same tables at the same time get in each other's way.
    registry = Registry(options.operational_url)
    registry.create_all()
    registry.close()
    if options.gateway_port is not None:
        from .gateway.listener import check_gateway

        try:
            check_gateway(options)
        except (OSError, ValueError) as error:
            raise CannotStart(f"gateway: {error}") from None
    return credentials


class _Supervisor:
    def __init__(self, options: ServerOptions, port: int, credentials: Credentials) -> None:
        self._options = options
        self._port = port
        self._credentials = credentials
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._ready: set[int] = set()
        self._generation = 0
        self._reports = WorkerReports()
        self._reading: set[asyncio.Task[None]] = set()
        self._limits = shared_file()
        self._terminal = os.isatty(sys.stderr.fileno())

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._hung_up)
        keepers: list[asyncio.Task[None]] = []
        operations = None
        try:
            operations, ops = await self._operations()
            await self._tell_stale_crl()
            started = await asyncio.gather(*(self._start(i) for i in range(self._options.workers)))
            if not all(started):
                if self._stop.is_set():
                    return
                raise CannotStart("a worker could not start; its last log line says why")
            host = f"[{self._options.host}]" if ":" in self._options.host else self._options.host
            if self._options.gateway_port is not None:
                ops += f" gateway=https://{host}:{self._options.gateway_port}"
            print(f"ready https://{host}:{self._port} workers={self._options.workers} pid={os.getpid()}{ops}", flush=True)
            keepers = [asyncio.create_task(self._keep(i)) for i in range(self._options.workers)]
            keepers.append(asyncio.create_task(self._watch_files()))
            await self._stop.wait()
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)
            await self._stop_workers()
            if operations is not None:
                await operations.cleanup()
            os.close(self._limits)

    async def _start(self, index: int) -> bool:
        """Start a worker and return whether it became ready."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ingest_server.worker",
            "--index", str(index), "--port", str(self._port), "--parent", str(os.getpid()), "--limits-fd", str(self._limits),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=_environment(), pass_fds=(self._limits,),
            limit=_REPORT_BYTES,
        )  # fmt: skip
        self._processes[index] = process
        generation = self._generation
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
        if line.strip() != b"ready":
            return False
        self._ready.add(index)
        if generation != self._generation:
            # It may have read the files before they were exchanged.
            process.send_signal(signal.SIGHUP)
        reading = asyncio.create_task(self._read_reports(index, process.stdout))
        self._reading.add(reading)
        reading.add_done_callback(self._reading.discard)
        return True

    async def _read_reports(self, index: int, output: asyncio.StreamReader) -> None:
        while line := await output.readline():
            self._reports.take(index, line)

    async def _keep(self, index: int) -> None:
        shortest, longest = _BACK_OFF_S
        pause = shortest
        while True:
            since = time.monotonic()
            code = await self._processes[index].wait()
            if self._stop.is_set():
                return
            self._ready.discard(index)
            self._reports.end(index)
            if time.monotonic() - since > _HEALTHY_S:
                pause = shortest
            log.error("worker ended, restarting", extra={"fields": {"worker": index, "code": code, "pause_s": pause}})
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest)
            if await self._start(index):
                log.info("worker is back", extra={"fields": {"worker": index}})

    def _hung_up(self) -> None:
        # A terminal that is closed takes its programs along; anyone else who sends this signal wants the files read.
        if self._terminal and not os.isatty(sys.stderr.fileno()):
            self._stop.set()
        else:
            self._reload.set()

    async def _watch_files(self) -> None:
        options = self._options
        seen = files_state(options), self._credentials.crl_stale
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._reload.wait(), options.reload_poll_s)
            found = await asyncio.to_thread(files_state, options), self._crl_is_stale()
            if found == seen and not self._reload.is_set():
                continue
            self._reload.clear()
            seen = found
            await self._take_up_files()

    async def _take_up_files(self) -> None:
        try:
            self._credentials = await asyncio.to_thread(load_credentials, self._options)
        except (ssl.SSLError, OSError, ValueError) as error:
            log.error("new certificates are not usable, the old ones stay", extra={"fields": {"reason": str(error)}})
            await self._record("certificates_rejected", str(error))
            return
        self._generation += 1
        for index in self._ready:
            with contextlib.suppress(ProcessLookupError):
                self._processes[index].send_signal(signal.SIGHUP)
        days = (self._credentials.not_after - time.time()) / 86_400
        detail = f"server certificate {self._credentials.lfdi}, {days:.1f} days left"
        if self._credentials.revocations is not None:
            detail += f", {len(self._credentials.revocations.serials)} certificates revoked"
        log.info("certificates loaded", extra={"fields": {"detail": detail}})
        await self._record("certificates_reloaded", detail)
        await self._tell_stale_crl()

    def _crl_is_stale(self) -> bool:
        revocations = self._credentials.revocations
        return revocations is not None and is_stale(revocations.next_update, self._options)

    async def _tell_stale_crl(self) -> None:
        if not self._credentials.crl_stale:
            return
        effect = {"warn": "used as it is", "refuse": "no device of its authority can connect"}[self._options.crl_stale]
        log.error("the revocation list is out of date", extra={"fields": {"crl": self._options.crl, "effect": effect}})
        await self._record("crl_stale", f"{self._options.crl}: {effect}")

    async def _record(self, kind: str, detail: str) -> None:
        def write() -> None:
            registry = Registry(self._options.operational_url)
            try:
                registry.record_security_event(kind, remote="", detail=detail)
            finally:
                registry.close()

        try:
            await asyncio.to_thread(write)
        except Exception:
            log.exception("security event not recorded")

    async def _operations(self) -> tuple[web.AppRunner | None, str]:
        """Start the operations port, if there is to be one; return what to stop, and its part of the ready line."""
        options = self._options
        if options.ops_port is None:
            return None, ""
        operations = Operations(self._reports, options.workers, options.landing_dir, self._expiry)
        runner = web.AppRunner(operations.app(), handle_signals=False, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, options.ops_host, options.ops_port).start()
        except OSError as error:
            await runner.cleanup()
            raise CannotStart(f"operations port {options.ops_port} on {options.ops_host}: {error.strerror or error}") from None
        host, port = runner.addresses[0][:2]
        return runner, f" ops=http://{f'[{host}]' if ':' in host else host}:{port}"

    def _expiry(self) -> Expiry:
        revocations = self._credentials.revocations
        return Expiry(self._credentials.not_after, revocations.next_update if revocations is not None else None)

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

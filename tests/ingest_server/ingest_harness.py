from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

from ieee2030_5.pki import Authority, Credential
from ieee2030_5.resources import (
    DateTimeInterval,
    MirrorMeterReading,
    MirrorMeterReadingList,
    MirrorUsagePoint,
    Reading,
    ReadingType,
)
from ieee2030_5.tls import client_context
from ieee2030_5.xml import encode
from ingest_server.access import Access
from ingest_server.app import create_app
from ingest_server.front import Front
from ingest_server.landing.sqlite import SqliteLandingReader, SqliteLandingStore
from ingest_server.landing.store import LandedMessage
from ingest_server.limits import Limits
from ingest_server.operational.registry import Device, Registry
from ingest_server.operational.resources import ResourceStore
from ingest_server.options import ServerOptions
from ingest_server.ports import listening_socket
from ingest_server.state import State

SEP = {"Content-Type": "application/sep+xml"}


@dataclass(frozen=True)
class Pki:
    authority: Authority
    server: Credential
    devices: dict[str, Credential]

    def client(self, name: str) -> ssl.SSLContext:
        device = self.devices[name]
        return client_context(self.authority.certificate_path, device.certificate, device.key)


def device_row(credential: Credential, pin: int) -> Device:
    return Device(credential.lfdi, credential.sfdi, credential.name, "stanford", pin, not_after=credential.not_after)


@dataclass
class Clock:
    """The server's clock, which tests move on."""

    ahead: dt.timedelta = dt.timedelta(0)

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) + self.ahead


@dataclass
class Server:
    """A server in this process, over real TLS, and a client session for each device."""

    url: str
    port: int
    pki: Pki
    registry: Registry
    resources: ResourceStore
    store: SqliteLandingStore
    landing_dir: Path
    sessions: dict[str, aiohttp.ClientSession]
    state: State
    clock: Clock
    front: Front

    def later(self, by: dt.timedelta) -> None:
        self.clock.ahead += by

    def session(self, name: str = "METER_A") -> aiohttp.ClientSession:
        if name not in self.sessions:
            connector = aiohttp.TCPConnector(ssl=self.pki.client(name))
            self.sessions[name] = aiohttp.ClientSession(self.url, connector=connector)
        return self.sessions[name]

    def landed(self) -> list[LandedMessage]:
        return landed(self.landing_dir)


@contextlib.asynccontextmanager
async def serving(options: ServerOptions, pki: Pki) -> AsyncIterator[Server]:
    registry = Registry(options.operational_url)
    resources = ResourceStore(options.operational_url)
    store = SqliteLandingStore(options.landing_dir)
    limits = Limits(
        requests_per_minute=options.rate_limit_per_min, failures=options.max_failed_auth, cool_down_s=options.cool_down_s
    )
    access = Access(registry, ttl_s=options.device_cache_s, enrolment=options.enrolment_zone is not None, limits=limits)
    front = Front(options, access)
    clock = Clock()
    state = State(options, registry, store, access, pki.server.lfdi, resources, now=clock.now)
    app = create_app(state)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    sock = listening_socket(options.host, 0)
    port = sock.getsockname()[1]
    front.start(runner.server, sock, access_log=None, keepalive_timeout=options.keepalive_s)
    server = Server(
        f"https://127.0.0.1:{port}", port, pki, registry, resources, store, options.landing_dir, {}, state, clock, front
    )
    try:
        yield server
    finally:
        for session in server.sessions.values():
            await session.close()
        await front.stop()
        await runner.cleanup()
        store.close()
        registry.close()
        resources.close()


def landed(directory: Path) -> list[LandedMessage]:
    reader = SqliteLandingReader(directory)
    return [message for segment in reader.segments() for message in reader.read(segment, limit=1_000_000)]


def mup(lfdi: str, mrid: str = "AB" * 16, **fields: object) -> bytes:
    values = {"role_flags": 0x0B, "service_category_kind": 0, "status": 1, "description": "METER_A", **fields}
    return encode(MirrorUsagePoint(mrid=mrid, device_lfdi=lfdi, **values))


def mup_with_types(lfdi: str) -> bytes:
    kinds = [MirrorMeterReading(mrid=f"{n:032X}", reading_type=ReadingType(uom=72, kind=12)) for n in range(1, 4)]
    return mup(lfdi, mirror_meter_readings=kinds)


def readings(start: int, value: int = 1) -> bytes:
    period = DateTimeInterval(duration=15, start=start)
    rows = [MirrorMeterReading(mrid=f"{n:032X}", reading=Reading(time_period=period, value=value)) for n in range(1, 4)]
    return encode(MirrorMeterReadingList(mirror_meter_readings=rows))


class Process:
    """`python -m ingest_server` as a process of its own."""

    def __init__(self, options: ServerOptions, log: Path) -> None:
        self._log = log.open("ab")
        self.log = log
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ingest_server", "--options", "-"],
            cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
        )  # fmt: skip
        self.process.stdin.write(options.to_json().encode())
        self.process.stdin.close()

    async def ready(self) -> str:
        """Wait for the ready line and return the URL in it."""
        line = (await asyncio.to_thread(self.process.stdout.readline)).decode()
        assert line.startswith("ready https://"), self.log.read_text()
        return line.split()[1]

    def workers(self) -> list[int]:
        found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=True)
        return [int(pid) for pid in found.stdout.split()]

    def events(self) -> list[dict]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        self.process.stdout.close()
        self._log.close()

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from ingest_harness import SEP, Pki, landed, mup, readings

from ieee2030_5.client import Client, Retry
from ingest_server.options import ServerOptions


def running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def eventually(look: Callable[[], list[int]], wanted: Callable[[list[int]], bool], within_s: float = 30) -> list[int]:
    """What `look` finds once it is as wanted; on a busy machine processes come and go slowly."""
    async with asyncio.timeout(within_s):
        while not wanted(found := look()):
            await asyncio.sleep(0.05)
    return found


class Fleet:
    """Two meters that post concurrently and remember what was acknowledged."""

    def __init__(self, url: str, pki: Pki) -> None:
        self.url, self.pki = url, pki
        self.acknowledged: list[str] = []
        self.wanted: list[str] = []
        self.stopping = False
        self.progress = asyncio.Condition()

    async def post(self, name: str, lane: int) -> None:
        device = self.pki.devices[name]
        retry = Retry(attempts=60, base_s=0.05, max_s=0.5)
        authority = self.pki.authority.certificate_path
        async with Client(self.url, ca=authority, cert=device.certificate, key=device.key, timeout_s=10, retry=retry) as client:
            location = await client.post_mirror_usage_point(mup(device.lfdi))
            n = 0
            while not self.stopping:
                body = readings(n, value=lane)
                n += 1
                digest = hashlib.sha256(body).hexdigest()
                self.wanted.append(digest)
                await client.post_readings(location, body)
                async with self.progress:
                    self.acknowledged.append(digest)
                    self.progress.notify_all()

    async def reach(self, count: int) -> None:
        async with self.progress:
            await self.progress.wait_for(lambda: len(self.acknowledged) >= count)

    def run(self) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self.post(name, lane)) for lane, name in enumerate(("METER_A", "METER_B") * 3)]

    def check(self, directory: Path) -> None:
        bodies = landed(directory)
        assert all(hashlib.sha256(m.body).hexdigest() == m.body_sha256 for m in bodies)
        have = {m.body_sha256 for m in bodies}
        assert set(self.acknowledged) <= have
        # Those who retry lose nothing at all.
        assert set(self.wanted) == set(self.acknowledged)


async def test_killed_worker_comes_back_and_nothing_acknowledged_is_lost(options: ServerOptions, pki: Pki, start) -> None:
    server = start(replace(options, workers=2))
    fleet = Fleet(await server.ready(), pki)
    posting = fleet.run()
    for round_ in range(1, 3):
        await fleet.reach(len(fleet.acknowledged) + 60)
        victims = await eventually(server.workers, lambda pids: len(pids) == 2)
        os.kill(victims[round_ % 2], signal.SIGKILL)
    await fleet.reach(len(fleet.acknowledged) + 60)
    fleet.stopping = True
    await asyncio.gather(*posting)
    assert await asyncio.to_thread(server.stop) == 0
    fleet.check(options.landing_dir)
    restarts = [e for e in server.events() if e["event"] == "worker ended, restarting"]
    assert [e["code"] for e in restarts] == [-signal.SIGKILL] * 2


async def test_killed_server_is_replaced_at_once_and_nothing_acknowledged_is_lost(
    options: ServerOptions, pki: Pki, start
) -> None:
    first = start(replace(options, workers=2))
    url = await first.ready()
    fleet = Fleet(url, pki)
    posting = fleet.run()
    await fleet.reach(100)
    orphans = first.workers()
    first.process.kill()
    # The same port, the same landing segments, no pause.
    second = start(replace(options, workers=2, port=int(url.rpartition(":")[2])))
    assert await second.ready() == url
    await eventually(lambda: [pid for pid in orphans if running(pid)], lambda alive: not alive)
    await fleet.reach(len(fleet.acknowledged) + 60)
    fleet.stopping = True
    await asyncio.gather(*posting)
    assert await asyncio.to_thread(second.stop) == 0
    fleet.check(options.landing_dir)


async def test_graceful_stop_finishes_what_it_began(options: ServerOptions, pki: Pki, start) -> None:
    server = start(options)
    url = await server.ready()
    lfdi = pki.devices["METER_A"].lfdi
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(ssl=pki.client("METER_A"))) as session:
        async with session.post("/mup", data=mup(lfdi), headers=SEP) as response:
            location = response.headers["Location"]
        begun = asyncio.Event()

        async def slow():
            body = readings(0)
            yield body[:20]
            begun.set()
            await asyncio.sleep(0.5)
            yield body[20:]

        request = asyncio.create_task(session.post(location, data=slow(), headers=SEP))
        await begun.wait()
        await asyncio.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        async with await request as response:
            assert response.status == 201
    assert await asyncio.to_thread(server.process.wait, 20) == 0
    # Closed in order: everything is in the database file itself.
    assert list(options.landing_dir.glob("*-wal")) == []
    assert len(landed(options.landing_dir)) == 2


async def test_bytes_that_are_not_http_are_one_line_of_warning(options: ServerOptions, pki: Pki, start) -> None:
    server = start(options)
    port = int((await server.ready()).rpartition(":")[2])
    for nonsense in (b"GET /\xff HTTP/1.1\r\n\r\n", b"GET /tm HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 1000 + b"\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=pki.client("METER_A"))
        writer.write(nonsense)
        assert (await reader.readline()).split()[1] == b"400"
        writer.close()
    assert await asyncio.to_thread(server.stop) == 0
    lines = [e for e in server.events() if e["event"].startswith("not HTTP")]
    assert [(e["level"], "exception" in e) for e in lines] == [("WARNING", False)] * 2
    assert not [e for e in server.events() if e["level"] == "ERROR"]


async def test_taken_port_is_named(options: ServerOptions, start, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = start(replace(options, port=port))
        assert await asyncio.to_thread(server.process.wait, 20) == 1
    assert f"port {port} on 127.0.0.1 is in use" in server.log.read_text()


async def test_second_server_on_the_same_landing_is_refused(options: ServerOptions, start) -> None:
    first = start(options)
    await first.ready()
    second = start(options)
    assert await asyncio.to_thread(second.process.wait, 30) == 1
    assert "written by another process" in second.log.read_text()
    assert await asyncio.to_thread(first.stop) == 0


async def test_missing_certificate_is_named(options: ServerOptions, start, tmp_path: Path) -> None:
    server = start(replace(options, cert=tmp_path / "none.pem"))
    assert await asyncio.to_thread(server.process.wait, 20) == 1
    assert "none.pem" in server.log.read_text()


def test_worker_does_not_import_the_pipeline() -> None:
    code = (
        "import sys, ingest_server.worker, ingest_server.supervisor;"
        "print([m for m in ('polars', 'dagster', 'duckdb', 'pandas', 'gridtokenx_pipeline') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_options_survive_json(options: ServerOptions) -> None:
    assert ServerOptions.from_json(options.to_json()) == options
    with pytest.raises(ValueError, match="unknown options: colour"):
        ServerOptions.from_json('{"colour": 1}')
    with pytest.raises(ValueError, match="missing"):
        ServerOptions.from_json("{}")
    with pytest.raises(ValueError, match="keepalive_s"):
        replace(options, keepalive_s=15)
    with pytest.raises(ValueError, match="body_timeout_s"):
        replace(options, body_timeout_s=0)
    with pytest.raises(ValueError, match="port"):
        replace(options, port=70000)

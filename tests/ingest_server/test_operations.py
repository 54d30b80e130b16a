from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import aiohttp
from ingest_harness import SEP, Pki, Process, mup, readings
from prometheus_client.parser import text_string_to_metric_families

from ieee2030_5.pki import Authority
from ingest_server.metrics import Metrics
from ingest_server.operational.registry import Registry, SecurityEvent
from ingest_server.operations import Expiry, Operations, WorkerReports
from ingest_server.options import ServerOptions

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    return {
        (sample.name.removeprefix("gridtokenx_ingest_"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found.get((name, frozenset(labels.items())), 0.0)


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.05)


class Operator:
    """Looks at a server process from the operations port."""

    def __init__(self, ready: str, session: aiohttp.ClientSession) -> None:
        self._url = next(word.removeprefix("ops=") for word in ready.split() if word.startswith("ops="))
        self._session = session

    async def get(self, path: str) -> tuple[int, str]:
        async with self._session.get(self._url + path) as response:
            return response.status, await response.text()

    async def samples(self) -> Samples:
        return samples((await self.get("/metrics"))[1])


async def ready_line(process: Process) -> str:
    return (await asyncio.to_thread(process.process.stdout.readline)).decode()


def own_pki(tmp_path: Path, pki: Pki) -> Pki:
    """The session's devices with a server certificate that a test may exchange."""
    authority = Authority.ensure(tmp_path / "pki")
    return Pki(authority, authority.ensure_server(["localhost", "127.0.0.1"]), pki.devices)


def events(options: ServerOptions, kind: str) -> list[SecurityEvent]:
    registry = Registry(options.operational_url)
    try:
        return [event for event in registry.security_events() if event.kind == kind]
    finally:
        registry.close()


async def test_the_operations_port_tells_of_all_workers(options: ServerOptions, pki: Pki, start) -> None:
    process = start(replace(options, workers=2, ops_port=0, max_failed_auth=3))
    line = await ready_line(process)
    url = line.split()[1]
    async with aiohttp.ClientSession() as looking:
        operator = Operator(line, looking)
        await until(lambda: _status_is(operator, "/readyz", 200))
        assert await operator.get("/healthz") == (200, '{"status": "ok"}')
        lfdi = pki.devices["METER_A"].lfdi
        for n in range(6):
            # A connection each, so that both workers have a part.
            async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(ssl=pki.client("METER_A"))) as session:
                async with session.post("/mup", data=mup(lfdi), headers=SEP) as response:
                    location = response.headers["Location"]
                async with session.post(location, data=readings(n), headers=SEP) as response:
                    assert response.status == 201
        anonymous = ssl.create_default_context(cafile=str(options.ca))
        try:
            async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(ssl=anonymous)) as session:
                await session.get("/tm")
        except aiohttp.ClientError:
            pass

        posted = {"resource": "/mup/{mup_id}", "method": "POST", "status": "201"}

        async def all_counted() -> bool:
            found = await operator.samples()
            return value(found, "requests_total", **posted) == 6 and value(found, "landing_seconds_count") == 12

        await until(all_counted)
        found = await operator.samples()
        assert value(found, "request_seconds_count", **posted) == 6
        assert value(found, "request_seconds_bucket", le="+Inf", **posted) == 6
        assert value(found, "handshake_seconds_count") == value(found, "certificate_validation_seconds_count") == 6
        assert sum(v for (name, _), v in found.items() if name == "handshake_failures_total") == 1
        assert value(found, "workers_ready") == 2
        assert 0 <= value(found, "last_commit_age_seconds") < 60
        assert 300 < value(found, "certificate_days_left") < 1000
        # Failed authentications count over the workers, whichever a connection comes to.
        statuses = []
        for _ in range(8):
            async with (
                aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(ssl=pki.client("STRANGER"))) as session,
                session.get("/tm") as response,
            ):
                statuses.append(response.status)
        assert statuses == [403] * 3 + [429] * 5
        # A worker that is killed takes its part of the counts to the supervisor, not to the grave.
        victim = process.workers()[0]
        os.kill(victim, signal.SIGKILL)

        async def replaced() -> bool:
            return value(await operator.samples(), "worker_restarts_total") == 1

        await until(replaced)
        assert value(await operator.samples(), "requests_total", **posted) == 6
        await until(lambda: _status_is(operator, "/readyz", 200))
    assert await asyncio.to_thread(process.stop) == 0


async def _status_is(operator: Operator, path: str, status: int) -> bool:
    return (await operator.get(path))[0] == status


async def test_certificates_are_exchanged_in_all_workers(options: ServerOptions, pki: Pki, start, tmp_path: Path) -> None:
    own = own_pki(tmp_path, pki)
    meter = own.authority.ensure_device("METER_A")
    served = Pki(own.authority, own.server, {"METER_A": meter})
    options = replace(
        options, workers=2, reload_poll_s=0.1, ca=own.authority.certificate_path, cert=own.server.certificate, key=own.server.key
    )
    process = start(options)
    port = int((await ready_line(process)).split()[1].rpartition(":")[2])

    async def names() -> str:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=served.client("METER_A"))
        shown = str(writer.get_extra_info("peercert")["subjectAltName"])
        writer.close()
        return shown

    assert "ami.example.edu" not in await names()
    own.authority.ensure_server(["localhost", "127.0.0.1", "ami.example.edu"])

    async def everywhere() -> bool:
        return all(["ami.example.edu" in await names() for _ in range(8)])

    await until(everywhere)
    # One for the change, by the supervisor, not one a worker; certificate and key may be seen one after the other.
    assert 1 <= len(events(options, "certificates_reloaded")) <= 2
    kept = options.cert.read_bytes()
    options.cert.write_bytes(b"nonsense")
    process.process.send_signal(signal.SIGHUP)

    async def rejected() -> bool:
        return bool(events(options, "certificates_rejected"))

    await until(rejected)
    assert "ami.example.edu" in await names()
    options.cert.write_bytes(kept)
    assert await asyncio.to_thread(process.stop) == 0


async def test_readiness_names_what_is_missing(tmp_path: Path) -> None:
    reports = WorkerReports()
    operations = Operations(reports, 2, tmp_path / "none", lambda: Expiry(0.0, None))
    assert set(await operations.readiness()) == {"worker-0", "worker-1", "landing"}
    (tmp_path / "none").mkdir()
    metrics = Metrics()
    metrics.request("/tm", "GET", 200, 0.003)
    metrics.request("/tm", "MADEUP", 405, 99.0)
    for index in range(2):
        reports.take(index, _line(metrics))
    assert await operations.readiness() == {}
    reports.heard[1] -= 60
    assert set(await operations.readiness()) == {"worker-1"}
    reports.take(0, b"not JSON")
    assert reports.alive(0)


def test_counts_of_ended_workers_stay(tmp_path: Path) -> None:
    reports = WorkerReports()
    metrics = Metrics()
    metrics.request("/tm", "MADEUP", 405, 99.0)
    for _ in range(3):
        reports.take(0, _line(metrics))
        reports.end(0)
    reports.take(0, _line(metrics))
    counted = {tuple(key): sum(counts) for key, counts, _ in reports.sums()["histograms"]}
    # A method that no client should use has no series of its own.
    assert counted["requests", "/tm", "other", "405"] == 4
    assert reports.restarts == 3


def _line(metrics: Metrics) -> bytes:
    return json.dumps(metrics.snapshot()).encode()

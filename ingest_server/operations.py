"""Health and metrics for the operator, on a port of their own: /healthz, /readyz, /metrics. Plain HTTP, private by default."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from .metrics import LATENCY_S

STALE_S = 5.0
_FREE_BYTES = 16 * 1024 * 1024

_COUNTERS: dict[str, tuple[str, list[str]]] = {
    "malformed_requests": ("Bytes on an open connection that were not HTTP.", []),
    "rate_limited": ("Requests refused over the request rate of a device.", []),
    "cool_downs": ("Requests refused in a cool-down after failed authentications.", []),
    "landing_failures": ("Messages that could not be made durable; their senders were told to try again.", []),
    "handshake_failures": ("TLS handshakes that failed.", ["reason"]),
    "connections_refused": ("Connections refused after their handshake for want of room.", ["bound"]),
    "security_events": ("Security events, before repeated ones are left out of the record.", ["kind"]),
    "ocsp": ("Answers of the OCSP responder.", ["status"]),
}
_HISTOGRAMS: dict[str, tuple[str, str, list[str]]] = {
    "requests": ("request_seconds", "Time from a request's head to its response.", ["resource", "method", "status"]),
    "handshakes": ("handshake_seconds", "Time of successful TLS handshakes, waiting for the client included.", []),
    "certificate_validation": ("certificate_validation_seconds", "Time to read and judge a client certificate.", []),
    "landing": ("landing_seconds", "Time from a message's reception to its durable commit.", []),
}


@dataclass(slots=True)
class WorkerReports:
    """What the workers said of themselves. Counts of workers that have ended stay in the sums, as counters must not fall."""

    latest: dict[int, dict[str, Any]] = field(default_factory=dict)
    heard: dict[int, float] = field(default_factory=dict)
    ended: list[dict[str, Any]] = field(default_factory=list)
    restarts: int = 0

    def take(self, index: int, line: bytes) -> None:
        """Take a worker's line; one that is not JSON is left out."""
        try:
            report = json.loads(line)
        except ValueError:
            return
        if isinstance(report, dict):
            self.latest[index] = report
            self.heard[index] = time.monotonic()

    def end(self, index: int) -> None:
        """Keep the counts of a worker that has ended."""
        last = self.latest.pop(index, None)
        self.heard.pop(index, None)
        if last is not None:
            self.ended = [_merged([*self.ended, last])]
        self.restarts += 1

    def alive(self, index: int) -> bool:
        """Whether the worker has reported of late; one whose event loop hangs has not."""
        return time.monotonic() - self.heard.get(index, -STALE_S) < STALE_S

    def sums(self) -> dict[str, Any]:
        """Return all counters and histograms added up, by name and labels."""
        return _merged([*self.ended, *self.latest.values()])


def _merged(reports: Iterable[dict[str, Any]]) -> dict[str, Any]:
    counters: dict[tuple[str, ...], float] = {}
    histograms: dict[tuple[str, ...], tuple[list[int], float]] = {}
    last_commit = 0.0
    for report in reports:
        for key, count in report["counters"]:
            counters[tuple(key)] = counters.get(tuple(key), 0) + count
        for key, counts, total in report["histograms"]:
            before, sum_before = histograms.get(tuple(key), ([0] * len(counts), 0.0))
            histograms[tuple(key)] = [a + b for a, b in zip(before, counts, strict=True)], sum_before + total
        last_commit = max(last_commit, report["last_commit"])
    return {
        "counters": list(counters.items()),
        "histograms": [(key, counts, total) for key, (counts, total) in histograms.items()],
        "last_commit": last_commit,
    }


@dataclass(slots=True, frozen=True)
class Expiry:
    """When the server's certificate and the revocation lists end, in epoch seconds; None without lists."""

    certificate: float
    crl: float | None


class Operations(Collector):
    """The operator's view of a server."""

    def __init__(self, reports: WorkerReports, workers: int, landing_dir: Path, expiry: Callable[[], Expiry]) -> None:
        self._reports = reports
        self._workers = workers
        self._landing_dir = landing_dir
        self._expiry = expiry
        self._metrics = CollectorRegistry(auto_describe=False)
        self._metrics.register(self)

    def app(self) -> web.Application:
        """Return the application with the three paths."""
        app = web.Application()
        app.add_routes([web.get("/healthz", self._healthz), web.get("/readyz", self._readyz), web.get("/metrics", self._text)])
        return app

    async def readiness(self) -> dict[str, str]:
        """Return what is not ready, and why; empty when everything is."""
        missing = {
            f"worker-{index}": "not ready, or has not reported of late"
            for index in range(self._workers)
            if not self._reports.alive(index)
        }
        landing = await asyncio.to_thread(_not_writable, self._landing_dir)
        if landing:
            missing["landing"] = landing
        return missing

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _readyz(self, request: web.Request) -> web.Response:
        missing = await self.readiness()
        if missing:
            return web.json_response({"status": "not ready", "missing": missing}, status=503)
        return web.json_response({"status": "ready", "workers": self._workers})

    async def _text(self, request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._metrics), headers={"Content-Type": CONTENT_TYPE_LATEST})

    def collect(self) -> Iterator[Metric]:
        """Yield every metric; names start with `gridtokenx_ingest_`."""
        sums = self._reports.sums()
        yield from self._counters(sums)
        yield from self._histograms(sums)
        yield from self._gauges(sums["last_commit"])

    def _counters(self, sums: dict[str, Any]) -> Iterator[Metric]:
        families = {name: CounterMetricFamily(_name(name), text, labels=labels) for name, (text, labels) in _COUNTERS.items()}
        for (name, *labels), count in sums["counters"]:
            families[name].add_metric(labels, count)
        yield from families.values()
        requests = CounterMetricFamily(_name("requests"), "Requests answered.", labels=_HISTOGRAMS["requests"][2])
        for (name, *labels), counts, _ in sums["histograms"]:
            if name == "requests":
                requests.add_metric(labels, sum(counts))
        yield requests
        restarts = CounterMetricFamily(_name("worker_restarts"), "Workers that ended and were started again.")
        restarts.add_metric([], self._reports.restarts)
        yield restarts

    def _histograms(self, sums: dict[str, Any]) -> Iterator[Metric]:
        families = {
            key: HistogramMetricFamily(_name(name), text, labels=labels) for key, (name, text, labels) in _HISTOGRAMS.items()
        }
        for (key, *labels), counts, total in sums["histograms"]:
            families[key].add_metric(labels, list(_cumulative(counts)), total)
        yield from families.values()

    def _gauges(self, last_commit: float) -> Iterator[Metric]:
        now = time.time()
        expiry = self._expiry()
        values = [
            ("connections_open", "Connections being served.", self._now("connections_open")),
            ("handshakes_open", "Handshakes under way.", self._now("handshakes_open")),
            ("workers_ready", "Workers that report.", sum(self._reports.alive(index) for index in range(self._workers))),
            ("certificate_days_left", "Validity left of the server's certificate.", (expiry.certificate - now) / 86_400),
        ]
        if expiry.crl is not None:
            values.append(
                ("crl_days_left", "Time to the CRLs' next update; below 0 they are stale.", (expiry.crl - now) / 86_400)
            )
        if last_commit:
            values.append(("last_commit_age_seconds", "Time since a message was last made durable.", max(now - last_commit, 0.0)))
        for name, text, value in values:
            yield GaugeMetricFamily(_name(name), text, value=value)

    def _now(self, name: str) -> float:
        return sum(report["gauges"][name] for report in self._reports.latest.values())


def _name(name: str) -> str:
    return f"gridtokenx_ingest_{name}"


def _cumulative(counts: list[int]) -> Iterator[tuple[str, float]]:
    so_far = 0
    for bound, count in zip((*map(str, LATENCY_S), "+Inf"), counts, strict=True):
        so_far += count
        yield bound, so_far


def _not_writable(directory: Path) -> str:
    try:
        # Not by the permission bits: a full or a remounted disk shows only when written to.
        with tempfile.TemporaryFile(dir=directory) as probe:
            probe.write(b"probe")
            probe.flush()
            os.fsync(probe.fileno())
        free = os.statvfs(directory)
    except OSError as error:
        return f"{directory}: {error.strerror or error}"
    if free.f_bavail * free.f_frsize < _FREE_BYTES:
        return f"{directory}: less than {_FREE_BYTES >> 20} MiB free"
    return ""

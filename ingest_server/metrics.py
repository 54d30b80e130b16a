"""What a worker counts about itself. Recording is a few dictionary operations; the supervisor makes Prometheus text of it."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from typing import Any

LATENCY_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Upper bounds of histogram buckets, in seconds."""

_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"})


class Histogram:
    """Counts by upper bound (the last counts what is above all), and their sum."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(LATENCY_S) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Record one duration."""
        self.counts[bisect_left(LATENCY_S, seconds)] += 1
        self.total += seconds


class Metrics:
    """Counters of one worker since it started, and a few states."""

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str, int], Histogram] = {}
        self.handshakes = Histogram()
        self.handshake_failures: Counter[str] = Counter()
        self.connections_refused: Counter[str] = Counter()
        self.connections_open = 0
        self.handshakes_open = 0
        self.certificate_validation = Histogram()
        self.security_events: Counter[str] = Counter()
        self.malformed_requests = 0
        self.rate_limited = 0
        self.cool_downs = 0
        self.landing = Histogram()
        self.landing_failures = 0
        self.last_commit = 0.0
        self.ocsp: Counter[str] = Counter()

    def request(self, template: str, method: str, status: int, seconds: float) -> None:
        """Record a request by its resource template, as the router knows it."""
        if method not in _METHODS:
            # A series for each word a client makes up would be a way to fill the memory.
            method = "other"
        found = self.requests.get((template, method, status))
        if found is None:
            found = self.requests[template, method, status] = Histogram()
        found.counts[bisect_left(LATENCY_S, seconds)] += 1
        found.total += seconds

    def landed(self, seconds: float) -> None:
        """Record a durable commit, `seconds` after its message was given to the store."""
        self.landing.observe(seconds)
        self.last_commit = time.time()

    def snapshot(self) -> dict[str, Any]:
        """Return everything as JSON values.

        `counters` and `histograms` only ever grow and may be added up over workers; `gauges` are of this moment, and
        `last_commit` is in epoch seconds, 0 for never. Keys of either are a name and label values.
        """
        counters: list[tuple[list[str], float]] = [
            (["malformed_requests"], self.malformed_requests),
            (["rate_limited"], self.rate_limited),
            (["cool_downs"], self.cool_downs),
            (["landing_failures"], self.landing_failures),
        ]
        for name in ("handshake_failures", "connections_refused", "security_events", "ocsp"):
            counters += [([name, label], count) for label, count in sorted(getattr(self, name).items())]
        histograms: list[tuple[list[str], list[int], float]] = [
            ([name], found.counts, round(found.total, 6))
            for name, found in (
                ("handshakes", self.handshakes),
                ("certificate_validation", self.certificate_validation),
                ("landing", self.landing),
            )
        ]
        for (template, method, status), found in self.requests.items():
            histograms.append((["requests", template, method, str(status)], found.counts, round(found.total, 6)))
        return {
            "counters": counters,
            "histograms": histograms,
            "gauges": {"connections_open": self.connections_open, "handshakes_open": self.handshakes_open},
            "last_commit": self.last_commit,
        }

"""What durability costs: posts per second of one ingest worker, against the same HTTPS server only reading the body."""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from ieee2030_5.pki import Authority
from ingest_server.landing.sqlite import SqliteLandingReader
from ingest_server.options import ServerOptions

from .ingest_load import Load, Outcome, reading_document
from .servers import end_of, process, register, serving

_READ_PAGE = 10_000


def run(many: int = 1000) -> dict[str, Any]:
    """Measure 25 connections, and `many`; the figures of the latter end in `_many`. Returns and raises as `measure`."""
    few, crowd = measure(), measure(connections=many, rounds=3)
    return few | {f"{name}_many": crowd[name] for name in ("connections", "posts_per_s", "read_only_posts_per_s", "ratio")}


def measure(seconds: float = 2.0, connections: int = 25, rounds: int = 5) -> dict[str, Any]:
    """Measure `rounds` pairs of rounds of `seconds` each, the two servers in turn, after a short round that warms up both.

    One meter with a certificate of its own posts on each of `connections` keep-alive connections, each post after the answer
    to the one before. Returns posts_per_s (the ingest server with one worker, every post committed to disk before its 201),
    read_only_posts_per_s, ratio (the first by the second), all by the median over rounds; connections, rounds, body_bytes (of
    one post), acknowledged (posts answered 201 by the ingest server) and landed (messages in its landing store afterwards).
    Raises `RuntimeError` if a server or the client fails, a post is refused, or an acknowledged message is not in the store.
    """
    with tempfile.TemporaryDirectory(prefix="gridtokenx-bench-") as folder:
        directory = Path(folder)
        authority = Authority.ensure(directory / "certs")
        meters = [authority.ensure_device(f"BENCH_{number:03d}") for number in range(connections)]
        server = authority.ensure_server(["localhost", "127.0.0.1"])
        options = ServerOptions(
            host="127.0.0.1", port=0, workers=1, ca=authority.certificate_path, cert=server.certificate, key=server.key,
            landing_dir=directory / "landing", operational_url=f"sqlite:///{directory / 'operational.sqlite'}",
            # What is measured is the server, not how often a device may ask.
            rate_limit_per_min=0,
        )  # fmt: skip
        targets = register(options.operational_url, meters)
        with (
            serving("ingest_server", ["--options", "-"], options, directory) as durable,
            serving("gridtokenx_pipeline.benchmarks.ingest_read_only", [], options, directory) as read_only,
        ):
            ports = [durable, read_only]
            outcome = _drive(Load(ports, str(options.ca), targets, seconds, rounds), directory)
        landed = _landed(options.landing_dir)
    acknowledged = outcome.acknowledged[0]
    if landed < acknowledged:
        raise RuntimeError(f"{acknowledged} posts were acknowledged, {landed} are in the landing store")
    durable_rate, read_only_rate = (statistics.median(rates) for rates in outcome.posts_per_s)
    return {
        "connections": connections,
        "rounds": rounds,
        "body_bytes": len(reading_document(meters[0].lfdi, 0)),
        "posts_per_s": round(durable_rate),
        "read_only_posts_per_s": round(read_only_rate),
        "ratio": round(durable_rate / read_only_rate, 3),
        "acknowledged": acknowledged,
        "landed": landed,
    }


def _drive(load: Load, directory: Path) -> Outcome:
    """Run the client in its own process and return what it measured."""
    module = "gridtokenx_pipeline.benchmarks.ingest_load"
    with process(module, [], load.to_json(), directory) as (running, log):
        assert running.stdout is not None
        answer = running.stdout.read()
        if running.wait() != 0:
            raise RuntimeError(f"the client failed: {end_of(log)}")
    return Outcome(**json.loads(answer))


def _landed(directory: Path) -> int:
    reader = SqliteLandingReader(directory)
    total = 0
    for segment in reader.segments():
        after = 0
        while rows := reader.read(segment, after, _READ_PAGE):
            total += len(rows)
            after = rows[-1].sequence
    return total

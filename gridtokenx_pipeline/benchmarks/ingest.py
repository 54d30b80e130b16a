"""What durability costs: posts per second of one ingest worker, against the same HTTPS server only reading the body."""

from __future__ import annotations

import contextlib
import json
import os
import select
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gridtokenx_pipeline.config import PROJECT_ROOT
from ieee2030_5.identity import derive_pin
from ieee2030_5.pki import Authority, Credential
from ingest_server.landing.sqlite import SqliteLandingReader
from ingest_server.operational.registry import Device, Registry
from ingest_server.options import ServerOptions

from .ingest_load import Load, Outcome, Target, reading_document

_START_S = 30.0
_STOP_S = 20.0
_ZONE = "bench"
_READ_PAGE = 10_000


def run(seconds: float = 2.0, connections: int = 25, rounds: int = 5) -> dict[str, Any]:
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
        targets = _register(options.operational_url, meters)
        with (
            _server("ingest_server", ["--options", "-"], options, directory) as durable,
            _server("gridtokenx_pipeline.benchmarks.ingest_read_only", [], options, directory) as read_only,
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


def _register(url: str, meters: list[Credential]) -> list[Target]:
    """Register the meters, each with a mirror, and return where each of them posts."""
    registry = Registry(url)
    registry.create_all()
    registry.register(Device(m.lfdi, m.sfdi, m.name, _ZONE, derive_pin(m.lfdi, b"benchmark")) for m in meters)
    targets = []
    for meter in meters:
        mirror, _ = registry.put_mirror_usage_point(
            meter.lfdi, meter.lfdi[:32], description=meter.name, role_flags=0x0B, status=1
        )
        targets.append(Target(f"/mup/{mirror.mup_id}", meter.lfdi, str(meter.certificate), str(meter.key)))
    registry.close()
    return targets


@contextlib.contextmanager
def _server(module: str, arguments: list[str], options: ServerOptions, directory: Path) -> Iterator[int]:
    """Run a server that takes its options on standard input and prints `ready https://HOST:PORT...`; yield the port."""
    with _process(module, arguments, options.to_json(), directory) as (process, log):
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], _START_S)
        line = process.stdout.readline() if readable else ""
        if not line.startswith("ready "):
            raise RuntimeError(f"{module} did not start: {_end_of(log)}")
        yield int(line.split()[1].rpartition(":")[2])


def _drive(load: Load, directory: Path) -> Outcome:
    """Run the client in its own process and return what it measured."""
    module = "gridtokenx_pipeline.benchmarks.ingest_load"
    with _process(module, [], load.to_json(), directory) as (process, log):
        assert process.stdout is not None
        answer = process.stdout.read()
        if process.wait() != 0:
            raise RuntimeError(f"the client failed: {_end_of(log)}")
    return Outcome(**json.loads(answer))


@contextlib.contextmanager
def _process(module: str, arguments: list[str], text: str, directory: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    log = directory / f"{module}.log"
    path = os.pathsep.join(filter(None, [str(PROJECT_ROOT), os.environ.get("PYTHONPATH")]))
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(text)
            process.stdin.close()
        yield process, log
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-1000:].strip() or "it said nothing"


def _landed(directory: Path) -> int:
    reader = SqliteLandingReader(directory)
    total = 0
    for segment in reader.segments():
        after = 0
        while rows := reader.read(segment, after, _READ_PAGE):
            total += len(rows)
            after = rows[-1].sequence
    return total

"""Processes that benchmarks measure: servers with meters in their registry, and the clients that load them."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from gridtokenx_pipeline.config import PROJECT_ROOT
from ieee2030_5.identity import derive_pin
from ieee2030_5.pki import Credential
from ingest_server.operational.registry import Device, Registry
from ingest_server.options import ServerOptions

from .ingest_load import Target

_START_S = 30.0
_STOP_S = 20.0
_ZONE = "bench"


def register(url: str, meters: list[Credential]) -> list[Target]:
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
def serving(module: str, arguments: list[str], options: ServerOptions, directory: Path) -> Iterator[int]:
    """Run a server that takes its options on standard input and prints `ready https://HOST:PORT...`; yield the port."""
    with process(module, arguments, options.to_json(), directory) as (running, log):
        assert running.stdout is not None
        readable, _, _ = select.select([running.stdout], [], [], _START_S)
        line = running.stdout.readline() if readable else ""
        if not line.startswith("ready "):
            raise RuntimeError(f"{module} did not start: {end_of(log)}")
        yield int(line.split()[1].rpartition(":")[2])


@contextlib.contextmanager
def process(module: str, arguments: list[str], text: str, directory: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Run a module with `text` on its standard input; yield it and its log file, and stop it in the end."""
    log = directory / f"{module}.log"
    path = os.pathsep.join(filter(None, [str(PROJECT_ROOT), os.environ.get("PYTHONPATH")]))
    with log.open("w") as errors:
        running = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
    assert running.stdin is not None
    assert running.stdout is not None
    try:
        with contextlib.suppress(BrokenPipeError):
            running.stdin.write(text)
            running.stdin.close()
        yield running, log
    finally:
        running.terminate()
        try:
            running.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        running.stdout.close()


def end_of(log: Path) -> str:
    """Return the last lines of a log, for an error message."""
    return log.read_text(errors="replace")[-1000:].strip() or "it said nothing"

"""The ingest server under a fleet of keep-alive connections: what they cost, and how they come back after a storm."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ieee2030_5.pki import Authority
from ieee2030_5.resources import MirrorMeterReading
from ieee2030_5.xml import decode, parse
from ingest_server.landing.sqlite import SqliteLandingReader
from ingest_server.options import ServerOptions

from .fleet_load import Fleet
from .servers import end_of, process, register, serving

_SPARE_FILES = 200
_PAGE = 10_000


@dataclass
class Measured:
    """What a fleet and its server's worker showed: the fleet's steps, and the worker's CPU seconds and memory in kB at each."""

    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)
    memory_kb: dict[str, int] = field(default_factory=dict)
    lost: int = 0


def run_fleet(connections: int, posts_per_s: float, seconds: float, *, storm: bool) -> Measured:
    """Run one worker and a fleet against it.

    All connections are of one meter, so the limits on what a single device may do are off. Raises `RuntimeError` where this
    process may not open so many files, or a server or the fleet fails.
    """
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if connections + _SPARE_FILES > most:
        raise RuntimeError(f"{connections} connections need more open files than {most}: ulimit -n {connections + _SPARE_FILES}")
    with tempfile.TemporaryDirectory(prefix="gridtokenx-bench-") as folder:
        directory = Path(folder)
        authority = Authority.ensure(directory / "certs")
        meter, server = authority.ensure_device("BENCH"), authority.ensure_server(["localhost", "127.0.0.1"])
        options = ServerOptions(
            host="127.0.0.1", port=0, workers=1, ca=authority.certificate_path, cert=server.certificate, key=server.key,
            landing_dir=directory / "landing", operational_url=f"sqlite:///{directory / 'operational.sqlite'}",
            rate_limit_per_min=0, max_connections_per_device=connections + 1, max_connections=connections + 1,
        )  # fmt: skip
        [target] = register(options.operational_url, [meter])
        with serving("ingest_server", ["--options", "-"], options, directory) as port:
            fleet = Fleet(port, str(options.ca), target, connections, posts_per_s, seconds, storm)
            measured = _follow(fleet, directory)
        landed = _landed_starts(options.landing_dir)
    measured.lost = len(set(measured.steps["done"]["acknowledged"]) - landed)
    return measured


def _follow(fleet: Fleet, directory: Path) -> Measured:
    worker = _worker_pid()
    measured = Measured()
    measured.memory_kb["start"] = _memory_kb(worker)
    module = "gridtokenx_pipeline.benchmarks.fleet_load"
    with process(module, [], fleet.to_json(), directory) as (client, log):
        assert client.stdout is not None
        for line in client.stdout:
            step = json.loads(line)
            name = step.pop("step")
            measured.steps[name] = step
            measured.cpu_s[name], measured.memory_kb[name] = _cpu_s(worker), _memory_kb(worker)
        if client.wait() != 0:
            raise RuntimeError(f"the fleet failed: {end_of(log)}")
    return measured


def _worker_pid() -> int:
    """The worker of the server that this process started."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True)
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()[1:]]
    servers = {pid for pid, parent, _ in rows if parent == str(os.getpid())}
    return next(int(pid) for pid, parent, arguments in rows if parent in servers and "ingest_server.worker" in arguments)


def _cpu_s(pid: int) -> float:
    values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")


def _memory_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def _landed_starts(directory: Path) -> set[int]:
    reader, starts = SqliteLandingReader(directory), set()
    for segment in reader.segments():
        after = 0
        while rows := reader.read(segment, after, _PAGE):
            after = rows[-1].sequence
            readings = (decode(parse(row.body), MirrorMeterReading).reading for row in rows)
            starts |= {r.time_period.start for r in readings if r is not None and r.time_period is not None}
    return {start for start in starts if start is not None}

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ieee2030_5.pki import Authority
from ingest_server.operational.registry import Registry
from ingest_server.options import ServerOptions

sys.path.insert(0, str(Path(__file__).parent))

from ingest_harness import Pki, Process, Server, device_row, serving


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    authority = Authority.ensure(tmp_path_factory.mktemp("pki"))
    devices = {name: authority.ensure_device(name) for name in ("METER_A", "METER_B", "STRANGER")}
    return Pki(authority, authority.ensure_server(["localhost", "127.0.0.1"]), devices)


@pytest.fixture
def options(pki: Pki, tmp_path: Path) -> ServerOptions:
    """Options of a server with METER_A and METER_B in its registry."""
    url = f"sqlite:///{tmp_path / 'operational.sqlite'}"
    registry = Registry(url)
    registry.create_all()
    registry.register(device_row(pki.devices[name], pin) for name, pin in (("METER_A", 111115), ("METER_B", 123455)))
    registry.close()
    return ServerOptions(
        host="127.0.0.1", port=0, workers=1, ca=pki.authority.certificate_path, cert=pki.server.certificate, key=pki.server.key,
        landing_dir=tmp_path / "landing", operational_url=url, device_cache_s=0.0,
        rate_limit_per_min=0, max_failed_auth=0,
    )  # fmt: skip


@pytest.fixture
async def server(options: ServerOptions, pki: Pki) -> AsyncIterator[Server]:
    async with serving(options, pki) as running:
        yield running


@pytest.fixture
async def open_server(options: ServerOptions, pki: Pki) -> AsyncIterator[Server]:
    """A server that lets unknown devices of the authority enrol."""
    async with serving(replace(options, enrolment_zone="stanford"), pki) as running:
        yield running


@pytest.fixture
def start(tmp_path: Path) -> Iterator[object]:
    """Starts server processes; whatever still runs at the end is killed."""
    started: list[Process] = []

    def run(options: ServerOptions) -> Process:
        process = Process(options, tmp_path / f"server-{len(started)}.log")
        started.append(process)
        return process

    yield run
    for process in started:
        process.close()

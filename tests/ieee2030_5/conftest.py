from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ieee2030_5.pki import Authority, Credential

sys.path.insert(0, str(Path(__file__).parent))


@dataclass(frozen=True)
class Certificates:
    ca: Path
    server: Credential
    meter: Credential
    foreign_ca: Path
    foreign_meter: Credential


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    ours = Authority.ensure(tmp_path_factory.mktemp("pki") / "certs")
    theirs = Authority.ensure(tmp_path_factory.mktemp("foreign") / "certs")
    return Certificates(
        ca=ours.certificate_path,
        server=ours.ensure_server(["localhost", "127.0.0.1"]),
        meter=ours.ensure_device("METER-1"),
        foreign_ca=theirs.certificate_path,
        foreign_meter=theirs.ensure_device("METER-1"),
    )

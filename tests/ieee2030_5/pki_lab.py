"""What tests of certificates share: a clock, the openssl command, and a directory as the first version made it."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from ieee2030_5.keyfiles import private_directory, write_atomically
from ieee2030_5.pki import NEVER, profiles
from ieee2030_5.pki.credential import key_pem, pem_of

NAMES = ["localhost", "127.0.0.1"]


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def wait(self, **time: int) -> None:
        self.now += timedelta(**time)


def openssl(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=30, check=False)


def flat_authority(directory: Path) -> None:
    """A root of path length 0 that signed a device and a server itself, and no index of it."""
    now, names = datetime.now(UTC), [*NAMES]
    key = ec.generate_private_key(ec.SECP256R1())
    name = profiles.common_name("GridTokenX-CA")
    builder = profiles._authority(profiles._builder(key.public_key(), name, name, now, NEVER), key.public_key(), 0)
    root: x509.Certificate = builder.sign(key, hashes.SHA256())
    private_directory(directory / "meters")
    leaf, server = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    device = profiles.device(leaf.public_key(), root, key, now, serial="METER-1")
    served = profiles.server(server.public_key(), root, key, now, names=names, period=timedelta(days=825))
    for stem, certificate, private in (("ca", root, key), ("meters/METER-1", device, leaf), ("server", served, server)):
        write_atomically(directory / f"{stem}.pem", pem_of(certificate), 0o644)
        write_atomically(directory / f"{stem}.key", key_pem(private), 0o600)

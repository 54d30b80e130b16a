"""Where a drill takes place: certificates, a registry with every role, a server process of two workers, its landing store."""

from __future__ import annotations

import hashlib
import socket
import ssl
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

from documents import TESTS, Meter

sys.path.insert(0, str(TESTS / "ingest_server"))

from ingest_harness import Process, device_row, landed

from ieee2030_5.pki import Authority, Credential
from ingest_server.operational.registry import Registry
from ingest_server.options import ServerOptions

ROLES = {
    "METER_A": "meter", "METER_B": "meter", "AUSTRALIAN": "meter", "SUSPENDED": "meter",
    "AGGREGATOR": "aggregator", "OPERATOR": "operator", "AUDITOR": "auditor",
}  # fmt: skip
UNAUTHENTICATED = "/unauthenticated"


class Ground:
    """Made in a directory. Limits on requests are off: they would answer in place of what is drilled."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority.ensure(directory / "certs")
        server = self.authority.ensure_server(["localhost", "127.0.0.1"])
        self.credentials: dict[str, Credential] = {name: self.authority.ensure_device(name) for name in (*ROLES, "STRANGER")}
        self.foreign = Authority.ensure(directory / "foreign").ensure_device("METER_A")
        url = f"sqlite:///{directory / 'operational.sqlite'}"
        self._registry = Registry(url)
        self._registry.create_all()
        self.allow()
        self._registry.set_fleet(self.credentials["AGGREGATOR"].lfdi, [self.credentials["METER_B"].lfdi])
        self.meters = {name: Meter(c.lfdi, c.sfdi) for name, c in self.credentials.items()}
        self.landing = directory / "landing"
        self.options = ServerOptions(
            host="127.0.0.1", port=0, workers=2, ca=self.authority.certificate_path, cert=server.certificate, key=server.key,
            landing_dir=self.landing, operational_url=url, body_timeout_s=1.0, header_timeout_s=1.0, device_cache_s=0.2, rate_limit_per_min=0, max_failed_auth=0,
            max_connections_per_device=200,
        )  # fmt: skip
        self.log = directory / "server.log"
        self.process: Process | None = None
        self.port = 0

    def allow(self) -> None:
        """Put the registry back to where it was: requests of the drill end registrations too."""
        profiles = {"AUSTRALIAN": "csip_aus", "OPERATOR": "csip_aus"}
        self._registry.register(
            replace(device_row(self.credentials[name], 111115), role=role, profile=profiles.get(name, "standard"))
            for name, role in ROLES.items()
        )
        for name in ROLES:
            self._registry.set_status(self.credentials[name].lfdi, "suspended" if name == "SUSPENDED" else "active")

    async def start(self) -> None:
        self.process = Process(self.options, self.log)
        self.port = int((await self.process.ready()).rpartition(":")[2])

    def client(self, name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(self.authority.certificate_path)
        if name:
            credential = self.foreign if name == "FOREIGN" else self.credentials[name]
            context.load_cert_chain(credential.certificate, credential.key)
        return context

    def workers(self) -> list[int]:
        assert self.process is not None
        return sorted(self.process.workers())

    def memory_kib(self) -> dict[int, int]:
        """Resident memory of each worker."""
        found = {}
        for pid in self.workers():
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            found[pid] = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
        return found

    def close(self) -> None:
        if self.process is not None:
            self.process.close()
        self._registry.close()

    def landed(self) -> Counter[tuple[str, str]]:
        """How often a body landed, by method and SHA-256."""
        return Counter((message.method, hashlib.sha256(message.body).hexdigest()) for message in landed(self.landing))

    def unauthenticated(self, kind: int) -> bytes:
        """Try to be heard without a certificate that counts; return what came back after the handshake, or in its place."""
        asked = f"GET {UNAUTHENTICATED} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", self.port), 10) as plain:
            try:
                if kind % 3 < 2:
                    with self.client("" if kind % 3 else "FOREIGN").wrap_socket(plain, server_hostname="localhost") as tls:
                        tls.sendall(asked)
                        return tls.recv(1000)
                plain.sendall(asked if kind % 2 else hashlib.sha256(str(kind).encode()).digest())
                plain.shutdown(socket.SHUT_WR)
                answer = plain.recv(1000)
                # An alert is a record of type 21; anything else would be an answer.
                return b"" if answer[:1] == b"\x15" else answer
            except (ssl.SSLError, ConnectionError):
                return b""

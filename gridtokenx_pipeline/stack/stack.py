"""The stack: ingest server, local Solana node, Dagster webserver and daemon."""

from __future__ import annotations

import http.client
import json
import os
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gridtokenx_pipeline.config import PROJECT_ROOT, Settings
from gridtokenx_pipeline.enrolment import Enrolment

from . import dagster
from .service import Service, free_port, require_free

if TYPE_CHECKING:
    from ingest_server.options import ServerOptions


@dataclass(frozen=True)
class Ports:
    """Where the services listen. Everything but the ingest server stays on the loopback address."""

    ingest: int = 8443
    rpc: int = 8899
    dagster: int = 3000
    ingest_host: str = "127.0.0.1"


@dataclass(frozen=True)
class Urls:
    """Where the services are reached."""

    ingest: str
    rpc: str
    dagster: str
    ops: str


def server_options(settings: Settings, enrolment: Enrolment, host: str, port: int, workers: int) -> ServerOptions:
    """Return the ingest server's options for this campus."""
    from ingest_server.options import ServerOptions

    return ServerOptions(
        host=host,
        port=port,
        workers=workers,
        ca=enrolment.authority.certificate_path,
        cert=enrolment.server.certificate,
        key=enrolment.server.key,
        crl=enrolment.crl,
        landing_dir=settings.landing_dir,
        operational_url=settings.operational_url,
        post_rate_s=settings.metering.interval_s,
        enrolment_zone=settings.zone if settings.ingest.enrolment else None,
        **settings.ingest.model_dump(exclude={"enrolment"}),
        gateway_port=settings.gateway.port,
        gateway_require=settings.gateway.require,
        gateway_algorithm=settings.gateway.algorithm,
        gateway_token_key=settings.gateway_token_key,
        gateway_audience=settings.gateway.audience,
        gateway_rate_per_min=settings.gateway.requests_per_min,
    )


class Stack:
    """All services of one machine. Use as a context manager: leaving it stops them."""

    def __init__(self, settings: Settings, enrolment: Enrolment, ports: Ports, *, workers: int = 2) -> None:
        self.settings, self.enrolment, self.ports = settings, enrolment, ports
        self.urls = Urls(
            f"https://localhost:{ports.ingest}",
            f"http://127.0.0.1:{ports.rpc}",
            f"http://127.0.0.1:{ports.dagster}",
            f"http://{settings.ingest.ops_host}:{settings.ingest.ops_port or free_port()}",
        )
        self.env = {
            "GRIDTOKENX_DATA": str(settings.data),
            "GRIDTOKENX_CONFIG": str(settings.config),
            "GRIDTOKENX_SETTLEMENT__RPC_URL": self.urls.rpc,
            "DAGSTER_HOME": str(settings.dagster_home),
        }
        self.live = False
        self.ingest = self._ingest_server(enrolment, workers)
        self.node = self._solana_node()
        self.dagster = self._dagster()

    @property
    def services(self) -> tuple[Service, ...]:
        """All services, in the order they are started."""
        return self.node, self.ingest, self.dagster

    def _service(self, name: str, arguments: list[str], healthy: Callable[[], bool], stdin: str | None = None) -> Service:
        log = self.settings.logs_dir / f"{name}.log"
        return Service(name, [sys.executable, "-m", *arguments], log, healthy, self.env, PROJECT_ROOT, stdin)

    def _ingest_server(self, enrolment: Enrolment, workers: int) -> Service:
        options = replace(
            server_options(self.settings, enrolment, self.ports.ingest_host, self.ports.ingest, workers),
            ops_port=int(self.urls.ops.rpartition(":")[2]),
        )
        probe = enrolment.probe

        def healthy() -> bool:
            from ieee2030_5.tls import client_context

            context = client_context(enrolment.authority.certificate_path, probe.certificate, probe.key)
            connection = http.client.HTTPSConnection("localhost", self.ports.ingest, timeout=5, context=context)
            try:
                connection.request("GET", "/tm", headers={"Accept": "application/sep+xml"})
                return connection.getresponse().status == 200
            finally:
                connection.close()

        return self._service("ingest-server", ["ingest_server", "--options", "-"], healthy, stdin=options.to_json())

    def _solana_node(self) -> Service:
        def healthy() -> bool:
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "getHealth"}).encode()
            request = urllib.request.Request(self.urls.rpc, body, {"Content-Type": "application/json"})  # noqa: S310
            with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310
                return json.load(response).get("result") == "ok"

        directory = self.settings.solana_dir / "node"
        module = ["gridtokenx_pipeline.solana.node", "--dir", str(directory), "--port", str(self.ports.rpc)]
        if self.ports.rpc + 1 in (self.ports.ingest, self.ports.dagster):
            # Where clients look for the websocket, a service of this stack will listen.
            module += ["--ws-port", str(free_port())]
        return self._service("solana-node", module, healthy)

    def _dagster(self) -> Service:
        dagster.ensure_home(self.settings)
        module = ["dagster", "dev", "-w", str(PROJECT_ROOT / "workspace.yaml"), "-h", "127.0.0.1", "-p", str(self.ports.dagster)]
        return self._service("dagster", module, lambda: dagster.is_healthy(self.urls.dagster))

    def require_free_ports(self) -> None:
        """Raise `PortTaken` naming the service and the option when another process has one of the ports."""
        require_free(self.ports.ingest_host, self.ports.ingest, "ingest server", "--port")
        require_free("127.0.0.1", self.ports.rpc, "Solana node", "--rpc-port")
        require_free("127.0.0.1", self.ports.dagster, "Dagster webserver", "--dagster-port")

    def start(self) -> None:
        """Start every service; `Service.wait_healthy` tells when each serves."""
        self.require_free_ports()
        self.state_file.parent.mkdir(parents=True, exist_ok=True)
        for service in self.services:
            service.start()
        self._write_state()

    def _write_state(self) -> None:
        services = {service.name: service.pid for service in self.services}
        self.state_file.write_text(json.dumps({"pid": os.getpid(), "urls": vars(self.urls), "services": services}, indent=2))

    @property
    def state_file(self) -> Path:
        """Where `gridtokenx status` finds a running stack."""
        return self.settings.data / "run" / "stack.json"

    def check(self) -> list[str]:
        """Restart services that died; return their names. Raises `ServiceFailed` for one that will not stay up."""
        restarted = [service.name for service in self.services if service.check()]
        if restarted:
            self._write_state()
        return restarted

    def stop(self) -> None:
        """Stop everything, meters' side first, so that what was acknowledged is on disk."""
        self.ingest.stop()
        others = (self.dagster, self.node)
        for service in others:
            service.ask_to_end()
        for service in others:
            service.stop()
        self.state_file.unlink(missing_ok=True)

    def __enter__(self) -> Stack:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

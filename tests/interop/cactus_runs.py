"""Runs of cactus-client procedures, each against a server process and a data directory of its own."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ingest_harness import Process, device_row

from ieee2030_5.pki import Authority, Credential
from ieee2030_5.resources import (
    ActivePower,
    DateTimeInterval,
    DERControl,
    DERControlBase,
    DERProgram,
    EventStatus,
    ListLink,
)
from ingest_server.operational.registry import Registry
from ingest_server.operational.resources import Publication, ResourceStore
from ingest_server.options import ServerOptions

PIN = 111115
_SERVER_PEN = 32473
_CLIENT_PEN = 28547
_TIMEOUT_S = 60
_INSTRUCTION = re.compile(r"\[admin-instruction\] step=.* type=set-client-access ")


@dataclass
class Ground:
    """What an operator can do before and during a run."""

    registry: Registry
    resources: ResourceStore
    clients: list[Credential]


@dataclass(frozen=True)
class Procedure:
    """A test procedure and the state that its preconditions ask the operator for.

    `clients` take part, the first `registered` of them known to the server; `prepare` publishes what else it needs. A warning
    fails the procedure, except those that `tolerated` matches.
    """

    id: str
    clients: int = 1
    registered: int = 1
    prepare: Callable[[Ground], None] | None = None
    tolerated: str = ""


@dataclass(frozen=True)
class Outcome:
    """`passed` is the client's word; `warnings` are those that are not tolerated."""

    passed: bool
    warnings: list[str]
    log: str


def _program_for_each(ground: Ground) -> None:
    _publish_controls(ground, lambda: DERControlBase(op_mod_max_lim_w=5000))


def _export_limit(ground: Ground) -> None:
    _publish_controls(ground, lambda: DERControlBase(op_mod_exp_lim_w=ActivePower(multiplier=1, value=10_000)))


def _publish_controls(ground: Ground, base: Callable[[], DERControlBase]) -> None:
    """A program of its own for each client, with a control in progress."""
    now = int(time.time())
    for number, client in enumerate(ground.clients, 1):
        program = f"/derp/{number}"
        control = DERControl(
            mrid=f"{0xD0 + number:024X}{_SERVER_PEN:08}",
            creation_time=now - 60,
            event_status=EventStatus(current_status=1, date_time=now - 60, potentially_superseded=False),
            interval=DateTimeInterval(duration=3600, start=now - 60),
            der_control_base=base(),
        )
        ground.resources.publish(
            [
                Publication(
                    program,
                    DERProgram(
                        mrid=f"{0xD00 + number:024X}{_SERVER_PEN:08}",
                        primacy=1,
                        der_control_list_link=ListLink(href=f"{program}/derc"),
                    ),
                    client.lfdi,
                ),
                Publication(f"{program}/derc/1", control, client.lfdi),
            ]
        )


# The standard's low 32 bits of an mRID are the enterprise number (B.2.3.4, mRIDType); the client reads them as decimal digits.
_BINARY_PEN = r"/fsa/1: mrid '[0-9A-F]{24}00007ED9' is invalid: The last 8 digits don't encode a base10 integer"

# The longest first: all of them run side by side.
PROCEDURES = (
    Procedure("S-ALL-06"),
    Procedure("S-ALL-05", clients=2, registered=2, prepare=_program_for_each, tolerated=_BINARY_PEN),
    Procedure("S-ALL-01"),
    Procedure("S-ALL-02", registered=0),
    Procedure("S-ALL-07"),
    Procedure("S-ALL-08"),
    Procedure("S-ALL-09"),
    Procedure("S-ALL-10"),
    Procedure("S-ALL-47", prepare=_export_limit, tolerated=_BINARY_PEN),
    Procedure("S-ALL-51"),
    Procedure("S-ALL-52", clients=2),
    Procedure("S-ALL-53"),
    Procedure("S-ALL-56", registered=0),
    Procedure("S-OPT-04"),
)


def run(procedure: Procedure, command: Path, authority: Authority, directory: Path) -> Outcome:
    """Start a server with what the procedure needs, run the client against it, and stop both."""
    directory.mkdir(parents=True)
    clients = [authority.ensure_device(f"{procedure.id}-{n}") for n in range(procedure.clients)]
    server = authority.ensure_server(["localhost", "127.0.0.1"])
    options = ServerOptions(
        host="127.0.0.1", port=0, workers=1, ca=authority.certificate_path, cert=server.certificate, key=server.key,
        landing_dir=directory / "landing", operational_url=f"sqlite:///{directory / 'operational.sqlite'}",
        device_cache_s=0.0, enrolment_zone="stanford", enrolment_profile="csip_aus",
        # The client waits this long between two readings.
        post_rate_s=1,
    )  # fmt: skip
    ground = Ground(Registry(options.operational_url), ResourceStore(options.operational_url), clients)
    ground.registry.create_all()
    ground.registry.register(replace(device_row(client, PIN), profile="csip_aus") for client in clients[: procedure.registered])
    if procedure.prepare is not None:
        procedure.prepare(ground)
    process = Process(options, directory / "server.log")
    try:
        port = int(asyncio.run(process.ready()).rpartition(":")[2])
        config = directory / "cactus.yaml"
        config.write_text(_config(directory, port, authority, clients))
        return _drive([str(command), "run", "-c", str(config)], procedure, ground, directory)
    finally:
        process.close()
        ground.registry.close()
        ground.resources.close()


def _drive(command: list[str], procedure: Procedure, ground: Ground, directory: Path) -> Outcome:
    names = [client.name for client in ground.clients]
    client = subprocess.Popen(
        [*command, "--headless", "--timeout", str(_TIMEOUT_S), procedure.id, *names],
        cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    lines: list[str] = []
    try:
        for line in client.stdout:
            lines.append(line)
            if _INSTRUCTION.search(line):
                ground.registry.set_status(ground.clients[0].lfdi, "suspended")
        code = client.wait(10)
    finally:
        if client.poll() is None:
            client.kill()
            client.wait(10)
        client.stdout.close()
    log = "".join(lines)
    (directory / "client.log").write_text(log)
    warnings = [line for line in lines if " WARNING " in line]
    if procedure.tolerated:
        warnings = [line for line in warnings if not re.search(procedure.tolerated, line)]
    return Outcome(code == 0, warnings, log)


def _config(directory: Path, port: int, authority: Authority, clients: list[Credential]) -> str:
    return json.dumps(
        {
            "output-dir": str(directory),
            "server": {
                "device-capability-uri": f"https://localhost:{port}/dcap",
                "verify-ssl": True,
                "verify-host-name": True,
                "serca-pem-file": str(authority.certificate_path),
                "pen": _SERVER_PEN,
            },
            "clients": [
                {
                    "id": client.name,
                    "type": "device",
                    "certificate-file": str(client.certificate),
                    "key-file": str(client.key),
                    "lfdi": client.lfdi,
                    "sfdi": client.sfdi,
                    "pen": _CLIENT_PEN,
                    "pin": PIN,
                    "max-watts": 5000,
                }
                for client in clients
            ],
        }
    )

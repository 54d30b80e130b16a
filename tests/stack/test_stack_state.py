"""The stack tells other commands what runs, and stops all of it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gridtokenx_pipeline import config
from gridtokenx_pipeline.enrolment import enrol
from gridtokenx_pipeline.stack.service import PortTaken, Service
from gridtokenx_pipeline.stack.stack import Ports, Stack

NAMES = ("solana-node", "ingest-server", "dagster")


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@pytest.fixture
def ports() -> Ports:
    """Three ports that nobody listens on."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(3)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return Ports(*(one.getsockname()[1] for one in sockets))


@pytest.fixture
def stack(tmp_path: Path, ports: Ports) -> Iterator[Stack]:
    """A stack of one meter whose services only wait: what they would run is replaced, how they are run is not."""
    settings = config.load(data=tmp_path)
    settings = settings.model_copy(update={"meters": settings.meters[:1]})
    made = Stack(settings, enrol(settings), ports)
    for attribute in ("node", "ingest", "dagster"):
        service: Service = getattr(made, attribute)
        service.command, service.stdin, service.healthy = (
            [sys.executable, "-c", "import time; time.sleep(1000)"],
            None,
            lambda: True,
        )
    with made:
        yield made


def _state(stack: Stack) -> dict:
    return json.loads(stack.state_file.read_text())


def test_the_state_file_names_what_runs_until_it_stops(stack: Stack) -> None:
    assert not stack.state_file.exists()
    stack.start()
    state = _state(stack)
    assert tuple(state["services"]) == NAMES
    assert state["services"] == {service.name: service.pid for service in stack.services}
    assert None not in state["services"].values()
    assert state["urls"] == {
        "ingest": f"https://localhost:{stack.ports.ingest}",
        "rpc": f"http://127.0.0.1:{stack.ports.rpc}",
        "dagster": f"http://127.0.0.1:{stack.ports.dagster}",
        "ops": stack.urls.ops,
    }
    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d{3,4}", stack.urls.ops)
    stack.stop()
    assert not stack.state_file.exists()
    assert [service.pid for service in stack.services] == [None] * 3


def test_a_service_that_was_started_again_is_known_by_its_new_process(stack: Stack) -> None:
    stack.start()
    assert stack.check() == []
    before = _state(stack)["services"]
    os.kill(before["solana-node"], signal.SIGKILL)
    _until(lambda: stack.node.pid is None)
    assert stack.check() == ["solana-node"]
    after = _state(stack)["services"]
    assert after["solana-node"] == stack.node.pid != before["solana-node"]
    assert {name: after[name] for name in NAMES[1:]} == {name: before[name] for name in NAMES[1:]}


@pytest.mark.parametrize(
    ("name", "service", "option"),
    [
        ("ingest", "ingest server", "--port"),
        ("rpc", "Solana node", "--rpc-port"),
        ("dagster", "Dagster webserver", "--dagster-port"),
    ],
)
def test_nothing_is_started_when_a_port_is_taken(stack: Stack, name: str, service: str, option: str) -> None:
    port = getattr(stack.ports, name)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(PortTaken, match=rf"{service}: port {port} .* {option}$"):
            stack.start()
    assert [service.pid for service in stack.services] == [None] * 3
    assert not stack.state_file.exists()


def test_children_get_the_settings_of_this_stack(stack: Stack) -> None:
    for service in stack.services:
        assert service.env["GRIDTOKENX_DATA"] == str(stack.settings.data)
        assert service.env["GRIDTOKENX_CONFIG"] == str(stack.settings.config)
        assert service.env["GRIDTOKENX_SETTLEMENT__RPC_URL"] == f"http://127.0.0.1:{stack.ports.rpc}"

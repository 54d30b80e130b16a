"""A service is started, watched, restarted and stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gridtokenx_pipeline.stack import service as module
from gridtokenx_pipeline.stack.service import PortTaken, Service, ServiceFailed, require_free

WAIT_FOREVER = "import time; print('up', flush=True); time.sleep(1000)"


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    made: list[Service] = []

    def build(code: str, healthy: Callable[[], bool] | None = None, **more: object) -> Service:
        log = tmp_path / "logs" / f"{len(made)}.log"
        one = Service("probe", [sys.executable, "-c", code], log, healthy or (lambda: "up" in log.read_text()), **more)
        made.append(one)
        return one

    yield build
    for one in made:
        one.stop()


def test_it_is_healthy_when_it_says_so_and_its_output_is_in_the_log(make: Callable[..., Service]) -> None:
    service = make(WAIT_FOREVER)
    assert not service.is_healthy()
    service.start()
    service.wait_healthy(20)
    assert "up" in service.log_tail()
    service.stop()
    assert service.pid is None
    assert not service.is_healthy()


def test_one_that_dies_unasked_is_started_again_and_counted(make: Callable[..., Service]) -> None:
    service = make(WAIT_FOREVER)
    service.start()
    service.wait_healthy(20)
    first = service.pid
    assert first is not None
    assert not service.check()
    os.kill(first, signal.SIGKILL)
    until(lambda: service.pid is None)
    assert service.check()
    assert service.restarts == 1
    assert service.pid not in (None, first)


def test_one_that_was_stopped_is_not_started_again(make: Callable[..., Service]) -> None:
    service = make(WAIT_FOREVER)
    service.start()
    service.stop()
    assert not service.check()
    assert service.pid is None


def test_one_that_will_not_stay_up_fails_with_the_end_of_its_log(
    make: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RESTARTS", 2)
    service = make("print('the reason is here')")
    service.start()

    def watch() -> None:
        while True:
            until(lambda: service.pid is None)
            service.check()

    with pytest.raises(ServiceFailed, match="died 3 times") as failed:
        watch()
    assert "the reason is here" in str(failed.value)


def test_one_that_ends_at_start_up_is_reported_with_its_log(make: Callable[..., Service]) -> None:
    service = make("print('no such file'); raise SystemExit(3)", healthy=lambda: False)
    service.start()
    with pytest.raises(ServiceFailed, match="ended at start-up") as failed:
        service.wait_healthy(20)
    assert "no such file" in str(failed.value)


def test_one_that_never_answers_is_reported(make: Callable[..., Service]) -> None:
    def refuses() -> bool:
        raise ConnectionError

    service = make(WAIT_FOREVER, healthy=refuses)
    service.start()
    with pytest.raises(ServiceFailed, match="did not answer"):
        service.wait_healthy(0.3)


def test_one_that_ignores_the_request_to_end_is_killed(make: Callable[..., Service], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STOP_S", 0.3)
    service = make(f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAIT_FOREVER}")
    service.start()
    service.wait_healthy(20)
    service.stop()
    assert service.pid is None


def test_standard_input_reaches_it(make: Callable[..., Service]) -> None:
    service = make("import sys; print('got', sys.stdin.read()); print('up')", stdin="the options")
    service.start()
    until(lambda: "got the options" in service.log_tail())


def test_it_can_be_interrupted_although_its_parent_cannot(make: Callable[..., Service]) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        service = make(WAIT_FOREVER, stop_signal=signal.SIGINT)
        service.start()
        service.wait_healthy(20)
    finally:
        signal.signal(signal.SIGINT, before)
    pid = service.pid
    assert pid is not None
    os.kill(pid, signal.SIGINT)
    until(lambda: service.pid is None)


def test_it_ends_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    code = f"""
import sys, time
from pathlib import Path
from gridtokenx_pipeline.stack.service import Service
service = Service("child", [sys.executable, "-c", {WAIT_FOREVER!r}], Path({str(tmp_path / "child.log")!r}), lambda: True)
service.start()
print(service.pid, flush=True)
time.sleep(1000)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()

    def gone() -> bool:
        try:
            return Path(f"/proc/{child}/stat").read_text().split()[2] == "Z"
        except FileNotFoundError:
            return True

    until(gone)


def test_a_taken_port_is_named_with_the_option_that_changes_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"ingest server: port {port} is taken.*--port"):
            require_free("127.0.0.1", port, "ingest server", "--port")
    require_free("127.0.0.1", port, "ingest server", "--port")


def test_a_port_nobody_may_listen_on_is_not_called_taken() -> None:
    with pytest.raises(ServiceFailed, match=r"cannot listen on 192\.0\.2\.1:8443") as refused:
        require_free("192.0.2.1", 8443, "ingest server", "--port")
    assert not isinstance(refused.value, PortTaken)


def test_it_is_asked_to_end_once(make: Callable[..., Service]) -> None:
    counting = (
        "import signal, sys, time\n"
        "def asked(*_):\n    print('asked', flush=True)\n"
        "signal.signal(signal.SIGTERM, asked)\n"
        "print('up', flush=True)\n"
        "end = time.monotonic() + 1\n"
        "while time.monotonic() < end:\n    time.sleep(0.05)\n"
    )
    service = make(counting)
    service.start()
    service.wait_healthy(20)
    service.ask_to_end()
    until(lambda: "asked" in service.log_tail())
    service.stop()
    assert service.log_tail().count("asked") == 1

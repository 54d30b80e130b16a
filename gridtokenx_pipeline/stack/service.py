"""One process of the stack: its command, its log file, its health, and what happens when it dies."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
STOP_S = 20.0
RESTARTS = 10


class ServiceFailed(RuntimeError):
    """A service did not start, did not become healthy or will not stay up; the message holds the end of its log."""


class PortTaken(ServiceFailed):
    """Another process listens on a port that a service needs."""


def is_alive(pid: int | None) -> bool:
    """Whether a process has this id; no id is no process."""
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def free_port() -> int:
    """Return a port of the loopback address that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def require_free(host: str, port: int, service: str, option: str) -> None:
    """Raise `PortTaken` when another process listens on `port`, and `ServiceFailed` when nobody may listen there.

    `option` is the command-line option that changes the port.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            # Binding succeeds beside a listener that shares its port (SO_REUSEPORT); connecting tells the truth.
            listening = _answers(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise ServiceFailed(f"{service}: cannot listen on {host}:{port}: {error.strerror or error}") from None
            listening = True
    if listening:
        raise PortTaken(f"{service}: port {port} is taken by another process; choose another with {option}")


def _answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1" if host == "0.0.0.0" else host, port)) == 0


@dataclass
class Service:
    """A child process that is restarted when it dies unasked.

    `healthy` answers whether it serves now; it may raise anything, which means no. Output goes to `log`.
    """

    name: str
    command: Sequence[str]
    log: Path
    healthy: Callable[[], bool]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    stdin: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    restarts: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _stopping: bool = field(default=False, repr=False)
    _asked: bool = field(default=False, repr=False)

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start the process; call it from the main thread, whose end is the children's end too."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._stopping = self._asked = False
        with self.log.open("ab") as output:
            self._process = self._spawn(output)
        if self.stdin is not None:
            assert self._process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(self.stdin.encode())
                self._process.stdin.close()

    def _spawn(self, output: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            list(self.command),
            stdin=subprocess.PIPE if self.stdin is not None else subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **self.env},
            cwd=self.cwd,
            # A group of its own: Ctrl-C in the terminal reaches the supervisor alone, which stops the others in order.
            start_new_session=True,
            preexec_fn=_prepare_child,
        )

    def is_healthy(self) -> bool:
        """Whether it runs and serves."""
        if self.pid is None:
            return False
        try:
            return self.healthy()
        except Exception:
            return False

    def wait_healthy(self, timeout_s: float) -> None:
        """Wait until it serves. Raises `ServiceFailed` when it ends or the time is over."""
        deadline = time.monotonic() + timeout_s
        while not self.is_healthy():
            if self.pid is None:
                raise ServiceFailed(f"{self.name} ended at start-up:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ServiceFailed(f"{self.name} did not answer within {timeout_s:.0f} s:\n{self.log_tail()}")
            time.sleep(0.1)

    def check(self) -> bool:
        """Restart the process when it has died unasked; return whether it had. Raises `ServiceFailed` after too many times."""
        if self._stopping or self._process is None or self.pid is not None:
            return False
        self.restarts += 1
        if self.restarts > RESTARTS:
            raise ServiceFailed(f"{self.name} died {self.restarts} times:\n{self.log_tail()}")
        self.start()
        return True

    def expect_end(self) -> None:
        """From now on an end of the process is wanted, and not a reason to start it again."""
        self._stopping = True

    def ask_to_end(self) -> None:
        """Send the stop signal, once, and return at once."""
        self.expect_end()
        if self.pid is not None and not self._asked:
            assert self._process is not None
            self._asked = True
            self._process.send_signal(self.stop_signal)

    def stop(self) -> None:
        """Ask the process to end, and after `STOP_S` make it."""
        self.ask_to_end()
        if self._process is None or self._process.poll() is not None:
            return
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of the log."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _prepare_child() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    # A shell starts its background jobs with SIGINT ignored, which children inherit; Dagster gives SIGTERM the same fate.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

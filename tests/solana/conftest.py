from __future__ import annotations

import asyncio
import datetime as dt
import json
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer
from solders.transaction import VersionedTransaction
from spl.memo.constants import MEMO_PROGRAM_ID

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.solana.actions import Action
from gridtokenx_pipeline.solana.client import RpcPool
from gridtokenx_pipeline.solana.node.bank import Bank
from gridtokenx_pipeline.solana.node.ledger import Ledger
from gridtokenx_pipeline.solana.node.rpc import application
from gridtokenx_pipeline.solana.outbox import Outbox
from gridtokenx_pipeline.solana.sender import Pace

sys.path.insert(0, str(Path(__file__).parent))

FAST = Pace(poll_s=0.02, rebroadcast_s=0.06, wait_s=30, lease_s=15)
START = dt.datetime(2026, 11, 22, 20, tzinfo=dt.UTC)


def now_ms() -> int:
    return int(clock.now().timestamp() * 1000)


def make_memos(count: int, tag: str = "") -> list[Action]:
    """Memo actions of `count` intervals, a batch each."""
    actions = []
    for number in range(count):
        start = START + dt.timedelta(minutes=5 * number)
        memo = f"gtx1:stanford:{start:%Y-%m-%dT%H:%M:%SZ}:v1:27:{1000 + number}:{2000 + number}:900:{tag or 'a':0<64}"
        batch, arguments = str(uuid.uuid5(uuid.NAMESPACE_URL, memo)), json.dumps({"memo": memo}, separators=(",", ":"))
        actions.append(Action(f"memo:{batch}", batch, "stanford", start, "memo", batch, arguments))
    return actions


@dataclass
class Node:
    """A node in this process, behind real HTTP."""

    url: str
    bank: Bank
    ledger: Ledger

    def memos(self) -> Counter[str]:
        """Settlement memos that landed and succeeded, counted from the ledger itself."""
        found: Counter[str] = Counter()
        for entry in self.ledger.entries():
            message = VersionedTransaction.from_bytes(entry.raw).message
            for instruction in message.instructions if entry.err is None else ():
                text = bytes(instruction.data)
                if message.account_keys[instruction.program_id_index] == MEMO_PROGRAM_ID and text.startswith(b"gtx1:"):
                    found[text.decode()] += 1
        return found


@pytest.fixture
async def start_node(tmp_path: Path) -> AsyncIterator[Callable]:
    cleanups = []

    async def start(*middlewares, slot_ms: int = 10, name: str = "node") -> Node:
        ledger = Ledger(tmp_path / name, now_ms=now_ms(), slot_ms=slot_ms)
        bank = Bank(ledger, clock.now)
        server = TestServer(application(bank, middlewares))
        await server.start_server()
        cleanups.append((server, ledger))
        return Node(str(server.make_url("/")), bank, ledger)

    yield start
    for server, ledger in cleanups:
        await server.close()
        ledger.close()


@pytest.fixture
def outbox(tmp_path: Path):
    box = Outbox(f"sqlite:///{tmp_path / 'operational.sqlite'}")
    yield box
    box.close()


@pytest.fixture
async def connect():
    pools = []

    def open_pool(*urls: str, patience_s: float = 20.0) -> RpcPool:
        pools.append(RpcPool(urls, timeout_s=5, patience_s=patience_s))
        return pools[-1]

    yield open_pool
    for pool in pools:
        await pool.__aexit__(None, None, None)


@pytest.fixture
def until() -> Callable:
    async def wait(condition: Callable[[], bool]) -> None:
        for _ in range(4000):
            if condition():
                return
            await asyncio.sleep(0.005)
        raise AssertionError("it never came true")

    return wait


@pytest.fixture
def memos() -> Callable[..., list[Action]]:
    return make_memos


@pytest.fixture
def fast() -> Pace:
    return FAST


@dataclass
class NodeProcess:
    """A node in its own process."""

    url: str
    directory: Path
    process: subprocess.Popen

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)

    def memos(self) -> Counter[str]:
        """Settlement memos in the ledger of a stopped node."""
        ledger = Ledger(self.directory, now_ms=0)
        try:
            return Node(self.url, None, ledger).memos()
        finally:
            ledger.close()


@pytest.fixture
def node_process(tmp_path: Path):
    started: list[NodeProcess] = []

    def start(slot_ms: int = 10) -> NodeProcess:
        directory = tmp_path / "process"
        command = [sys.executable, "-m", "gridtokenx_pipeline.solana.node", "--dir", str(directory), "--port", "0"]
        process = subprocess.Popen([*command, "--slot-ms", str(slot_ms), "--die-with-parent"], stdout=subprocess.PIPE, text=True)
        ready = process.stdout.readline().split()
        assert ready[0] == "ready"
        started.append(NodeProcess(ready[1], directory, process))
        return started[-1]

    yield start
    for node in started:
        if node.process.poll() is None:
            node.process.kill()
        node.process.wait()
        node.process.stdout.close()

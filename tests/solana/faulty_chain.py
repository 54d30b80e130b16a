"""A local node behind an RPC that misbehaves with seeded chance, on a clock that only its calls move."""

from __future__ import annotations

import base64
import datetime as dt
import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import httpx2
import sqlalchemy as sa
from solders.transaction import VersionedTransaction
from tenacity import wait_none

from gridtokenx_pipeline.solana.client import RpcPool
from gridtokenx_pipeline.solana.node.bank import Bank
from gridtokenx_pipeline.solana.node.ledger import Ledger
from gridtokenx_pipeline.solana.node.rpc import respond
from gridtokenx_pipeline.solana.outbox import Attempt, Landed, Outbox, Signed

URL = "http://127.0.0.1:1/"
BUSY, LOST, BEHIND, SWALLOWED, FALSE_EXPIRY = 0.03, 0.08, 0.05, 0.04, 0.02
CRASH_AFTER_PERSIST, CRASH_AFTER_SEND, CRASH_BEFORE_ACK = 0.06, 0.012, 0.05
# A call takes a quarter of a slot, and a look at the chain comes some slots after the one before.
_CALL, _LOOK = 0.25, 15


class Crash(BaseException):
    """The end of the process, as far as the sender can tell."""


class FaultyChain(httpx2.AsyncBaseTransport):
    """Answers RPC requests from a bank, and spoils some unless `calm`; `seen` counts what it did."""

    def __init__(self, ledger: Ledger, now: dt.datetime, seed: int) -> None:
        self.now, self.calm = now, True
        self.bank = Bank(ledger, lambda: self.now)
        self.seen: Counter[str] = Counter()
        self._slot = dt.timedelta(milliseconds=ledger.genesis.slot_ms)
        self._random = random.Random(seed)

    def pool(self) -> RpcPool:
        """Return an RPC pool that asks this chain, and asks again at once."""
        pool = RpcPool([URL], patience_s=30)
        pool._wait = wait_none()
        pool._clients[0]._provider.session = httpx2.AsyncClient(transport=self)
        return pool

    def happens(self, what: str, chance: float) -> bool:
        """Draw whether `what` happens now, and count it."""
        if self.calm or self._random.random() >= chance:
            return False
        self.seen[what] += 1
        return True

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one call. Raises `Crash`."""
        body = await request.aread()
        call = json.loads(body)
        method, params = call["method"], call.get("params") or []
        self.now += self._slot * (_LOOK if method == "getEpochInfo" else _CALL)
        if self.happens("busy", BUSY):
            if self._random.random() < 0.5:
                return httpx2.Response(429, headers={"Retry-After": "0.001"})
            return _error(call, -32005, "Node is behind by 42 slots", {"numSlotsBehind": 42})
        if method == "sendTransaction":
            self.seen["sent"] += 1
            raw = base64.b64decode(params[0])
            # A signature is swallowed for good: every send of the same bytes has the same fate.
            if not self.calm and random.Random(raw).random() < SWALLOWED:
                self.seen["swallowed"] += 1
                return _answer(
                    {"jsonrpc": "2.0", "id": call["id"], "result": str(VersionedTransaction.from_bytes(raw).signatures[0])}
                )
            if not params[1].get("skipPreflight") and self.happens("false expiry", FALSE_EXPIRY):
                told = {"err": "BlockhashNotFound", "logs": [], "accounts": None, "unitsConsumed": 0, "returnData": None}
                return _error(call, -32002, "Transaction simulation failed: Blockhash not found", told)
        if method == "getSignatureStatuses" and self.happens("behind", BEHIND):
            nothing = {"context": {"slot": 1}, "value": [None] * len(params[0])}
            return _answer({"jsonrpc": "2.0", "id": call["id"], "result": nothing})
        answer = respond(self.bank, body, loopback=True)
        if method == "sendTransaction":
            if self.happens("crash after send", CRASH_AFTER_SEND):
                raise Crash
            if self.happens("lost reply", LOST):
                return httpx2.Response(502)
        return _answer(answer)


class CrashingOutbox(Outbox):
    """An outbox whose process dies, at times, when something was stored and before something is."""

    def __init__(self, url: str, chain: FaultyChain) -> None:
        super().__init__(url)
        self._chain = chain
        # What dies is a process and not the machine, so nothing has to wait for the disk.
        self.engine.dispose()
        sa.event.listen(self.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))

    def record_attempts(self, signed: Sequence[Signed]) -> list[Attempt]:
        made = super().record_attempts(signed)
        if self._chain.happens("crash after persist", CRASH_AFTER_PERSIST):
            raise Crash
        return made

    def settle_attempts(self, landed: Sequence[Landed]) -> None:
        if landed and self._chain.happens("crash before ack", CRASH_BEFORE_ACK):
            raise Crash
        super().settle_attempts(landed)


def _error(call: dict[str, Any], code: int, message: str, data: dict[str, Any]) -> httpx2.Response:
    return _answer({"jsonrpc": "2.0", "id": call["id"], "error": {"code": code, "message": message, "data": data}})


def _answer(value: Any) -> httpx2.Response:
    return httpx2.Response(200, headers={"content-type": "application/json"}, content=json.dumps(value).encode())

"""The sender and its RPC boundary against answers that are late, lost, refused or unreadable."""

from __future__ import annotations

import asyncio
import base64
import json
import random

import pytest
from aiohttp import web
from solders.keypair import Keypair
from solders.transaction import VersionedTransaction

from gridtokenx_pipeline.solana.client import RpcRefused, RpcUnavailable
from gridtokenx_pipeline.solana.funding import ensure_funded
from gridtokenx_pipeline.solana.profiles import MemoProfile
from gridtokenx_pipeline.solana.sender import Sender

GARBAGE = [
    "<html>oops</html>",
    "{}",
    '{"jsonrpc":"2.0","id":0,"result":"?"}',
    '{"jsonrpc":"2.0","id":0,"error":{"code":-32429}}',  # a code solders does not know
    '{"jsonrpc":"2.0","id":0,"error":{"code":-32005,"message":"x"}}',  # solders panics: no data
    '{"jsonrpc":"2.0","id":0,"error":{"code":-32002,"message":"x","data":{"err":"Nope"}}}',  # and here: no such error
]


@pytest.mark.parametrize("answer", GARBAGE)
@pytest.mark.parametrize(("method", "arguments"), [("get_slot", ()), ("send_raw_transaction", (b"x",))])
async def test_unreadable_answers_are_unavailability(start_node, connect, answer, method, arguments):
    @web.middleware
    async def garble(request, handler):
        return web.Response(text=answer)

    node = await start_node(garble)
    with pytest.raises(RpcUnavailable, match=node.url):
        await connect(node.url).call_once(method, *arguments)


class Faults:
    """Middleware that spoils answers with seeded chance; `landed` faults come after the node has acted."""

    def __init__(self, seed, *, busy=0.0, lost=0.0, swallowed=0.0, garbage=0.0):
        self.random, self.seen = random.Random(seed), {}
        self.busy, self.lost, self.swallowed, self.garbage = busy, lost, swallowed, garbage

    def note(self, what):
        self.seen[what] = self.seen.get(what, 0) + 1

    async def __call__(self, request, handler):
        call = json.loads(await request.read())
        send, draw = call["method"] == "sendTransaction", self.random.random()
        if draw < self.busy:
            self.note("busy")
            if self.random.random() < 0.5:
                return web.Response(status=429, headers={"Retry-After": "0.02"})
            error = {"code": -32005, "message": "Node is behind by 42 slots", "data": {"numSlotsBehind": 42}}
            return web.json_response({"jsonrpc": "2.0", "id": call["id"], "error": error})
        if self.random.random() < self.garbage:
            self.note("garbage")
            return web.Response(text=self.random.choice(GARBAGE))
        raw = base64.b64decode(call["params"][0]) if send and call["params"][1]["encoding"] == "base64" else b""
        if send and not raw:
            raise AssertionError("the sender sends base64")
        # A signature is swallowed for good: every send of the same bytes has the same fate.
        if send and random.Random(raw).random() < self.swallowed:
            self.note("swallowed")
            signature = str(VersionedTransaction.from_bytes(raw).signatures[0])
            return web.json_response({"jsonrpc": "2.0", "id": call["id"], "result": signature})
        response = await handler(request)
        if send and self.random.random() < self.lost:
            self.note("lost")
            return web.Response(status=502)
        return response


def middleware(faults):
    @web.middleware
    async def spoil(request, handler):
        return await faults(request, handler)

    return spoil


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_every_action_lands_exactly_once_under_faults(start_node, connect, outbox, memos, fast, seed):
    faults = Faults(seed, busy=0.1, lost=0.25, swallowed=0.3, garbage=0.04)
    node, payer, many = await start_node(middleware(faults), slot_ms=4), Keypair(), memos(24)
    rpc = connect(node.url)
    await ensure_funded(rpc, payer.pubkey())
    sender = Sender(rpc, outbox, payer, MemoProfile(payer.pubkey()), pace=fast, signatures_per_action=50, check_funds=False)
    report = await sender.submit(many)
    assert {o.state for o in report.outcomes} == {"done"}
    assert node.memos() == {a.values["memo"]: 1 for a in many}
    assert set(faults.seen) == {"busy", "lost", "swallowed", "garbage"}
    states = [a.state for a in outbox.attempts()]
    assert states.count("confirmed") == 24
    assert states.count("expired") == len(states) - 24 > 0


async def test_refusals_are_not_retried(start_node, connect):
    calls = []

    @web.middleware
    async def forbid(request, handler):
        calls.append(1)
        return web.Response(status=403)

    node = await start_node(forbid)
    with pytest.raises(RpcRefused, match="403"):
        await connect(node.url).call("get_slot")
    assert len(calls) == 1


async def test_retry_after_is_honoured(start_node, connect):
    times = []
    loop = asyncio.get_running_loop()

    @web.middleware
    async def slow_down(request, handler):
        times.append(loop.time())
        return web.Response(status=429, headers={"Retry-After": "0.6"}) if len(times) == 1 else await handler(request)

    node = await start_node(slow_down)
    await connect(node.url).call("get_slot")
    assert times[1] - times[0] >= 0.6

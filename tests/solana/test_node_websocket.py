"""The node's websocket, by solana-py's client and by hand."""

from __future__ import annotations

import datetime as dt

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer
from memo_transactions import send, signature_of, signed_memos
from solana.rpc.commitment import Confirmed, Finalized
from solana.rpc.websocket_api import SolanaWsClient
from solders.instruction import CompiledInstruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.transaction import VersionedTransaction

from gridtokenx_pipeline.solana.client import RpcPool
from gridtokenx_pipeline.solana.funding import ensure_funded
from gridtokenx_pipeline.solana.node.bank import Bank
from gridtokenx_pipeline.solana.node.ledger import Ledger
from gridtokenx_pipeline.solana.node.rpc import application

T0 = dt.datetime(2026, 11, 22, 20, tzinfo=dt.UTC)


class Served:
    """A node behind HTTP whose slots the test moves; what is due is told every 5 ms."""

    def __init__(self, directory):
        self.ledger = Ledger(directory, now_ms=int(T0.timestamp() * 1000), slot_ms=5)
        self.time = T0
        self.bank = Bank(self.ledger, lambda: self.time)
        self.server = TestServer(application(self.bank))

    def advance(self, slots=1):
        self.time += dt.timedelta(milliseconds=5 * slots)


@pytest.fixture
async def node(tmp_path):
    served = Served(tmp_path / "node")
    await served.server.start_server()
    yield served
    await served.server.close()
    served.ledger.close()


async def test_signatures_are_told_once_at_their_commitment(node):
    payer = Keypair()
    url = str(node.server.make_url("/"))
    async with RpcPool([url]) as rpc, SolanaWsClient(url.replace("http", "ws")) as socket:
        await ensure_funded(rpc, payer.pubkey())
        good, bad, never = await signed_memos(rpc, payer, ["good", "bad", "never"])
        broken = bytes(_spoiled(bad, payer))
        handles = {}
        for raw, level in ((good, Confirmed), (good, Finalized), (broken, Confirmed), (never, Confirmed)):
            handle = await socket.signature_subscribe(signature=signature_of(raw), commitment=level)
            handles[handle.subscription_id] = (raw, level, handle)
        await send(rpc, good)
        await send(rpc, broken)
        node.advance()
        told = [await socket.recv() for _ in range(2)]
        node.advance(31)
        told.append(await socket.recv())
        found = [(*handles[each.subscription][:2], each.result.context.slot, each.result.value.err is None) for each in told]
        assert found == [(good, Confirmed, 0, True), (broken, Confirmed, 0, False), (good, Finalized, 0, True)]
        # Still there is only what never came.
        await socket.unsubscribe(next(handle for raw, _, handle in handles.values() if raw == never))


def _spoiled(raw, payer):
    message = VersionedTransaction.from_bytes(raw).message
    (memo,) = message.instructions
    spoiled = CompiledInstruction(memo.program_id_index, b"\xff", memo.accounts)
    message = MessageV0(message.header, message.account_keys, message.recent_blockhash, [spoiled], [])
    return VersionedTransaction(message, [payer])


async def test_every_slot_is_told_and_the_newest_to_who_is_far_behind(node):
    async with ClientSession() as session, session.ws_connect(node.server.make_url("/")) as socket:
        await socket.send_json({"jsonrpc": "2.0", "id": 1, "method": "slotSubscribe"})
        number = (await socket.receive_json())["result"]
        node.advance(40)
        seen = [(await socket.receive_json())["params"] for _ in range(33)]
        assert {each["subscription"] for each in seen} == {number}
        assert [each["result"]["slot"] for each in seen] == list(range(8, 41))
        assert seen[-1]["result"] == {"parent": 39, "root": 8, "slot": 40}
        await socket.send_json({"jsonrpc": "2.0", "id": 2, "method": "slotUnsubscribe", "params": [number]})
        assert await socket.receive_json() == {"jsonrpc": "2.0", "id": 2, "result": True}


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ({"method": "accountSubscribe", "params": ["x"]}, -32601),
        ({"method": "signatureSubscribe", "params": ["x"]}, -32602),
        ({"method": "signatureSubscribe", "params": []}, -32602),
        ({"method": "signatureUnsubscribe", "params": [7]}, -32602),
        ({"method": "slotUnsubscribe", "params": [{}]}, -32602),
    ],
)
async def test_what_it_does_not_do_is_said(node, call, code):
    async with ClientSession() as session, session.ws_connect(node.server.make_url("/")) as socket:
        await socket.send_json({"jsonrpc": "2.0", "method": "ping"})  # what has no id has no answer
        await socket.send_json({"jsonrpc": "2.0", "id": 3} | call)
        answer = await socket.receive_json()
        assert (answer["id"], answer["error"]["code"]) == (3, code)
        await socket.send_str("no JSON")
        assert (await socket.receive_json())["error"]["code"] == -32602
    async with ClientSession() as session, session.get(node.server.make_url("/")) as response:
        assert response.status == 405

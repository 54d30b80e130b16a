"""The sender against the node over real HTTP, with slots of milliseconds."""

from __future__ import annotations

import asyncio
import dataclasses
import json

import pytest
from solders.keypair import Keypair

from gridtokenx_pipeline.solana.client import RpcPool, RpcUnavailable
from gridtokenx_pipeline.solana.funding import PayerNotFunded, ensure_funded, is_loopback
from gridtokenx_pipeline.solana.lease import SubmitterBusy, submission_lease
from gridtokenx_pipeline.solana.outbox import Batch, Outbox
from gridtokenx_pipeline.solana.profiles import PROFILES, MemoProfile
from gridtokenx_pipeline.solana.receipts import fetch_receipt, read_memo, read_receipts
from gridtokenx_pipeline.solana.sender import Price, Sender, SubmissionStalled, submit_batches


def sender_of(rpc, outbox, payer, pace, **options):
    return Sender(rpc, outbox, payer, MemoProfile(), pace=pace, **options)


async def test_batches_land_once_and_read_back(start_node, connect, outbox, batches, fast):
    node, payer, many = await start_node(), Keypair(), batches(70)
    rpc = connect(node.url)
    assert await ensure_funded(rpc, payer.pubkey()) >= 10**10
    receipts = await sender_of(rpc, outbox, payer, fast, in_flight=32).submit(many)
    assert [r.batch_id for r in receipts] == [b.batch_id for b in many]
    assert {r.state for r in receipts} == {"confirmed"}
    assert node.memos() == {b.memo: 1 for b in many}
    for batch, receipt in list(zip(many, receipts, strict=True))[::23]:
        assert await read_memo(rpc, receipt.signature) == batch.memo
        chain = await fetch_receipt(rpc, receipt.signature)
        assert (chain.payer, chain.slot, chain.fee_lamports) == (str(payer.pubkey()), receipt.slot, 5000)
        assert chain.compute_units == receipt.compute_units > 0
        assert chain.state in ("confirmed", "finalized")
    again = await sender_of(rpc, outbox, payer, fast).submit(many)
    assert again == receipts
    assert sum(node.memos().values()) == 70
    assert await read_memo(rpc, str(Keypair().sign_message(b"never sent"))) is None


async def test_finalized_waits_and_priority_fee_is_capped_and_paid(start_node, connect, outbox, batches, fast):
    node, payer = await start_node(), Keypair()
    rpc = connect(node.url)
    await ensure_funded(rpc, payer.pubkey())
    price = Price(fixed=9_000_000, cap=1_000_000)
    (receipt,) = await sender_of(rpc, outbox, payer, fast, commitment="finalized", price=price).submit(batches(1))
    limit = -(-receipt.compute_units * 115 // 100)
    assert receipt.fee_lamports == 5000 + limit
    assert (await fetch_receipt(rpc, receipt.signature)).state == "finalized"
    (free,) = await sender_of(rpc, outbox, payer, fast, price=Price(fixed=None)).submit(batches(1, "b"))
    assert free.fee_lamports == 5000


async def test_program_rejection_fails_with_its_code_and_spares_the_others(start_node, connect, outbox, batches, fast):
    class Spoiling(MemoProfile):
        def instructions(self, batch: Batch, payer):
            good = super().instructions(batch, payer)[0]
            if ":1001:" in batch.memo:
                return [type(good)(good.program_id, b"\xff", good.accounts)]
            return [type(good)(good.program_id, good.data * (12 if ":1002:" in batch.memo else 1), good.accounts)]

    node, payer, many = await start_node(), Keypair(), batches(4)
    rpc = connect(node.url)
    await ensure_funded(rpc, payer.pubkey())
    receipts = await Sender(rpc, outbox, payer, Spoiling(), pace=fast).submit(many)
    assert [r.state for r in receipts] == ["confirmed", "failed", "failed", "confirmed"]
    assert json.loads(receipts[1].error) == {"InstructionError": [1, "ProgramFailedToComplete"]}
    assert receipts[2].error.startswith("TransactionTooLarge")
    assert len(outbox.attempts()) == 2
    assert outbox.requeue([b.batch_id for b in many]) == 2
    receipts = await sender_of(rpc, outbox, payer, fast).submit(many)
    assert {r.state for r in receipts} == {"confirmed"}
    assert node.memos() == {b.memo: 1 for b in many}


async def test_unfunded_payer_is_said_plainly(start_node, connect, outbox, batches, fast):
    node, payer, (batch,) = await start_node(), Keypair(), batches(1)
    rpc = connect(node.url)
    with pytest.raises(PayerNotFunded, match=str(payer.pubkey())):
        await sender_of(rpc, outbox, payer, fast).submit([batch])
    assert outbox.receipts([batch.batch_id])[0].state == "pending"
    await ensure_funded(rpc, payer.pubkey())
    assert (await sender_of(rpc, outbox, payer, fast).submit([batch]))[0].state == "confirmed"


async def test_no_airdrop_off_loopback(start_node, connect):
    node = await start_node()

    class Elsewhere(RpcPool):
        async def call(self, method, *arguments, **options):
            assert method == "get_balance"
            return await RpcPool.call(self, method, *arguments, **options)

    async with Elsewhere([node.url]) as rpc:
        rpc.urls = ("https://rpc.example.net",)
        with pytest.raises(PayerNotFunded, match="transfer SOL"):
            await ensure_funded(rpc, Keypair().pubkey())
    assert [is_loopback(u) for u in ("http://127.0.0.1:1", "http://[::1]:1", "http://localhost", "http://10.0.0.1", "junk")] == [
        True,
        True,
        True,
        False,
        False,
    ]


async def test_expired_blockhash_is_signed_anew_only_after_expiry(start_node, connect, outbox, batches, fast, until):
    node, payer, (batch,) = await start_node(slot_ms=4), Keypair(), batches(1)
    rpc = connect(node.url)
    await ensure_funded(rpc, payer.pubkey())
    outbox.enqueue([batch])
    swallowing = Swallow(rpc, sends=10_000)
    with pytest.raises(SubmissionStalled):
        await sender_of(swallowing, outbox, payer, dataclasses.replace(fast, wait_s=0.2)).submit([batch])
    (first,) = outbox.attempts()
    assert first.state == "sent"
    # Nothing but time passes; the bytes were never sent, so only their expiry allows a second signature.
    await until(lambda: node.bank.slot > first.last_valid_block_height + 4)
    receipt = (await sender_of(rpc, outbox, payer, fast).submit([batch]))[0]
    assert [a.state for a in outbox.attempts()] == ["expired", "confirmed"]
    assert receipt.signature != first.signature
    assert node.memos() == {batch.memo: 1}


class Swallow:
    """Stands before an `RpcPool` and loses the first `sends` transactions; `crash` raises at a named call instead."""

    def __init__(self, rpc, *, sends=0, crash=None, after=False):
        self.rpc, self.urls, self.sends, self.crash, self.after = rpc, rpc.urls, sends, crash, after

    async def call(self, method, *arguments, **options):
        return await self._through(self.rpc.call, method, *arguments, **options)

    async def call_once(self, method, *arguments, **options):
        if method == "send_raw_transaction" and self.sends:
            self.sends -= 1
            return None
        return await self._through(self.rpc.call_once, method, *arguments, **options)

    async def _through(self, call, method, *arguments, **options):
        if method == self.crash and not self.after:
            raise Crash(method)
        result = await call(method, *arguments, **options)
        if method == self.crash:
            raise Crash(method)
        return result


class Crash(BaseException):
    """The end of the process, as far as the sender can tell."""


@pytest.mark.parametrize(
    ("crash", "after"),
    [
        ("simulate_transaction", True),
        ("send_raw_transaction", False),  # persisted, not sent
        ("send_raw_transaction", True),  # sent, nobody noted it
        ("get_signature_statuses", True),
        ("get_transaction", True),  # landed, not acknowledged
    ],
)
async def test_resumes_after_a_crash(start_node, connect, outbox, batches, fast, crash, after):
    node, payer, many = await start_node(slot_ms=20), Keypair(), batches(5)
    rpc = connect(node.url)
    await ensure_funded(rpc, payer.pubkey())
    with pytest.raises(Crash):
        await sender_of(Swallow(rpc, crash=crash, after=after), outbox, payer, fast).submit(many)
    signed = {a.signature for a in outbox.attempts()}
    receipts = await sender_of(rpc, outbox, payer, fast).submit(many)
    assert {r.state for r in receipts} == {"confirmed"}
    assert node.memos() == {b.memo: 1 for b in many}
    if signed:
        assert {r.signature for r in receipts} == signed, "bytes that are still valid are sent again, not signed anew"


async def test_drain_takes_up_what_an_earlier_run_left(start_node, connect, outbox, batches, fast):
    node, payer, many = await start_node(slot_ms=20), Keypair(), batches(6)
    rpc = connect(node.url)
    await ensure_funded(rpc, payer.pubkey())
    outbox.enqueue(many)
    assert await sender_of(Swallow(rpc, crash="send_raw_transaction"), outbox, payer, fast).submit([]) == []
    with pytest.raises(Crash):
        await sender_of(Swallow(rpc, crash="send_raw_transaction"), outbox, payer, fast, in_flight=2).drain()
    receipts = await sender_of(rpc, outbox, payer, fast).drain()
    assert {r.batch_id for r in receipts} == {b.batch_id for b in many}
    assert node.memos() == {b.memo: 1 for b in many}
    assert await sender_of(rpc, outbox, payer, fast).drain() == []


async def test_two_submitters_share_the_work_without_doubling_it(start_node, connect, outbox, batches, fast):
    node, payer, many = await start_node(), Keypair(), batches(12)
    await ensure_funded(connect(node.url), payer.pubkey())
    second = Outbox(str(outbox.url))
    results = await asyncio.gather(
        sender_of(connect(node.url), outbox, payer, fast).submit(many),
        sender_of(connect(node.url), second, payer, fast).submit(many[::-1]),
    )
    assert {r.state for result in results for r in result} == {"confirmed"}
    assert node.memos() == {b.memo: 1 for b in many}
    async with submission_lease(second, str(payer.pubkey()), wait_s=0):
        with pytest.raises(SubmitterBusy):
            await sender_of(connect(node.url), outbox, payer, dataclasses.replace(fast, lease_s=0)).submit(many)
    second.close()


async def test_two_payers_on_one_outbox_cannot_double_a_batch(start_node, connect, outbox, batches, fast):
    from gridtokenx_pipeline.solana.outbox import OutboxConflict

    node, payers, many = await start_node(), [Keypair(), Keypair()], batches(8)
    rpc = connect(node.url)
    for payer in payers:
        await ensure_funded(rpc, payer.pubkey())
    await asyncio.gather(*(sender_of(rpc, outbox, p, fast).submit(many) for p in payers), return_exceptions=True)
    for payer in payers:
        try:
            await sender_of(rpc, outbox, payer, fast).submit(many)
        except OutboxConflict:
            pytest.fail("nothing is in flight any more")
    assert node.memos() == {b.memo: 1 for b in many}


async def test_second_endpoint_takes_over_and_all_down_is_unavailable(
    start_node, connect, unused_tcp_port, outbox, batches, fast
):
    node, payer = await start_node(), Keypair()
    dead = f"http://127.0.0.1:{unused_tcp_port}"
    rpc = connect(dead, node.url)
    await ensure_funded(rpc, payer.pubkey())
    assert (await sender_of(rpc, outbox, payer, fast).submit(batches(1)))[0].state == "confirmed"
    with pytest.raises(RpcUnavailable, match=dead):
        await connect(dead, patience_s=0.3).call("get_slot")


async def test_lagging_second_endpoint_cannot_fake_an_expiry(start_node, connect, outbox, batches, fast):
    """Statuses from a machine that has not reached the height seen elsewhere prove nothing."""
    node, payer, (batch,) = await start_node(slot_ms=4), Keypair(), batches(1)
    rpc = connect(node.url)
    await ensure_funded(rpc, payer.pubkey())

    class Lagging(Swallow):
        async def call(self, method, *arguments, **options):
            response = await super().call(method, *arguments, **options)
            if method != "get_signature_statuses":
                return response
            stale = json.loads(response.to_json())
            stale["result"] = {"context": {"slot": 1}, "value": [None] * len(stale.get("result", stale)["value"])}
            return type(response).from_json(json.dumps({"jsonrpc": "2.0", "id": 0, "result": stale["result"]}))

    with pytest.raises(SubmissionStalled):
        await sender_of(Lagging(rpc), outbox, payer, dataclasses.replace(fast, wait_s=1.5)).submit([batch])
    (attempt,) = outbox.attempts()
    assert (attempt.state, node.bank.slot > attempt.last_valid_block_height + 2) == ("sent", True)
    (receipt,) = await sender_of(rpc, outbox, payer, fast).submit([batch])
    assert receipt.signature == attempt.signature
    assert node.memos() == {batch.memo: 1}


def test_profiles_by_name():
    assert PROFILES["memo"].name == "memo"


def test_sync_wrappers_against_a_node_process(node_process, outbox, batches, fast):
    process, payer, many = node_process(), Keypair(), batches(3)
    receipts = submit_batches(many, rpc_urls=[process.url], outbox=outbox, payer=payer, profile=PROFILES["memo"], pace=fast)
    chain = read_receipts([process.url], [r.signature for r in receipts])
    assert [chain[r.signature].memo for r in receipts] == [b.memo for b in many]

"""The sender against the node over real HTTP, with slots of milliseconds."""

from __future__ import annotations

import asyncio
import dataclasses
import json

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair

from gridtokenx_pipeline.solana.actions import ActionsRefused, Composed, Refusal
from gridtokenx_pipeline.solana.client import RpcPool, RpcUnavailable
from gridtokenx_pipeline.solana.funding import PayerNotFunded, ensure_funded, is_loopback
from gridtokenx_pipeline.solana.lease import SubmitterBusy, submission_lease
from gridtokenx_pipeline.solana.outbox import Outbox, OutboxConflict
from gridtokenx_pipeline.solana.profiles import MemoProfile
from gridtokenx_pipeline.solana.receipts import fetch_receipt, read_memo, read_receipts
from gridtokenx_pipeline.solana.sender import Price, Sender, SubmissionStalled, submit_actions


def sender_of(rpc, outbox, payer, pace, **options):
    profile = options.pop("profile", None) or MemoProfile(payer.pubkey())
    return Sender(rpc, outbox, payer, profile, pace=pace, **({"check_funds": False} | options))


def once(actions):
    return {action.values["memo"]: 1 for action in actions}


async def test_actions_land_once_and_read_back(start_node, connect, outbox, memos, fast):
    node, payer, many = await start_node(), Keypair(), memos(70)
    rpc = connect(node.url)
    assert await ensure_funded(rpc, payer.pubkey()) >= 10**10
    told = []
    sender = sender_of(rpc, outbox, payer, fast, in_flight=32)
    report = await sender.submit(many, lambda *progress: told.append(progress))
    assert [outcome.action for outcome in report.outcomes] == many
    assert {outcome.state for outcome in report.outcomes} == {"done"}
    assert node.memos() == once(many)
    counts = report.counts
    assert (counts.transactions, counts.fee_lamports, counts.signed_again, counts.refused, counts.parked) == (
        70,
        350_000,
        0,
        0,
        0,
    )
    attempts = outbox.attempts()
    assert counts.compute_units == sum(attempt.compute_units for attempt in attempts) > 0
    assert counts.max_bytes == max(len(attempt.raw_tx) for attempt in attempts)
    assert told[-1][0] == told[-1][1] and told[-1][2] == "memo"  # noqa: PT018
    for outcome in report.outcomes[::23]:
        assert await read_memo(rpc, outcome.signature) == outcome.action.values["memo"]
        chain = await fetch_receipt(rpc, outcome.signature)
        (attempt,) = [each for each in attempts if each.signature == outcome.signature]
        assert (chain.payer, chain.slot, chain.fee_lamports) == (str(payer.pubkey()), attempt.slot, 5000)
        assert chain.compute_units == attempt.compute_units
        assert chain.state in ("confirmed", "finalized")
    again = await sender_of(rpc, outbox, payer, fast).submit(many)
    assert again.outcomes == report.outcomes
    assert (again.counts.transactions, again.counts.fee_lamports) == (0, 0)
    assert sum(node.memos().values()) == 70
    assert await read_memo(rpc, str(Keypair().sign_message(b"never sent"))) is None


async def test_finalized_waits_and_priority_fee_is_capped_and_paid(start_node, connect, outbox, memos, fast):
    node, payer = await start_node(), Keypair()
    rpc = connect(node.url)
    await ensure_funded(rpc, payer.pubkey())
    price = Price(fixed=9_000_000, cap=1_000_000)
    report = await sender_of(rpc, outbox, payer, fast, commitment="finalized", price=price).submit(memos(1))
    limit = -(-report.counts.compute_units * 115 // 100)
    assert report.counts.fee_lamports == 5000 + limit
    assert (await fetch_receipt(rpc, report.outcomes[0].signature)).state == "finalized"
    free = await sender_of(rpc, outbox, payer, fast, price=Price(fixed=None)).submit(memos(1, "b"))
    assert free.counts.fee_lamports == 5000


class Spoiling(MemoProfile):
    """Memos of some actions are no UTF-8, too long, or no memos at all."""

    def __init__(self, payer, verdict="refused"):
        super().__init__(payer)
        self.verdict = verdict

    async def prepare(self, rpc, actions):
        return {a.action_id: Refusal(6003, "above the limit") for a in actions if ":1004:" in a.values["memo"]}

    def compose(self, actions):
        refused = {a.action_id: Refusal(None, "no such meter") for a in actions if ":1003:" in a.values["memo"]}
        if refused:
            raise ActionsRefused(refused)
        return [self._spoilt(one) for one in super().compose(actions)]

    def judge(self, action, code, error):
        return self.verdict

    def _spoilt(self, composed):
        (action,), good = composed.actions, composed.instruction
        spoilt = {":1001:": b"\xff", ":1002:": good.data * 12}
        data = next((data for mark, data in spoilt.items() if mark in action.values["memo"]), good.data)
        return Composed(Instruction(good.program_id, data, good.accounts), (action,))


def in_one_batch(actions):
    return [dataclasses.replace(a, batch_id="batch", window_start=actions[0].window_start) for a in actions]


async def test_poison_is_found_told_and_spares_its_chunk_mates(start_node, connect, outbox, memos, fast):
    node, payer, many = await start_node(), Keypair(), in_one_batch(memos(12))
    rpc = connect(node.url)
    await ensure_funded(rpc, payer.pubkey())
    report = await sender_of(rpc, outbox, payer, fast, profile=Spoiling(payer.pubkey())).submit(many)
    told = {o.action.action_id: (o.state, o.error_code, o.error) for o in report.outcomes if o.state != "done"}
    assert json.loads(told[many[1].action_id][2])["InstructionError"][1] == "ProgramFailedToComplete"
    assert told[many[1].action_id][0] == "refused"
    assert told[many[2].action_id][0] == "parked"
    assert "1232 bytes" in told[many[2].action_id][2]
    assert told[many[3].action_id] == ("parked", None, "no such meter")
    assert told[many[4].action_id] == ("parked", 6003, "above the limit")
    assert node.memos() == once([many[0], *many[5:]])
    assert (report.counts.refused, report.counts.parked) == (1, 3)
    assert outbox.retry(told) == 4
    report = await sender_of(rpc, outbox, payer, fast).submit(many)
    assert {o.state for o in report.outcomes} == {"done"}
    assert node.memos() == once(many)


@pytest.mark.parametrize(("verdict", "state"), [("done", "done"), ("again", "waiting")])
async def test_what_was_there_is_done_and_what_comes_too_early_waits(start_node, connect, outbox, memos, fast, verdict, state):
    node, payer, many = await start_node(), Keypair(), in_one_batch(memos(2))
    rpc = connect(node.url)
    await ensure_funded(rpc, payer.pubkey())
    report = await sender_of(rpc, outbox, payer, fast, profile=Spoiling(payer.pubkey(), verdict)).submit(many)
    told = {o.action.action_id: (o.state, o.error) for o in report.outcomes}
    assert told == {many[0].action_id: ("done", None), many[1].action_id: (state, None)}
    assert node.memos() == once(many[:1])


class Unsigned(MemoProfile):
    """The memo of somebody who does not sign, which the memo program refuses with a plain error."""

    def compose(self, actions):
        stranger = AccountMeta(Keypair.from_seed(bytes(32)).pubkey(), is_signer=False, is_writable=False)
        return [
            Composed(Instruction(one.instruction.program_id, one.instruction.data, [stranger]), one.actions)
            if ":1001:" in one.actions[0].values["memo"]
            else one
            for one in super().compose(actions)
        ]


class Batched(MemoProfile):
    """All memos in one instruction, which is poison where one of them is; nobody says which."""

    def compose(self, actions):
        texts = [b"\xff" if ":1005:" in a.values["memo"] else a.values["memo"][:40].encode() for a in actions]
        first = super().compose(actions[:1])[0].instruction
        return [Composed(Instruction(first.program_id, b"".join(texts), first.accounts), tuple(actions))]


async def test_poison_in_a_batched_instruction_is_halved_out(start_node, connect, outbox, memos, fast):
    node, payer, many = await start_node(), Keypair(), in_one_batch(memos(16))
    rpc = connect(node.url)
    await ensure_funded(rpc, payer.pubkey())
    report = await sender_of(rpc, outbox, payer, fast, profile=Batched(payer.pubkey())).submit(many)
    (refused,) = [o.action for o in report.outcomes if o.state != "done"]
    assert ":1005:" in refused.values["memo"]
    assert sum(node.memos().values()) == report.counts.transactions <= 4
    assert report.counts.retries == 4


async def test_compute_that_runs_out_blames_nobody(start_node, connect, outbox, memos, fast, monkeypatch):
    """Three memos stay within a transaction's limit, six do not, and which one is running when it ends says nothing."""
    monkeypatch.setattr("gridtokenx_pipeline.solana.rehearsal.MAX_COMPUTE_UNITS", 3000)
    node, payer, many = await start_node(), Keypair(), in_one_batch(memos(6))
    rpc = connect(node.url)
    await ensure_funded(rpc, payer.pubkey())
    report = await sender_of(rpc, outbox, payer, fast).submit(many)
    assert {o.state for o in report.outcomes} == {"done"}
    assert report.counts.transactions > 1
    assert node.memos() == once(many)


async def test_lower_stages_land_first_and_late_intervals_before_newer_ones(start_node, connect, outbox, memos, fast):
    """Thirty intervals are more than are brought to their ends at once."""
    node, payer, many = await start_node(), Keypair(), memos(30)
    rpc = connect(node.url)
    await ensure_funded(rpc, payer.pubkey())
    stages = []

    class Noting(MemoProfile):
        async def prepare(self, rpc, actions):
            stages.append([a.window_start for a in actions])
            return {}

    await sender_of(rpc, outbox, payer, fast, profile=Noting(payer.pubkey())).submit(many[::-1])
    assert [len(stage) for stage in stages] == [12, 12, 6]
    assert [start for stage in stages for start in sorted(stage)] == [a.window_start for a in many]
    slots = {a.batch_id: a.slot for a in outbox.attempts()}
    portions = [[slots[a.batch_id] for a in many[at : at + 12]] for at in (0, 12, 24)]
    assert max(portions[0]) <= min(portions[1])
    assert max(portions[1]) <= min(portions[2])


async def test_unfunded_payer_is_said_plainly(start_node, connect, outbox, memos, fast):
    node, payer, (action,) = await start_node(), Keypair(), memos(1)
    rpc = connect(node.url)
    with pytest.raises(PayerNotFunded, match=str(payer.pubkey())):
        await sender_of(rpc, outbox, payer, fast).submit([action])
    assert outbox.counts() == {"waiting": 1}
    await ensure_funded(rpc, payer.pubkey())
    assert (await sender_of(rpc, outbox, payer, fast).submit([action])).outcomes[0].state == "done"


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


async def test_expired_blockhash_is_signed_anew_only_after_expiry(start_node, connect, outbox, memos, fast, until):
    node, payer, (action,) = await start_node(slot_ms=4), Keypair(), memos(1)
    rpc = connect(node.url)
    await ensure_funded(rpc, payer.pubkey())
    outbox.enqueue([action])
    swallowing = Swallow(rpc, sends=10_000)
    with pytest.raises(SubmissionStalled):
        await sender_of(swallowing, outbox, payer, dataclasses.replace(fast, wait_s=0.2)).submit([action])
    (first,) = outbox.attempts()
    assert first.state == "sent"
    # Nothing but time passes; the bytes were never sent, so only their expiry allows a second signature.
    await until(lambda: node.bank.slot > first.last_valid_block_height + 4)
    (outcome,) = (await sender_of(rpc, outbox, payer, fast).submit([action])).outcomes
    assert [a.state for a in outbox.attempts()] == ["expired", "confirmed"]
    assert outcome.signature != first.signature
    assert node.memos() == once([action])


class Swallow:
    """Stands before an `RpcPool` and loses the first `sends` transactions; `crash` raises at a named call instead."""

    def __init__(self, rpc, *, sends=0, crash=None, after=False, kind=None):
        self.kind = kind or Crash
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
            raise self.kind(method)
        result = await call(method, *arguments, **options)
        if method == self.crash:
            raise self.kind(method)
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
async def test_resumes_after_a_crash(start_node, connect, outbox, memos, fast, crash, after):
    node, payer, many = await start_node(slot_ms=20), Keypair(), memos(5)
    rpc = connect(node.url)
    await ensure_funded(rpc, payer.pubkey())
    with pytest.raises(Crash):
        await sender_of(Swallow(rpc, crash=crash, after=after), outbox, payer, fast).submit(many)
    signed = {a.signature for a in outbox.attempts()}
    report = await sender_of(rpc, outbox, payer, fast).submit(many)
    assert {o.state for o in report.outcomes} == {"done"}
    assert node.memos() == once(many)
    if signed:
        assert {o.signature for o in report.outcomes} == signed, "bytes that are still valid are sent again, not signed anew"


@pytest.mark.parametrize(
    "method",
    [
        "get_balance",
        "simulate_transaction",
        "get_latest_blockhash",
        "get_epoch_info",
        "get_signature_statuses",
        "get_transaction",
    ],
)
async def test_goes_on_after_every_endpoint_was_unavailable(start_node, connect, outbox, memos, fast, method):
    node, payer, many = await start_node(slot_ms=20), Keypair(), memos(5)
    rpc = connect(node.url)
    await ensure_funded(rpc, payer.pubkey())
    down = Swallow(rpc, crash=method, kind=RpcUnavailable)
    with pytest.raises(RpcUnavailable, match=method):
        await sender_of(down, outbox, payer, fast, check_funds=True).submit(many)
    assert set(outbox.counts()) <= {"waiting", "sent"}
    report = await sender_of(rpc, outbox, payer, fast).submit(many)
    assert {o.state for o in report.outcomes} == {"done"}
    assert node.memos() == once(many)


async def test_what_only_the_preflight_refuses_has_no_signature(start_node, connect, outbox, memos, fast, monkeypatch):
    """The chain changed after the rehearsal. A transaction that was refused before it was sent on is nowhere on chain."""
    node, payer, many = await start_node(), Keypair(), in_one_batch(memos(2))
    rpc = connect(node.url)
    await ensure_funded(rpc, payer.pubkey())

    async def limit(rehearsal, draft, price):
        return 200_000

    monkeypatch.setattr("gridtokenx_pipeline.solana.rehearsal.Rehearsal.limit", limit)
    report = await sender_of(rpc, outbox, payer, fast, profile=Unsigned(payer.pubkey())).submit(many)
    told = {o.action.action_id: (o.state, o.signature) for o in report.outcomes}
    assert told[many[1].action_id] == ("refused", None)
    assert told[many[0].action_id][0] == "done"
    assert sorted(a.state for a in outbox.attempts()) == ["confirmed", "failed"]
    assert node.memos() == once(many[:1])


async def test_drain_takes_up_what_an_earlier_run_left(start_node, connect, outbox, memos, fast):
    node, payer, many = await start_node(slot_ms=20), Keypair(), memos(6)
    rpc = connect(node.url)
    await ensure_funded(rpc, payer.pubkey())
    outbox.enqueue(many)
    assert (await sender_of(Swallow(rpc, crash="send_raw_transaction"), outbox, payer, fast).submit([])).outcomes == []
    with pytest.raises(Crash):
        await sender_of(Swallow(rpc, crash="send_raw_transaction"), outbox, payer, fast, in_flight=2).drain()
    report = await sender_of(rpc, outbox, payer, fast).drain()
    assert [o.action for o in report.outcomes] == many
    assert node.memos() == once(many)
    assert (await sender_of(rpc, outbox, payer, fast).drain()).outcomes == []


async def test_two_submitters_share_the_work_without_doubling_it(start_node, connect, outbox, memos, fast):
    node, payer, many = await start_node(), Keypair(), memos(12)
    await ensure_funded(connect(node.url), payer.pubkey())
    second = Outbox(str(outbox.url))
    results = await asyncio.gather(
        sender_of(connect(node.url), outbox, payer, fast).submit(many),
        sender_of(connect(node.url), second, payer, fast).submit(many[::-1]),
    )
    assert {o.state for report in results for o in report.outcomes} == {"done"}
    assert node.memos() == once(many)
    async with submission_lease(second, str(payer.pubkey()), wait_s=0):
        with pytest.raises(SubmitterBusy):
            await sender_of(connect(node.url), outbox, payer, dataclasses.replace(fast, lease_s=0)).submit(many)
    second.close()


async def test_two_payers_on_one_outbox_cannot_double_an_action(start_node, connect, outbox, memos, fast):
    node, payers, many = await start_node(), [Keypair(), Keypair()], memos(8)
    rpc = connect(node.url)
    for payer in payers:
        await ensure_funded(rpc, payer.pubkey())
    await asyncio.gather(*(sender_of(rpc, outbox, p, fast).submit(many) for p in payers), return_exceptions=True)
    for payer in payers:
        try:
            await sender_of(rpc, outbox, payer, fast).submit(many)
        except OutboxConflict:
            pytest.fail("nothing is in flight any more")
    assert node.memos() == once(many)


async def test_second_endpoint_takes_over_and_all_down_is_unavailable(start_node, connect, unused_tcp_port, outbox, memos, fast):
    node, payer = await start_node(), Keypair()
    dead = f"http://127.0.0.1:{unused_tcp_port}"
    rpc = connect(dead, node.url)
    await ensure_funded(rpc, payer.pubkey())
    assert (await sender_of(rpc, outbox, payer, fast).submit(memos(1))).outcomes[0].state == "done"
    with pytest.raises(RpcUnavailable, match=dead):
        await connect(dead, patience_s=0.3).call("get_slot")


async def test_lagging_second_endpoint_cannot_fake_an_expiry(start_node, connect, outbox, memos, fast):
    """Statuses from a machine that has not reached the height seen elsewhere prove nothing."""
    node, payer, (action,) = await start_node(slot_ms=4), Keypair(), memos(1)
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
        await sender_of(Lagging(rpc), outbox, payer, dataclasses.replace(fast, wait_s=1.5)).submit([action])
    (attempt,) = outbox.attempts()
    assert (attempt.state, node.bank.slot > attempt.last_valid_block_height + 2) == ("sent", True)
    (outcome,) = (await sender_of(rpc, outbox, payer, fast).submit([action])).outcomes
    assert outcome.signature == attempt.signature
    assert node.memos() == once([action])


def test_sync_wrappers_against_a_node_process(node_process, outbox, memos, fast):
    process, payer, many = node_process(), Keypair(), memos(3)
    profile = MemoProfile(payer.pubkey())
    report = submit_actions(many, rpc_urls=[process.url], outbox=outbox, payer=payer, profile=profile, pace=fast)
    chain = read_receipts([process.url], [o.signature for o in report.outcomes])
    assert [chain[o.signature].memo for o in report.outcomes] == [a.values["memo"] for a in many]

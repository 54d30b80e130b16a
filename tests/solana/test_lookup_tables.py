"""Lookup tables on the local node: made where they pay, used from the next slot, found again, done without where they are gone."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from gridtokenx_pipeline.solana.actions import Composed
from gridtokenx_pipeline.solana.funding import ensure_funded
from gridtokenx_pipeline.solana.outbox import Outbox
from gridtokenx_pipeline.solana.profiles import MemoProfile
from gridtokenx_pipeline.solana.sender import Sender
from gridtokenx_pipeline.solana.tables import AUTO_FROM, PROGRAM, LookupTables

LAMPORTS = 1_000_000


def account(name: str) -> Pubkey:
    return Pubkey(hashlib.sha256(name.encode()).digest())


class Paying(MemoProfile):
    """Each action pays an account of its own."""

    def compose(self, actions):
        made = []
        for action in actions:
            to = account(action.values["to"])
            made.append(Composed(transfer(TransferParams(from_pubkey=self._payer, to_pubkey=to, lamports=LAMPORTS)), (action,)))
        return made


def paid(memos, count, tag):
    """`count` payments of one batch, to the accounts 0 to `count`."""
    actions = memos(count, tag)
    return [
        dataclasses.replace(
            action,
            batch_id=f"batch-{tag}",
            window_start=actions[0].window_start,
            natural_key=f"{number:04}",
            arguments=json.dumps({"to": str(number)}),
        )
        for number, action in enumerate(actions)
    ]


class Pipeline:
    def __init__(self, node, rpc, outbox, payer, pace):
        self.node, self.rpc, self.outbox, self.payer, self.pace = node, rpc, outbox, payer, pace

    async def settle(self, actions, mode, progress=None):
        profile = Paying(self.payer.pubkey())
        sender = Sender(self.rpc, self.outbox, self.payer, profile, pace=self.pace, lookup_tables=mode, check_funds=False)
        report = await sender.submit(actions, progress)
        assert {outcome.state for outcome in report.outcomes} == {"done"}
        return report.counts

    def held(self):
        """How many addresses each table on chain holds."""
        return sorted((len(bytes(found.data)) - 56) // 32 for _, found in self.node.bank.program_accounts(PROGRAM))

    def lookups(self):
        """The most tables that a transaction of the outbox loads from."""
        transactions = [VersionedTransaction.from_bytes(attempt.raw_tx) for attempt in self.outbox.attempts()]
        return max(len(each.message.address_table_lookups) for each in transactions)


@pytest.fixture
async def pipeline(start_node, connect, outbox, fast):
    node, payer = await start_node(), Keypair()
    rpc = connect(node.url)
    await ensure_funded(rpc, payer.pubkey())
    return Pipeline(node, rpc, outbox, payer, fast)


async def test_tables_are_made_once_extended_and_used(pipeline, memos):
    told = []
    first = await pipeline.settle(paid(memos, 300, "a"), "auto", lambda *progress: told.append(progress))
    assert pipeline.held() == [44, 256]
    assert ("lookup tables" in {what for *_, what in told}, pipeline.lookups()) == (True, 2)
    # A payment takes 18 bytes in place of 49, so 55 of them fill a transaction.
    assert (first.transactions, first.max_bytes) == (6, 1232)
    assert {pipeline.node.bank.balance(account(str(n))) for n in range(300)} == {LAMPORTS}
    # Another process finds the tables; what is new goes where there is room.
    outbox = pipeline.outbox = Outbox(str(pipeline.outbox.url))
    again = await pipeline.settle(paid(memos, 310, "b"), "auto")
    assert (pipeline.held(), again.transactions) == ([54, 256], 6)
    assert {pipeline.node.bank.balance(account(str(n))) for n in range(300)} == {2 * LAMPORTS}
    outbox.close()


@pytest.mark.parametrize(
    ("mode", "count", "made"),
    [("auto", AUTO_FROM - 1, []), ("auto", AUTO_FROM, [AUTO_FROM]), ("never", 100, []), ("always", 3, [3])],
)
async def test_tables_are_made_where_they_pay(pipeline, memos, mode, count, made):
    counts = await pipeline.settle(paid(memos, count, "a"), mode)
    assert pipeline.held() == made
    assert (pipeline.lookups() > 0) == bool(made)
    assert counts.transactions == (-(-count // 55) if made else -(-count // 21))


async def test_tables_that_are_gone_or_lost_cost_rent_and_nothing_else(pipeline, memos, tmp_path):
    """An outbox that remembers what the chain does not have, and one that has forgotten what the chain has."""
    genesis = str((await pipeline.rpc.call("get_genesis_hash")).value)
    gone = [str(account(str(n))) for n in range(80)]
    pipeline.outbox.keep_lookup_table(genesis, str(pipeline.payer.pubkey()), str(account("gone")), gone)
    tables = LookupTables(pipeline.rpc, pipeline.outbox, pipeline.payer, mode="auto")
    assert len(await tables.known()) == 0
    counts = await pipeline.settle(paid(memos, 80, "a"), "auto")
    assert (counts.transactions, pipeline.held()) == (2, [80])
    pipeline.outbox = Outbox(f"sqlite:///{tmp_path / 'another.sqlite'}")
    counts = await pipeline.settle(paid(memos, 80, "b"), "auto")
    assert (counts.transactions, pipeline.held()) == (2, [80, 80])
    pipeline.outbox.close()

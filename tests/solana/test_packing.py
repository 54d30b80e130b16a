"""Packing by compiling: every draft a network takes, none smaller than it could be, and nobody's action lost."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solana.rpc.commitment import Confirmed
from solana.rpc.models import TxOpts
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from gridtokenx_pipeline.solana.actions import Action, ActionsRefused, Composed, Refusal
from gridtokenx_pipeline.solana.client import RpcRefused
from gridtokenx_pipeline.solana.funding import ensure_funded
from gridtokenx_pipeline.solana.packing import Draft, Tables, pack
from gridtokenx_pipeline.solana.packing.message import MAX_LOCKS, PACKET_BYTES
from gridtokenx_pipeline.solana.packing.pack import _Packer
from gridtokenx_pipeline.solana.profiles import MemoProfile

PAYER, SUBMITTER, CERTIFIER = (Keypair.from_seed(hashlib.sha256(name).digest()) for name in (b"p", b"s", b"c"))
PROGRAM = Pubkey(hashlib.sha256(b"program").digest())
START = dt.datetime(2026, 11, 22, 20, tzinfo=dt.UTC)


def account(name: object) -> Pubkey:
    return Pubkey(hashlib.sha256(f"account {name}".encode()).digest())


def action(kind: str, key: str, batch: str = "batch", **arguments: object) -> Action:
    return Action(f"{kind}:{key}", batch, "zone", START, kind, key, json.dumps(arguments))


class Sized:
    """Instructions of as many accounts and bytes as an action's arguments say; `mint_rec` is the certifier's."""

    name = "sized"

    def __init__(self, batched: tuple[str, ...] = ()):
        self.batched, self.composed = batched, 0

    async def prepare(self, rpc, actions):
        return {}

    def compose(self, actions):
        self.composed += len(actions)
        bad = {a.action_id: Refusal(7, "odd") for a in actions if a.values.get("odd")}
        if bad:
            raise ActionsRefused(bad)
        if actions[0].kind in self.batched:
            return [self._one(actions)]
        return [self._one([each]) for each in actions]

    def signers(self, kind):
        return (CERTIFIER,) if kind == "mint_rec" else (SUBMITTER,)

    def judge(self, action, code, error):
        return "refused"

    def _one(self, actions):
        (signer,) = self.signers(actions[0].kind)
        metas = [AccountMeta(signer.pubkey(), is_signer=True, is_writable=True)]
        names = [name for each in actions for name in each.values.get("accounts", ())]
        metas += [AccountMeta(account(name), is_signer=False, is_writable=True) for name in names]
        data = bytes(sum(each.values.get("bytes", 8) for each in actions))
        return Composed(Instruction(PROGRAM, data, metas), tuple(actions))


def check(drafts, price=0):
    """Every draft is a transaction that a network takes."""
    for draft in drafts:
        transaction = draft.signed(PAYER, 1_400_000, price, Hash.default())
        message = transaction.message
        loaded = sum(len(t.writable_indexes) + len(t.readonly_indexes) for t in message.address_table_lookups)
        assert len(bytes(transaction)) <= PACKET_BYTES
        assert len(message.account_keys) + loaded <= MAX_LOCKS
        assert len({each.batch_id for each in draft.actions}) == 1


SIZES = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["submit_energy_reading", "record_batch", "mint_rec"]),
            "batch": st.sampled_from("ab"),
            "accounts": st.lists(st.integers(0, 150), max_size=70, unique=True),
            "bytes": st.integers(0, 1100),
            "odd": st.sampled_from([False] * 9 + [True]),
        }
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(SIZES, st.sampled_from([0, 1000]), st.booleans(), st.integers(0, 150))
def test_every_action_is_in_one_draft_that_fits_or_is_refused(sizes, price, batched, in_tables):
    sizes = sorted(sizes, key=lambda size: (size["batch"], size["kind"]))
    actions = [action(s.pop("kind"), str(n), s.pop("batch"), **s) for n, s in enumerate(map(dict, sizes))]
    keys = [account(number) for number in range(in_tables)]
    tables = Tables({account(f"table {at}"): keys[at : at + 40] for at in range(0, len(keys), 40)})
    profile = Sized(("submit_energy_reading",) if batched else ())
    packed = pack(actions, profile, PAYER.pubkey(), tables, price=price)
    check(packed.drafts, price)
    carried = Counter(each.action_id for draft in packed.drafts for each in draft.actions)
    assert set(carried.values()) <= {1}
    assert set(carried) | set(packed.refused) == {each.action_id for each in actions}
    assert not set(carried) & set(packed.refused)
    for each in actions:
        if each.action_id in packed.refused:
            alone = pack([each], profile, PAYER.pubkey(), tables, price=price)
            assert alone.drafts == []
            assert alone.refused == {each.action_id: packed.refused[each.action_id]}
    for draft, following in zip(packed.drafts, packed.drafts[1:], strict=False):
        # Full: the next action, where none was refused in between, would not have fitted any more.
        last, first = draft.actions[-1], following.actions[0]
        if (
            last.batch_id == first.batch_id
            and actions.index(first) == actions.index(last) + 1
            and draft.signers == following.signers
        ):
            more = pack([*draft.actions, first], profile, PAYER.pubkey(), tables, price=price)
            assert len(more.drafts) == 2


def test_the_limit_of_bytes_is_met_exactly():
    """1,232 bytes are taken and 1,233 are not: one action more for each byte of data."""
    room = next(
        size
        for size in range(1200, 0, -1)
        if pack([action("record_batch", "a", bytes=size)], Sized(), PAYER.pubkey(), Tables()).drafts
    )
    (draft,) = pack([action("record_batch", "a", bytes=room)], Sized(), PAYER.pubkey(), Tables()).drafts
    assert len(bytes(draft.signed(PAYER, 1, 0, Hash.default()))) == PACKET_BYTES
    packed = pack([action("record_batch", "a", bytes=room + 1)], Sized(), PAYER.pubkey(), Tables())
    assert packed.drafts == []
    assert "1232 bytes" in packed.refused["record_batch:a"].reason


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 400), min_size=1, max_size=40), st.integers(-3, 60), st.booleans())
def test_most_is_found_from_any_guess(sizes, guess, batched):
    readings = [action("submit_energy_reading", str(n), accounts=[n], bytes=size) for n, size in enumerate(sizes)]
    profile = Sized(("submit_energy_reading",) if batched else ())
    packer = _Packer(profile, PAYER.pubkey(), Tables(), 0, (SUBMITTER,))
    count, draft = packer.most(readings, guess)
    fitting = [n for n in range(1, len(sizes) + 1) if packer._draft(readings[:n]).fits(PAYER.pubkey(), 0)]
    assert fitting == list(range(1, count + 1))
    assert (draft.actions if draft else ()) == tuple(readings[:count])


async def test_a_node_takes_exactly_what_fits(start_node, connect):
    """1,232 bytes are taken, one more is not."""
    node, memo = await start_node(), MemoProfile(PAYER.pubkey())
    rpc = connect(node.url)
    await ensure_funded(rpc, PAYER.pubkey())
    blockhash = (await rpc.call("get_latest_blockhash", Confirmed)).value.blockhash

    def draft_of(size):
        (composed,) = memo.compose([action("memo", "m", memo="x" * size)])
        return Draft((), (composed,), (), ())

    room = max(size for size in range(900, 1232) if draft_of(size).fits(PAYER.pubkey(), 0))
    taken, refused = (bytes(draft_of(size).signed(PAYER, 1_400_000, 0, blockhash)) for size in (room, room + 1))
    assert (len(taken), len(refused)) == (PACKET_BYTES, PACKET_BYTES + 1)
    options = TxOpts(preflight_commitment=Confirmed)
    await rpc.call_once("send_raw_transaction", taken, options)
    with pytest.raises(RpcRefused, match="too large"):
        await rpc.call_once("send_raw_transaction", refused, options)


def test_a_table_makes_room_until_the_locks_bind():
    """60 accounts of a table beside payer, submitter, table's program and budget: 64 locks."""
    readings = [action("submit_energy_reading", str(n), accounts=[n], bytes=8) for n in range(300)]
    profile = Sized(("submit_energy_reading",))
    without = pack(readings, profile, PAYER.pubkey(), Tables()).drafts
    tables = Tables({account("table"): [account(n) for n in range(256)], account("more"): [account(n) for n in range(256, 300)]})
    with_tables = pack(readings, profile, PAYER.pubkey(), tables).drafts
    check([*without, *with_tables])
    assert len(without[0].actions) < 30
    assert [len(draft.actions) for draft in with_tables] == [60] * 5
    assert [len(draft.tables) for draft in with_tables] == [1, 1, 1, 1, 2]


def test_a_table_is_left_out_where_it_would_cost_more():
    lone = action("record_batch", "a", accounts=["x"])
    (draft,) = pack([lone], Sized(), PAYER.pubkey(), Tables({account("t"): [account("x"), account("y")]})).drafts
    assert draft.tables == ()


def test_kinds_share_a_transaction_where_the_same_sign():
    actions = [action("record_batch", "root"), action("submit_energy_reading", "r"), action("mint_rec", "m")]
    other = dataclasses.replace(actions[0], action_id="other", batch_id="other")
    drafts = pack([*actions, other], Sized(), PAYER.pubkey(), Tables()).drafts
    assert [draft.kinds for draft in drafts] == ["record_batch+submit_energy_reading", "mint_rec", "record_batch"]
    assert [draft.signers for draft in drafts] == [(SUBMITTER,), (CERTIFIER,), (SUBMITTER,)]


@pytest.mark.parametrize("batched", [True, False])
def test_each_action_is_composed_a_few_times_only(batched):
    """What keeps ten thousand of them fast: neighbours are alike, so the search ends where it begins."""
    profile = Sized(("submit_energy_reading",) if batched else ())
    readings = [action("submit_energy_reading", str(n), accounts=[n], bytes=8) for n in range(2000)]
    packed = pack(readings, profile, PAYER.pubkey(), Tables())
    assert sum(len(draft.actions) for draft in packed.drafts) == 2000
    assert profile.composed < 4 * 2000

"""The node's rules, on a clock the test holds."""

from __future__ import annotations

import base64
import datetime as dt
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.transaction import Transaction, VersionedTransaction
from spl.memo.constants import MEMO_PROGRAM_ID

from gridtokenx_pipeline.solana.node.bank import Bank
from gridtokenx_pipeline.solana.node.ledger import Ledger, LedgerError
from gridtokenx_pipeline.solana.node.methods import METHODS, Methods
from gridtokenx_pipeline.solana.node.rpc import answer
from gridtokenx_pipeline.solana.node.wire import RpcError, b58decode, b58encode

T0 = dt.datetime(2026, 11, 22, 20, tzinfo=dt.UTC)
PROCESSED = {"commitment": "processed"}


class Chain:
    """A node without HTTP; `advance` moves its clock by slots of 400 ms."""

    def __init__(self, directory):
        self.directory, self.time, self.payer = directory, T0, Keypair()
        self.open()

    def open(self, **options):
        self.ledger = Ledger(self.directory, now_ms=int(self.time.timestamp() * 1000), **options)
        self.bank = Bank(self.ledger, lambda: self.time)
        self.rpc = Methods(self.bank, loopback=True)

    def reopen(self):
        self.ledger.close()
        self.open()

    def advance(self, slots=1):
        self.time += dt.timedelta(milliseconds=400 * slots)

    def blockhash(self, commitment="processed"):
        return Hash.from_string(self.rpc.getLatestBlockhash({"commitment": commitment})["value"]["blockhash"])

    def memo(self, text, blockhash=None, payer=None):
        payer = payer or self.payer
        instruction = Instruction(MEMO_PROGRAM_ID, text, [AccountMeta(payer.pubkey(), True, True)])
        message = MessageV0.try_compile(payer.pubkey(), [instruction], [], blockhash or self.blockhash())
        return VersionedTransaction(message, [payer])

    def send(self, transaction, **options):
        options = {"encoding": "base64", "preflightCommitment": "processed"} | options
        return self.rpc.sendTransaction(base64.b64encode(bytes(transaction)).decode(), options)

    def status(self, signature, **options):
        return self.rpc.getSignatureStatuses([signature], options)["value"][0]

    def balance(self):
        return self.rpc.getBalance(str(self.payer.pubkey()))["value"]


@pytest.fixture
def chain(tmp_path):
    made = Chain(tmp_path / "node")
    made.rpc.requestAirdrop(str(made.payer.pubkey()), 10**9)
    yield made
    made.ledger.close()


def refused(code):
    return pytest.raises(RpcError, check=lambda error: error.body["code"] == code)


def test_status_deepens_with_slots(chain):
    signature = chain.send(chain.memo(b"hello"))
    assert chain.status(signature)["confirmationStatus"] == "processed"
    assert chain.rpc.getTransaction(signature, {"maxSupportedTransactionVersion": 0, "commitment": "confirmed"}) is None
    chain.advance()
    assert chain.status(signature)["confirmationStatus"] == "confirmed"
    assert chain.rpc.getTransaction(signature, {"maxSupportedTransactionVersion": 0, "commitment": "confirmed"})["slot"] == 0
    chain.advance(30)
    assert chain.status(signature)["confirmations"] == 31
    chain.advance()
    assert (chain.status(signature)["confirmationStatus"], chain.status(signature)["confirmations"]) == ("finalized", None)
    assert chain.status(str(chain.memo(b"never").signatures[0])) is None


def test_old_statuses_need_the_history(chain):
    signature = chain.send(chain.memo(b"hello"))
    chain.advance(301)
    assert chain.status(signature) is None
    assert chain.status(signature, searchTransactionHistory=True)["confirmationStatus"] == "finalized"


def test_a_blockhash_serves_150_slots(chain):
    old = chain.blockhash()
    chain.advance(150)
    assert chain.rpc.isBlockhashValid(str(old), PROCESSED)["value"]
    chain.send(chain.memo(b"just in time", old))
    chain.advance()
    assert not chain.rpc.isBlockhashValid(str(old), PROCESSED)["value"]
    with refused(-32002) as caught:
        chain.send(chain.memo(b"late", old))
    assert caught.value.body["data"]["err"] == "BlockhashNotFound"


def test_without_preflight_an_expired_transaction_is_taken_and_never_lands(chain):
    old, before = chain.blockhash(), chain.balance()
    chain.advance(151)
    signature = chain.send(chain.memo(b"late", old), skipPreflight=True)
    assert signature == str(chain.memo(b"late", old).signatures[0])
    assert chain.status(signature, searchTransactionHistory=True) is None
    assert chain.balance() == before


def test_preflight_knows_only_blockhashes_of_its_commitment(chain):
    chain.advance(100)
    fresh = chain.memo(b"fresh")
    with refused(-32002):
        chain.send(fresh, preflightCommitment="finalized")
    chain.send(chain.memo(b"fresh", chain.blockhash("finalized")), preflightCommitment="finalized")
    chain.send(fresh)


def test_a_duplicate_is_refused_or_ignored_and_pays_once(chain):
    transaction = chain.memo(b"once")
    chain.send(transaction)
    paid = chain.balance()
    with refused(-32002) as caught:
        chain.send(transaction)
    assert caught.value.body["data"]["err"] == "AlreadyProcessed"
    assert chain.send(transaction, skipPreflight=True) == str(transaction.signatures[0])
    assert chain.balance() == paid


def test_a_bad_signature_never_lands(chain):
    good = chain.memo(b"mine")
    forged = VersionedTransaction.populate(good.message, [Keypair().sign_message(b"x")])
    with refused(-32003):
        chain.send(forged)
    signature = chain.send(forged, skipPreflight=True)
    assert chain.status(signature) is None


def test_program_failure_lands_with_its_error_and_fee(chain):
    broken = chain.memo(b"\xff\xfe")
    with refused(-32002) as caught:
        chain.send(broken)
    assert caught.value.body["data"]["err"] == {"InstructionError": [0, "ProgramFailedToComplete"]}
    before = chain.balance()
    signature = chain.send(broken, skipPreflight=True)
    assert chain.status(signature)["err"] == {"InstructionError": [0, "ProgramFailedToComplete"]}
    assert chain.balance() == before - 5000


def test_an_unfunded_payer_never_lands(chain):
    poor = Keypair()
    with refused(-32002) as caught:
        chain.send(chain.memo(b"x", payer=poor))
    assert caught.value.body["data"]["err"] == "AccountNotFound"
    assert chain.status(chain.send(chain.memo(b"x", payer=poor), skipPreflight=True)) is None


def test_packet_limit_is_1232_bytes(chain):
    overhead = len(bytes(chain.memo(b"x" * 200))) - 200
    fits, over = chain.memo(b"x" * (1232 - overhead)), chain.memo(b"x" * (1233 - overhead))
    assert len(bytes(fits)) == 1232
    chain.send(fits)
    with refused(-32602):
        chain.send(over)
    with refused(-32602):
        chain.rpc.sendTransaction("AAAA", {"encoding": "base64"})
    with refused(-32602):
        chain.rpc.sendTransaction("0OIl")


def test_limits_on_lists(chain):
    signature = str(chain.memo(b"x").signatures[0])
    assert len(chain.rpc.getSignatureStatuses([signature] * 256)["value"]) == 256
    with refused(-32602):
        chain.rpc.getSignatureStatuses([signature] * 257)
    with refused(-32602):
        chain.rpc.getMultipleAccounts([str(MEMO_PROGRAM_ID)] * 101)


def test_simulation_changes_nothing_and_replaces_the_blockhash(chain):
    unsigned = chain.memo(b"try", Hash.default())
    text, before = base64.b64encode(bytes(unsigned)).decode(), chain.balance()
    options = {"encoding": "base64", "commitment": "processed"}
    assert chain.rpc.simulateTransaction(text, options)["value"]["err"] == "BlockhashNotFound"
    result = chain.rpc.simulateTransaction(
        text, options | {"replaceRecentBlockhash": True, "accounts": {"addresses": [str(chain.payer.pubkey())]}}
    )["value"]
    assert (result["err"], result["unitsConsumed"] > 0) == (None, True)
    assert result["accounts"][0]["lamports"] == before - 5000
    assert chain.balance() == before
    with refused(-32602):
        chain.rpc.simulateTransaction(text, options | {"replaceRecentBlockhash": True, "sigVerify": True})


def test_accounts_and_filters(chain):
    me = str(chain.payer.pubkey())
    assert chain.rpc.getAccountInfo(me)["value"]["lamports"] == 10**9
    assert chain.rpc.getAccountInfo(str(Keypair().pubkey()))["value"] is None
    memo = chain.rpc.getAccountInfo(str(MEMO_PROGRAM_ID))["value"]
    owned = chain.rpc.getProgramAccounts(memo["owner"], {"filters": [{"dataSize": memo["space"]}]})
    assert str(MEMO_PROGRAM_ID) in {a["pubkey"] for a in owned}
    elf = {"memcmp": {"offset": 0, "bytes": b58encode(b"\x7fELF")}}
    assert len(chain.rpc.getProgramAccounts(memo["owner"], {"filters": [elf]})) >= 1
    assert chain.rpc.getProgramAccounts(memo["owner"], {"filters": [{"memcmp": {"offset": 0, "bytes": [1, 2, 3]}}]}) == []
    assert chain.rpc.getMinimumBalanceForRentExemption(0) > 0


def test_fee_for_message_counts_priority(chain):
    from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price

    budget = [set_compute_unit_limit(20_000), set_compute_unit_price(1_000)]
    memo = Instruction(MEMO_PROGRAM_ID, b"x", [AccountMeta(chain.payer.pubkey(), True, True)])
    message = MessageV0.try_compile(chain.payer.pubkey(), [*budget, memo], [], chain.blockhash())
    text = base64.b64encode(b"\x80" + bytes(message) if bytes(message)[0] < 0x80 else bytes(message)).decode()
    assert chain.rpc.getFeeForMessage(text, PROCESSED)["value"] == 5020
    chain.advance(151)
    assert chain.rpc.getFeeForMessage(text, PROCESSED)["value"] is None


def test_legacy_and_versioned_transactions_read_back(chain):
    instruction = Instruction(MEMO_PROGRAM_ID, b"legacy", [AccountMeta(chain.payer.pubkey(), True, True)])
    legacy = Transaction([chain.payer], Message([instruction], chain.payer.pubkey()), chain.blockhash())
    old, new = chain.send(legacy), chain.send(chain.memo(b"new"))
    chain.advance(40)
    assert chain.rpc.getTransaction(old)["version"] == "legacy"
    parsed = chain.rpc.getTransaction(old, "jsonParsed")["transaction"]["message"]
    assert [(key["pubkey"], key["signer"], key["writable"]) for key in parsed["accountKeys"]] == [
        (str(chain.payer.pubkey()), True, True),
        (str(MEMO_PROGRAM_ID), False, False),
    ]
    assert (parsed["instructions"][0]["program"], parsed["instructions"][0]["parsed"]) == ("spl-memo", "legacy")
    with refused(-32015):
        chain.rpc.getTransaction(new)
    form = chain.rpc.getTransaction(new, {"maxSupportedTransactionVersion": 0})
    message = form["transaction"]["message"]
    assert b58decode(message["instructions"][0]["data"]) == b"new"
    assert form["meta"]["preBalances"][0] - form["meta"]["postBalances"][0] == form["meta"]["fee"] == 5000
    with refused(-32602):
        chain.rpc.getTransaction(new, PROCESSED)
    found = chain.rpc.getSignaturesForAddress(str(chain.payer.pubkey()), {"limit": 2})
    assert [f["signature"] for f in found] == [new, old]
    assert [f["signature"] for f in chain.rpc.getSignaturesForAddress(str(MEMO_PROGRAM_ID), {"before": new, "limit": 1})] == [old]


def test_airdrops_add_up_and_are_for_loopback(chain):
    me = str(chain.payer.pubkey())
    assert chain.rpc.requestAirdrop(me, 5) != chain.rpc.requestAirdrop(me, 5)
    assert chain.balance() == 10**9 + 10
    with refused(-32600):
        Methods(chain.bank, loopback=False).requestAirdrop(me, 5)
    with refused(-32603):
        chain.rpc.requestAirdrop(me, 10**18)


def test_restart_restores_state_statuses_and_blockhashes(chain):
    blockhash = chain.blockhash()
    signatures = [chain.send(chain.memo(f"memo {n}".encode())) for n in range(5)]
    signatures.append(chain.send(chain.memo(b"\xff"), skipPreflight=True))
    chain.advance(3)
    options = {"maxSupportedTransactionVersion": 0, "encoding": "base64", "commitment": "confirmed"}
    asked = lambda: (  # noqa: E731
        chain.balance(),
        [chain.status(s) for s in signatures],
        [chain.rpc.getTransaction(s, options) for s in signatures],
        chain.rpc.getGenesisHash(),
        chain.rpc.getSlot(PROCESSED),
        chain.blockhash(),
    )
    before = asked()
    chain.reopen()
    assert asked() == before
    chain.send(chain.memo(b"signed before, sent after", blockhash))
    with refused(-32002):
        chain.send(chain.memo(b"memo 0", blockhash))


def test_slots_never_fall_with_the_wall_clock(chain):
    chain.advance(10)
    chain.send(chain.memo(b"x"))
    chain.time -= dt.timedelta(seconds=3)
    assert chain.rpc.getSlot(PROCESSED) == 10
    chain.reopen()
    assert chain.rpc.getSlot(PROCESSED) == 10


def test_what_the_ledger_cannot_hold_has_not_happened(chain, monkeypatch):
    before, transaction = chain.balance(), chain.memo(b"lost")

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(chain.ledger, "append", full)
        with pytest.raises(sqlite3.OperationalError):
            chain.send(transaction)
    assert (chain.balance(), chain.status(str(transaction.signatures[0]))) == (before, None)
    chain.send(transaction)
    assert chain.balance() == before - 5000


def test_ledger_refuses_a_second_node_another_slot_length_and_tampering(chain):
    chain.send(chain.memo(b"x"))
    with pytest.raises(LedgerError, match="another node"):
        Ledger(chain.directory, now_ms=0)
    chain.ledger.close()
    with pytest.raises(LedgerError, match="400 ms"):
        Ledger(chain.directory, now_ms=0, slot_ms=4)
    db = sqlite3.connect(chain.directory / "ledger.sqlite")
    db.execute("""UPDATE transactions SET err = '"AccountNotFound"' WHERE seq = 2""")
    db.commit()
    db.close()
    with pytest.raises(LedgerError, match="replays to"):
        chain.open()


def test_json_rpc_errors(chain):
    ask = lambda **call: answer(chain.bank, {"jsonrpc": "2.0", "id": 1} | call, loopback=True)  # noqa: E731
    assert ask(method="getHealth") == {"jsonrpc": "2.0", "id": 1, "result": "ok"}
    assert ask(method="getBlocks")["error"]["code"] == -32601
    assert ask(method="_preflight")["error"]["code"] == -32601
    for params in ([], ["?"], [1], {"a": 1}, [str(Pubkey.default()), {"commitment": "maybe"}], [1, 2, 3]):
        assert ask(method="getBalance", params=params)["error"]["code"] == -32602
    assert answer(chain.bank, "no call", loopback=True)["error"]["code"] == -32600
    assert len(METHODS) == 21


@given(st.binary(max_size=80))
def test_base58_round_trip(data):
    assert b58decode(b58encode(data)) == data


@given(st.binary(min_size=32, max_size=32))
def test_base58_agrees_with_addresses(data):
    assert b58encode(data) == str(Pubkey.from_bytes(data))

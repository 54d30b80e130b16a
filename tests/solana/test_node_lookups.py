"""Address lookup tables on the node: made, extended, loaded from, deactivated, and read back after a restart."""

from __future__ import annotations

import base64
import datetime as dt
import sqlite3
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction
from spl.memo.constants import MEMO_PROGRAM_ID

from gridtokenx_pipeline.solana.node.bank import Bank
from gridtokenx_pipeline.solana.node.ledger import Ledger
from gridtokenx_pipeline.solana.node.methods import Methods
from gridtokenx_pipeline.solana.node.wire import RpcError

T0 = dt.datetime(2026, 11, 22, 20, tzinfo=dt.UTC)
TABLES = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
NEW = {"maxSupportedTransactionVersion": 0, "commitment": "confirmed"}
INDEX = "invalid transaction: Transaction address table lookup uses an invalid index"
ABSENT = "invalid transaction: Transaction loads an address table account that doesn't exist"


class Tables:
    """A node on a held clock, and the instructions of the lookup table program as its clients write them."""

    def __init__(self, directory):
        self.directory, self.time, self.payer = directory, T0, Keypair()
        self.open()
        self.rpc.requestAirdrop(str(self.payer.pubkey()), 10**10)
        self.advance(600)

    def open(self):
        self.ledger = Ledger(self.directory, now_ms=int(T0.timestamp() * 1000))
        self.bank = Bank(self.ledger, lambda: self.time)
        self.rpc = Methods(self.bank, loopback=True)

    def advance(self, slots=1):
        self.time += dt.timedelta(milliseconds=400 * slots)

    def transaction(self, *instructions, tables=()):
        message = MessageV0.try_compile(
            self.payer.pubkey(), list(instructions), list(tables), self.bank.blockhash(self.bank.slot)
        )
        return VersionedTransaction(message, [self.payer])

    def send(self, *instructions, tables=(), **options):
        text = base64.b64encode(bytes(self.transaction(*instructions, tables=tables))).decode()
        return self.rpc.sendTransaction(text, {"encoding": "base64", "preflightCommitment": "processed"} | options)

    def create(self, slot):
        owner = self.payer.pubkey()
        table, bump = Pubkey.find_program_address([bytes(owner), struct.pack("<Q", slot)], TABLES)
        return table, self._of_table(table, struct.pack("<IQB", 0, slot, bump), pays=True)

    def extend(self, table, addresses):
        data = struct.pack("<IQ", 2, len(addresses)) + b"".join(map(bytes, addresses))
        return self._of_table(table, data, pays=True)

    def deactivate(self, table):
        return self._of_table(table, struct.pack("<I", 3), pays=False)

    def _of_table(self, table, data, *, pays):
        owner = self.payer.pubkey()
        accounts = [AccountMeta(table, False, True), AccountMeta(owner, True, False)]
        accounts += [AccountMeta(owner, True, True), AccountMeta(SYSTEM, False, False)] if pays else []
        return Instruction(TABLES, data, accounts)

    def table_of(self, addresses):
        table, creation = self.create(self.bank.slot - 1)
        self.send(creation, self.extend(table, addresses[:20]))
        for start in range(20, len(addresses), 20):
            self.send(self.extend(table, addresses[start : start + 20]))
        self.advance()
        return AddressLookupTableAccount(table, addresses)

    def pay(self, to, lamports=10**7):
        return transfer(TransferParams(from_pubkey=self.payer.pubkey(), to_pubkey=to, lamports=lamports))


@pytest.fixture
def chain(tmp_path):
    made = Tables(tmp_path / "node")
    yield made
    made.ledger.close()


def addresses(count):
    return [Keypair().pubkey() for _ in range(count)]


def refused(code, message=None):
    return pytest.raises(
        RpcError, check=lambda error: error.body["code"] == code and (message is None or error.body["message"] == message)
    )


def test_a_table_is_made_with_one_of_the_512_slots_before(chain):
    now = chain.bank.slot
    for slot in (now, now - 513):
        with refused(-32002) as caught:
            chain.send(chain.create(slot)[1])
        assert caught.value.body["data"]["err"] == {"InstructionError": [0, "InvalidInstructionData"]}
    for slot in (now - 1, now - 512):
        table, creation = chain.create(slot)
        chain.send(creation)
        assert chain.rpc.getAccountInfo(str(table))["value"]["owner"] == str(TABLES)


def test_a_table_serves_from_the_slot_after_its_extension(chain):
    (first, second), (table, creation) = addresses(2), chain.create(chain.bank.slot - 1)
    chain.send(creation, chain.extend(table, [first]))
    with refused(-32602, INDEX):
        chain.send(chain.pay(first), tables=[AddressLookupTableAccount(table, [first])])
    chain.advance()
    chain.send(chain.extend(table, [second]))
    both = AddressLookupTableAccount(table, [first, second])
    chain.send(chain.pay(first), tables=[both])
    with refused(-32602, INDEX):
        chain.send(chain.pay(second), tables=[both], skipPreflight=True)
    chain.advance()
    chain.send(chain.pay(second), tables=[both])
    assert [chain.bank.balance(key) for key in (first, second)] == [10**7, 10**7]


def test_what_cannot_be_loaded_is_refused_by_send_and_simulate(chain):
    (to,) = addresses(1)
    for table, text in (
        (addresses(1)[0], ABSENT),
        (chain.payer.pubkey(), "invalid transaction: Transaction loads an address table account with an invalid owner"),
    ):
        found = AddressLookupTableAccount(table, [to])
        with refused(-32602, text):
            chain.send(chain.pay(to), tables=[found], skipPreflight=True)
        unsent = base64.b64encode(bytes(chain.transaction(chain.pay(to), tables=[found]))).decode()
        with refused(-32602, text):
            chain.rpc.simulateTransaction(unsent, {"encoding": "base64", "replaceRecentBlockhash": True})


def test_a_deactivated_table_serves_as_long_as_its_slot_is_listed(chain):
    (to,) = addresses(1)
    table = chain.table_of([to])
    chain.send(chain.deactivate(table.key))
    chain.advance(512)
    chain.send(chain.pay(to), tables=[table])
    chain.advance()
    with refused(-32602, ABSENT):
        chain.send(chain.pay(to), tables=[table])


def test_64_locks_count_what_is_loaded(chain):
    table = chain.table_of(addresses(63))

    def locking(count):  # payer and the program are two more
        return Instruction(SYSTEM, bytes(chain.pay(Pubkey.default()).data), _metas(table.addresses[:count], chain.payer))

    chain.send(locking(62), tables=[table])
    with refused(-32002) as caught:
        chain.send(locking(63), tables=[table])
    assert caught.value.body["data"]["err"] == "TooManyAccountLocks"
    lost = chain.send(locking(63), tables=[table], skipPreflight=True)
    assert chain.bank.entry(lost) is None


def _metas(keys, payer):
    return [AccountMeta(payer.pubkey(), True, True), *(AccountMeta(key, False, True) for key in keys)]


def test_loaded_addresses_are_told_with_their_balances(chain):
    to, seen = addresses(2)
    table = chain.table_of([seen, to])
    memo = Instruction(MEMO_PROGRAM_ID, b"seen", [AccountMeta(chain.payer.pubkey(), True, True)])
    look = Instruction(SYSTEM, bytes(chain.pay(to).data), [*chain.pay(to, 5).accounts, AccountMeta(seen, False, False)])
    signature = chain.send(memo, look, tables=[table])
    asked = (str(to), str(seen))

    def told():
        found = chain.rpc.getTransaction(signature, NEW)
        parsed = chain.rpc.getTransaction(signature, NEW | {"encoding": "jsonParsed"})["transaction"]["message"]
        named = [[each["signature"] for each in chain.rpc.getSignaturesForAddress(a, {"commitment": "confirmed"})] for a in asked]
        return found, parsed, named

    chain.advance()
    found, parsed, named = before = told()
    meta, message = found["meta"], found["transaction"]["message"]
    assert meta["loadedAddresses"] == {"writable": [str(to)], "readonly": [str(seen)]}
    assert message["addressTableLookups"] == [{"accountKey": str(table.key), "writableIndexes": [1], "readonlyIndexes": [0]}]
    own = len(message["accountKeys"])
    assert (meta["preBalances"][own:], meta["postBalances"][own:]) == ([0, 0], [10**7, 0])
    assert sum(meta["preBalances"]) - sum(meta["postBalances"]) == meta["fee"] == 5000
    assert named == [[signature], [signature]]
    assert [
        (key["pubkey"], key["signer"], key["writable"]) for key in parsed["accountKeys"] if key["source"] == "lookupTable"
    ] == [
        (str(to), False, True),
        (str(seen), False, False),
    ]
    assert parsed["accountKeys"][0] == {
        "pubkey": str(chain.payer.pubkey()),
        "signer": True,
        "writable": True,
        "source": "transaction",
    }
    assert parsed["instructions"][0]["parsed"] == "seen"
    assert parsed["instructions"][1]["accounts"] == [str(chain.payer.pubkey()), *asked]

    chain.ledger.close()
    chain.open()
    assert told() == before
    chain.send(chain.pay(to, 1), tables=[table])
    assert chain.bank.balance(to) == 10**7 + 1


def test_a_ledger_from_before_slot_hashes_replays_and_then_has_them(chain, monkeypatch):
    past = chain.bank.slot - 1
    # Earlier versions left LiteSVM's own sysvar as it was, so no table could be made.
    monkeypatch.setattr(chain.bank._history, "slot_hashes", lambda _: [(435_888_000, chain.bank.blockhash(0))])
    chain.advance()
    failed = chain.send(chain.create(past)[1], skipPreflight=True)
    chain.ledger.close()
    db = sqlite3.connect(chain.directory / "ledger.sqlite")
    db.execute("ALTER TABLE genesis DROP COLUMN slot_hashes_from_seq")
    db.execute("UPDATE genesis SET schema_version = 2")
    db.commit()
    db.close()
    chain.open()
    assert chain.bank.entry(failed).err == {"InstructionError": [0, "InvalidInstructionData"]}
    table, creation = chain.create(past)
    chain.advance()
    chain.send(creation)
    chain.ledger.close()
    chain.open()
    assert chain.rpc.getAccountInfo(str(table))["value"]["owner"] == str(TABLES)


STEPS = st.lists(
    st.tuples(st.sampled_from(["create", "extend", "pay", "deactivate", "wait"]), st.integers(0, 2), st.integers(0, 700)),
    min_size=4,
    max_size=14,
)


@settings(max_examples=15, deadline=None)
@given(STEPS)
def test_whatever_was_done_with_tables_replays_to_the_same_state(steps):
    with tempfile.TemporaryDirectory() as directory:
        chain = Tables(Path(directory))
        made: dict[int, list] = {}
        keys: dict[int, list[Pubkey]] = {}
        for step, number, amount in steps:
            if step == "wait":
                chain.advance(amount)
                continue
            if step == "create" or number not in made:
                # Also with slots that are too old, or not over yet: those transactions land and fail.
                slot = max(0, chain.bank.slot - amount)
                made[number], keys[number] = list(chain.create(slot)), []
                instruction, tables = made[number][1], []
            elif step == "extend":
                keys[number].append(Pubkey.from_bytes(bytes([number]) * 31 + bytes([len(keys[number])])))
                instruction, tables = chain.extend(made[number][0], keys[number][-1:]), []
            elif step == "deactivate":
                instruction, tables = chain.deactivate(made[number][0]), []
            else:
                to = keys[number][-1] if keys[number] else Pubkey.default()
                instruction, tables = chain.pay(to, 10**6 + amount), [AddressLookupTableAccount(made[number][0], keys[number])]
            try:
                chain.send(instruction, tables=tables, skipPreflight=True)
            except RpcError as error:
                assert error.body["message"].startswith("invalid transaction: ")  # noqa: PT017

        def state():
            held = sorted((str(key), account.lamports, account.data) for key, account in chain.bank.program_accounts(TABLES))
            paid = [chain.bank.balance(key) for each in keys.values() for key in each]
            return held, paid, chain.bank.balance(chain.payer.pubkey()), list(chain.ledger.entries())

        before = state()
        chain.ledger.close()
        chain.open()
        after = state()
        chain.ledger.close()
        assert after == before

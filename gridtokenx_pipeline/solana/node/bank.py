"""The node's state and rules: slots, blockhashes, execution and the status of what landed.

Rules follow a real node (Agave): a blockhash serves 150 slots; a transaction lands once; one that fails in a program
lands, pays its fee and shows its error; one that fails before execution never lands.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import sqlite3
from collections.abc import Callable, Iterable
from typing import Any

from solders.account import Account
from solders.clock import Clock
from solders.hash import Hash
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction
from spl.memo.constants import MEMO_PROGRAM_ID
from spl.memo.instructions import create_memo
from spl.memo.models import MemoParams

from .execution import Execution, execution_of
from .genesis import accounts_of
from .ledger import Entry, Ledger, LedgerError
from .lookups import loaded_addresses
from .slots import BLOCKHASH_SLOTS, FINALITY_SLOTS, SlotHistory

STATUS_CACHE_SLOTS = 300
FAUCET_LAMPORTS = 500_000_000 * 10**9
DEPTH = {"processed": 0, "confirmed": 1, "finalized": FINALITY_SLOTS}


class Bank:
    """LiteSVM under a ledger. Not thread-safe: LiteSVM belongs to the thread that made it.

    The slot comes from `clock` (aware datetimes), so a restarted node goes on where the wall clock is.
    """

    def __init__(self, ledger: Ledger, clock: Callable[[], dt.datetime]):
        """Replay `ledger`. Raises `LedgerError` where a transaction no longer ends as it did."""
        self._ledger, self._clock = ledger, clock
        self.genesis_hash = Hash(hashlib.sha256(b"genesis" + ledger.genesis.seed).digest())
        self._faucet = Keypair.from_seed(hashlib.sha256(b"faucet" + ledger.genesis.seed).digest())
        self._history = SlotHistory(ledger.genesis.seed)
        self._highest = 0
        self._replay()

    def _replay(self) -> None:
        # Blockhashes, signatures and duplicates are judged here, against the ledger, before LiteSVM sees a transaction.
        self._svm = LiteSVM().with_blockhash_check(False).with_sigverify(False).with_transaction_history(0)
        self._svm.set_account(self._faucet.pubkey(), Account(FAUCET_LAMPORTS, b"", Pubkey.default()))
        for program in self._ledger.programs():
            for address, account in accounts_of(program, self.rent_exemption):
                self._svm.set_account(address, account)
        self._sysvar_slot = -1
        for entry in self._ledger.entries():
            listed = entry.seq >= self._ledger.genesis.slot_hashes_from_seq
            outcome = self._execute(VersionedTransaction.from_bytes(entry.raw), entry.slot, entry.block_time, slot_hashes=listed)
            if outcome.err != entry.err:
                ends = f"{outcome.err!r} instead of {entry.err!r}"
                raise LedgerError(f"{self._ledger.directory}: transaction {entry.signature} replays to {ends}")
        self._count, last_slot = self._ledger.last()
        self._highest = max(self._highest, last_slot)

    @property
    def slot(self) -> int:
        """The slot now being filled. Never falls, even where the wall clock does."""
        elapsed_ms = int(self._clock().timestamp() * 1000) - self._ledger.genesis.time_ms
        self._highest = max(self._highest, elapsed_ms // self._ledger.genesis.slot_ms)
        return self._highest

    @property
    def slot_ms(self) -> int:
        """Length of a slot in milliseconds."""
        return self._ledger.genesis.slot_ms

    @property
    def transaction_count(self) -> int:
        """Transactions that have landed."""
        return self._count

    def slot_at(self, commitment: str) -> int:
        """Return the newest slot of `commitment`. No slot is skipped here, so it is the block height too."""
        return max(0, self.slot - DEPTH[commitment])

    def blockhash(self, slot: int) -> Hash:
        """Return the blockhash of `slot`."""
        return self._history.blockhash(slot)

    def valid_blockhash(self, blockhash: Hash, commitment: str = "processed") -> bool:
        """Return whether the bank at `commitment` knows `blockhash` and it is not older than 150 slots."""
        known = self._history.slot_of(blockhash, self.slot)
        return known is not None and 0 <= self.slot_at(commitment) - known <= BLOCKHASH_SLOTS

    def simulate(self, transaction: VersionedTransaction) -> Execution:
        """Run `transaction` on the present state and change nothing."""
        return self._simulate(transaction, self.slot, self._unix_time())

    def submit(self, raw: bytes, transaction: VersionedTransaction) -> Execution | None:
        """Let `transaction` land; return its outcome, or `None` where a network would drop it without a word.

        Dropped are: a signature that landed before or does not verify, a blockhash that is unknown or expired, and failures
        that precede execution. What lands is on disk when this returns. Raises `sqlite3.Error`; then it has not landed.
        """
        signature = str(transaction.signatures[0])
        if not self.valid_blockhash(transaction.message.recent_blockhash):
            return None
        if not all(transaction.verify_with_results()) or self._ledger.entry(signature) is not None:
            return None
        slot, block_time = self.slot, self._unix_time()
        if not self._simulate(transaction, slot, block_time).landed:
            return None
        loaded = loaded_addresses(transaction.message, self.account)
        keys = [*transaction.message.account_keys, *loaded.all]
        before = self._balances(keys)
        outcome = self._execute(transaction, slot, block_time)
        detail = {
            "logs": outcome.logs,
            "loadedAddresses": loaded.json(),
            "preBalances": before,
            "postBalances": self._balances(keys),
            "innerInstructions": outcome.inner_instructions,
            "returnData": outcome.return_data,
        }
        entry = Entry(
            self._count + 1, signature, slot, block_time, raw, outcome.err, outcome.fee_lamports, outcome.compute_units, detail
        )
        try:
            self._ledger.append(entry, [str(key) for key in keys])
        except sqlite3.Error:
            # LiteSVM has run ahead of the ledger; the ledger is the truth.
            self._replay()
            raise
        self._count += 1
        return outcome

    def airdrop(self, to: Pubkey, lamports: int) -> str | None:
        """Transfer from the faucet by an ordinary transaction; return its signature, or `None` where the faucet cannot pay."""
        number = f"airdrop {self._count + 1}".encode()  # two equal requests within one slot must differ
        instructions = [
            transfer(TransferParams(from_pubkey=self._faucet.pubkey(), to_pubkey=to, lamports=lamports)),
            create_memo(MemoParams(program_id=MEMO_PROGRAM_ID, signer=self._faucet.pubkey(), message=number)),
        ]
        message = MessageV0.try_compile(self._faucet.pubkey(), instructions, [], self.blockhash(self.slot))
        transaction = VersionedTransaction(message, [self._faucet])
        if self.simulate(transaction).err is not None or self.submit(bytes(transaction), transaction) is None:
            return None
        return str(transaction.signatures[0])

    def entry(self, signature: str) -> Entry | None:
        """Return the landed transaction of `signature`, or `None`."""
        return self._ledger.entry(signature)

    def signatures_for(self, address: str, *, before: str | None, until: str | None, limit: int) -> list[Entry]:
        """Return transactions that name `address`, newest first."""
        return self._ledger.of_address(address, before=before, until=until, limit=limit)

    def account(self, address: Pubkey) -> Any:
        """Return the account at `address`, or `None`."""
        return self._svm.get_account(address)

    def balance(self, address: Pubkey) -> int:
        """Return the lamports at `address`."""
        return self._svm.get_balance(address) or 0

    def program_accounts(self, program: Pubkey) -> list[tuple[Pubkey, Any]]:
        """Return (address, account) of everything `program` owns."""
        return list(self._svm.get_program_accounts(program))

    def rent_exemption(self, size: int) -> int:
        """Return the lamports that make an account of `size` bytes rent exempt."""
        return self._svm.minimum_balance_for_rent_exemption(size)

    def fee(self, message: Any) -> int:
        """Return the fee of `message` in lamports: signatures and priority."""
        unsigned = [Signature.default()] * message.header.num_required_signatures
        return self.simulate(VersionedTransaction.populate(message, unsigned)).fee_lamports

    def _simulate(self, transaction: VersionedTransaction, slot: int, block_time: int) -> Execution:
        self._enter(slot, block_time)
        return execution_of(self._svm.simulate_transaction(transaction))

    def _execute(self, transaction: VersionedTransaction, slot: int, block_time: int, *, slot_hashes: bool = True) -> Execution:
        self._enter(slot, block_time, slot_hashes=slot_hashes)
        return execution_of(self._svm.send_transaction(transaction))

    def _enter(self, slot: int, unix_time: int, *, slot_hashes: bool = True) -> None:
        """Set the sysvars to `slot`. `slot_hashes` is false for what ran before nodes kept them."""
        self._svm.set_clock(Clock(slot, 0, 0, 0, unix_time))
        if slot_hashes and slot != self._sysvar_slot:
            self._svm.set_slot_hashes(self._history.slot_hashes(slot))
            self._sysvar_slot = slot

    def _unix_time(self) -> int:
        return int(self._clock().timestamp())

    def _balances(self, keys: Iterable[Pubkey]) -> list[int]:
        return [self.balance(key) for key in keys]

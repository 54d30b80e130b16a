"""One transaction before it is signed: its actions, instructions and lookup tables, and how large that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from ..actions import Action, Composed

PACKET_BYTES = 1232
MAX_LOCKS = 64
MAX_COMPUTE_UNITS = 1_400_000
_SIGNATURE_BYTES = 64
# A table costs 32 bytes for its address and two lengths, and each account in it 1 in place of 32.
_PAYS_FROM = 2


class Tables:
    """Lookup tables that can be used: which of them holds an address."""

    def __init__(self, tables: Mapping[Pubkey, Sequence[Pubkey]] | None = None):
        self.contents = {address: list(held) for address, held in (tables or {}).items()}
        self._at = {key: address for address, held in self.contents.items() for key in held}

    def __len__(self) -> int:
        return len(self._at)

    def __contains__(self, address: Pubkey) -> bool:
        return address in self._at

    def for_accounts(self, accounts: Iterable[Pubkey]) -> list[AddressLookupTableAccount]:
        """Return the tables with which a message of `accounts` is smaller."""
        counts = Counter(self._at[key] for key in accounts if key in self._at)
        return [AddressLookupTableAccount(key, self.contents[key]) for key, count in counts.items() if count >= _PAYS_FROM]


@dataclass(frozen=True)
class Draft:
    """Actions of one batch as the instructions of one transaction; `signers` sign besides the payer."""

    actions: tuple[Action, ...]
    composed: tuple[Composed, ...]
    tables: tuple[AddressLookupTableAccount, ...]
    signers: tuple[Keypair, ...]

    @property
    def kinds(self) -> str:
        """The kinds of its actions, joined by +."""
        return "+".join(dict.fromkeys(action.kind for action in self.actions))

    def message(self, payer: Pubkey, limit: int, price: int, blockhash: Hash) -> MessageV0:
        """Return the message with a compute budget of `limit` units at `price` micro-lamports each."""
        instructions = [*budget(limit, price), *(one.instruction for one in self.composed)]
        return MessageV0.try_compile(payer, instructions, list(self.tables), blockhash)

    def signed(self, payer: Keypair, limit: int, price: int, blockhash: Hash) -> VersionedTransaction:
        """Return the signed transaction. Of `signers`, those sign whom its instructions name."""
        message = self.message(payer.pubkey(), limit, price, blockhash)
        named = set(message.account_keys[: message.header.num_required_signatures])
        keys = {address: key for key in (payer, *self.signers) if (address := key.pubkey()) in named}
        return VersionedTransaction(message, list(keys.values()))

    def unsigned(self, payer: Pubkey, limit: int, price: int, blockhash: Hash) -> VersionedTransaction:
        """Return the transaction with empty signatures, for a simulation."""
        message = self.message(payer, limit, price, blockhash)
        return VersionedTransaction.populate(message, [Signature.default()] * message.header.num_required_signatures)

    def writable(self, payer: Pubkey) -> list[Pubkey]:
        """Return the accounts that it locks for writing, the payer first."""
        metas = (meta for one in self.composed for meta in one.instruction.accounts if meta.is_writable)
        return list(dict.fromkeys([payer, *(meta.pubkey for meta in metas)]))

    def fits(self, payer: Pubkey, price: int) -> bool:
        """Whether a network takes it: at most 1,232 bytes, and 64 accounts to lock."""
        return within_limits(self.message(payer, MAX_COMPUTE_UNITS, price, Hash.default()))


def within_limits(message: MessageV0) -> bool:
    """Whether a transaction of `message` has, when it is signed, at most `PACKET_BYTES` bytes and `MAX_LOCKS` accounts."""
    size = 1 + _SIGNATURE_BYTES * message.header.num_required_signatures + len(to_bytes_versioned(message))
    loaded = sum(len(t.writable_indexes) + len(t.readonly_indexes) for t in message.address_table_lookups)
    return size <= PACKET_BYTES and len(message.account_keys) + loaded <= MAX_LOCKS


def budget(limit: int, price: int) -> list[Instruction]:
    """Return the instructions of a compute budget; a price of 0 needs none."""
    return [set_compute_unit_limit(limit), *([set_compute_unit_price(price)] if price else [])]

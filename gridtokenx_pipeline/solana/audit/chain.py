"""Accounts and transactions as the node has them, each read once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from solana.rpc.commitment import Confirmed
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from spl.memo.constants import MEMO_PROGRAM_ID
from spl.token.constants import TOKEN_2022_PROGRAM_ID

from ..client import RpcPool
from ..errors import error_text
from ..idl import DecodeError
from ..programs.contents import Content, Contents, Event
from ..programs.images import Ids
from ..receipts import STATUSES_PER_CALL, ChainState, commitment_of

ACCOUNTS_PER_CALL = 100
_IN_FLIGHT = 8
# Source: spl-token's `Mint`: COption of the authority (36 bytes), supply as u64 LE; 82 bytes in all without extensions.
_MINT_BYTES, _SUPPLY = 82, slice(36, 44)


class NotReadable(Exception):
    """An account at the address of one of the programs' is not what the IDL describes. The message names it."""


@dataclass(frozen=True)
class Landed:
    """A transaction that landed: its memos, the programs' events, and the error where it failed.

    `instructions` are its top-level ones: program and data.
    """

    slot: int
    block_time: int | None
    error: str | None
    memos: tuple[str, ...]
    events: tuple[Event, ...]
    instructions: frozenset[tuple[Pubkey, bytes]]


@dataclass(frozen=True)
class Status:
    """How far a transaction is."""

    slot: int
    state: ChainState
    error: str | None


class Chain:
    """Reads through `rpc`; what was read stays until `forget`. Every method raises what `RpcPool.call` raises."""

    def __init__(self, rpc: RpcPool, ids: Ids | None = None) -> None:
        """`ids` are the ids that the cluster has the programs at. Raises `OSError` and `IdlError` as `Contents` does."""
        self.rpc, self.ids = rpc, ids
        self._contents = _contents(frozenset((ids or {}).items()))
        self._accounts: dict[Pubkey, Any] = {}
        self._decoded: dict[Pubkey, Content | None] = {}
        self._landed: dict[str, Landed | None] = {}
        self._gate = asyncio.Semaphore(_IN_FLIGHT)

    def forget(self) -> None:
        """Read accounts anew: the chain goes on. Landed transactions never change."""
        self._accounts.clear()
        self._decoded.clear()
        self._landed = {signature: found for signature, found in self._landed.items() if found is not None}

    async def load(self, addresses: Iterable[Pubkey]) -> None:
        """Read the accounts at `addresses` that are not read yet, a hundred a call."""
        missing = [address for address in dict.fromkeys(addresses) if address not in self._accounts]

        async def fetch(part: Sequence[Pubkey]) -> None:
            async with self._gate:
                found = (await self.rpc.call("get_multiple_accounts", list(part), Confirmed)).value
            self._accounts.update(zip(part, found, strict=True))

        await asyncio.gather(*(fetch(part) for part in _parts(missing, ACCOUNTS_PER_CALL)))

    def content(self, address: Pubkey, name: str) -> Content | None:
        """Return the loaded account `name` at `address`, or `None` where there is none. Raises `NotReadable`, `KeyError`."""
        if address not in self._decoded:
            account = self._accounts[address]
            try:
                found = None if account is None else self._contents.account(account.owner, bytes(account.data))
            except DecodeError as error:
                raise NotReadable(f"account {address}: {error}") from None
            self._decoded[address] = found
        content = self._decoded[address]
        if content is not None and content.name != name:
            raise NotReadable(f"account {address} is a {content.name}, not a {name}")
        return content

    def supply(self, mint: Pubkey) -> int:
        """Return the supply of a loaded Token-2022 mint, in its units; 0 where it does not exist. Raises `NotReadable`."""
        account = self._accounts[mint]
        if account is None:
            return 0
        data = bytes(account.data)
        if account.owner != TOKEN_2022_PROGRAM_ID or len(data) < _MINT_BYTES:
            raise NotReadable(f"account {mint} is no mint of Token-2022")
        return int.from_bytes(data[_SUPPLY], "little")

    async def balances(self, addresses: Iterable[Pubkey]) -> dict[Pubkey, int]:
        """Return the lamports at `addresses`, 0 where there is no account."""
        wanted = list(dict.fromkeys(addresses))
        await self.load(wanted)
        return {address: 0 if (found := self._accounts[address]) is None else found.lamports for address in wanted}

    async def statuses(self, signatures: Iterable[str]) -> dict[str, Status | None]:
        """Return how far each of `signatures` is, `None` where the node does not know it."""
        wanted = list(dict.fromkeys(signatures))
        found: dict[str, Status | None] = {}
        for part in _parts(wanted, STATUSES_PER_CALL):
            keys = [Signature.from_string(signature) for signature in part]
            answers = (await self.rpc.call("get_signature_statuses", keys, search_transaction_history=True)).value
            for signature, answer in zip(part, answers, strict=True):
                found[signature] = None if answer is None else Status(answer.slot, commitment_of(answer), error_text(answer.err))
        return found

    async def landed(self, signatures: Iterable[str]) -> dict[str, Landed | None]:
        """Return the transactions of `signatures`, `None` where the node has none that is confirmed.

        Raises `NotReadable` for a log that no IDL describes.
        """
        wanted = list(dict.fromkeys(signatures))

        async def fetch(signature: str) -> None:
            async with self._gate:
                answer = await self.rpc.call("get_transaction", Signature.from_string(signature), "base64", Confirmed, 0)
            self._landed[signature] = None if answer.value is None else self._read(signature, answer.value)

        await asyncio.gather(*(fetch(signature) for signature in wanted if self._landed.get(signature) is None))
        return {signature: self._landed[signature] for signature in wanted}

    def _read(self, signature: str, found: Any) -> Landed:
        transaction, meta = found.transaction.transaction, found.transaction.meta
        if not isinstance(transaction, VersionedTransaction):
            transaction = VersionedTransaction.from_bytes(bytes(transaction))
        keys = transaction.message.account_keys
        # A program id always is a static key: lookup tables cannot supply programs.
        made = [(keys[each.program_id_index], bytes(each.data)) for each in transaction.message.instructions]
        memos = tuple(data.decode("utf-8", errors="replace") for program, data in made if program == MEMO_PROGRAM_ID)
        try:
            events = tuple(self._contents.events(meta.log_messages or ())) if meta.err is None else ()
        except DecodeError as error:
            raise NotReadable(f"transaction {signature}: {error}") from None
        return Landed(found.slot, found.block_time, error_text(meta.err), memos, events, frozenset(made))


@lru_cache(maxsize=4)
def _contents(ids: frozenset[tuple[str, Pubkey]]) -> Contents:
    # The IDLs take 10 ms to read, and checks of one run each have a reader of their own.
    return Contents(dict(ids))


def _parts(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]

"""Address lookup tables: accounts that are used every interval cost one byte in a transaction in place of 32.

A table costs rent and some transactions once (250 accounts: 11 transactions and 0.057 SOL), which a campus whose intervals need
several transactions has back within days; one whose intervals fit in one or two never has.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Literal

from solana.rpc.commitment import Confirmed
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from .actions import Composed
from .client import RpcPool
from .funding import FLOOR_LAMPORTS, TARGET_LAMPORTS, PayerNotFunded, ensure_funded
from .outbox import Outbox
from .packing import Tables
from .programs.landing import Landing, LandingFailed, Signed

Mode = Literal["auto", "always", "never"]

PROGRAM = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
AUTO_FROM = 60
"""Accounts of waiting actions from which tables are made of themselves: what three transactions need without any."""
MAX_ADDRESSES = 256
EXTENSION = 27
"""Addresses that one transaction adds, with the two instructions of a compute budget beside."""
_META_BYTES = 56
_ACTIVE = b"\xff" * 8
_ACCOUNTS_PER_CALL = 100
_AT_ONCE = 200  # of the 512 slots that a cluster remembers the hashes of
_SYSTEM = Pubkey.default()


class LookupTables:
    """The tables of `authority` on the cluster that `rpc` is of, remembered in `outbox`."""

    def __init__(self, rpc: RpcPool, outbox: Outbox, authority: Keypair, *, mode: Mode, poll_s: float = 0.4) -> None:
        self._rpc, self._outbox, self._authority = rpc, outbox, authority
        self.mode, self._poll_s = mode, poll_s
        self._cluster: str | None = None

    async def known(self) -> Tables:
        """Return the tables there are. Raises what `RpcPool.call` raises."""
        if self.mode == "never":
            return Tables()
        return Tables({Pubkey.from_string(table): held for table, held in (await self._known()).items()})

    async def grown(self, composed: Sequence[Composed], landed: Callable[[int, int], None] | None = None) -> Tables:
        """Return tables with the accounts of `composed`, made and extended where that pays; `landed` is told how far it is.

        Accounts that sign and programs that are called cannot be in a table. Neighbours in `composed` share tables. Where tables
        cannot be made now, those there are have to do. Raises what `RpcPool.call` raises.
        """
        tables = await self.known()
        wanted = [key for key in _accounts(composed) if key not in tables]
        if self.mode == "never" or not wanted or (self.mode == "auto" and len(wanted) + len(tables) < AUTO_FROM):
            return tables
        try:
            await self._add(tables, wanted, landed or (lambda done, total: None))
        except (LandingFailed, PayerNotFunded):
            # An orphan costs its rent and nothing else; transactions are larger for now.
            return await self.known()
        return await self.known()

    async def _add(self, tables: Tables, wanted: list[Pubkey], landed: Callable[[int, int], None]) -> None:
        landing = Landing(self._rpc, self._authority, poll_s=self._poll_s)
        total, done = -(-len(wanted) // EXTENSION) + -(-len(wanted) // MAX_ADDRESSES), 0

        def one() -> None:
            nonlocal done
            done += 1
            landed(done, max(total, done))

        rent = (await self._rpc.call("get_minimum_balance_for_rent_exemption", _META_BYTES + 32 * MAX_ADDRESSES)).value
        await ensure_funded(
            self._rpc,
            self._authority.pubkey(),
            floor_lamports=FLOOR_LAMPORTS + int(rent) * -(-len(wanted) // MAX_ADDRESSES),
            target_lamports=TARGET_LAMPORTS + int(rent) * -(-len(wanted) // MAX_ADDRESSES),
        )
        growing = next((address for address, held in tables.contents.items() if len(held) < MAX_ADDRESSES), None)
        room = MAX_ADDRESSES - len(tables.contents[growing]) if growing else 0
        shares: list[tuple[Pubkey, list[Pubkey]]] = [(growing, wanted[:room])] if growing else []
        rest = wanted[room:]
        while rest or shares:
            # A table's address follows from a recent slot, so tables that are made at once need slots of their own.
            slot = int((await self._rpc.call("get_slot", Confirmed)).value)
            creates: list[Signed] = []
            while rest and len(creates) < min(_AT_ONCE, slot):
                create, address = self._create(slot - len(creates))
                share, rest = rest[:MAX_ADDRESSES], rest[MAX_ADDRESSES:]
                creates.append(Signed([create]))
                shares.append((address, share))
            await landing.land(creates, one)
            parts = [
                self._extend(address, share[at : at + EXTENSION])
                for address, share in shares
                for at in range(0, len(share), EXTENSION)
            ]
            await landing.land([Signed([part]) for part in parts], one)
            for address, _ in shares:
                await self._keep(address)
            shares = []

    async def _keep(self, address: Pubkey) -> None:
        """Remember what the table holds by its account: extensions that were sent at once land in any order."""
        account = (await self._rpc.call("get_account_info", address, Confirmed)).value
        if _usable(account):
            held = [str(key) for key in _held(account)]
            self._outbox.keep_lookup_table(await self._genesis(), str(self._authority.pubkey()), str(address), held)

    async def _known(self) -> dict[str, list[Pubkey]]:
        """What the remembered tables hold on chain. One that the chain does not have, or no longer, is left out."""
        remembered = self._outbox.lookup_tables(await self._genesis(), str(self._authority.pubkey()))
        addresses = [Pubkey.from_string(table) for table in remembered]
        found: dict[str, list[Pubkey]] = {}
        for start in range(0, len(addresses), _ACCOUNTS_PER_CALL):
            part = addresses[start : start + _ACCOUNTS_PER_CALL]
            accounts = (await self._rpc.call("get_multiple_accounts", part, Confirmed)).value
            found |= {str(each): _held(account) for each, account in zip(part, accounts, strict=True) if _usable(account)}
        return found

    async def _genesis(self) -> str:
        if self._cluster is None:
            self._cluster = str((await self._rpc.call("get_genesis_hash")).value)
        return self._cluster

    def _create(self, slot: int) -> tuple[Instruction, Pubkey]:
        authority = self._authority.pubkey()
        address, bump = Pubkey.find_program_address([bytes(authority), slot.to_bytes(8, "little")], PROGRAM)
        metas = [
            AccountMeta(address, is_signer=False, is_writable=True),
            AccountMeta(authority, is_signer=True, is_writable=False),
            AccountMeta(authority, is_signer=True, is_writable=True),
            AccountMeta(_SYSTEM, is_signer=False, is_writable=False),
        ]
        return Instruction(PROGRAM, struct.pack("<IQB", 0, slot, bump), metas), address

    def _extend(self, address: Pubkey, keys: Sequence[Pubkey]) -> Instruction:
        authority = self._authority.pubkey()
        metas = [
            AccountMeta(address, is_signer=False, is_writable=True),
            AccountMeta(authority, is_signer=True, is_writable=False),
            AccountMeta(authority, is_signer=True, is_writable=True),
            AccountMeta(_SYSTEM, is_signer=False, is_writable=False),
        ]
        return Instruction(PROGRAM, struct.pack("<IQ", 2, len(keys)) + b"".join(map(bytes, keys)), metas)


def _usable(account: Any) -> bool:
    """Whether an account is a table that was not deactivated. Layout: u32 kind, then u64 deactivation slot (Agave)."""
    return account is not None and account.owner == PROGRAM and bytes(account.data)[4:12] == _ACTIVE


def _held(account: Any) -> list[Pubkey]:
    data = bytes(account.data)[_META_BYTES:]
    return [Pubkey(data[at : at + 32]) for at in range(0, len(data) - 31, 32)]


def _accounts(composed: Sequence[Composed]) -> list[Pubkey]:
    """The accounts that a table may hold, in order of appearance."""
    metas = [meta for one in composed for meta in one.instruction.accounts]
    never = {meta.pubkey for meta in metas if meta.is_signer} | {one.instruction.program_id for one in composed}
    return [key for key in dict.fromkeys(meta.pubkey for meta in metas) if key not in never]

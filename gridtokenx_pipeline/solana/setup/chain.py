"""Reading many accounts at once, and Token-2022's layouts."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from solana.rpc.commitment import Confirmed
from solana.rpc.models import DataSliceOpts
from solders.pubkey import Pubkey
from spl.token.constants import TOKEN_2022_PROGRAM_ID

from ..client import RpcPool

ACCOUNTS_PER_CALL = 100
MINT_BYTES = 82
TOKEN_ACCOUNT_BYTES = 170
"""An associated Token-2022 account: 165 bytes, and the mark that its owner cannot change."""
METER_BYTES, STATE_BYTES, PAGE_BYTES, BOOK_BYTES, POSITION_BYTES, LEDGER_BYTES = 86, 334, 9745, 4153, 569, 4177
"""Accounts of the programs (programs/README.md)."""
ACCOUNT_OVERHEAD_BYTES = 128
"""Rent is for so many bytes more than an account has."""
_CALLS_AT_ONCE = 4
_SYSTEM_PROGRAM = Pubkey.default()


async def read_accounts(rpc: RpcPool, addresses: Iterable[Pubkey], *, whole: bool = True) -> dict[Pubkey, Any]:
    """Return the accounts at `addresses` (`owner`, `lamports`, `data`); what is not there, or a mere balance, is left out.

    Without `whole` the data is left out: that something is there is what is asked.

    Raises what `RpcPool.call` raises.
    """
    asked = list(dict.fromkeys(addresses))
    gate = asyncio.Semaphore(_CALLS_AT_ONCE)
    cut = None if whole else DataSliceOpts(offset=0, length=0)

    async def some(part: list[Pubkey]) -> list[Any]:
        async with gate:
            return list((await rpc.call("get_multiple_accounts", part, Confirmed, data_slice=cut)).value)

    parts = [asked[start : start + ACCOUNTS_PER_CALL] for start in range(0, len(asked), ACCOUNTS_PER_CALL)]
    answers = await asyncio.gather(*(some(part) for part in parts))
    found = zip(asked, (account for answer in answers for account in answer), strict=True)
    # An address that somebody sent lamports to is still free.
    return {address: account for address, account in found if account is not None and account.owner != _SYSTEM_PROGRAM}


async def balance_of(rpc: RpcPool, address: Pubkey) -> int:
    """Return the lamports at `address`."""
    return int((await rpc.call("get_balance", address, Confirmed)).value)


async def lamports_per_byte(rpc: RpcPool) -> int:
    """Return the rent that exempts one byte; an account needs it for `ACCOUNT_OVERHEAD_BYTES` more than it has."""
    return int((await rpc.call("get_minimum_balance_for_rent_exemption", 0)).value) // ACCOUNT_OVERHEAD_BYTES


@dataclass(frozen=True)
class TokenAccount:
    """Content of a Token-2022 account; amounts in the mint's units. Without a delegate `delegated` is 0."""

    amount: int
    delegate: Pubkey | None
    delegated: int


def token_account(account: Any) -> TokenAccount | None:
    """Return the content of a token account, or `None` where `account` is none. Source: spl-token-2022 `state::Account`."""
    if account is None or account.owner != TOKEN_2022_PROGRAM_ID or len(account.data) < 165:
        return None
    data = account.data
    has_delegate = struct.unpack_from("<I", data, 72)[0] == 1
    delegate = Pubkey.from_bytes(data[76:108]) if has_delegate else None
    (amount,), (delegated,) = struct.unpack_from("<Q", data, 64), struct.unpack_from("<Q", data, 121)
    return TokenAccount(amount, delegate, delegated)


@dataclass(frozen=True)
class Mint:
    """Content of a plain Token-2022 mint."""

    authority: Pubkey | None
    decimals: int


def mint(account: Any) -> Mint | None:
    """Return the content of a mint without extensions, or `None` where `account` is none. Source: `state::Mint`."""
    if account is None or account.owner != TOKEN_2022_PROGRAM_ID or len(account.data) != MINT_BYTES:
        return None
    has_authority = struct.unpack_from("<I", account.data, 0)[0] == 1
    return Mint(Pubkey.from_bytes(account.data[4:36]) if has_authority else None, account.data[44])

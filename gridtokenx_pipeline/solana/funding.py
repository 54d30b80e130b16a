"""Keeping the fee payer able to pay, by airdrop on a local node and by plain words anywhere else."""

from __future__ import annotations

import asyncio
import ipaddress
from urllib.parse import urlsplit

from solana.rpc.commitment import Confirmed
from solders.pubkey import Pubkey

from .client import IN_PROCESS, RpcPool

FLOOR_LAMPORTS = 100_000_000
TARGET_LAMPORTS = 10_000_000_000
_ARRIVAL_POLLS = 100
_POLL_S = 0.1


class PayerNotFunded(Exception):
    """The fee payer cannot pay. The message names it and says what to do."""


def is_loopback(url: str) -> bool:
    """Return whether `url` points at this machine, or into this process."""
    if url.startswith(IN_PROCESS):
        return True
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def ensure_funded(
    rpc: RpcPool, payer: Pubkey, *, floor_lamports: int = FLOOR_LAMPORTS, target_lamports: int = TARGET_LAMPORTS
) -> int:
    """Return the payer's balance in lamports once it is at least `floor_lamports`, airdropping up to `target_lamports`.

    Airdrops only where every endpoint is on this machine. Raises `PayerNotFunded`, and what `RpcPool.call` raises.
    """
    balance = await _balance(rpc, payer)
    if balance >= floor_lamports:
        return balance
    shortage = f"fee payer {payer} has {balance} lamports, fewer than {floor_lamports}"
    if not all(is_loopback(url) for url in rpc.urls):
        raise PayerNotFunded(f"{shortage}; transfer SOL to it, then run this again")
    await rpc.call("request_airdrop", payer, max(target_lamports, floor_lamports) - balance, Confirmed)
    for _ in range(_ARRIVAL_POLLS):
        balance = await _balance(rpc, payer)
        if balance >= floor_lamports:
            return balance
        await asyncio.sleep(_POLL_S)
    raise PayerNotFunded(f"{shortage}; the node took the airdrop but it has not arrived")


async def _balance(rpc: RpcPool, payer: Pubkey) -> int:
    return int((await rpc.call("get_balance", payer, Confirmed)).value)

"""Reading settlement back from the chain, whatever the outbox believes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from solana.rpc.commitment import Confirmed
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from .client import RpcPool
from .errors import error_text
from .profiles import memo_of

ChainState = Literal["processed", "confirmed", "finalized"]
STATUSES_PER_CALL = 256
_IN_FLIGHT = 8


@dataclass(frozen=True)
class ChainReceipt:
    """A landed transaction as the node tells it. `error` is null where it succeeded; `memo` where it carries none."""

    signature: str
    slot: int
    block_time: int | None
    payer: str
    memo: str | None
    fee_lamports: int
    compute_units: int | None
    state: ChainState
    error: str | None


async def fetch_receipt(rpc: RpcPool, signature: str) -> ChainReceipt | None:
    """Return the transaction of `signature` as the node has it, or `None` where it is not confirmed.

    Raises `client.RpcUnavailable`, `client.RpcRefused`.
    """
    key = Signature.from_string(signature)
    found = (await rpc.call("get_transaction", key, "base64", Confirmed, 0)).value
    if found is None:
        return None
    status = (await rpc.call("get_signature_statuses", [key], search_transaction_history=True)).value[0]
    transaction, meta = found.transaction.transaction, found.transaction.meta
    if not isinstance(transaction, VersionedTransaction):
        transaction = VersionedTransaction.from_bytes(bytes(transaction))
    return ChainReceipt(
        signature=signature,
        slot=found.slot,
        block_time=found.block_time,
        payer=str(transaction.message.account_keys[0]),
        memo=memo_of(transaction),
        fee_lamports=meta.fee,
        compute_units=meta.compute_units_consumed,
        # getTransaction was asked at this commitment, so it is the least the transaction has.
        state="confirmed" if status is None else max(commitment_of(status), "confirmed", key=RANK.__getitem__),
        error=error_text(meta.err),
    )


async def read_memo(rpc: RpcPool, signature: str) -> str | None:
    """Return the memo text of a transaction that landed and succeeded, or `None`."""
    receipt = await fetch_receipt(rpc, signature)
    return None if receipt is None or receipt.error is not None else receipt.memo


def read_receipts(rpc_urls: Sequence[str], signatures: Sequence[str]) -> dict[str, ChainReceipt | None]:
    """Fetch the receipts of `signatures` from outside an event loop (assets, checks, the command line)."""

    async def fetch_all() -> dict[str, ChainReceipt | None]:
        slots = asyncio.Semaphore(_IN_FLIGHT)
        async with RpcPool(rpc_urls) as rpc:

            async def fetch(signature: str) -> ChainReceipt | None:
                async with slots:
                    return await fetch_receipt(rpc, signature)

            return dict(zip(signatures, await asyncio.gather(*map(fetch, signatures)), strict=True))

    return asyncio.run(fetch_all())


RANK: dict[str, int] = {"processed": 0, "confirmed": 1, "finalized": 2}


def commitment_of(status: object) -> ChainState:
    """Return the commitment of a `getSignatureStatuses` entry; nodes that omit it mean finalized by null confirmations."""
    level = getattr(status, "confirmation_status", None)
    if level is None:
        return "finalized" if getattr(status, "confirmations", None) is None else "processed"
    name = str(level).rpartition(".")[2].lower()
    return "finalized" if name == "finalized" else "confirmed" if name == "confirmed" else "processed"

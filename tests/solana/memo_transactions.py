"""Memos by hand: the smallest transactions that tests of the node and of its client send."""

from __future__ import annotations

import asyncio

from solana.rpc.commitment import Confirmed
from solana.rpc.models import TxOpts
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from spl.memo.constants import MEMO_PROGRAM_ID

from gridtokenx_pipeline.solana.client import RpcPool


async def signed_memos(rpc: RpcPool, payer: Keypair, texts: list[str]) -> list[bytes]:
    """Return one signed transaction for each text, all under the newest confirmed blockhash."""
    blockhash = (await rpc.call("get_latest_blockhash", Confirmed)).value.blockhash
    account = AccountMeta(payer.pubkey(), True, True)
    messages = [
        MessageV0.try_compile(payer.pubkey(), [Instruction(MEMO_PROGRAM_ID, text.encode(), [account])], [], blockhash)
        for text in texts
    ]
    return [bytes(VersionedTransaction(message, [payer])) for message in messages]


def signature_of(raw: bytes) -> Signature:
    return VersionedTransaction.from_bytes(raw).signatures[0]


async def send(rpc: RpcPool, raw: bytes, *, skip_preflight: bool = True) -> Signature:
    options = TxOpts(skip_preflight=skip_preflight, preflight_commitment=Confirmed, max_retries=0)
    return (await rpc.call_once("send_raw_transaction", raw, options)).value


async def statuses(rpc: RpcPool, raws: list[bytes]) -> list:
    signatures = [signature_of(raw) for raw in raws]
    return (await rpc.call("get_signature_statuses", signatures, search_transaction_history=True)).value


async def land(rpc: RpcPool, raws: list[bytes]) -> list:
    """Send all and wait until every one is confirmed; return the statuses. The same bytes may have been sent before."""
    for raw in raws:
        await send(rpc, raw)
    for _ in range(2000):
        found = await statuses(rpc, raws)
        if all(status is not None and status.confirmation_status is not None and status.confirmations != 0 for status in found):
            return found
        await asyncio.sleep(0.01)
    raise AssertionError("not all of them were confirmed")

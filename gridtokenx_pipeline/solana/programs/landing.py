"""Transactions that may be signed again without harm, sent until they have landed.

What is sent here either does the same when done twice (a write to a buffer) or cannot be done twice (making an account), so
signatures need not be kept. A transaction is signed again only when the one before can no longer land.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from solana.rpc.commitment import Confirmed
from solana.rpc.models import TxOpts
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_status import TransactionConfirmationStatus

from ..client import RpcPool
from ..errors import error_text

ATTEMPTS = 5
EXPIRY_SLACK = 2
_IN_FLIGHT = 8
_STATUSES = 256
_REBROADCAST_POLLS = 4
_OPTIONS = TxOpts(skip_preflight=True, max_retries=0, preflight_commitment=Confirmed)


class LandingFailed(Exception):
    """A transaction failed on chain or did not land in `ATTEMPTS` lives of a blockhash."""


@dataclass(frozen=True)
class Signed:
    """Instructions of one transaction and who signs it besides the payer."""

    instructions: Sequence[Instruction]
    signers: Sequence[Keypair] = field(default=(), repr=False)  # a keypair's repr is its secret


class Landing:
    """Sends transactions of `payer`, whose states it asks for every `poll_s` seconds."""

    def __init__(self, rpc: RpcPool, payer: Keypair, *, poll_s: float) -> None:
        self._rpc, self._payer, self._poll_s = rpc, payer, poll_s

    async def rehearse(self, transaction: Signed) -> None:
        """Raise `LandingFailed` with the program's own words where `transaction` would fail."""
        blockhash = (await self._rpc.call("get_latest_blockhash", Confirmed)).value.blockhash
        signed = self._sign(transaction, blockhash)
        found = (await self._rpc.call("simulate_transaction", signed, commitment=Confirmed, replace_recent_blockhash=True)).value
        if found.err is not None:
            said = [line for line in found.logs or () if " consumed " not in line]
            raise LandingFailed(" ".join([error_text(found.err) or "", *said[-2:]]))

    async def land(self, transactions: Sequence[Signed], landed: Callable[[], None]) -> None:
        """Return when all of `transactions` are confirmed, after `landed` was called for each.

        Raises `LandingFailed`, and what `RpcPool.call` raises.
        """
        waiting = list(transactions)
        for _ in range(ATTEMPTS):
            if not waiting:
                return
            waiting = await self._one_life(waiting, landed)
        if waiting:
            raise LandingFailed(f"{len(waiting)} transactions did not land in {ATTEMPTS} attempts; run this again to go on")

    async def _one_life(self, transactions: Sequence[Signed], landed: Callable[[], None]) -> list[Signed]:
        """Send within the life of one blockhash; return those that have not landed and no longer can."""
        latest = (await self._rpc.call("get_latest_blockhash", Confirmed)).value
        waiting = {each.signatures[0]: (item, bytes(each)) for item, each in self._signed(transactions, latest.blockhash)}
        polls = 0
        while waiting:
            if polls % _REBROADCAST_POLLS == 0:
                await self._send([raw for _, raw in waiting.values()])
            polls += 1
            await asyncio.sleep(self._poll_s)
            # Before the statuses: what they do not show at a height past the last valid one cannot come later.
            height = (await self._rpc.call("get_block_height", Confirmed)).value
            for signature in await self._confirmed(list(waiting)):
                del waiting[signature]
                landed()
            if height > latest.last_valid_block_height + EXPIRY_SLACK:
                break
        return [item for item, _ in waiting.values()]

    async def _send(self, raws: Sequence[bytes]) -> None:
        gate = asyncio.Semaphore(_IN_FLIGHT)

        async def one(raw: bytes) -> None:
            async with gate:
                await self._rpc.call("send_raw_transaction", raw, _OPTIONS)

        tasks = [asyncio.ensure_future(one(raw)) for raw in raws]
        try:
            await asyncio.gather(*tasks)
        finally:
            # Where one could not be sent, nothing goes on in the background.
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _confirmed(self, signatures: Sequence[Signature]) -> list[Signature]:
        found = []
        for start in range(0, len(signatures), _STATUSES):
            asked = list(signatures[start : start + _STATUSES])
            statuses = (await self._rpc.call("get_signature_statuses", asked, search_transaction_history=True)).value
            for signature, status in zip(asked, statuses, strict=True):
                if status is None or status.confirmation_status == TransactionConfirmationStatus.Processed:
                    continue
                if status.err is not None:
                    raise LandingFailed(f"{signature} failed: {error_text(status.err)}")
                found.append(signature)
        return found

    def _signed(self, transactions: Sequence[Signed], blockhash: Hash) -> list[tuple[Signed, VersionedTransaction]]:
        return [(each, self._sign(each, blockhash)) for each in transactions]

    def _sign(self, transaction: Signed, blockhash: Hash) -> VersionedTransaction:
        message = MessageV0.try_compile(self._payer.pubkey(), list(transaction.instructions), [], blockhash)
        return VersionedTransaction(message, [self._payer, *transaction.signers])

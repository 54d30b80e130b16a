"""Sends batches so that each lands exactly once, whatever fails: the node, the network, the reply, or this process.

The order that makes it so (Solana's retry guide: never re-sign before the first blockhash has expired):
open attempts first; sign; store signature and bytes; send; rebroadcast the same bytes until their end is known; only when
they can no longer land, sign anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from solana.rpc.commitment import Commitment
from solana.rpc.models import TxOpts
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from .client import PreflightFailure, RpcPool, RpcRefused, RpcUnavailable
from .errors import error_json, error_text
from .funding import PayerNotFunded, ensure_funded
from .lease import submission_lease
from .outbox import Attempt, Batch, Outbox, Receipt
from .profiles import SettlementProfile
from .receipts import RANK, STATUSES_PER_CALL, commitment_of, fetch_receipt

PACKET_BYTES = 1232
MAX_COMPUTE_UNITS = 1_400_000
EXPIRY_SLACK = 2
T = TypeVar("T")
_PAYER_TROUBLE = ("AccountNotFound", "InsufficientFundsForFee", "InvalidAccountForFee", "InsufficientFundsForRent")
_NOT_THE_BATCH = ("BlockhashNotFound", "AlreadyProcessed", "AccountInUse", "ClusterMaintenance", "WouldExceedMaxBlockCostLimit")


class SubmissionStalled(Exception):
    """Some batches have no known end yet. The outbox holds their signatures; the next submission goes on from there."""


@dataclass(frozen=True)
class Pace:
    """How the sender waits. Seconds; `wait_s` bounds one wait for the chain, `lease_s` the wait for another submitter."""

    poll_s: float = 0.4
    rebroadcast_s: float = 2.0
    wait_s: float = 300.0
    lease_s: float = 120.0


@dataclass(frozen=True)
class Price:
    """Priority fee in micro-lamports per compute unit: `fixed`, or if null the 75th percentile of recent fees; at most `cap`."""

    fixed: int | None = 0
    cap: int = 50_000


class Sender:
    """Submits batches from `outbox` through `rpc`, signed and paid by `payer`, one transaction for each batch."""

    def __init__(
        self,
        rpc: RpcPool,
        outbox: Outbox,
        payer: Keypair,
        profile: SettlementProfile,
        *,
        commitment: str = "confirmed",
        price: Price = Price(),
        pace: Pace = Pace(),
        in_flight: int = 64,
        signatures_per_batch: int = 10,
    ):
        """`commitment` is what a batch waits for. `signatures_per_batch` bounds re-signing in one submission."""
        self._rpc, self._outbox, self._payer, self._profile = rpc, outbox, payer, profile
        self._level, self._commitment = commitment, Commitment(commitment)
        self._price, self._pace = price, pace
        self._in_flight, self._signatures_per_batch = in_flight, signatures_per_batch
        self._parallel = asyncio.Semaphore(8)

    async def submit(self, batches: Sequence[Batch]) -> list[Receipt]:
        """Enqueue `batches` and return their receipts, each `confirmed` or `failed`, in the order given.

        Batches that are settled already are not sent again. Raises `OutboxConflict`, `SubmitterBusy`, `PayerNotFunded`,
        `SubmissionStalled`, `RpcUnavailable`, `RpcRefused`; after any of them, submitting again continues.
        """
        self._outbox.enqueue(batches)
        ids = [batch.batch_id for batch in batches]
        await self._run(ids)
        return self._outbox.receipts(ids)

    async def drain(self) -> list[Receipt]:
        """Settle everything the outbox still holds, and return those batches' receipts. Raises as `submit` does."""
        waiting = {batch.batch_id for batch in self._outbox.batches(state="pending")}
        ids = sorted(waiting | {attempt.batch_id for attempt in self._outbox.open_attempts()})
        await self._run(ids)
        return self._outbox.receipts(ids)

    async def _run(self, batch_ids: list[str]) -> None:
        async with submission_lease(self._outbox, str(self._payer.pubkey()), wait_s=self._pace.lease_s):
            await self._resolve(self._outbox.open_attempts())
            signed: dict[str, int] = {}
            while pending := self._outbox.batches(batch_ids, "pending")[: self._in_flight]:
                for batch in pending:
                    signed[batch.batch_id] = signed.get(batch.batch_id, 0) + 1
                    if signed[batch.batch_id] > self._signatures_per_batch:
                        raise SubmissionStalled(f"batch {batch.batch_id}: {self._signatures_per_batch} signatures expired unseen")
                attempts = await self._sign_and_send(pending)
                await self._resolve(attempts)

    async def _sign_and_send(self, batches: list[Batch]) -> list[Attempt]:
        price = await self._unit_price()
        limits = await _all(self._compute_limit(batch, price) for batch in batches)
        # Fetched after the simulations, and at the commitment of the preflight, so that it lives as long as it can.
        latest = (await self._rpc.call("get_latest_blockhash", self._commitment)).value
        attempts = []
        for batch, limit in zip(batches, limits, strict=True):
            if limit is None:
                continue
            message = self._message(batch, limit, price, latest.blockhash)
            transaction = VersionedTransaction(message, [self._payer])
            attempts.append(
                self._outbox.record_attempt(
                    batch.batch_id,
                    signature=str(transaction.signatures[0]),
                    payer=str(self._payer.pubkey()),
                    raw_tx=bytes(transaction),
                    last_valid_block_height=latest.last_valid_block_height,
                )
            )
        await _all(self._send_first(attempt) for attempt in attempts)
        return self._outbox.attempts([attempt.batch_id for attempt in attempts], "sent")

    async def _compute_limit(self, batch: Batch, price: int) -> int | None:
        """Return the limit for `batch`: what a simulation used and 15 % more; null where the batch failed for good."""
        message = self._message(batch, MAX_COMPUTE_UNITS, 0, Hash.default())
        unsigned = VersionedTransaction.populate(message, [Signature.default()] * message.header.num_required_signatures)
        priced = VersionedTransaction.populate(
            self._message(batch, MAX_COMPUTE_UNITS, price, Hash.default()), unsigned.signatures
        )
        if (size := len(bytes(priced))) > PACKET_BYTES:
            self._outbox.fail_batch(batch.batch_id, f"TransactionTooLarge: {size} bytes, at most {PACKET_BYTES}")
            return None
        async with self._parallel:
            result = await self._rpc.call(
                "simulate_transaction", unsigned, commitment=self._commitment, replace_recent_blockhash=True
            )
        if result.value.err is not None:
            self._stop_unless_program(result.value.err)
            self._outbox.fail_batch(batch.batch_id, error_text(result.value.err) or "")
            return None
        # The price instruction the simulation went without costs 150 units, as every budget instruction does.
        used = (result.value.units_consumed or 0) + (150 if price else 0)
        return min(MAX_COMPUTE_UNITS, -(-used * 115 // 100))

    def _message(self, batch: Batch, limit: int, price: int, blockhash: Hash) -> MessageV0:
        budget: list[Instruction] = [set_compute_unit_limit(limit)]
        if price:
            budget.append(set_compute_unit_price(price))
        payer = self._payer.pubkey()
        return MessageV0.try_compile(payer, [*budget, *self._profile.instructions(batch, payer)], [], blockhash)

    async def _unit_price(self) -> int:
        if self._price.fixed is not None:
            return min(self._price.fixed, self._price.cap)
        recent = (await self._rpc.call("get_recent_prioritization_fees", [self._payer.pubkey()])).value
        fees = sorted(fee.prioritization_fee for fee in recent)
        return min(fees[len(fees) * 3 // 4], self._price.cap) if fees else 0

    def _stop_unless_program(self, error: Any) -> None:
        form = error_json(error)
        name = form if isinstance(form, str) else next(iter(form))
        if name in _PAYER_TROUBLE:
            raise PayerNotFunded(f"fee payer {self._payer.pubkey()} cannot pay ({name}); transfer SOL to it, then run this again")
        if name in _NOT_THE_BATCH:
            raise RpcUnavailable(f"the node cannot judge the transaction now ({name})")

    async def _send_first(self, attempt: Attempt) -> None:
        """Send with preflight. Only a clean refusal of this very first send proves that the bytes are nowhere."""
        options = TxOpts(skip_preflight=False, preflight_commitment=self._commitment, max_retries=0)
        async with self._parallel:
            try:
                await self._rpc.call_once("send_raw_transaction", attempt.raw_tx, options)
            except RpcUnavailable:
                return  # it may have landed and only the reply is lost: polling tells
            except PreflightFailure as failure:
                try:
                    self._stop_unless_program(failure.error)
                except RpcUnavailable:
                    return
                self._outbox.fail_attempt(attempt.id, error=str(failure))

    async def _resolve(self, attempts: Sequence[Attempt]) -> None:
        """Wait until each attempt is confirmed, failed or expired, rebroadcasting what the chain has not seen."""
        open_ = list(attempts)
        deadline = time.monotonic() + self._pace.wait_s
        # Attempts of an earlier run are unseen and unsent so far as this process knows.
        rebroadcast_at = time.monotonic() + self._pace.poll_s
        while open_:
            open_, unseen, height = await self._look(open_)
            if not open_:
                return
            if time.monotonic() >= deadline:
                raise SubmissionStalled(f"{len(open_)} transactions have no known end after {self._pace.wait_s:g} s")
            if time.monotonic() >= rebroadcast_at:
                await _all(self._rebroadcast(a) for a in unseen if height <= a.last_valid_block_height)
                rebroadcast_at = time.monotonic() + self._pace.rebroadcast_s
            await asyncio.sleep(self._pace.poll_s)

    async def _look(self, attempts: list[Attempt]) -> tuple[list[Attempt], list[Attempt], int]:
        """Settle what has an end; return (still open, those of them the chain has not seen, block height)."""
        # Height before statuses: a transaction that lands in between must be seen by the later question.
        view = (await self._rpc.call("get_epoch_info", self._commitment)).value
        still_open: list[Attempt] = []
        unseen: list[Attempt] = []
        for start in range(0, len(attempts), STATUSES_PER_CALL):
            chunk = attempts[start : start + STATUSES_PER_CALL]
            past = any(view.block_height > a.last_valid_block_height + EXPIRY_SLACK for a in chunk)
            keys = [Signature.from_string(a.signature) for a in chunk]
            answer = await self._rpc.call("get_signature_statuses", keys, search_transaction_history=past)
            # Another endpoint, or another machine behind the same name, may lag behind the one that told the height.
            caught_up = answer.context.slot >= view.absolute_slot
            for attempt, status in zip(chunk, answer.value, strict=True):
                if status is not None and RANK[commitment_of(status)] >= RANK[self._level]:
                    if not await self._settle(attempt, status):
                        still_open.append(attempt)
                elif status is not None:
                    still_open.append(attempt)
                elif caught_up and view.block_height > attempt.last_valid_block_height + EXPIRY_SLACK:
                    self._outbox.expire_attempt(attempt.id)
                else:
                    still_open.append(attempt)
                    unseen.append(attempt)
        return still_open, unseen, view.block_height

    async def _settle(self, attempt: Attempt, status: Any) -> bool:
        """Record the end of a landed transaction; return False where the node does not show the transaction itself yet."""
        chain = await fetch_receipt(self._rpc, attempt.signature)
        if chain is None and self._level != "processed":
            return False
        cost = {
            "slot": status.slot,
            "fee_lamports": chain.fee_lamports if chain else None,
            "compute_units": chain.compute_units if chain else None,
        }
        if status.err is None:
            self._outbox.confirm_attempt(attempt.id, **cost)
        else:
            self._outbox.fail_attempt(attempt.id, error=error_text(status.err) or "", **cost)
        return True

    async def _rebroadcast(self, attempt: Attempt) -> None:
        async with self._parallel:
            try:
                await self._rpc.call_once("send_raw_transaction", attempt.raw_tx, TxOpts(skip_preflight=True, max_retries=0))
            except (RpcUnavailable, RpcRefused, PreflightFailure):
                pass  # the next round sends again; the statuses alone decide


async def _all(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run `work` to its end, every part of it, and only then raise its first error: nothing goes on behind the caller's back."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return cast("list[T]", results)


def submit_batches(
    batches: Sequence[Batch],
    *,
    rpc_urls: Sequence[str],
    outbox: Outbox,
    payer: Keypair,
    profile: SettlementProfile,
    commitment: str = "confirmed",
    price: Price = Price(),
    pace: Pace = Pace(),
    check_funds: bool = True,
) -> list[Receipt]:
    """See that the payer can pay (`funding.ensure_funded`), then submit `batches`; for callers outside an event loop.

    Returns and raises as `Sender.submit` does.
    """

    async def run() -> list[Receipt]:
        async with RpcPool(rpc_urls) as rpc:
            if check_funds:
                await ensure_funded(rpc, payer.pubkey())
            return await Sender(rpc, outbox, payer, profile, commitment=commitment, price=price, pace=pace).submit(batches)

    return asyncio.run(run())

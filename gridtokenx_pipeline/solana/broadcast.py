"""Sending signed transactions and finding out how they end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from solana.rpc.commitment import Commitment, Confirmed
from solana.rpc.models import TxOpts
from solders.compute_budget import ID as COMPUTE_BUDGET
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from .client import PreflightFailure, RpcPool, RpcRefused, RpcUnavailable
from .errors import error_text
from .funding import PayerNotFunded
from .outbox import Attempt, Landed, Outbox
from .receipts import RANK, STATUSES_PER_CALL, commitment_of
from .rehearsal import Failure, failure_of, stop_unless_of_actions

EXPIRY_SLACK = 2
T = TypeVar("T")


class SubmissionStalled(Exception):
    """Some actions have no known end yet. The outbox holds them; the next submission goes on from there."""


@dataclass(frozen=True)
class Pace:
    """How the sender waits. Seconds; `wait_s` bounds one wait for the chain, `lease_s` the wait for another submitter."""

    poll_s: float = 0.4
    rebroadcast_s: float = 2.0
    wait_s: float = 300.0
    lease_s: float = 120.0


STEADY = Pace()


class Broadcast:
    """Sends attempts of `outbox` through `rpc` and records their ends."""

    def __init__(self, rpc: RpcPool, outbox: Outbox, *, commitment: str, pace: Pace) -> None:
        self._rpc, self._outbox, self._pace = rpc, outbox, pace
        self._level, self._commitment = commitment, Commitment(commitment)
        self._parallel = asyncio.Semaphore(8)

    async def send(self, attempts: Sequence[Attempt]) -> dict[int, Failure]:
        """Send each of `attempts` for the first time, with preflight; return by id those that a node refused cleanly.

        Only a clean refusal of this very first send proves that the bytes are nowhere. Those are recorded as failed.
        """
        failures = await all_of(self._send_first(attempt) for attempt in attempts)
        return {attempt.id: found for attempt, found in zip(attempts, failures, strict=True) if found is not None}

    async def _send_first(self, attempt: Attempt) -> Failure | None:
        options = TxOpts(skip_preflight=False, preflight_commitment=self._commitment, max_retries=0)
        async with self._parallel:
            try:
                await self._rpc.call_once("send_raw_transaction", attempt.raw_tx, options)
            except RpcUnavailable:
                return None  # it may have landed and only the reply is lost: polling tells
            except PreflightFailure as failure:
                try:
                    stop_unless_of_actions(failure.error, attempt.payer)
                except RpcUnavailable:
                    return None
                except PayerNotFunded:
                    self._outbox.fail_attempt(attempt.id, error=str(failure))
                    raise
                self._outbox.fail_attempt(attempt.id, error=str(failure))
                return _failure(failure.error, attempt, None)
        return None

    async def resolve(self, attempts: Sequence[Attempt]) -> dict[int, Failure]:
        """Wait until each attempt is confirmed, failed or expired, rebroadcasting what the chain has not seen.

        Returns by id those that failed on chain. Raises `SubmissionStalled`, and what `RpcPool.call` raises.
        """
        open_, failures = list(attempts), dict[int, Failure]()
        deadline = time.monotonic() + self._pace.wait_s
        # Attempts of an earlier run are unseen and unsent so far as this process knows.
        rebroadcast_at = time.monotonic() + self._pace.poll_s
        while open_:
            open_, unseen, height = await self._look(open_, failures)
            if not open_:
                break
            if time.monotonic() >= deadline:
                raise SubmissionStalled(f"{len(open_)} transactions have no known end after {self._pace.wait_s:g} s")
            if time.monotonic() >= rebroadcast_at:
                await all_of(self._rebroadcast(a) for a in unseen if height <= a.last_valid_block_height)
                rebroadcast_at = time.monotonic() + self._pace.rebroadcast_s
            await asyncio.sleep(self._pace.poll_s)
        return failures

    async def _look(self, attempts: list[Attempt], failures: dict[int, Failure]) -> tuple[list[Attempt], list[Attempt], int]:
        """Settle what has an end; return (still open, those of them the chain has not seen, block height)."""
        # Height before statuses: a transaction that lands in between must be seen by the later question.
        view = (await self._rpc.call("get_epoch_info", self._commitment)).value
        still_open: list[Attempt] = []
        unseen: list[Attempt] = []
        ended: list[tuple[Attempt, Any]] = []
        for start in range(0, len(attempts), STATUSES_PER_CALL):
            chunk = attempts[start : start + STATUSES_PER_CALL]
            past = any(view.block_height > a.last_valid_block_height + EXPIRY_SLACK for a in chunk)
            keys = [Signature.from_string(a.signature) for a in chunk]
            answer = await self._rpc.call("get_signature_statuses", keys, search_transaction_history=past)
            # Another endpoint, or another machine behind the same name, may lag behind the one that told the height.
            caught_up = answer.context.slot >= view.absolute_slot
            for attempt, status in zip(chunk, answer.value, strict=True):
                if status is not None and RANK[commitment_of(status)] >= RANK[self._level]:
                    ended.append((attempt, status))
                elif status is not None:
                    still_open.append(attempt)
                elif caught_up and view.block_height > attempt.last_valid_block_height + EXPIRY_SLACK:
                    self._outbox.expire_attempt(attempt.id)
                else:
                    still_open.append(attempt)
                    unseen.append(attempt)
        still_open += await self._settle(ended, failures)
        return still_open, unseen, view.block_height

    async def _settle(self, ended: Sequence[tuple[Attempt, Any]], failures: dict[int, Failure]) -> list[Attempt]:
        """Record the ends of landed transactions; return those that the node does not show themselves yet."""
        receipts = await all_of(self._receipt(attempt) for attempt, _ in ended)
        hidden, landed = [], []
        for (attempt, status), found in zip(ended, receipts, strict=True):
            if found is None and self._level != "processed":
                hidden.append(attempt)
                continue
            meta = found.transaction.meta if found else None
            fee, units = (meta.fee, meta.compute_units_consumed) if meta else (None, None)
            landed.append(Landed(attempt.id, status.slot, fee, units, error_text(status.err)))
            if status.err is not None:
                failures[attempt.id] = _failure(status.err, attempt, attempt.signature)
        self._outbox.settle_attempts(landed)
        return hidden

    async def _receipt(self, attempt: Attempt) -> Any:
        async with self._parallel:
            key = Signature.from_string(attempt.signature)
            return (await self._rpc.call("get_transaction", key, "base64", Confirmed, 0)).value

    async def _rebroadcast(self, attempt: Attempt) -> None:
        async with self._parallel:
            try:
                await self._rpc.call_once("send_raw_transaction", attempt.raw_tx, TxOpts(skip_preflight=True, max_retries=0))
            except (RpcUnavailable, RpcRefused, PreflightFailure):
                pass  # the next round sends again; the statuses alone decide


def _failure(error: Any, attempt: Attempt, landed: str | None) -> Failure:
    """What `error` says of the attempt's draft, whose instructions come after those of the compute budget.

    `landed` is its signature, where it landed.
    """
    message = VersionedTransaction.from_bytes(attempt.raw_tx).message
    keys = message.account_keys
    budgets = sum(keys[one.program_id_index] == COMPUTE_BUDGET for one in message.instructions)
    return failure_of(error, 1 if budgets > 1 else 0, landed, limited=True)


async def all_of(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run `work` to its end, every part of it, and only then raise its first error: nothing goes on behind the caller's back."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return cast("list[T]", results)

"""Sends actions so that each is done exactly once, whatever fails: the node, the network, the reply, or this process.

The order that makes it so (Solana's retry guide: never re-sign before the first blockhash has expired):
open attempts first; sign; store signature and bytes; send; rebroadcast the same bytes until their end is known; only when
they can no longer land, sign anew.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from solana.rpc.commitment import Commitment
from solders.keypair import Keypair

from .actions import Action, Refusal, in_order
from .broadcast import STEADY, Broadcast, Pace, SubmissionStalled, all_of
from .client import RpcPool
from .funding import ensure_funded
from .lease import submission_lease
from .outbox import ActionState, Outbox, Outcome, Signed
from .packing import Draft, Tables, composed_of, pack, portions
from .profiles import SettlementProfile
from .rehearsal import FREE, Failure, Price, Rehearsal
from .tables import LookupTables, Mode

_WAITING: tuple[ActionState, ...] = ("waiting",)
Progress = Callable[[int, int, str], None]
__all__ = ["FREE", "STEADY", "Counts", "Pace", "Price", "Report", "Sender", "SubmissionStalled", "submit_actions"]


@dataclass(frozen=True)
class Counts:
    """What a submission did. `transactions` landed; of them come fees and compute units. `signed_again` expired before.

    `retries` are transactions that were packed anew, because some of their actions spoiled them or the compute did not last.
    """

    transactions: int = 0
    fee_lamports: int = 0
    compute_units: int = 0
    max_bytes: int = 0
    signed_again: int = 0
    retries: int = 0
    refused: int = 0
    parked: int = 0


@dataclass(frozen=True)
class Report:
    """How the submitted actions stand, in the order they are sent, and what it took."""

    outcomes: list[Outcome]
    counts: Counts


@dataclass
class _Course:
    """How a submission goes: signatures by action, transactions packed anew, and actions that have to wait for the next."""

    signed: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    later: set[str] = field(default_factory=set)


class Sender:
    """Submits actions from `outbox` through `rpc` and `profile`, paid by `payer`."""

    def __init__(
        self,
        rpc: RpcPool,
        outbox: Outbox,
        payer: Keypair,
        profile: SettlementProfile,
        *,
        commitment: str = "confirmed",
        price: Price = FREE,
        pace: Pace = STEADY,
        lookup_tables: Mode = "auto",
        in_flight: int = 64,
        signatures_per_action: int = 10,
        check_funds: bool = True,
    ):
        """`commitment` is what an action waits for. `signatures_per_action` bounds re-signing in one submission.

        With `check_funds`, each stage begins with `funding.ensure_funded`.
        """
        self._rpc, self._outbox, self._payer, self._profile = rpc, outbox, payer, profile
        self._commitment, self._pace = Commitment(commitment), pace
        self._tables = LookupTables(rpc, outbox, payer, mode=lookup_tables, poll_s=pace.poll_s)
        self._rehearsal = Rehearsal(rpc, payer, commitment=commitment, price=price)
        self._broadcast = Broadcast(rpc, outbox, commitment=commitment, pace=pace)
        self._check_funds = check_funds
        self._in_flight, self._signatures_per_action = in_flight, signatures_per_action

    async def submit(self, actions: Sequence[Action], progress: Progress | None = None) -> Report:
        """Enqueue `actions` and return how they stand: done, refused or parked each.

        Where the chain says that something comes too early or not now (`judge`: `again`), it and what comes after it wait for
        the next submission.

        Actions that ended already are not sent again. Raises `OutboxConflict`, `SubmitterBusy`, `PayerNotFunded`,
        `SubmissionStalled`, `RpcUnavailable`, `RpcRefused`, and what the profile's `prepare` raises; after any of them,
        submitting again continues.
        """
        self._outbox.enqueue(actions)
        return await self._run([action.action_id for action in actions], progress)

    async def drain(self, progress: Progress | None = None) -> Report:
        """Settle everything the outbox still holds, and return how those actions stand. Raises as `submit` does."""
        waiting = self._outbox.actions(states=("waiting", "sent"))
        return await self._run([action.action_id for action in waiting], progress)

    async def _run(self, action_ids: list[str], progress: Progress | None) -> Report:
        say = progress or (lambda done, total, what: None)
        course = _Course()
        async with submission_lease(self._outbox, str(self._payer.pubkey()), wait_s=self._pace.lease_s):
            first = self._outbox.last_attempt()
            await self._broadcast.resolve(self._outbox.open_attempts())
            for portion in portions(self._outbox.actions(action_ids=action_ids, states=_WAITING)):
                await self._portion(portion, course, say)
                if course.later:
                    break
        return self._report(action_ids, first, course)

    async def _portion(self, portion: Sequence[Action], course: _Course, say: Progress) -> None:
        """Bring `portion` to its ends, stage by stage, as far as none has to wait."""
        ids = [action.action_id for action in portion]
        tables: Tables | None = None
        while not course.later and (waiting := self._outbox.actions(action_ids=ids, states=_WAITING)):
            if self._check_funds:
                await ensure_funded(self._rpc, self._payer.pubkey())
            stage = min(action.stage for action in waiting)
            now = self._together([action for action in waiting if action.stage == stage])
            refused = await self._profile.prepare(self._rpc, now)
            self._outbox.park_refused(refused)
            if tables is None:
                tables = await self._grown(waiting, say)
            left = [action for action in now if action.action_id not in refused]
            await self._stage(left, tables, course, say)

    def _together(self, actions: list[Action]) -> list[Action]:
        """Return those of `actions` that may be on their way at once: all, unless the profile wants them window by window."""
        ordered = getattr(self._profile, "window_by_window", ())
        if not any(action.kind in ordered for action in actions):
            return actions
        # Transactions that are sent at once land in any order.
        first = min(action.window_start for action in actions)
        return [action for action in actions if action.window_start == first]

    async def _grown(self, waiting: Sequence[Action], say: Progress) -> Tables:
        composed = composed_of(in_order(waiting), self._profile) if self._tables.mode != "never" else []
        return await self._tables.grown(composed, lambda done, total: say(done, total, "lookup tables"))

    async def _stage(self, actions: Sequence[Action], tables: Tables, course: _Course, say: Progress) -> None:
        """Bring actions of one stage to their ends, but for those that have to wait."""
        payer = self._payer.pubkey()
        packed = pack(in_order(actions), self._profile, payer, tables, price=self._rehearsal.most)
        self._outbox.park_refused(packed.refused)
        queue = packed.drafts
        locked = Counter(key for draft in queue for key in draft.writable(payer))
        price = await self._rehearsal.unit_price([key for key, _ in locked.most_common()])
        while queue:
            now, queue = queue[: self._in_flight], queue[self._in_flight :]
            failures = await self._send(now, price, course)
            for draft, failure in failures:
                parts = self._judge(draft, failure, course)
                course.retries += bool(parts)
                for part in parts:
                    found = pack(part, self._profile, payer, tables, price=self._rehearsal.most)
                    self._outbox.park_refused(found.refused)
                    queue += found.drafts
            failed = {action.action_id for draft, _ in failures for action in draft.actions}
            sent = [action for draft in now for action in draft.actions if action.action_id not in failed]
            unseen = {a.action_id for a in self._outbox.actions(action_ids=[a.action_id for a in sent], states=_WAITING)}
            again = [action for action in sent if action.action_id in unseen]
            if again:
                # Expired, or not to be judged now: a moment may change that.
                await asyncio.sleep(self._pace.poll_s)
                queue += pack(again, self._profile, payer, tables, price=self._rehearsal.most).drafts
            done = len(actions) - sum(len(draft.actions) for draft in queue)
            say(done, len(actions), "+".join(dict.fromkeys(action.kind for action in actions)))

    async def _send(self, drafts: Sequence[Draft], price: int, course: _Course) -> list[tuple[Draft, Failure]]:
        """Rehearse, sign, store and send `drafts`; return those that were refused, and how. Others landed or expired."""
        limits = await all_of(self._rehearsal.limit(draft, price) for draft in drafts)
        failures = [(draft, found) for draft, found in zip(drafts, limits, strict=True) if isinstance(found, Failure)]
        good = [(draft, found) for draft, found in zip(drafts, limits, strict=True) if not isinstance(found, Failure)]
        if not good:
            return failures
        for action in (action for draft, _ in good for action in draft.actions):
            course.signed[action.action_id] += 1
            if course.signed[action.action_id] > self._signatures_per_action:
                raise SubmissionStalled(
                    f"{action.kind} {action.natural_key}: {self._signatures_per_action} signatures led to no end"
                )
        # Fetched after the simulations, and at the commitment of the preflight, so that it lives as long as it can.
        latest = (await self._rpc.call("get_latest_blockhash", self._commitment)).value
        signed = []
        for draft, limit in good:
            transaction = draft.signed(self._payer, limit, price, latest.blockhash)
            signed.append(
                Signed(
                    draft.actions,
                    signature=str(transaction.signatures[0]),
                    payer=str(self._payer.pubkey()),
                    raw_tx=bytes(transaction),
                    last_valid_block_height=latest.last_valid_block_height,
                )
            )
        attempts = self._outbox.record_attempts(signed)
        drafts_of = {attempt.id: draft for attempt, (draft, _) in zip(attempts, good, strict=True)}
        refused = await self._broadcast.send(attempts)
        refused |= await self._broadcast.resolve([attempt for attempt in attempts if attempt.id not in refused])
        return failures + [(drafts_of[attempt_id], failure) for attempt_id, failure in refused.items()]

    def _judge(self, draft: Draft, failure: Failure, course: _Course) -> list[list[Action]]:
        """Record what `failure` proves; return the parts of `draft` that are to be sent again."""
        blamed = draft.actions
        # Where compute runs out says nothing about the instruction that happened to be running.
        if not failure.exhausted and failure.index is not None and failure.index < len(draft.composed):
            blamed = draft.composed[failure.index].actions or draft.actions
        if len(blamed) > 1:
            middle = len(draft.actions) // 2
            return [list(draft.actions[:middle]), list(draft.actions[middle:])]
        (action,) = blamed
        if failure.exhausted and failure.limited:
            # Others came between rehearsal and landing; the next rehearsal finds what it takes now.
            return [list(draft.actions)]
        others = [one for one in draft.actions if one is not action]
        verdict = self._profile.judge(action, failure.code, failure.error)
        if verdict == "done":
            self._outbox.finish([action.action_id])
        elif verdict == "refused":
            explain = getattr(self._profile, "explain", None)
            reason = explain(action, failure.code, failure.error) if explain else failure.error
            self._outbox.refuse({action.action_id: Refusal(failure.code, reason)}, failure.signature)
        else:
            course.later.add(action.action_id)
        return [others] if others else []

    def _report(self, action_ids: list[str], first: int, course: _Course) -> Report:
        outcomes = self._outbox.outcomes(action_ids=action_ids)
        batches = {outcome.action.batch_id for outcome in outcomes if outcome.action.action_id in course.signed}
        attempts = [attempt for attempt in self._outbox.attempts(batch_ids=batches) if attempt.id > first]
        landed = [attempt for attempt in attempts if attempt.state in ("confirmed", "failed") and attempt.slot is not None]
        states = Counter(outcome.state for outcome in outcomes)
        counts = Counts(
            transactions=len(landed),
            fee_lamports=sum(attempt.fee_lamports or 0 for attempt in landed),
            compute_units=sum(attempt.compute_units or 0 for attempt in landed),
            max_bytes=max((len(attempt.raw_tx) for attempt in landed), default=0),
            signed_again=sum(attempt.state == "expired" for attempt in attempts),
            retries=course.retries,
            refused=states["refused"],
            parked=states["parked"],
        )
        return Report(outcomes, counts)


def submit_actions(
    actions: Sequence[Action],
    *,
    rpc_urls: Sequence[str],
    outbox: Outbox,
    payer: Keypair,
    profile: SettlementProfile,
    commitment: str = "confirmed",
    price: Price = FREE,
    pace: Pace = STEADY,
    lookup_tables: Mode = "auto",
    check_funds: bool = True,
    progress: Progress | None = None,
) -> Report:
    """Submit `actions`; for callers outside an event loop.

    Returns and raises as `Sender.submit` does.
    """

    async def run() -> Report:
        async with RpcPool(rpc_urls) as rpc:
            sender = Sender(
                rpc,
                outbox,
                payer,
                profile,
                commitment=commitment,
                price=price,
                pace=pace,
                lookup_tables=lookup_tables,
                check_funds=check_funds,
            )
            return await sender.submit(actions, progress)

    return asyncio.run(run())

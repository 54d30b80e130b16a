"""Actions of one batch and stage into as few transactions as they need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from ..actions import Action, ActionsRefused, Composed, Refusal
from .message import MAX_LOCKS, PACKET_BYTES, Draft, Tables

if TYPE_CHECKING:
    from ..profiles import SettlementProfile

_FIRST_GUESS = 8


@dataclass(frozen=True)
class Packed:
    """Drafts of transactions, and the actions that fit in none or are no instructions at all."""

    drafts: list[Draft]
    refused: dict[str, Refusal]


def pack(actions: Sequence[Action], profile: SettlementProfile, payer: Pubkey, tables: Tables, *, price: int = 0) -> Packed:
    """Pack `actions`, in the order given; a transaction holds actions of one batch with the same signers.

    How many fit is searched from how many fitted before, so that each transaction is compiled a few times only.
    """
    drafts: list[Draft] = []
    refused: dict[str, Refusal] = {}
    for signers, group in _groups(actions, profile):
        packer = _Packer(profile, payer, tables, price, signers)
        left = packer.composable(group, refused)
        guess, at = _FIRST_GUESS, 0
        while at < len(left):
            count, draft = packer.most(left[at:], guess)
            if draft is None:
                reason = f"alone it needs more than {PACKET_BYTES} bytes or {MAX_LOCKS} accounts"
                refused[left[at].action_id] = Refusal(None, reason)
                at += 1
                continue
            drafts.append(draft)
            guess, at = count, at + count
    return Packed(drafts, refused)


def composed_of(actions: Sequence[Action], profile: SettlementProfile) -> list[Composed]:
    """Return the instructions of `actions`, of each batch and kind together; those that are none are left out."""
    groups: dict[tuple[str, str], list[Action]] = {}
    for action in actions:
        groups.setdefault((action.batch_id, action.kind), []).append(action)
    composed: list[Composed] = []
    for group in groups.values():
        left = group
        while left:
            try:
                composed += profile.compose(left)
                break
            except ActionsRefused as found:
                left = [action for action in left if action.action_id not in found.refusals]
    return composed


def _groups(actions: Sequence[Action], profile: SettlementProfile) -> Iterator[tuple[tuple[Keypair, ...], list[Action]]]:
    """Actions that may share a transaction, kinds with the same signers after each other."""
    # By kind, since solders derives a public key anew each time it is asked for one.
    signers_of = {kind: tuple(profile.signers(kind)) for kind in {action.kind for action in actions}}
    keys_of = {kind: tuple(signer.pubkey() for signer in signers) for kind, signers in signers_of.items()}
    for _, of_batch in groupby(actions, key=lambda action: action.batch_id):
        by_signers: dict[tuple[Pubkey, ...], tuple[tuple[Keypair, ...], list[Action]]] = {}
        for action in of_batch:
            by_signers.setdefault(keys_of[action.kind], (signers_of[action.kind], []))[1].append(action)
        yield from by_signers.values()


class _Packer:
    def __init__(
        self, profile: SettlementProfile, payer: Pubkey, tables: Tables, price: int, signers: tuple[Keypair, ...]
    ) -> None:
        self._profile, self._payer, self._tables, self._price, self._signers = profile, payer, tables, price, signers

    def composable(self, actions: list[Action], refused: dict[str, Refusal]) -> list[Action]:
        """Return the actions that are instructions; the others go to `refused`."""
        try:
            self._compose(actions)
        except ActionsRefused as found:
            refused |= found.refusals
            left = [action for action in actions if action.action_id not in found.refusals]
            # One kind's refusals hide another's.
            return self.composable(left, refused) if left else []
        return actions

    def most(self, actions: Sequence[Action], guess: int) -> tuple[int, Draft | None]:
        """Return how many of the first `actions` fit, and their draft; `None` where not even the first does.

        Neighbours are alike, so the search begins at `guess` and steps away from it, one, two, four.
        """
        low, fitting, high, step = 0, None, len(actions) + 1, 1  # `low` fit, `high` do not
        count = min(max(guess, 1), len(actions))
        while low + 1 < high:
            draft = self._draft(actions[:count])
            if draft.fits(self._payer, self._price):
                low, fitting = count, draft
            else:
                high = count
            if high > len(actions):
                count, step = min(low + step, len(actions)), 2 * step
            elif low == 0:
                count, step = max(high - step, 1), 2 * step
            else:
                count = (low + high) // 2
        return low, fitting

    def _draft(self, actions: Sequence[Action]) -> Draft:
        composed = self._compose(actions)
        metas = {meta.pubkey for one in composed for meta in one.instruction.accounts if not meta.is_signer}
        programs = {one.instruction.program_id for one in composed}
        tables = self._tables.for_accounts(metas - programs - {self._payer})
        return Draft(tuple(actions), tuple(composed), tuple(tables), self._signers)

    def _compose(self, actions: Sequence[Action]) -> list[Composed]:
        composed: list[Composed] = []
        for _, of_kind in groupby(actions, key=lambda action: action.kind):
            composed += self._profile.compose(list(of_kind))
        return composed

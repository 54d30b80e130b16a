"""What actions become on chain. A profile maps them to instructions of one family of programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from solders.keypair import Keypair

from ..actions import Action, Composed, Refusal, Verdict
from ..client import RpcPool
from .memo import MemoProfile, memo_of

__all__ = ["MemoProfile", "SettlementProfile", "memo_of"]


class SettlementProfile(Protocol):
    """Maps actions to instructions, sees that the chain is ready for them, and reads what the chain answers.

    It may also have `explain(action, code, error) -> str`, a refusal in words, and `window_by_window`, the kinds of which an
    interval is sent only when those before it have come to their ends.
    """

    @property
    def name(self) -> str:
        """Name in the configuration."""

    async def prepare(self, rpc: RpcPool, actions: Sequence[Action]) -> Mapping[str, Refusal]:
        """See that what `actions` need exists on chain (meters, accounts, approvals); return what would be refused, by action id.

        Called before a stage's actions are packed, under the submitter's lease. Doing it again changes nothing.
        """

    def compose(self, actions: Sequence[Action]) -> list[Composed]:
        """Return the instructions of `actions`, which are of one batch and kind, without compute budget.

        Equal arguments give equal instructions. Raises `ActionsRefused` for actions that do not fit an instruction.
        """

    def signers(self, kind: str) -> Sequence[Keypair]:
        """Return who signs instructions of `kind` besides the fee payer; the fee payer may be among them."""

    def judge(self, action: Action, code: int | None, error: str) -> Verdict:
        """Say what the chain's refusal of `action` means: `done` where it is there already, else `refused` or `again`.

        `code` is the program's custom code, or null; `error` the transaction error as text.
        """

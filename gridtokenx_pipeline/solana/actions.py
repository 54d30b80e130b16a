"""What is to happen on chain: actions, and how the chain or a profile answers to them."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

from solders.instruction import Instruction

from gridtokenx_pipeline.domain.settlement.kinds import EXECUTE_TRADE, SETTLE_POSITION, stage_of

Verdict = Literal["done", "refused", "again"]


@dataclass(frozen=True)
class Action:
    """One thing that the chain has to do once; a row of `contracts.settlement.ACTIONS` before it is submitted.

    `window_start` is aware UTC, `arguments` canonical JSON.
    """

    action_id: str
    batch_id: str
    zone: str
    window_start: dt.datetime
    kind: str
    natural_key: str
    arguments: str

    @property
    def stage(self) -> int:
        """Actions of a lower stage land first."""
        return stage_of(self.kind, self.values if self.kind == SETTLE_POSITION else None)

    @cached_property
    def values(self) -> dict[str, Any]:
        """The arguments, decoded."""
        found: dict[str, Any] = json.loads(self.arguments)
        return found

    @property
    def payload_sha256(self) -> str:
        """Digest that tells a repeated action from a conflicting one."""
        window = self.window_start.astimezone(dt.UTC).isoformat()
        told = [self.batch_id, self.zone, window, self.kind, self.natural_key, self.arguments]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


class Composed(NamedTuple):
    """An instruction, and the actions it carries: none of them for what only goes along, several for a batched instruction."""

    instruction: Instruction
    actions: tuple[Action, ...]


class Refusal(NamedTuple):
    """Why an action is not, or would not be, taken. `code` is the program's own, where there is one."""

    code: int | None
    reason: str


class ActionsRefused(Exception):
    """Some actions cannot be made into instructions: `refusals` by action id."""

    def __init__(self, refusals: dict[str, Refusal]):
        super().__init__("; ".join(f"{action}: {refusal.reason}" for action, refusal in refusals.items()))
        self.refusals = refusals


def in_order(actions: Sequence[Action]) -> list[Action]:
    """Return `actions` in the order in which they are sent: by stage, then window, batch, kind and natural key.

    Trades of one seller come after each other: they share accounts, and so transactions hold more of them.
    """
    return sorted(actions, key=_order)


def _order(action: Action) -> tuple[int, dt.datetime, str, str, str, str, str]:
    seller = action.values.get("seller_meter_id", "") if action.kind == EXECUTE_TRADE else ""
    return action.stage, action.window_start, action.zone, action.batch_id, action.kind, seller, action.natural_key

"""What goes into the outbox and comes out of it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from ..actions import Action
from .tables import ActionState, AttemptState


class OutboxConflict(Exception):
    """An action came again with another payload, got a second live attempt, or an ended attempt changed its mind."""


@dataclass(frozen=True)
class Outcome:
    """How an action stands; `signature` is of the transaction that carried it last, where one did."""

    action: Action
    state: ActionState
    signature: str | None
    error_code: int | None
    error: str | None
    updated_at: dt.datetime


@dataclass(frozen=True)
class Signed:
    """A signed transaction that is about to be sent, and the actions of one batch that it carries."""

    actions: tuple[Action, ...]
    signature: str
    payer: str
    raw_tx: bytes
    last_valid_block_height: int


@dataclass(frozen=True)
class Attempt:
    """One signed transaction; `kind` are the kinds of its actions joined by +, `actions` how many there are."""

    id: int
    batch_id: str
    kind: str
    actions: int
    signature: str
    payer: str
    raw_tx: bytes
    last_valid_block_height: int
    state: AttemptState
    slot: int | None
    fee_lamports: int | None
    compute_units: int | None
    error: str | None
    created_at: dt.datetime


@dataclass(frozen=True)
class Landed:
    """A transaction that landed: what it cost, and where it failed, the chain's error."""

    attempt_id: int
    slot: int
    fee_lamports: int | None
    compute_units: int | None
    error: str | None = None

"""Actions as the warehouse knows them, ready to be compared."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import NamedTuple

import polars as pl

from ..actions import Action

DONE = "done"


class Known(NamedTuple):
    """An action, its state (`contracts.settlement.ACTIONS`), and the transaction that carried it, where one is known."""

    action: Action
    state: str
    signature: str | None

    @property
    def done(self) -> bool:
        """Whether the warehouse has it as done."""
        return self.state == DONE

    @property
    def duration_s(self) -> int:
        """Length of the market interval."""
        return int(self.action.values["duration_s"])

    @property
    def window(self) -> int:
        """Number of its market interval on chain."""
        return window_number(self.action.window_start, self.duration_s)


def known_actions(rows: pl.DataFrame) -> list[Known]:
    """Return the actions of `rows` (a frame of `contracts.settlement.ACTIONS`)."""
    names = ("action_id", "batch_id", "zone", "window_start", "kind", "natural_key", "arguments", "state", "signature")
    return [
        Known(Action(id_, batch, zone, start.astimezone(dt.UTC), kind, key, arguments), state, signature)
        for id_, batch, zone, start, kind, key, arguments, state, signature in rows.select(names).iter_rows()
    ]


def of_kinds(actions: Iterable[Known], *kinds: str) -> list[Known]:
    """Return those of `actions` that are of `kinds`."""
    return [one for one in actions if one.action.kind in kinds]


def window_number(start: dt.datetime, duration_s: int) -> int:
    """Return the number of the market interval that begins at `start`: intervals since 1970."""
    return int(start.timestamp()) // duration_s


def named_window(text: str, duration_s: int) -> int:
    """Return the number of the market interval that begins at `text` (ISO 8601)."""
    return window_number(dt.datetime.fromisoformat(text), duration_s)

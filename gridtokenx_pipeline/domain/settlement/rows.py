"""Actions as rows of their table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import polars as pl

from gridtokenx_pipeline.contracts import settlement as tables

from ..frames import frame_of_rows
from ..id_columns import derived_id_column, json_texts
from .kinds import stage_of
from .plan import canonical_json

WAITING = "waiting"
WINDOW = ["zone", "window_start"]
PLACE = ["batch_id", *WINDOW]


class Asked(NamedTuple):
    """One action: who asks for it (batch_id, zone and window_start), its natural key and its arguments."""

    place: tuple[Any, ...]
    natural_key: str
    arguments: dict[str, Any]


def action_rows(kind: str, asked: Iterable[Asked]) -> pl.DataFrame:
    """Return rows of `contracts.settlement.ACTIONS`, all of one kind and waiting."""
    listed = list(asked)
    keys = pl.Series("key", [f"[{k},{n}]" for k, n in zip(*_encoded(kind, listed), strict=True)], dtype=pl.String)
    ids = derived_id_column("settlement_action", keys).to_list()
    return frame_of_rows(
        [
            (
                action_id,
                *one.place,
                stage_of(kind, one.arguments),
                kind,
                one.natural_key,
                canonical_json(one.arguments),
                WAITING,
                None,
                None,
                None,
            )
            for action_id, one in zip(ids, listed, strict=True)
        ],
        tables.ACTIONS.frame_schema(),
    )


def in_order(parts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Return rows of ACTIONS in the order in which they are sent."""
    rows = pl.concat([tables.ACTIONS.empty(), *parts])
    return tables.ACTIONS.conform(rows.sort("stage", "window_start", "zone", "batch_id", "kind", "natural_key"))


def _encoded(kind: str, listed: list[Asked]) -> tuple[list[str], list[str]]:
    return json_texts([kind]) * len(listed), json_texts(one.natural_key for one in listed)

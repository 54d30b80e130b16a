"""Actions as rows of their table."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import polars as pl

from gridtokenx_pipeline.contracts import settlement as tables

from ..frames import frame_of_rows
from ..id_columns import derived_id_column
from .kinds import stage_of
from .plan import canonical_json

WAITING = "waiting"
WINDOW = ["zone", "window_start"]
PLACE = ["batch_id", *WINDOW]
Newest = Mapping[str, dt.datetime]

# One call for all texts: a line feed separates them, which is escaped inside of one.
_encode_lines = json.JSONEncoder(separators=("\n", ":")).encode


class Asked(NamedTuple):
    """One action: who asks for it (batch_id, zone and window_start), its natural key and its arguments."""

    place: tuple[Any, ...]
    natural_key: str
    arguments: dict[str, Any]


def action_rows(kind: str, asked: Iterable[Asked]) -> pl.DataFrame:
    """Return rows of `contracts.settlement.ACTIONS`, all of one kind and waiting."""
    listed = list(asked)
    names = _encode_lines([one.natural_key for one in listed])[1:-1].split("\n") if listed else []
    keys = pl.Series("key", [f'["{kind}",{name}]' for name in names], dtype=pl.String)
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


def told_window(row: Mapping[str, Any], start: str, newest: Newest | None) -> dt.datetime:
    """Return the interval that an act of a meter is told under: its own (`start`), and a correction's the meter's newest.

    The chain remembers some 100 acts of a meter and refuses what is older than these.
    """
    own: dt.datetime = row[start]
    return max(own, (newest or {}).get(row["meter_id"], own)) if row["version"] > 1 else own


def in_order(parts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Return rows of ACTIONS in the order in which they are sent."""
    rows = pl.concat([tables.ACTIONS.empty(), *parts])
    return tables.ACTIONS.conform(rows.sort("stage", "window_start", "zone", "batch_id", "kind", "natural_key"))

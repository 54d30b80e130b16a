"""The logical actions of settlement, in the order in which they must land."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SUBMIT_ENERGY_READING = "submit_energy_reading"
RECORD_BATCH = "record_batch"
MINT_GRID = "mint_grid"
EXECUTE_TRADE = "execute_trade"
SETTLE_POSITION = "settle_position"
MINT_REC = "mint_rec"
RETIRE_REC = "retire_rec"
MEMO = "memo"

KINDS = (SUBMIT_ENERGY_READING, RECORD_BATCH, MINT_GRID, EXECUTE_TRADE, SETTLE_POSITION, MINT_REC, RETIRE_REC, MEMO)
# Tokens are minted for readings that counted, move once they are minted, and are retired last. The root may land with the
# readings, and certificates beside the trades: neither needs the other.
_STAGES = {
    SUBMIT_ENERGY_READING: 1,
    RECORD_BATCH: 1,
    MEMO: 1,
    MINT_GRID: 2,
    MINT_REC: 2,
    EXECUTE_TRADE: 3,
    SETTLE_POSITION: 3,
    RETIRE_REC: 3,
}
_TAKING = 4


def stage_of(kind: str, arguments: Mapping[str, Any] | None = None) -> int:
    """Return the stage of an action of `kind` with `arguments`: actions of a lower stage land first.

    Arguments matter to `settle_position` alone: who takes energy comes after all who deliver it, since nobody stocks any.
    Raises `ValueError` for no kind of action.
    """
    if kind not in _STAGES:
        raise ValueError(f"{kind!r} is no kind of action; there are {', '.join(KINDS)}")
    takes = kind == SETTLE_POSITION and arguments is not None and (arguments["energy_wh"], arguments["amount_micro"]) > (0, 0)
    return _TAKING if takes else _STAGES[kind]

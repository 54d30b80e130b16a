"""The watermark of a stage: where a run reads it, and how it moves it on."""

from __future__ import annotations

import datetime as dt

from gridtokenx_pipeline.contracts import ops
from gridtokenx_pipeline.domain import landing
from gridtokenx_pipeline.warehouse import Replace, Warehouse

LANDING, READINGS = "landing", "readings"


def complete_until(warehouse: Warehouse, zone: str, stage: str) -> dt.datetime | None:
    """Return the moment before which everything acknowledged went through `stage`, or null where nothing is known."""
    rows = warehouse.read(ops.WATERMARKS, "zone = ? AND stage = ?", (zone, stage))
    return rows["complete_until"][0] if len(rows) else None


def advance(zone: str, stage: str, before: dt.datetime | None, reached: dt.datetime, *, gap: bool) -> Replace:
    """Return the change that records how far `stage` has come; see `domain.landing.watermark`."""
    frame = landing.watermark(zone, stage, before, reached, gap=gap)
    return Replace(ops.WATERMARKS, frame, where=f"zone = '{zone}' AND stage = '{stage}'")

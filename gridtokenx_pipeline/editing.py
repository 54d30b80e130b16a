"""Manual corrections: what counts now, and the rows of core.edits that change it."""

from __future__ import annotations

import datetime as dt

import polars as pl

from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.domain.effective import effective
from gridtokenx_pipeline.warehouse import Warehouse


def counting(warehouse: Warehouse, meter_id: str, channel: str, start: dt.datetime, end: dt.datetime) -> pl.DataFrame:
    """Return what counts now of a meter's channel in [start, end), with the columns `domain.effective.EFFECTIVE`, by interval.

    It follows from the stored readings, findings, estimates and edits. Raises `WarehouseMissing` where there is no warehouse yet.
    """
    where = "meter_id = ? AND interval_start >= ? AND interval_start < ? AND channel IN (?, 'all')"
    readings, edits, exceptions, estimates = (
        # What is found about an interval may begin before it, in the same hour.
        warehouse.read(table, where, (meter_id, start.replace(minute=0, second=0, microsecond=0), end, channel))
        for table in (core.READINGS, core.EDITS, core.VEE_EXCEPTIONS, core.ESTIMATES)
    )
    rows = effective(readings, edits, exceptions, estimates)
    return rows.filter(pl.col("interval_start") >= start).sort("interval_start", "duration_s")

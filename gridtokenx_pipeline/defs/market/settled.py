"""What of the market's rows is final, and what was settled of energy that has changed since."""

from __future__ import annotations

import datetime as dt

import polars as pl

from gridtokenx_pipeline.contracts import core, settlement
from gridtokenx_pipeline.domain.settlement import ENERGY_READING, settled_readings

from ..resources import Stores

SETTLED = "settled"
INTERVAL = ["zone", "interval_start"]
VERSION = [*INTERVAL, "version"]


def settled_versions(intervals: pl.DataFrame) -> pl.DataFrame:
    """Return zone, interval_start and version of the settled rows of `intervals` (market.INTERVALS)."""
    return intervals.filter(pl.col("state") == SETTLED).select(VERSION)


def finished(intervals: pl.DataFrame) -> pl.DataFrame:
    """Return zone and interval_start of the intervals whose versions are all settled."""
    return intervals.group_by(INTERVAL).agg(done=(pl.col("state") == SETTLED).all()).filter("done").select(INTERVAL)


def restated_energy(stores: Stores, start: dt.datetime, end: dt.datetime) -> pl.DataFrame | None:
    """Return what was settled last of energy that core.energy_revisions has a later state of; None where there is none.

    Zone, interval_start, meter_id and generation, load, charge and discharge in whole Wh. The net of a meter hides it when two of
    them change by as much.
    """
    revised = stores.warehouse.read(core.REVISIONS, "revision > 1 AND interval_start >= ? AND interval_start < ?", (start, end))
    if revised.is_empty():
        return None
    items = stores.warehouse.read(
        settlement.ITEMS,
        "kind = ? AND window_start >= ? AND window_start < ? AND list_contains(?, natural_key)",
        (ENERGY_READING, start, end, revised["meter_id"].unique().to_list()),
    )
    return settled_readings(items).join(
        revised.select("interval_start", "meter_id").unique(), on=["interval_start", "meter_id"], how="semi"
    )

"""Invariants of an interval's versions: the first settles it, each later one is a difference that trades nothing."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from ..market.corrections import CORRECTION
from .violations import violations

_INTERVAL = ["zone", "interval_start"]
_TERMS = (
    "duration_s",
    "price_micro_per_kwh",
    "feed_in_micro_per_kwh",
    "retail_micro_per_kwh",
    "mechanism",
    "currency",
    "tariff",
)
_NOTHING = ("traded_wh", "capped_wh", "meters_grid_only", "loss_wh", "wheeling_micro")


def version_violations(intervals: pl.DataFrame, trades: pl.DataFrame, grid: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield what is wrong with the versions in frames of `contracts.market`.

    `version_order`: versions count from 1 without a gap, and all but the last are settled. `correction`: a version after the
    first has the terms of the first, no trades, and grid settlements of reason `correction` that trade nothing.
    """
    by_interval = intervals.group_by(_INTERVAL).agg(
        first=pl.col("version").min(),
        last=pl.col("version").max(),
        rows=pl.len(),
        unsettled=((pl.col("state") != "settled") & (pl.col("version") < pl.col("version").max())).sum(),
    )
    broken = by_interval.filter((pl.col("first") != 1) | (pl.col("last") != pl.col("rows")) | (pl.col("unsettled") > 0))
    columns = ("rows", "first", "last", "unsettled")
    yield violations("version_order", broken, "{} versions from {} to {}, {} of them not settled before the next", *columns)

    later = intervals.filter(pl.col("version") > 1)
    if not later.is_empty():
        first = intervals.filter(pl.col("version") == 1).select(*_INTERVAL, pl.struct(_TERMS).alias("terms"))
        both = later.with_columns(own=pl.struct(_TERMS)).join(first, on=_INTERVAL)
        broken = both.filter(pl.col("own") != pl.col("terms"))
        yield violations("correction", broken, "version {} has other terms than the first", "version")
        broken = later.filter(pl.any_horizontal(pl.col(name) != 0 for name in _NOTHING))
        yield violations("correction", broken, "version {} trades {} Wh", "version", "traded_wh")
    broken = trades.filter(pl.col("version") > 1)
    yield violations("correction", broken, "trade {} in version {}", "trade_id", "version")
    broken = grid.filter((pl.col("version") > 1) != (pl.col("reason") == CORRECTION))
    yield violations("correction", broken, "{} settles for reason {} in version {}", "meter_id", "reason", "version")

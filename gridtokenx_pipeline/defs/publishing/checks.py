"""What is settled is what the meters can read."""

import datetime as dt
from dataclasses import dataclass

import dagster as dg
import polars as pl

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.contracts import market
from gridtokenx_pipeline.publishing import prices

from ..checks import SHOWN, hourly_check
from ..resources import Stores
from .assets import PUBLISHED_MARKET


@dataclass(frozen=True)
class Missing:
    """Addresses where something is missing or other than settled, of so many intervals and trades."""

    prices: list[str]
    trades: list[str]
    of_intervals: int
    of_trades: int


def missing(stores: Stores, start: dt.datetime, end: dt.datetime) -> Missing:
    """Look for every price, and for every trade at each device of its parties, as far back as they are kept."""
    from .window import audience_of, horizon, settled_rows

    warehouse, store, zone = stores.warehouse, stores.resources, stores.settings.zone
    intervals = settled_rows(warehouse, market.INTERVALS, zone, start, end)
    since = horizon(store, stores.settings, intervals)
    intervals = intervals.filter(pl.col("interval_start") >= since) if since is not None else intervals.clear()
    if intervals.is_empty():
        return Missing([], [], 0, 0)
    expected = prices.interval_prices(intervals)
    trades = settled_rows(warehouse, market.TRADES, zone, start, end).join(
        intervals, on=["zone", "interval_start", "version"], how="semi"
    )
    sides = prices.trades(trades, intervals, audience_of(stores, clock.now()))
    return Missing(
        [publication.path for publication in store.changed(expected)],
        [publication.path for publication in store.changed(sides)],
        len(expected),
        len(trades),
    )


@hourly_check(
    PUBLISHED_MARKET,
    also=[market.INTERVALS, market.TRADES],
    description="Every settled interval has its price published, and both parties of every trade find it. Warns otherwise.",
)
def market_is_published(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Compare what is settled with what is published."""
    found = missing(stores, start, end)
    return dg.AssetCheckResult(
        passed=not found.prices and not found.trades,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "intervals": found.of_intervals,
            "trades": found.of_trades,
            "prices_missing": len(found.prices),
            "trades_missing": len(found.trades),
            "missing": dg.MetadataValue.json([*found.prices, *found.trades][:SHOWN]),
        },
    )

"""The market's invariants, blocking before anything is certified or settled."""

import datetime as dt

import dagster as dg
import polars as pl

from gridtokenx_pipeline.contracts import core, market
from gridtokenx_pipeline.domain.invariants import market_violations
from gridtokenx_pipeline.domain.market import positions

from ..checks import from_violations, hourly_check
from ..energy.participants import participants_energy
from ..quality import gx_check
from ..resources import Stores
from .assets import SETTLED


@hourly_check(
    market.TRADES,
    also=[market.INTERVALS, market.GRID_SETTLEMENTS],
    blocking=True,
    description="Every metered Wh is settled once; Wh and money of the trades sum to zero; prices lie between the tariffs.",
)
def market_balances(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Check the invariants on the window; intervals that are not settled yet are also compared with the energy they came from."""
    frames = [
        stores.warehouse.read_window(table, start, end) for table in (market.INTERVALS, market.TRADES, market.GRID_SETTLEMENTS)
    ]
    intervals, trades, grid = frames
    settled = intervals.filter(pl.col("state") == SETTLED).select("zone", "interval_start").unique()
    energy = participants_energy(stores, start, end)
    changeable = [frame.join(settled, on=settled.columns, how="anti") for frame in (*frames, energy)]
    rules = stores.settings.market
    violations = pl.concat(
        [
            market_violations(
                *(frame.join(settled, on=settled.columns, how="semi") for frame in frames), max_partners=rules.max_partners
            ),
            market_violations(
                *changeable[:3], max_partners=rules.max_partners, positions=positions(changeable[3], rules.completeness_min_pct)
            ),
        ]
    )
    return from_violations(violations, intervals=len(intervals), trades=len(trades), grid_settlements=len(grid))


@hourly_check(
    market.INTERVALS,
    also=[core.ENERGY_5MIN],
    description="Settled intervals still equal today's energy. Warns where late or corrected data awaits a correction.",
)
def settled_energy_unchanged(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Compare the net energy of settled intervals with the energy table as it is now."""
    intervals = stores.warehouse.read_window(market.INTERVALS, start, end)
    settled = intervals.filter(pl.col("state") == SETTLED).select("zone", "interval_start")
    grid = stores.warehouse.read_window(market.GRID_SETTLEMENTS, start, end)
    energy = participants_energy(stores, start, end)
    now = positions(energy, stores.settings.market.completeness_min_pct).join(settled, on=["zone", "interval_start"], how="semi")
    both = now.select("meter_id", "interval_start", now_wh=pl.col("net_wh").fill_null(0)).join(
        grid.join(settled, on=["zone", "interval_start"], how="semi").select("meter_id", "interval_start", "net_wh"),
        on=["meter_id", "interval_start"],
        how="full",
        coalesce=True,
    )
    differing = both.filter(pl.col("now_wh").ne_missing(pl.col("net_wh")))
    return dg.AssetCheckResult(
        passed=differing.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "settled_intervals": len(settled),
            "positions_differing": len(differing),
            "intervals": sorted({str(moment) for moment in differing["interval_start"].head(20)}),
        },
    )


gx_intervals = gx_check(market.INTERVALS, blocking=True)
gx_trades = gx_check(market.TRADES, blocking=True)
gx_grid_settlements = gx_check(market.GRID_SETTLEMENTS, blocking=True)

SUITES = [gx_intervals, gx_trades, gx_grid_settlements]

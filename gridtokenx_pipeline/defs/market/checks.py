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
from .inputs import network
from .settled import INTERVAL, finished, settled_versions


@hourly_check(
    market.TRADES,
    also=[market.INTERVALS, market.GRID_SETTLEMENTS, market.CAMPUS_BALANCES],
    blocking=True,
    description="Every metered Wh is settled once, over all versions; Wh and money of the trades sum to zero but for losses; prices "
    "lie between the tariffs and nobody pays more than the grid asks; the campus's account adds up.",
)
def market_balances(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Check the invariants on the window; intervals that are not settled yet are also compared with the energy they came from."""
    frames = [stores.warehouse.read_window(table, start, end) for table in market.SETTLEMENTS]
    done = finished(frames[0])
    energy = participants_energy(stores, start, end).join(done, on=INTERVAL, how="anti")
    rules = stores.settings.market
    final, changeable = ([frame.join(done, on=INTERVAL, how=how) for frame in frames] for how in ("semi", "anti"))  # type: ignore[arg-type]
    violations = pl.concat(
        [
            market_violations(*final[:3], max_partners=rules.max_partners, balances=final[3]),
            market_violations(
                *changeable[:3],
                max_partners=rules.max_partners,
                balances=changeable[3],
                positions=positions(energy, rules.completeness_min_pct),
                network=network(stores.settings),
            ),
        ]
    )
    intervals, trades, grid, _ = frames
    return from_violations(
        violations,
        intervals=intervals["interval_start"].n_unique(),
        corrections=int((intervals["version"] > 1).sum()),
        trades=len(trades),
        grid_settlements=len(grid),
    )


@hourly_check(
    market.INTERVALS,
    also=[core.ENERGY_5MIN],
    description="All versions of a settled interval sum to today's energy. Warns where they do not: the hour has not been cleared "
    "again since its energy changed, or what was settled is not known any more.",
)
def settled_energy_unchanged(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Compare the net energy of settled intervals with the energy table as it is now."""
    intervals = stores.warehouse.read_window(market.INTERVALS, start, end)
    places = settled_versions(intervals).select(INTERVAL).unique()
    grid = stores.warehouse.read_window(market.GRID_SETTLEMENTS, start, end)
    energy = participants_energy(stores, start, end)
    now = positions(energy, stores.settings.market.completeness_min_pct).join(places, on=INTERVAL, how="semi")
    key = ["meter_id", "interval_start"]
    both = now.select(*key, now_wh=pl.col("net_wh").fill_null(0)).join(
        grid.join(places, on=INTERVAL, how="semi").group_by(key).agg(pl.col("net_wh").sum()),
        on=key,
        how="full",
        coalesce=True,
    )
    differing = both.filter(pl.col("now_wh").ne_missing(pl.col("net_wh")))
    return dg.AssetCheckResult(
        passed=differing.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "settled_intervals": len(places),
            "corrections": int((intervals["version"] > 1).sum()),
            "positions_differing": len(differing),
            "intervals": sorted({str(moment) for moment in differing["interval_start"].head(20)}),
        },
    )


gx_intervals = gx_check(market.INTERVALS, blocking=True)
gx_trades = gx_check(market.TRADES, blocking=True)
gx_grid_settlements = gx_check(market.GRID_SETTLEMENTS, blocking=True)

gx_campus_balances = gx_check(market.CAMPUS_BALANCES, blocking=True)

SUITES = [gx_intervals, gx_trades, gx_grid_settlements, gx_campus_balances]

"""What was found and estimated: counted, bounded, and shown to whoever has to act."""

import datetime as dt

import dagster as dg
import polars as pl

from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.domain.findings import ERROR
from gridtokenx_pipeline.domain.invariants import estimate_violations

from ..checks import from_violations, hourly_check
from ..quality import gx_check
from ..resources import Stores
from .context import surroundings

SHOWN = 20


@hourly_check(
    core.ESTIMATES,
    also=[core.READINGS],
    blocking=True,
    description="Nothing is estimated that was measured, and what registers bound adds up to them, to the milli-watt-hour.",
)
def estimates_match_registers(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Compare the estimates of the window with the readings around them."""
    estimates = stores.warehouse.read_window(core.ESTIMATES, start, end)
    readings = surroundings(stores.warehouse, stores.settings, start, end) if len(estimates) else core.READINGS.empty()
    return from_violations(estimate_violations(estimates, readings), estimates=len(estimates))


@hourly_check(
    core.VEE_EXCEPTIONS,
    description="No finding that somebody has to act on: overcounting, prolonged estimation, a feeder that does not balance.",
)
def no_serious_exceptions(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Name the findings of severity error; count all."""
    exceptions = stores.warehouse.read_window(core.VEE_EXCEPTIONS, start, end)
    serious = exceptions.filter(pl.col("severity") == ERROR)
    rows = [
        f"| {r['interval_start']:%Y-%m-%d %H:%M} | {r['meter_id']} | {r['channel']} | {r['code']} | {r['detail']} |"
        for r in serious.head(SHOWN).iter_rows(named=True)
    ]
    table = "\n".join(["| from | meter | channel | code | detail |", "|---|---|---|---|---|", *rows])
    by_code = dict(exceptions.group_by("code").len().sort("code").iter_rows())
    return dg.AssetCheckResult(
        passed=serious.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "exceptions": len(exceptions),
            "serious": len(serious),
            **{f"by_code/{code}": count for code, count in by_code.items()},
            **({"first": dg.MetadataValue.md(table)} if rows else {}),
        },
    )


@hourly_check(
    core.METER_HOURS,
    description="Every meter is as complete as vee.completeness_sla_pct asks, measured or estimated for settlement.",
)
def completeness_meets_sla(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Name the meters that are not, with their percentage."""
    wanted = stores.settings.vee.completeness_sla_pct
    meters = stores.warehouse.query(
        "SELECT meter_id, 100.0 * sum(readings_present) / sum(readings_expected) AS pct FROM core.meter_hours "
        "WHERE interval_start >= ? AND interval_start < ? GROUP BY meter_id HAVING sum(readings_expected) > 0 ORDER BY pct, meter_id",
        (start, end),
    )
    below = meters.filter(pl.col("pct") < wanted)
    return dg.AssetCheckResult(
        passed=below.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "meters": len(meters),
            "wanted_pct": wanted,
            "below": len(below),
            "lowest": {name: round(pct, 2) for name, pct in below.head(SHOWN).iter_rows()},
        },
    )


gx_vee_exceptions = gx_check(core.VEE_EXCEPTIONS, blocking=True)
gx_estimates = gx_check(core.ESTIMATES, blocking=True)
gx_meter_hours = gx_check(core.METER_HOURS)

SUITES = [gx_vee_exceptions, gx_estimates, gx_meter_hours]

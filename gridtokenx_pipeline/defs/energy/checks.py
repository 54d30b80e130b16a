"""Energy is the same at every level, and complete or counted."""

import datetime as dt
from typing import Any

import dagster as dg
import polars as pl

from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.domain import aggregate
from gridtokenx_pipeline.domain.invariants import day_violations, energy_violations, register_violations

from ..checks import from_violations, hourly_check
from ..quality import gx_check
from ..resources import Stores
from .derive import days_around


@hourly_check(
    core.ENERGY_5MIN,
    also=[core.ENERGY_15S, core.ENERGY_15MIN, core.ENERGY_1H, core.ENERGY_1D],
    blocking=True,
    description="15 s, 5 min, 15 min, hour and day energies are equal to the milli-watt-hour, for each meter and channel.",
)
def energy_levels_agree(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Compare the levels of the window, and the days that it touches with their hours."""
    levels = (core.ENERGY_15S, core.ENERGY_5MIN, core.ENERGY_15MIN, core.ENERGY_1H)
    frames = [stores.warehouse.read_window(table, start, end) for table in levels]
    days = days_around(start, end)
    hours, whole = (stores.warehouse.read_window(table, *days) for table in (core.ENERGY_1H, core.ENERGY_1D))
    violations = pl.concat([energy_violations(*frames), day_violations(hours, whole)])
    rows: dict[str, Any] = {
        f"rows_{table.name.removeprefix('energy_')}": len(frame) for table, frame in zip(levels, frames, strict=True)
    }
    return from_violations(violations, **rows, rows_1d=len(whole))


@hourly_check(
    core.ENERGY_5MIN,
    description="Every expected reading is there and in the sums. Warns where some are missing, or of a length that fits no level.",
)
def energy_is_complete(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Count expected, present and estimated readings; name the meters that lack some."""
    counts = stores.warehouse.query(
        "SELECT meter_id, sum(readings_expected)::BIGINT AS expected, sum(readings_present)::BIGINT AS present, "
        "sum(readings_estimated)::BIGINT AS estimated FROM core.energy_5min WHERE interval_start >= ? AND interval_start < ? "
        "GROUP BY meter_id ORDER BY meter_id",
        (start, end),
    )
    lengths = stores.warehouse.query(
        "SELECT duration_s, count(*) AS rows FROM core.readings WHERE interval_start >= ? AND interval_start < ? GROUP BY duration_s",
        (start, end),
    )
    left_out = int(aggregate.left_out(lengths)["rows"].sum() or 0)
    lacking = counts.filter(pl.col("present") < pl.col("expected"))
    return dg.AssetCheckResult(
        passed=lacking.is_empty() and not left_out,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            **{name: int(counts[name].sum() or 0) for name in ("expected", "present", "estimated")},
            "incomplete_meters": lacking["meter_id"].to_list()[:50],
            "readings_left_out": left_out,
        },
    )


@hourly_check(
    core.ENERGY_5MIN,
    description=(
        "The energy of every meter and channel in an hour is the difference of its registers. Warns where it is not: a rollover, "
        "another meter, an edit, or energy that nobody measured."
    ),
)
def energy_matches_registers(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Compare sums with the registers at both ends of every hour."""
    return from_violations(
        register_violations(stores.warehouse.read_window(core.ENERGY_5MIN, start, end)), dg.AssetCheckSeverity.WARN
    )


gx_energy_15s = gx_check(core.ENERGY_15S, blocking=True)
gx_energy_5min = gx_check(core.ENERGY_5MIN, blocking=True)
gx_energy_15min = gx_check(core.ENERGY_15MIN, blocking=True)
gx_energy_1h = gx_check(core.ENERGY_1H, blocking=True)
gx_energy_1d = gx_check(core.ENERGY_1D, blocking=True)
gx_energy_revisions = gx_check(core.REVISIONS)

SUITES = [gx_energy_15s, gx_energy_5min, gx_energy_15min, gx_energy_1h, gx_energy_1d, gx_energy_revisions]

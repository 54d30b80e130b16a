"""Energy is the same at every level, and complete or counted."""

import datetime as dt

import dagster as dg

from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.domain.invariants import energy_violations

from ..checks import from_suite, from_violations, hourly_check
from ..resources import Stores


@hourly_check(
    core.ENERGY_5MIN,
    also=[core.ENERGY_15S, core.ENERGY_15MIN],
    blocking=True,
    description="15 s, 5 min and 15 min energies are equal to the milli-watt-hour, for each meter and channel.",
)
def energy_levels_agree(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Compare the three tables of the window."""
    tables = (core.ENERGY_15S, core.ENERGY_5MIN, core.ENERGY_15MIN)
    frames = [stores.warehouse.read_window(table, start, end) for table in tables]
    return from_violations(
        energy_violations(*frames), rows_15s=len(frames[0]), rows_5min=len(frames[1]), rows_15min=len(frames[2])
    )


@hourly_check(
    core.ENERGY_5MIN,
    description="Every expected reading is there and in the sums. Warns where some are missing, or longer than 15 s and so left out.",
)
def energy_is_complete(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Count expected and present readings; name the meters that lack some."""
    lacking = stores.warehouse.query(
        "SELECT meter_id, sum(readings_expected) AS expected, sum(readings_present) AS present FROM core.energy_5min "
        "WHERE interval_start >= ? AND interval_start < ? GROUP BY meter_id",
        (start, end),
    )
    expected, present = int(lacking["expected"].sum() or 0), int(lacking["present"].sum() or 0)
    left_out = stores.warehouse.query(
        "SELECT count(*) FROM core.readings WHERE interval_start >= ? AND interval_start < ? AND 15 % duration_s <> 0",
        (start, end),
    ).item()
    meters = lacking.filter(lacking["present"] < lacking["expected"])["meter_id"].sort().to_list()
    return dg.AssetCheckResult(
        passed=not meters and not left_out,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"expected": expected, "present": present, "incomplete_meters": meters[:50], "readings_left_out": left_out},
    )


@hourly_check(
    core.ENERGY_5MIN,
    blocking=True,
    description="Great Expectations suite of core.energy_5min.",
)
def gx_energy_5min(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Run the suite on the window."""
    from gridtokenx_pipeline.quality import suites, tables

    return from_suite(suites.run(tables.ENERGY_5MIN, stores.warehouse.read_window(core.ENERGY_5MIN, start, end)))

"""Jobs. All but `marts` and `freshness` carry hours; a range of hours is one run."""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from .freshness import FRESHNESS
from .specs import STAGE

PRIORITY = "dagster/priority"
# Which of the queued runs goes next: the tick before what late data or a person asked for, backfills after everything.
TICK_PRIORITY, BACKFILL_PRIORITY = "10", "-10"


def stages(*names: str) -> dg.AssetSelection:
    """Return the assets of these stages, with their checks."""
    first, *others = (dg.AssetSelection.tag(STAGE, name) for name in names)
    for other in others:
        first = first | other
    return first


LANDED = stages("landing", "receipt")
DERIVED = stages("event", "energy")
SETTLED = DERIVED | stages("market", "certificates", "settlement", "publishing")


def build_jobs(suites: list[dg.AssetChecksDefinition], marts: dg.AssetsDefinition) -> list[UnresolvedAssetJobDefinition]:
    """Return the jobs.

    `suites` are the Great Expectations checks, whose import a five-minute tick does not pay for. Checks of freshness are of the
    moment and so in no job that is of hours.
    """
    now, slow = dg.AssetSelection.checks(*FRESHNESS), dg.AssetSelection.checks(*suites)
    line = (LANDED | SETTLED) - now
    return [
        dg.define_asset_job("line", line, description="Landing to chain for a range of hours, with every check."),
        dg.define_asset_job(
            "tick",
            line - slow,
            description="Landing to chain, every five minutes; suites wait for the hour's close.",
            tags={PRIORITY: TICK_PRIORITY},
        ),
        dg.define_asset_job(
            "intake", LANDED - now, description="Landing and readings of a range of receipt hours, with every check."
        ),
        dg.define_asset_job(
            "settle", SETTLED - now, description="Energy to chain for event hours, with every check: late data, demo, backfills."
        ),
        dg.define_asset_job(
            "energy",
            DERIVED - now - slow,
            description="Findings, estimates and energy of event hours, up to the market: backfills.",
        ),
        dg.define_asset_job(
            "marts",
            (dg.AssetSelection.assets(marts) | stages("operations")) - now,
            description="dbt models and tests for a range of days.",
        ),
        dg.define_asset_job("freshness", now, description="Whether landing, readings, energy and marts keep up."),
    ]

"""Jobs. All but `marts` carry hours; a range of hours is one run."""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from gridtokenx_pipeline.contracts import certificates, core, market, raw, settlement

from .specs import key

LANDED = dg.AssetSelection.assets(key(raw.MESSAGES), *(key(t) for t in core.readings.TABLES))
SETTLED = dg.AssetSelection.assets(
    *(
        key(t)
        for t in (core.ENERGY_15S, core.ENERGY_5MIN, core.ENERGY_15MIN, *market.TABLES, *certificates.TABLES, *settlement.TABLES)
    )
)


def build_jobs(suites: list[dg.AssetChecksDefinition], marts: dg.AssetsDefinition) -> list[UnresolvedAssetJobDefinition]:
    """Return the jobs. `suites` are the Great Expectations checks, whose import a five-minute tick does not pay for."""
    line = LANDED | SETTLED
    return [
        dg.define_asset_job("line", line, description="Landing to chain for a range of hours, with every check."),
        dg.define_asset_job(
            "tick",
            line - dg.AssetSelection.checks(*suites),
            description="Landing to chain, every five minutes; suites wait for the hour's close.",
        ),
        dg.define_asset_job("intake", LANDED, description="Landing and readings of a range of receipt hours, with every check."),
        dg.define_asset_job(
            "settle", SETTLED, description="Energy to chain for event hours, with every check: late data, demo, backfills."
        ),
        dg.define_asset_job(
            "marts", dg.AssetSelection.assets(marts, key(core.METERS)), description="dbt models and tests for a range of days."
        ),
    ]

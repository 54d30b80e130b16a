"""The Dagster code location."""

from __future__ import annotations

import warnings
from typing import Any

import dagster as dg

from gridtokenx_pipeline import config
from gridtokenx_pipeline.contracts import core

for category in (dg.BetaWarning, dg.PreviewWarning):
    warnings.filterwarnings("ignore", category=category)

from gridtokenx_pipeline.defs.certificates import assets as certificates_assets  # noqa: E402
from gridtokenx_pipeline.defs.certificates import checks as certificates_checks  # noqa: E402
from gridtokenx_pipeline.defs.energy import assets as energy_assets  # noqa: E402
from gridtokenx_pipeline.defs.energy import checks as energy_checks  # noqa: E402
from gridtokenx_pipeline.defs.freshness import FRESHNESS  # noqa: E402
from gridtokenx_pipeline.defs.jobs import build_jobs  # noqa: E402
from gridtokenx_pipeline.defs.landing import assets as landing_assets  # noqa: E402
from gridtokenx_pipeline.defs.landing import checks as landing_checks  # noqa: E402
from gridtokenx_pipeline.defs.maintenance import assets as maintenance_assets  # noqa: E402
from gridtokenx_pipeline.defs.market import assets as market_assets  # noqa: E402
from gridtokenx_pipeline.defs.market import checks as market_checks  # noqa: E402
from gridtokenx_pipeline.defs.market import standing_orders  # noqa: E402
from gridtokenx_pipeline.defs.marts import assets as marts_assets  # noqa: E402
from gridtokenx_pipeline.defs.marts import project  # noqa: E402
from gridtokenx_pipeline.defs.operations import assets as operations_assets  # noqa: E402
from gridtokenx_pipeline.defs.publishing import assets as publishing_assets  # noqa: E402
from gridtokenx_pipeline.defs.publishing import checks as publishing_checks  # noqa: E402
from gridtokenx_pipeline.defs.readings import assets as readings_assets  # noqa: E402
from gridtokenx_pipeline.defs.readings import checks as readings_checks  # noqa: E402
from gridtokenx_pipeline.defs.resources import Stores  # noqa: E402
from gridtokenx_pipeline.defs.schedules import build_schedules  # noqa: E402
from gridtokenx_pipeline.defs.sensors import build_sensors  # noqa: E402
from gridtokenx_pipeline.defs.settlement import assets as settlement_assets  # noqa: E402
from gridtokenx_pipeline.defs.settlement import checks as settlement_checks  # noqa: E402
from gridtokenx_pipeline.defs.specs import spec  # noqa: E402
from gridtokenx_pipeline.defs.vee import assets as vee_assets  # noqa: E402
from gridtokenx_pipeline.defs.vee import checks as vee_checks  # noqa: E402

SUITES = [
    *landing_checks.SUITES,
    *readings_checks.SUITES,
    *vee_checks.SUITES,
    *energy_checks.SUITES,
    *market_checks.SUITES,
    *certificates_checks.SUITES,
    *settlement_checks.SUITES,
]


def build_definitions(stores: Stores | None = None) -> dg.Definitions:
    """Return the definitions. `stores` replaces the stores of the environment, for a test or a second campus."""
    stores = stores or Stores()
    manifest: dict[str, Any] = project.load_manifest(stores.settings if stores.data or stores.config else config.load())
    marts = marts_assets.build(manifest)
    jobs = build_jobs(SUITES, marts)
    by_name = {job.name: job for job in jobs}
    maintenance, nightly = maintenance_assets.build_maintenance()
    return dg.Definitions(
        assets=[
            landing_assets.load_messages,
            readings_assets.validate_readings,
            vee_assets.examine_intervals,
            # Made by people (`gridtokenx edit`), not by runs.
            spec(core.EDITS),
            energy_assets.aggregate_energy,
            standing_orders.standing_orders,
            market_assets.clear_market,
            certificates_assets.issue_certificates,
            settlement_assets.plan_settlement,
            settlement_assets.submit_actions,
            publishing_assets.publish_market,
            operations_assets.list_meters,
            marts,
            maintenance,
        ],
        asset_checks=[
            landing_checks.messages_match_landing,
            landing_checks.landing_is_readable,
            readings_checks.every_reading_accounted_for,
            vee_checks.estimates_match_registers,
            vee_checks.no_serious_exceptions,
            vee_checks.completeness_meets_sla,
            energy_checks.energy_levels_agree,
            energy_checks.energy_is_complete,
            energy_checks.energy_matches_registers,
            market_checks.market_balances,
            market_checks.settled_energy_unchanged,
            certificates_checks.certificates_match_generation,
            settlement_checks.batches_recompute,
            settlement_checks.receipts_match_chain,
            settlement_checks.chain_state_matches_warehouse,
            settlement_checks.supply_equals_ledger,
            settlement_checks.balance_above_floor,
            settlement_checks.finalized_in_time,
            settlement_checks.nothing_refused_or_parked,
            publishing_checks.market_is_published,
            *SUITES,
            *FRESHNESS,
        ],
        jobs=jobs,
        schedules=[*build_schedules(by_name), nightly],
        sensors=build_sensors(by_name),
        resources={"stores": stores},
        # A step in its own process pays for every import again: seconds of start-up for milliseconds of work.
        executor=dg.in_process_executor,
    )


defs = build_definitions()

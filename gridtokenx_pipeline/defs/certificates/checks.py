"""The auditor's invariants of certificates, blocking before settlement."""

import datetime as dt

import dagster as dg
import polars as pl

from gridtokenx_pipeline.contracts import certificates, core, market
from gridtokenx_pipeline.domain.invariants import certificate_violations

from ..checks import from_violations, hourly_check
from ..energy.participants import participants_energy
from ..market.assets import SETTLED
from ..quality import gx_check
from ..resources import Stores


@hourly_check(
    certificates.BUNDLES,
    also=[core.ENERGY_5MIN, market.INTERVALS],
    blocking=True,
    description="Certificates equal the generation register, never overlap, and none comes from energy that was not measured. "
    "Warns where late or corrected data changed the energy of a settled interval.",
)
def certificates_match_generation(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Check the invariants on the window. Bundles of settled intervals stay whatever the energy says now, and block nothing."""
    bundles = stores.warehouse.read_window(certificates.BUNDLES, start, end)
    energy = participants_energy(stores, start, end)
    intervals = stores.warehouse.read_window(market.INTERVALS, start, end)
    settled = intervals.filter(pl.col("state") == SETTLED).select("zone", "interval_start").unique()
    violations = certificate_violations(bundles, energy)
    to_settle = certificate_violations(*(frame.join(settled, on=settled.columns, how="anti") for frame in (bundles, energy)))
    blocking = len(to_settle) or violations["name"].is_in(["bundle_overlap", "bundle_size"]).any()
    return from_violations(
        violations,
        dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN,
        bundles=len(bundles),
        energy_wh=int(bundles["energy_wh"].sum() or 0),
    )


gx_bundles = gx_check(certificates.BUNDLES, blocking=True)
gx_events = gx_check(certificates.EVENTS)

SUITES = [gx_bundles, gx_events]

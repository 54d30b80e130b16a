"""The auditor's invariants of certificates, blocking before settlement."""

import datetime as dt

import dagster as dg

from gridtokenx_pipeline.contracts import certificates, core
from gridtokenx_pipeline.domain.invariants import certificate_violations

from ..checks import from_suite, from_violations, hourly_check
from ..resources import Stores


@hourly_check(
    certificates.BUNDLES,
    also=[core.ENERGY_5MIN],
    blocking=True,
    description="Certificates equal the generation register, never overlap, and none comes from energy that was not measured.",
)
def certificates_match_generation(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Check the invariants on the window."""
    bundles = stores.warehouse.read_window(certificates.BUNDLES, start, end)
    energy = stores.warehouse.read_window(core.ENERGY_5MIN, start, end)
    return from_violations(
        certificate_violations(bundles, energy), bundles=len(bundles), energy_wh=int(bundles["energy_wh"].sum() or 0)
    )


@hourly_check(
    certificates.BUNDLES,
    blocking=True,
    description="Great Expectations suite of certificates.bundles.",
)
def gx_bundles(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Run the suite on the window."""
    from gridtokenx_pipeline.quality import suites, tables

    return from_suite(suites.run(tables.BUNDLES, stores.warehouse.read_window(certificates.BUNDLES, start, end)))

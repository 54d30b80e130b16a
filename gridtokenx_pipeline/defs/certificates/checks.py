"""The auditor's invariants of certificates, blocking before settlement."""

import dagster as dg

from gridtokenx_pipeline.contracts import certificates, core
from gridtokenx_pipeline.domain.invariants import certificate_violations

from ..checks import from_suite, from_violations
from ..partitions import HOURS, window
from ..resources import Stores
from ..specs import key


@dg.asset_check(
    asset=key(certificates.BUNDLES),
    additional_deps=[key(core.ENERGY_5MIN)],
    blocking=True,
    partitions_def=HOURS,
    description="Certificates equal the generation register, never overlap, and none comes from energy that was not measured.",
)
def certificates_match_generation(context: dg.AssetCheckExecutionContext, stores: Stores) -> dg.AssetCheckResult:
    """Check the invariants on the window."""
    start, end = window(context)
    bundles = stores.warehouse.read_window(certificates.BUNDLES, start, end)
    energy = stores.warehouse.read_window(core.ENERGY_5MIN, start, end)
    return from_violations(
        certificate_violations(bundles, energy), bundles=len(bundles), energy_wh=int(bundles["energy_wh"].sum() or 0)
    )


@dg.asset_check(
    asset=key(certificates.BUNDLES),
    name="gx_bundles",
    blocking=True,
    partitions_def=HOURS,
    description="Great Expectations suite of certificates.bundles.",
)
def gx_bundles(context: dg.AssetCheckExecutionContext, stores: Stores) -> dg.AssetCheckResult:
    """Run the suite on the window."""
    from gridtokenx_pipeline.quality import suites, tables

    return from_suite(suites.run(tables.BUNDLES, stores.warehouse.read_window(certificates.BUNDLES, *window(context))))

"""The auditor's invariants of certificates, blocking before settlement."""

import datetime as dt

import dagster as dg
import polars as pl

from gridtokenx_pipeline.contracts import certificates, core, market
from gridtokenx_pipeline.domain.certificates.issue import produced
from gridtokenx_pipeline.domain.invariants import certificate_violations
from gridtokenx_pipeline.registry.registered import devices_frame

from ..checks import from_violations, hourly_check
from ..energy.participants import participants_energy
from ..quality import gx_check
from ..resources import Stores
from .standing import dated, rules_of

_INTERVAL = ["zone", "interval_start"]
_ALWAYS = ("bundle_overlap", "bundle_size", "illegal_event", "holdings")


@hourly_check(
    certificates.BUNDLES,
    also=[
        core.ENERGY_5MIN,
        market.INTERVALS,
        market.TRADES,
        certificates.EVENTS,
        certificates.STORAGE,
        certificates.HOLDINGS,
    ],
    blocking=True,
    description="Certificates equal the generation register, never overlap, and none comes from energy that was not measured; each is in "
    "one state, and stores and trades move no more than there is. Warns where late or corrected data changed the energy of a "
    "settled interval.",
)
def certificates_match_generation(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Check the invariants on the window. What is settled stays whatever the energy says now, and blocks nothing."""
    warehouse, settings = stores.warehouse, stores.settings
    bundles, holdings, storage, trades, intervals = (
        warehouse.read_window(table, start, end)
        for table in (certificates.BUNDLES, certificates.HOLDINGS, certificates.STORAGE, market.TRADES, market.INTERVALS)
    )
    events = dated(
        warehouse.read(
            certificates.EVENTS,
            "interval_start >= ? AND (interval_start < ? OR bundle_interval_start >= ? AND bundle_interval_start < ?)",
            (start, end, start, end),
        )
    ).filter((pl.col("bundle_interval_start") >= start) & (pl.col("bundle_interval_start") < end))
    energy = participants_energy(stores, start, end)
    devices = devices_frame(settings)
    bound = max(settings.vee.thresholds(meter.building_type).bound_factor for meter in settings.meters)
    due = intervals.filter(pl.col("state") != "settled")
    corrections = due.filter(pl.col("version") > 1)
    rules = rules_of(settings)
    clear = produced(energy, rules).filter((pl.col("reason") == "") & pl.col("energy_wh").is_not_null())

    def found(*kept: pl.DataFrame) -> pl.DataFrame:
        def part(frame: pl.DataFrame) -> pl.DataFrame:
            for keys in kept:
                shared = [name for name in keys.columns if name in frame.columns]
                frame = frame.join(keys, on=shared, how="semi")
            return frame

        own = part(bundles)
        return certificate_violations(
            own,
            part(energy),
            events=events.join(own, on="bundle_id", how="semi") if kept else events,
            holdings=part(holdings),
            storage=part(storage),
            trades=trades,
            devices=devices,
            bound_pct=round(bound * 100),
        )

    violations = found()
    to_settle = [found(due.filter(pl.col("version") == 1).select(_INTERVAL))]
    if len(corrections):
        # What was issued from energy that is withheld now stays until it is decided; nothing is corrected then.
        to_settle.append(found(corrections.select(_INTERVAL).unique(), clear.select(*_INTERVAL, "meter_id")))
    blocking = any(len(frame) for frame in to_settle) or violations["name"].is_in(_ALWAYS).any()
    return from_violations(
        violations,
        dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN,
        bundles=len(bundles),
        energy_wh=int(bundles["energy_wh"].sum() or 0),
    )


gx_bundles = gx_check(certificates.BUNDLES, blocking=True)
gx_events = gx_check(certificates.EVENTS)

gx_holdings = gx_check(certificates.HOLDINGS)
gx_storage = gx_check(certificates.STORAGE, blocking=True)

SUITES = [gx_bundles, gx_events, gx_holdings, gx_storage]

"""Issue of granular certificates: one bundle of 1-Wh certificates for each meter and closed interval.

The volume is rounded down to whole Wh on the cumulative generation register (EnergyTag Granular Certificate Scheme Standard,
version 2), and each Wh of the register is a certificate's id, so no Wh can be issued twice. Discharge of a battery never
issues anything: only the generation channel is read.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import polars as pl

from gridtokenx_pipeline.contracts import certificates as tables
from gridtokenx_pipeline.contracts import core

from .ids import derived_id, iso
from .whole_wh import is_complete, register_start_wh, whole_wh

VALID = 1
# bits 2, 3, 4 and 6 of qualityFlags (IEEE 2030.5 ReadingBase): energy that nobody measured or that failed a check
WITHHOLDING_FLAGS = {4: "estimated", 8: "interpolated", 16: "questionable", 64: "projected"}
ISSUED, PENDING = "issued", "pending"
HELD = "held"
_ONLY_LATER = ("from_owner", "trade_id", "counter_bundle_id", "beneficiary", "purpose", "period_start", "period_end")


@dataclass(frozen=True)
class Issued:
    """Frames of `contracts.certificates`: BUNDLES and EVENTS."""

    bundles: pl.DataFrame
    events: pl.DataFrame


def issue(
    energy: pl.DataFrame, *, completeness_min_pct: int = 100, source: str = "solar", carrier: str = "electricity"
) -> Issued:
    """Issue certificates for the generation in `energy`, a frame of `contracts.core.ENERGY_5MIN` with closed intervals only.

    The caller leaves open intervals out (`market.closed_only`). A bundle has floor(register end) - floor(register start) whole
    Wh, numbered by the Wh of the register; 0 Wh, or generation without a register, makes no bundle. It is `issued` where
    the energy is validated, measured and complete to `completeness_min_pct` percent; else `pending`, and its event (`held`)
    says why. The generating meter owns it. Both frames are sorted by zone, interval and meter.

    Raises `contracts.ContractViolation` for a frame of other columns.
    """
    rows = (
        core.ENERGY_5MIN.conform(energy)
        .select(
            "zone",
            "meter_id",
            "interval_start",
            (pl.col("interval_start") + pl.duration(seconds="duration_s")).alias("interval_end"),
            "quality_flags",
            whole_wh("generation").alias("energy_wh"),
            register_start_wh("generation").alias("first_wh"),
            is_complete(completeness_min_pct).alias("complete"),
        )
        .filter(pl.col("energy_wh") > 0)
        .sort("zone", "interval_start", "meter_id")
        .with_columns(
            bundle_id=pl.struct("meter_id", "interval_start", "interval_end").map_elements(
                lambda row: bundle_id(row["meter_id"], row["interval_start"], row["interval_end"], carrier), pl.String
            ),
            last_wh=pl.col("first_wh") + pl.col("energy_wh") - 1,
            owner=pl.col("meter_id"),
            carrier=pl.lit(carrier),
            source=pl.lit(source),
            origin=pl.lit("production"),
            version=pl.lit(1, dtype=pl.Int32),
            reason=_reasons(),
        )
        .with_columns(state=pl.when(pl.col("reason") == "").then(pl.lit(ISSUED)).otherwise(pl.lit(PENDING)))
    )
    bundles = tables.BUNDLES.conform(rows.select(list(tables.BUNDLES.frame_schema())))
    kind = pl.when(pl.col("state") == ISSUED).then(pl.lit(ISSUED)).otherwise(pl.lit(HELD))
    events = (
        rows.with_columns(
            *(pl.lit(None, dtype=tables.EVENTS.by_name[name].type.polars).alias(name) for name in _ONLY_LATER),
            bundle_interval_start=pl.col("interval_start"),
            actor=pl.lit("pipeline"),
        )
        .with_columns(kind=kind, number=pl.lit(1, dtype=pl.Int32), reason=pl.col("reason").replace("", None))
        .with_columns(
            event_id=pl.struct("bundle_id", "kind", "number").map_elements(
                lambda row: derived_id("certificate_event", row["bundle_id"], row["kind"], row["number"]), pl.String
            )
        )
        .select(list(tables.EVENTS.frame_schema()))
    )
    return Issued(bundles, tables.EVENTS.conform(events))


def bundle_id(meter_id: str, start: dt.datetime, end: dt.datetime, carrier: str) -> str:
    """Return the id of a meter's bundle for an interval: the same in every run."""
    return derived_id("certificate_bundle", meter_id, iso(start), iso(end), carrier)


def withheld(flags: pl.Expr) -> pl.Expr:
    """Whether `flags` (qualityFlags) bar a certificate: not valid, or estimated, questionable or projected."""
    return ((flags & VALID) == 0) | ((flags & sum(WITHHOLDING_FLAGS)) != 0)


def _reasons() -> pl.Expr:
    """Reason codes against issue, joined by commas; empty where there are none."""
    flags = pl.col("quality_flags")
    return pl.concat_str(
        pl.when(~pl.col("complete")).then(pl.lit("incomplete")),
        # ids count the register from 0: a register lower than the energy was reset within the interval
        pl.when(pl.col("first_wh") < 0).then(pl.lit("register_reset")),
        pl.when((flags & VALID) == 0).then(pl.lit("not_validated")),
        *(pl.when((flags & bit) != 0).then(pl.lit(reason)) for bit, reason in WITHHOLDING_FLAGS.items()),
        separator=",",
        ignore_nulls=True,
    )

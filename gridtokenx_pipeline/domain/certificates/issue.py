"""Issue of granular certificates: one bundle of 1-Wh certificates for each meter and closed interval.

The volume is rounded down to whole Wh on the cumulative generation register (EnergyTag Granular Certificate Scheme Standard,
version 2), and each Wh of the register is a certificate's id, so no Wh can be issued twice. Discharge of a battery never
issues anything: only the generation channel is read.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from gridtokenx_pipeline.contracts import certificates as tables
from gridtokenx_pipeline.contracts import core

from ..whole_wh import is_complete, register_start_wh, whole_wh
from .events import events_of
from .names import (
    HELD,
    ISSUED,
    KEY,
    NOT_COMMISSIONED,
    PENDING,
    PRODUCTION,
    RELEASED,
    STORAGE_DISCHARGE,
    derived_ids,
    iso_text,
)

VALID = 1
# bits 2, 3, 4 and 6 of qualityFlags (IEEE 2030.5 ReadingBase): energy that nobody measured or that failed a check
WITHHOLDING_FLAGS = {4: "estimated", 8: "interpolated", 16: "questionable", 64: "projected"}


@dataclass(frozen=True)
class Issued:
    """Frames of `contracts.certificates`: BUNDLES and EVENTS."""

    bundles: pl.DataFrame
    events: pl.DataFrame


@dataclass(frozen=True)
class Rules:
    """Who may have certificates of what.

    `commissioned_at` are the moments from which registered meters may have certificates, and no other may; None is no register.
    `batteries` are the meters that have a store; None is all of them. Efficiency of stores, there and back, in parts per million.
    """

    completeness_min_pct: int = 100
    source: str = "solar"
    carrier: str = "electricity"
    commissioned_at: Mapping[str, dt.datetime] | None = None
    batteries: frozenset[str] | None = None
    efficiency_ppm: int = 900_000


def issue(
    energy: pl.DataFrame,
    *,
    completeness_min_pct: int = 100,
    source: str = "solar",
    carrier: str = "electricity",
    commissioned_at: Mapping[str, dt.datetime] | None = None,
) -> Issued:
    """Issue certificates for the generation in `energy`, a frame of `contracts.core.ENERGY_5MIN` with closed intervals only.

    The caller leaves open intervals out (`market.closed_only`). A bundle has floor(register end) - floor(register start) whole
    Wh, numbered by the Wh of the register; 0 Wh, or generation without a register, makes no bundle. It is `issued` where
    the energy is validated, measured and complete to `completeness_min_pct` percent, and the device commissioned; else `pending`,
    and its event (`held`) says why. The generating meter owns it. All is of version 1, sorted by zone, interval and meter.

    Raises `contracts.ContractViolation` for a frame of other columns.
    """
    rules = Rules(completeness_min_pct, source, carrier, commissioned_at)
    rows = produced(core.ENERGY_5MIN.conform(energy), rules).filter(pl.col("energy_wh") > 0)
    bundles = as_bundles(rows.with_columns(version=pl.lit(1, dtype=pl.Int32)), rules)
    return Issued(bundles.select(list(tables.BUNDLES.frame_schema())), events_of(issues(bundles)))


def produced(energy: pl.DataFrame, rules: Rules, channel: str = "generation") -> pl.DataFrame:
    """Return every row of `energy` with the certificates it is good for, sorted by zone, interval and meter.

    Of `generation`; of `discharge`, whose certificates come out of a store, energy_wh is no more than a limit.

    Columns zone, meter_id, interval_start, interval_end (UTC), energy_wh (null where it cannot be known), first_wh (id of the
    first one), quality_flags and reason: codes against issue, joined by commas; empty where there are none.
    """
    return (
        energy.select(
            *KEY,
            (pl.col("interval_start") + pl.duration(seconds="duration_s")).alias("interval_end"),
            "quality_flags",
            energy_wh=whole_wh(channel),
            first_wh=register_start_wh(channel),
            complete=is_complete(rules.completeness_min_pct),
            commissioned=_commissioned(rules.commissioned_at),
        )
        .with_columns(reason=_reasons())
        .drop("complete", "commissioned")
        .sort("zone", "interval_start", "meter_id")
    )


def as_bundles(rows: pl.DataFrame, rules: Rules, *more: str | int) -> pl.DataFrame:
    """Return the columns of BUNDLES, and reason, for `rows` of `produced` (with version) that have energy.

    `more` is what their ids are made of besides meter, interval and carrier; see `names.bundle_id`.
    """
    stored = STORAGE_DISCHARGE in more
    # as `names.bundle_id` encodes the same key, but for whole columns
    quoted = {meter: json.dumps(meter) for meter in rows["meter_id"].unique()}
    key = pl.concat_str(
        pl.lit("["),
        pl.col("meter_id").replace(quoted),
        pl.format(',"{}","{}",', iso_text("interval_start"), iso_text("interval_end")),
        pl.lit(json.dumps([rules.carrier, *more], separators=(",", ":"))[1:]),
    )
    keyed = rows.with_columns(
        last_wh=pl.col("first_wh") + pl.col("energy_wh") - 1,
        owner=pl.col("meter_id"),
        carrier=pl.lit(rules.carrier),
        source=pl.lit(rules.source),
        origin=pl.lit(STORAGE_DISCHARGE if stored else PRODUCTION),
        state=pl.when(pl.col("reason") == "").then(pl.lit(RELEASED if stored else ISSUED)).otherwise(pl.lit(PENDING)),
        key=key,
    )
    return keyed.with_columns(bundle_id=derived_ids("certificate_bundle", keyed["key"])).select(
        *tables.BUNDLES.frame_schema(), "reason"
    )


def issues(bundles: pl.DataFrame) -> pl.DataFrame:
    """Return what `events_of` makes events from: `issued`, or `held` with its reason, of each of `bundles` (with reason)."""
    return bundles.select(
        "bundle_id",
        "zone",
        "interval_start",
        "version",
        "energy_wh",
        "owner",
        "first_wh",
        "last_wh",
        bundle_interval_start="interval_start",
        kind=pl.when(pl.col("state") == PENDING).then(pl.lit(HELD)).otherwise(pl.lit(ISSUED)),
        reason=pl.col("reason").replace("", None),
        step=pl.lit(0),
    )


def withheld(flags: pl.Expr) -> pl.Expr:
    """Whether `flags` (qualityFlags) bar a certificate: not valid, or estimated, questionable or projected."""
    return ((flags & VALID) == 0) | ((flags & sum(WITHHOLDING_FLAGS)) != 0)


def _commissioned(moments: Mapping[str, dt.datetime] | None) -> pl.Expr:
    if moments is None:
        return pl.lit(value=True)
    since = pl.col("meter_id").replace_strict(moments, default=None, return_dtype=pl.Datetime("us", "UTC"))
    # without a moment there is no device
    return (pl.col("interval_start") >= since).fill_null(value=False)


def _reasons() -> pl.Expr:
    """Reason codes against issue, joined by commas; empty where there are none."""
    flags = pl.col("quality_flags")
    return pl.concat_str(
        pl.when(~pl.col("commissioned")).then(pl.lit(NOT_COMMISSIONED)),
        pl.when(~pl.col("complete")).then(pl.lit("incomplete")),
        # ids count the register from 0: a register lower than the energy was reset within the interval
        pl.when(pl.col("first_wh") < 0).then(pl.lit("register_reset")),
        pl.when((flags & VALID) == 0).then(pl.lit("not_validated")),
        *(pl.when((flags & bit) != 0).then(pl.lit(reason)) for bit, reason in WITHHOLDING_FLAGS.items()),
        separator=",",
        ignore_nulls=True,
    )

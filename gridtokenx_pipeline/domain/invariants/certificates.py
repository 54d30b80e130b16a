"""Invariants of certificates: none without measured generation behind it, and none twice."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from ..certificates import ISSUED, withheld
from ..whole_wh import register_start_wh, whole_wh
from .violations import collected, violations

_KEY = ["zone", "meter_id", "interval_start"]


def certificate_violations(bundles: pl.DataFrame, energy: pl.DataFrame) -> pl.DataFrame:
    """Return what is wrong with a frame of `contracts.certificates.BUNDLES`, with the columns `VIOLATIONS`.

    `energy` is the market interval's frame (`contracts.core.ENERGY_5MIN`) that the bundles were issued from. Names:
    `bundle_size` (energy_wh = last_wh - first_wh + 1 > 0), `bundle_overlap` (a certificate id of a meter in two bundles),
    `bundle_energy` (other Wh than the interval's register difference, or no such interval), `issued_over_register` (a
    meter's bundles sum to more than its generation register rose over the span of `energy`) and
    `issued_without_measurement` (issued from estimated, questionable, projected or unvalidated energy).
    """
    return collected([*_ranges(bundles), *_against_energy(bundles, energy)])


def _ranges(bundles: pl.DataFrame) -> Iterator[pl.DataFrame]:
    size = pl.col("last_wh") - pl.col("first_wh") + 1
    broken = bundles.filter((pl.col("energy_wh") != size) | (pl.col("energy_wh") <= 0))
    yield violations(
        "bundle_size", broken, "bundle {} of {} Wh has the ids {} to {}", "bundle_id", "energy_wh", "first_wh", "last_wh"
    )
    meter = ["zone", "meter_id", "carrier"]
    highest_before = pl.col("last_wh").cum_max().shift(1).over(meter, order_by=["first_wh", "last_wh"])
    ordered = bundles.with_columns(highest_before=highest_before)
    broken = ordered.filter(pl.col("first_wh") <= pl.col("highest_before"))
    yield violations(
        "bundle_overlap",
        broken,
        "bundle {} of {} begins at {}, another reaches to {}",
        "bundle_id",
        "meter_id",
        "first_wh",
        "highest_before",
    )


def _against_energy(bundles: pl.DataFrame, energy: pl.DataFrame) -> Iterator[pl.DataFrame]:
    metered = energy.select(
        *_KEY,
        metered_wh=whole_wh("generation"),
        metered_first_wh=register_start_wh("generation"),
        metered_end_wh=pl.col("generation_register_milli_wh") // 1000,
        metered_flags="quality_flags",
    )
    both = bundles.join(metered, on=_KEY, how="left")
    broken = both.filter(
        pl.col("energy_wh").ne_missing(pl.col("metered_wh")) | pl.col("first_wh").ne_missing(pl.col("metered_first_wh"))
    )
    yield violations(
        "bundle_energy",
        broken,
        "bundle {} of {} Wh from {}, register says {} Wh from {}",
        "bundle_id",
        "energy_wh",
        "first_wh",
        "metered_wh",
        "metered_first_wh",
    )

    measured = ~withheld(pl.col("quality_flags")) & ~withheld(pl.col("metered_flags").fill_null(0))
    broken = both.filter((pl.col("state") == ISSUED) & ~measured)
    yield violations(
        "issued_without_measurement",
        broken,
        "bundle {} with flags {}, energy with flags {}",
        "bundle_id",
        "quality_flags",
        "metered_flags",
    )

    rise = metered.group_by("zone", "meter_id").agg(
        rise_wh=pl.col("metered_end_wh").max() - pl.col("metered_first_wh").min(),
    )
    issued = (
        bundles.group_by("zone", "meter_id")
        .agg(pl.col("energy_wh").sum(), pl.col("interval_start").min())
        .join(rise, on=["zone", "meter_id"], how="left")
        .with_columns(pl.col("rise_wh").fill_null(0))
    )
    broken = issued.filter(pl.col("energy_wh") > pl.col("rise_wh"))
    yield violations(
        "issued_over_register",
        broken,
        "{} has {} Wh of certificates, its register rose by {} Wh",
        "meter_id",
        "energy_wh",
        "rise_wh",
    )

"""Invariants of certificates: none without measured generation behind it, none twice, and none without a history."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from ..certificates import ISSUED, PENDING, PRODUCTION, SHORTFALL, WITHDRAWN, withheld
from ..certificates.names import CORRECTION
from ..whole_wh import register_start_wh, whole_wh
from .certificate_lives import event_violations, storage_violations, trade_violations
from .violations import collected, violations

_KEY = ["zone", "meter_id", "interval_start"]


def certificate_violations(
    bundles: pl.DataFrame,
    energy: pl.DataFrame,
    *,
    events: pl.DataFrame | None = None,
    holdings: pl.DataFrame | None = None,
    storage: pl.DataFrame | None = None,
    trades: pl.DataFrame | None = None,
    devices: pl.DataFrame | None = None,
    bound_pct: int = 120,
) -> pl.DataFrame:
    """Return what is wrong with a frame of `contracts.certificates.BUNDLES`, with the columns `VIOLATIONS`.

    `energy` is the market interval's frame (`contracts.core.ENERGY_5MIN`) that the bundles were issued from. The numbers are
    those of what an auditor tests. Always: `bundle_size` (energy_wh = last_wh - first_wh + 1 > 0), `bundle_overlap` (3: a
    certificate id of a meter in two issued bundles), `bundle_time_overlap` (3: intervals of a meter that overlap without being
    the same), `bundle_energy` (1: a meter's bundles of all versions less what corrections took back are other Wh than the
    interval's register difference, or there is no such interval), `issued_over_register` (1: more than its generation register
    rose over the span of `energy`) and `issued_without_measurement` (7: issued from estimated, questionable, projected or
    unvalidated energy).

    With `events`, all of these bundles, and with `holdings`, `storage`, `trades` and `devices` (frames of
    `contracts.certificates` and `contracts.market`) what `event_violations`, `storage_violations` and `trade_violations` name,
    and: `device` (8: no such device, or not commissioned yet), `over_nameplate` (6: more than `bound_pct` percent of its rated
    power) and `two_registries` (10).
    """
    frames = [*_ranges(bundles), *_against_energy(bundles, energy, events)]
    if events is not None:
        frames += event_violations(bundles, energy, events, holdings)
        if storage is not None:
            frames += storage_violations(bundles, events, storage)
        if trades is not None:
            frames += trade_violations(bundles, events, trades)
    if devices is not None:
        frames += _devices(bundles, devices, bound_pct)
    return collected(frames)


def _ranges(bundles: pl.DataFrame) -> Iterator[pl.DataFrame]:
    size = pl.col("last_wh") - pl.col("first_wh") + 1
    broken = bundles.filter((pl.col("energy_wh") != size) | (pl.col("energy_wh") <= 0))
    yield violations(
        "bundle_size", broken, "bundle {} of {} Wh has the ids {} to {}", "bundle_id", "energy_wh", "first_wh", "last_wh"
    )
    meter = ["zone", "meter_id", "carrier", "origin"]
    # what is pending has ids to be issued with, which may turn out to be another's
    issued = bundles.filter(pl.col("state") != PENDING)
    highest_before = pl.col("last_wh").cum_max().shift(1).over(meter, order_by=["first_wh", "last_wh"])
    broken = issued.with_columns(highest_before=highest_before).filter(pl.col("first_wh") <= pl.col("highest_before"))
    yield violations(
        "bundle_overlap",
        broken,
        "bundle {} of {} begins at {}, another reaches to {}",
        "bundle_id",
        "meter_id",
        "first_wh",
        "highest_before",
    )
    spans = bundles.select(*meter, "interval_start", "interval_end").unique()
    end_before = pl.col("interval_end").cum_max().shift(1).over(meter, order_by=["interval_start", "interval_end"])
    broken = spans.with_columns(end_before=end_before).filter(pl.col("interval_start") < pl.col("end_before"))
    yield violations(
        "bundle_time_overlap", broken, "an interval of {} begins before the one until {} ends", "meter_id", "end_before"
    )


def _net(bundles: pl.DataFrame, events: pl.DataFrame | None) -> pl.DataFrame:
    """Production bundles with the Wh that corrections took back: of issued ones, and of pending ones that were dismissed."""
    produced = bundles.filter(pl.col("origin") == PRODUCTION)
    if events is None:
        return produced.with_columns(back_wh=pl.lit(0, dtype=pl.Int64))
    adjusted = ((pl.col("kind") == WITHDRAWN) & (pl.col("reason") == CORRECTION)) | (pl.col("kind") == SHORTFALL)
    back = events.filter(adjusted).group_by("bundle_id").agg(back_wh=pl.col("energy_wh").sum())
    return produced.join(back, on="bundle_id", how="left").with_columns(pl.col("back_wh").fill_null(0))


def _against_energy(bundles: pl.DataFrame, energy: pl.DataFrame, events: pl.DataFrame | None) -> Iterator[pl.DataFrame]:
    metered = energy.select(
        *_KEY,
        metered_wh=whole_wh("generation"),
        metered_first_wh=register_start_wh("generation"),
        metered_end_wh=pl.col("generation_register_milli_wh") // 1000,
        metered_flags="quality_flags",
    )
    produced = _net(bundles, events)
    sums = produced.group_by(_KEY).agg(
        bundles=pl.len(),
        net_wh=(pl.col("energy_wh") - pl.col("back_wh")).sum(),
        back_wh=pl.col("back_wh").sum(),
        first_wh=pl.col("first_wh").min(),
    )
    sums = sums.join(metered, on=_KEY, how="left")
    untouched = (pl.col("bundles") == 1) & (pl.col("back_wh") == 0)
    broken = sums.filter(
        pl.col("net_wh").ne_missing(pl.col("metered_wh"))
        | (untouched & pl.col("first_wh").ne_missing(pl.col("metered_first_wh")))
    )
    yield violations(
        "bundle_energy",
        broken,
        "certificates of {} for {} Wh from {}, register says {} Wh from {}",
        "meter_id",
        "net_wh",
        "first_wh",
        "metered_wh",
        "metered_first_wh",
    )

    both = produced.join(metered, on=_KEY, how="left")
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
        produced.group_by("zone", "meter_id")
        .agg((pl.col("energy_wh") - pl.col("back_wh")).sum(), pl.col("interval_start").min())
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


def _devices(bundles: pl.DataFrame, devices: pl.DataFrame, bound_pct: int) -> Iterator[pl.DataFrame]:
    known = devices.unique("meter_id", keep="first").select(
        "zone", "meter_id", "capacity_kw", "commissioned_at", device_carrier="carrier", device_source="source"
    )
    issued = bundles.filter(pl.col("state") != PENDING).join(known, on=["zone", "meter_id"], how="left")
    as_registered = (
        (pl.col("commissioned_at") <= pl.col("interval_start"))
        & (pl.col("carrier") == pl.col("device_carrier"))
        & (pl.col("source") == pl.col("device_source"))
    )
    broken = issued.filter(~as_registered.fill_null(value=False))
    yield violations("device", broken, "bundle {} of {}, commissioned {}", "bundle_id", "meter_id", "commissioned_at")

    seconds = (pl.col("interval_end") - pl.col("interval_start")).dt.total_seconds()
    # kW x 1000 x s / 3600 x percent / 100, without a division
    limit = pl.col("capacity_kw").cast(pl.Int64) * 1000 * seconds * bound_pct
    broken = issued.filter((pl.col("origin") == PRODUCTION) & ((pl.col("energy_wh") - 1) * 360_000 > limit))
    yield violations("over_nameplate", broken, "bundle {} of {} Wh from {} kW", "bundle_id", "energy_wh", "capacity_kw")

    several = (
        devices.group_by("zone", "meter_id").agg(pl.len(), registries=pl.col("registry").n_unique()).filter(pl.col("len") > 1)
    )
    broken = bundles.join(several, on=["zone", "meter_id"]).unique(["zone", "meter_id"], keep="first")
    yield violations("two_registries", broken, "{} is registered {} times", "meter_id", "len")

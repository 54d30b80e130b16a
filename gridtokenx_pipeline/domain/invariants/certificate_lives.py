"""Invariants of what happens to certificates: every one in one state at a time, storage and trades move no more than there is."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from ..certificates import (
    CANCELLED,
    CLAIMED,
    HELD,
    ISSUED,
    LOCKED,
    PENDING,
    PIPELINE,
    RETIRED,
    STORAGE_DISCHARGE,
    TRANSFERRED,
    CertificateError,
    fold,
)
from ..certificates.names import CORRECTION, GRID_LOSS
from ..whole_wh import whole_wh
from .violations import violations

_KEY = ["zone", "meter_id", "interval_start"]
_BY_PIPELINE = (ISSUED, HELD, LOCKED, CANCELLED, TRANSFERRED, CLAIMED)


def event_violations(
    bundles: pl.DataFrame, energy: pl.DataFrame, events: pl.DataFrame, holdings: pl.DataFrame | None
) -> Iterator[pl.DataFrame]:
    """Yield what is wrong with the EVENTS of `bundles`, and with HOLDINGS that should be their fold.

    Names: `orphan_event` (of no bundle), `illegal_event` (2, 4 and 9: it cannot happen to the certificates as they are, so
    nothing can be claimed and sold, or retired twice), `holdings` (2: not the fold of the events: issued = active + locked +
    claimed + cancelled + retired + withdrawn + expired, each range of one owner), `issue_event` (12: an issued bundle has one
    issue of its ids and version), `beneficiary` (4: none, or no period, or generation outside of it), `claimed_over_load` (4:
    more claimed than the meter consumed in the interval) and `wrong_actor` (11: people issue, move or claim nothing, and the
    pipeline retires losses alone).
    """
    known = bundles.select("bundle_id", bundle_start="interval_start", bundle_end="interval_end")
    stray = events.join(known, on="bundle_id", how="anti")
    yield violations("orphan_event", stray, "event {} of no bundle {}", "event_id", "bundle_id")
    own = events.join(known, on="bundle_id", how="semi")
    try:
        folded = fold(own, bundles)
    except CertificateError as error:
        text = pl.lit(str(error).replace("{", "(").replace("}", ")"))
        yield violations("illegal_event", bundles[:1].with_columns(error=text), "{}", "error")
    else:
        if holdings is not None:
            yield from _holdings(folded, holdings)

    issues = (
        own.filter(pl.col("kind") == ISSUED)
        .group_by("bundle_id")
        .agg(issues=pl.len(), issued_wh=pl.col("energy_wh").sum(), issued_version=pl.col("version").max())
    )
    counted = bundles.filter(pl.col("state") != PENDING).join(issues, on="bundle_id", how="full", coalesce=True)
    once = (
        (pl.col("issues") == 1) & (pl.col("issued_wh") == pl.col("energy_wh")) & (pl.col("issued_version") == pl.col("version"))
    )
    yield violations(
        "issue_event", counted.filter(~once.fill_null(value=False)), "bundle {} is issued {} times", "bundle_id", "issues"
    )

    dated = own.join(known, on="bundle_id")
    used = dated.filter(pl.col("kind").is_in([RETIRED, CLAIMED]))
    inside = (
        pl.col("beneficiary").is_not_null()
        & (pl.col("period_start") <= pl.col("bundle_start"))
        & (pl.col("bundle_end") <= pl.col("period_end"))
    )
    yield violations(
        "beneficiary",
        used.filter(~inside.fill_null(value=False)),
        "event {} for {} from {} to {}",
        "event_id",
        "beneficiary",
        "period_start",
        "period_end",
    )
    yield _claims(used, dated, energy)

    by_person = pl.col("actor") != PIPELINE
    wrong = (by_person & pl.col("kind").is_in(_BY_PIPELINE)) | (
        ~by_person & (pl.col("kind") == RETIRED) & pl.col("purpose").ne_missing(GRID_LOSS)
    )
    yield violations("wrong_actor", own.filter(wrong), "event {} ({}) by {}", "event_id", "kind", "actor")


def _holdings(folded: pl.DataFrame, holdings: pl.DataFrame) -> Iterator[pl.DataFrame]:
    columns = ["bundle_id", "zone", "interval_start", "first_wh", "last_wh", "energy_wh", "owner", "state"]
    for frame, others, text in (
        (folded, holdings, "certificates {} to {} of {} should be {} of {}"),
        (holdings, folded, "certificates {} to {} of {} are {} of {}, which no event made"),
    ):
        broken = frame.select(columns).join(others, on=columns, how="anti")
        yield violations("holdings", broken, text, "first_wh", "last_wh", "bundle_id", "state", "owner")


def _claims(used: pl.DataFrame, events: pl.DataFrame, energy: pl.DataFrame) -> pl.DataFrame:
    """Claims of an interval beyond the load. What a correction took back of a bundle may have been claimed: it counts less."""
    back = (
        events.filter(pl.col("reason") == CORRECTION)
        .filter(pl.col("kind") == "withdrawn")
        .group_by("bundle_id")
        .agg(back_wh=pl.col("energy_wh").sum())
    )
    claims = (
        used.filter(pl.col("kind") == CLAIMED)
        .group_by("zone", "interval_start", "bundle_id", meter_id="beneficiary")
        .agg(pl.col("energy_wh").sum())
        .join(back, on="bundle_id", how="left")
        .group_by(_KEY)
        .agg(claimed_wh=(pl.col("energy_wh") - pl.col("back_wh").fill_null(0)).sum())
    )
    loads = energy.select(*_KEY, load_wh=whole_wh("load"))
    broken = claims.join(loads, on=_KEY).filter(pl.col("claimed_wh") > pl.col("load_wh").fill_null(0))
    return violations("claimed_over_load", broken, "{} claims {} Wh of {} Wh", "meter_id", "claimed_wh", "load_wh")


def storage_violations(bundles: pl.DataFrame, events: pl.DataFrame, storage: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield what is wrong with STORAGE and the locks, cancellations and storage-discharge bundles that follow from it (5).

    Names: `storage_rules` (energies that do not follow from each other), `storage_locks` (green_in is not what was locked in the
    interval; `events` are those of the window's bundles), `storage_discharge` (green_out is not the bundle's energy) and
    `cancelled_before_charge`.
    """
    ppm = pl.col("efficiency_ppm").cast(pl.Int64)
    green_out = pl.min_horizontal("discharge_wh", pl.col("green_used_wh") * ppm // 1_000_000)
    used_at_most = -(-pl.col("discharge_wh") * 1_000_000 // ppm)
    follows = pl.all_horizontal(
        pl.col("green_in_wh") + pl.col("grey_in_wh") == pl.col("charge_wh"),
        pl.col("green_out_wh") == green_out,
        pl.col("used_wh") <= used_at_most,
        pl.col("green_used_wh") <= pl.col("used_wh"),
        pl.min_horizontal("green_in_wh", "grey_in_wh", "used_wh", "green_used_wh", "green_wh", "grey_wh") >= 0,
        ~pl.col("late") | (pl.col("green_in_wh") + pl.col("used_wh") == 0),
    )
    columns = ("meter_id", "charge_wh", "discharge_wh", "used_wh", "green_used_wh", "green_out_wh")
    broken = storage.filter(~follows)
    yield violations("storage_rules", broken, "{}: charge {}, discharge {}, used {}, green {}, out {} Wh", *columns)

    locked = (
        events.filter(pl.col("kind") == LOCKED)
        .join(bundles.select("bundle_id", "meter_id"), on="bundle_id")
        .group_by(_KEY)
        .agg(locked_wh=pl.col("energy_wh").sum())
    )
    released = bundles.filter(pl.col("origin") == STORAGE_DISCHARGE).group_by(_KEY).agg(released_wh=pl.col("energy_wh").sum())
    for name, frame, column, stated, text in (
        ("storage_locks", locked, "locked_wh", "green_in_wh", "{} locked {} Wh, its store took {} green Wh"),
        ("storage_discharge", released, "released_wh", "green_out_wh", "{} has {} Wh of storage discharge, its store gave {} Wh"),
    ):
        both = storage.join(frame, on=_KEY, how="full", coalesce=True).with_columns(pl.col(column, stated).fill_null(0))
        yield violations(name, both.filter(pl.col(column) != pl.col(stated)), text, "meter_id", column, stated)

    early = events.filter((pl.col("kind") == CANCELLED) & (pl.col("bundle_interval_start") >= pl.col("interval_start")))
    yield violations("cancelled_before_charge", early, "event {} of {}", "event_id", "bundle_interval_start")


def trade_violations(bundles: pl.DataFrame, events: pl.DataFrame, trades: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield transfers that are not their trade's (9): `moved_without_trade`, or `moved_over_trade`: more than it delivered."""
    moved = events.filter((pl.col("kind") == TRANSFERRED) & (pl.col("actor") == PIPELINE))
    terms = trades.select("trade_id", "seller_meter_id", "buyer_meter_id", sold_wh="energy_wh", lost_wh="loss_wh")
    both = moved.join(terms, on="trade_id", how="left")
    fits = (pl.col("from_owner") == pl.col("seller_meter_id")) & (pl.col("owner") == pl.col("buyer_meter_id"))
    broken = both.filter(~fits.fill_null(value=False))
    yield violations("moved_without_trade", broken, "event {} from {} to {}", "event_id", "from_owner", "owner")
    sums = both.group_by("zone", "interval_start", "trade_id").agg(
        pl.col("energy_wh").sum(), delivered_wh=(pl.col("sold_wh") - pl.col("lost_wh")).first()
    )
    broken = sums.filter(pl.col("energy_wh") > pl.col("delivered_wh"))
    yield violations("moved_over_trade", broken, "{} Wh moved with trade {} of {} Wh", "energy_wh", "trade_id", "delivered_wh")

"""Certificates of intervals that were settled and whose energy is another now.

Nothing that was issued is edited. More energy is issued besides, less is withdrawn from the top of what the producer still has
or claimed itself, and what it no longer has is a shortfall that its next issue makes up for (as M-RETS adjusts prior periods).
What was pending may become issued, with the energy and ids of now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from .allocate import WITHDRAW_STEP
from .issue import Rules, as_bundles, issues
from .names import (
    ACTIVE,
    CLAIMED,
    CORRECTION,
    HELD,
    ID_OVERLAP,
    ISSUED,
    KEY,
    METER,
    PENDING,
    PRODUCTION,
    SHORTFALL,
    STORAGE_DISCHARGE,
    WITHDRAWN,
)
from .ranges import take


@dataclass(frozen=True)
class Corrected:
    """Bundles (BUNDLES and reason) that are new or replace a pending one of the same id, and what happened, for `events_of`."""

    bundles: pl.DataFrame
    happened: pl.DataFrame


def correct(
    now: pl.DataFrame, kept: pl.DataFrame, holdings: pl.DataFrame, events: pl.DataFrame, others: pl.DataFrame, rules: Rules
) -> Corrected:
    """Correct the production of meters and intervals.

    `now` are rows of `issue.produced` with the version of the correction; `kept` are the BUNDLES that stand in these intervals,
    `events` and `holdings` theirs; `others` are bundles of any interval whose ids may not be issued again.

    Where the energy is withheld now, what was issued stays until the energy is validated or edited; what was not is held.
    Where no whole-Wh difference can be made, nothing happens.
    """
    own = kept.filter(pl.col("origin") == PRODUCTION)
    state = _settled(now, own, holdings, events)
    good, extra = pl.col("reason") == "", pl.col("energy_wh") - pl.col("settled_wh")
    more = _added(state.filter(good & (extra > 0)), others)
    unclear = state.filter(~good & (pl.col("energy_wh") > 0) & pl.col("issued_first").is_null())
    wanted = pl.concat([more, unclear])
    same = pl.all_horizontal(
        pl.col("pending_wh").eq_missing(pl.col("energy_wh")),
        pl.col("pending_first").eq_missing(pl.col("first_wh")),
        pl.col("pending_reason").eq_missing(pl.col("reason")),
    )
    bundles = pl.concat(
        _named(part, rules) for part in wanted.filter(~same).partition_by("version", maintain_order=True) or [wanted.clear()]
    )
    less = state.filter(good & (extra < 0) & pl.col("issued_first").is_not_null()).with_columns(less_wh=-extra)
    dismissed = state.filter(good & (extra <= 0) & pl.col("pending_id").is_not_null())
    happened = [issues(bundles), *(_less(row, holdings, own) for row in less.iter_rows(named=True)), _dismissed(dismissed)]
    return Corrected(bundles, pl.concat(happened, how="diagonal"))


def discharged(now: pl.DataFrame, kept: pl.DataFrame, holdings: pl.DataFrame, rules: Rules) -> Corrected:
    """Issue the storage-discharge bundles that were pending and whose discharge is good now, with the energy they had.

    `now` are rows of `issue.produced` of the discharge, with the version of the correction.
    """
    pending = holdings.filter(pl.col("state") == PENDING).select("bundle_id").unique()
    waiting = kept.filter(pl.col("origin") == STORAGE_DISCHARGE).join(pending, on="bundle_id", how="semi")
    rows = (
        now.filter(pl.col("reason") == "")
        .join(waiting.select(*KEY, out_wh="energy_wh"), on=KEY)
        .filter(pl.col("energy_wh") >= pl.col("out_wh"))
        .with_columns(energy_wh=pl.col("out_wh"))
    )
    bundles = as_bundles(rows, rules, STORAGE_DISCHARGE)
    return Corrected(bundles, issues(bundles))


def issued_elsewhere(rows: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """Return the keys of those `rows` (first_wh and last_wh of meters and intervals) whose ids another interval has issued."""
    theirs = others.filter((pl.col("state") == ISSUED) & (pl.col("origin") == PRODUCTION)).select(
        *METER, "interval_start", low="first_wh", high="last_wh"
    )
    return (
        rows.join(theirs, on=METER, suffix="_other")
        .filter(
            (pl.col("interval_start") != pl.col("interval_start_other"))
            & (pl.col("first_wh") <= pl.col("high"))
            & (pl.col("last_wh") >= pl.col("low"))
        )
        .select(KEY)
        .unique()
    )


def _settled(now: pl.DataFrame, own: pl.DataFrame, holdings: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """`now` with what the certificates of each meter and interval stand at."""
    issued = own.filter(pl.col("state") == ISSUED)
    adjusted = ((pl.col("kind") == WITHDRAWN) & (pl.col("reason") == CORRECTION)) | (pl.col("kind") == SHORTFALL)
    back = (
        events.filter(adjusted)
        .join(issued.select("bundle_id", *KEY[1:2]), on="bundle_id")
        .group_by("bundle_id")
        .agg(back_wh=pl.col("energy_wh").sum())
    )
    sums = (
        issued.join(back, on="bundle_id", how="left")
        .group_by(KEY)
        .agg(
            settled_wh=(pl.col("energy_wh") - pl.col("back_wh").fill_null(0)).sum(),
            issued_first=pl.col("first_wh").min(),
            issued_last=pl.col("last_wh").max(),
        )
    )
    reasons = events.filter(pl.col("kind") == HELD).sort("bundle_id", "interval_start", "number")
    waiting = holdings.filter(pl.col("state") == PENDING).select("bundle_id").unique()
    pending = (
        own.join(waiting, on="bundle_id", how="semi")
        .join(reasons.group_by("bundle_id").agg(pending_reason=pl.col("reason").last()), on="bundle_id", how="left")
        .sort("bundle_id")
        .group_by(KEY, maintain_order=True)
        .agg(
            pending_id=pl.col("bundle_id").first(),
            pending_wh=pl.col("energy_wh").first(),
            pending_first=pl.col("first_wh").first(),
            pending_reason=pl.col("pending_reason").first(),
        )
    )
    known = own.group_by(KEY).agg(bundles=pl.len())
    return (
        now.filter(pl.col("energy_wh").is_not_null())
        .join(sums, on=KEY, how="left", maintain_order="left")
        .join(pending, on=KEY, how="left", maintain_order="left")
        .join(known, on=KEY, how="left", maintain_order="left")
        .with_columns(pl.col("settled_wh", "bundles").fill_null(0))
    )


def _added(more: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """The rows with the energy and ids to issue besides; where these ids are or may be another bundle's, with that reason."""
    end = pl.col("first_wh") + pl.col("energy_wh")
    extra = pl.col("energy_wh") - pl.col("settled_wh")
    low, high = pl.col("issued_first"), pl.col("issued_last")
    above = low.is_null() | (end - 1 - high >= extra)
    below = low - pl.col("first_wh") >= extra
    placed = more.with_columns(
        energy_wh=extra,
        first_wh=pl.when(above | ~below).then(end - extra).otherwise(pl.col("first_wh")),
        room=above | below,
    ).with_columns(last_wh=pl.col("first_wh") + pl.col("energy_wh") - 1)
    taken = issued_elsewhere(placed, others).with_columns(taken=pl.lit(value=True))
    placed = placed.join(taken, on=KEY, how="left", maintain_order="left").sort(*METER, "first_wh", "interval_start")
    twice = pl.col("first_wh") <= pl.col("last_wh").cum_max().shift(1).over(METER)
    free = pl.col("room") & pl.col("taken").is_null() & ~twice.fill_null(value=False)
    return placed.with_columns(reason=pl.when(free).then(pl.lit("")).otherwise(pl.lit(ID_OVERLAP))).select(more.columns)


def _named(part: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Bundles of one version: of the id that is pending, of the interval's own where it has none, else of the correction's."""
    if part.is_empty():
        return as_bundles(part, rules)
    first = as_bundles(part, rules)
    besides = as_bundles(part, rules, CORRECTION, int(part["version"][0]))
    chosen = pl.select(
        pl.coalesce(
            part["pending_id"],
            pl.when(part["bundles"] == 0).then(first["bundle_id"]).otherwise(besides["bundle_id"]),
        )
    ).to_series()
    return first.with_columns(bundle_id=chosen)


def _less(row: dict[str, Any], holdings: pl.DataFrame, own: pl.DataFrame) -> pl.DataFrame:
    """Withdrawals of one meter and interval, and the shortfall that is left."""
    mine = own.filter((pl.col("state") == ISSUED) & pl.all_horizontal(pl.col(name) == row[name] for name in KEY)).sort(
        "version", "first_wh"
    )
    held = (
        holdings.join(mine, on="bundle_id", how="semi")
        .filter((pl.col("owner") == row["meter_id"]) & pl.col("state").is_in([ACTIVE, CLAIMED]))
        .sort(pl.col("state") != ACTIVE, pl.col("last_wh"), descending=[False, True])
    )
    taken = take(held, row["less_wh"], from_top=True)
    place = {"zone": row["zone"], "interval_start": row["interval_start"], "version": row["version"], "owner": row["meter_id"]}
    common = [pl.lit(value).alias(name) for name, value in place.items() if name not in ("interval_start", "version")]
    moment = pl.lit(row["interval_start"], dtype=pl.Datetime("us", "UTC"))
    common += [
        moment.alias("interval_start"),
        moment.alias("bundle_interval_start"),
        pl.lit(row["version"], dtype=pl.Int32).alias("version"),
        pl.lit(CORRECTION).alias("reason"),
        pl.lit(WITHDRAW_STEP).alias("step"),
    ]
    withdrawn = taken.select("bundle_id", "first_wh", "last_wh", "energy_wh", pl.lit(WITHDRAWN).alias("kind"), *common)
    short = row["less_wh"] - int(withdrawn["energy_wh"].sum())
    owed = mine[:1].select(
        "bundle_id", pl.lit(short, dtype=pl.Int64).alias("energy_wh"), pl.lit(SHORTFALL).alias("kind"), *common
    )
    return pl.concat([withdrawn, owed.filter(pl.col("energy_wh") > 0)], how="diagonal")


def _dismissed(rows: pl.DataFrame) -> pl.DataFrame:
    """Withdrawals of pending bundles with no energy behind them."""
    return rows.select(
        "zone",
        "interval_start",
        "version",
        bundle_id="pending_id",
        bundle_interval_start="interval_start",
        first_wh="pending_first",
        last_wh=pl.col("pending_first") + pl.col("pending_wh") - 1,
        energy_wh="pending_wh",
        owner="meter_id",
        kind=pl.lit(WITHDRAWN),
        reason=pl.lit(CORRECTION),
        step=pl.lit(WITHDRAW_STEP),
    )

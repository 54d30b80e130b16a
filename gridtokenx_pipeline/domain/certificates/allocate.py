"""What becomes of certificates in the interval they are issued in: claimed by own load, locked for the store, moved with trades.

Of a bundle's ids the first are claimed, then come those for the store, then those that move with the meter's trades, agreements
first and then by buyer; the rest stays with the producer. Every range follows from these energies alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from .names import (
    CANCELLED,
    CLAIMED,
    GRID,
    GRID_LOSS,
    KEY,
    LOCKED,
    METER,
    PRODUCTION,
    RETIRED,
    STORAGE_DISCHARGE,
    TRANSFERRED,
    CertificateError,
)

AGREEMENT = "agreement"
# The order of what happens to a bundle in one interval; issue is 0.
WITHDRAW_STEP, CANCEL_STEP, CLAIM_STEP, LOCK_STEP, TRADE_STEP = 1, 2, 3, 4, 5
_BUNDLE = ("bundle_id", "zone", "interval_start", "bundle_interval_start", "version")


def allocate(pools: pl.DataFrame, trades: pl.DataFrame) -> pl.DataFrame:
    """Return what happens to the certificates of `pools`, as `events_of` takes it.

    `pools` has one row for each bundle that was issued: bundle_id, origin, zone, meter_id, interval_start, interval_end, version,
    first_wh (its first certificate that may be allocated), available_wh (how many), claim_wh, lock_wh and trade_wh (at most so
    many to own load, the store and trades, together no more than available), at most one of each origin for a meter and interval.
    `trades` is a frame of `contracts.market.TRADES` with those that no certificate moved with.

    Production goes before storage discharge in every trade. A trade's loss_wh takes its share of what moves: retired on the way.
    """
    first = pl.col("first_wh")
    rows = pools.with_columns(bundle_interval_start=pl.col("interval_start"))
    claimed = rows.filter(pl.col("claim_wh") > 0).select(
        *_BUNDLE,
        "first_wh",
        last_wh=first + pl.col("claim_wh") - 1,
        energy_wh="claim_wh",
        kind=pl.lit(CLAIMED),
        owner="meter_id",
        beneficiary="meter_id",
        period_start="interval_start",
        period_end="interval_end",
        step=pl.lit(CLAIM_STEP),
    )
    begin = first + pl.col("claim_wh")
    locked = rows.filter(pl.col("lock_wh") > 0).select(
        *_BUNDLE,
        first_wh=begin,
        last_wh=begin + pl.col("lock_wh") - 1,
        energy_wh="lock_wh",
        kind=pl.lit(LOCKED),
        owner="meter_id",
        step=pl.lit(LOCK_STEP),
    )
    return pl.concat([claimed, locked, *_with_trades(rows, trades)], how="diagonal")


def _with_trades(rows: pl.DataFrame, trades: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Transfers, and retirements for losses on the way, of both origins."""
    place = ["zone", "interval_start", "meter_id"]
    ordered = (
        trades.filter(pl.col("energy_wh") > 0)
        .select(
            "zone", "interval_start", "trade_id", "buyer_meter_id", "energy_wh", "loss_wh", "kind", meter_id="seller_meter_id"
        )
        .join(rows.select(place).unique(), on=place, how="semi")
        .sort(*place, pl.col("kind") != AGREEMENT, "buyer_meter_id", "trade_id")
    )
    wanted = ordered.with_columns(left_wh=pl.col("energy_wh"))
    for origin in (PRODUCTION, STORAGE_DISCHARGE):
        own = rows.filter(pl.col("origin") == origin)
        found = wanted.join(own.drop("energy_wh", strict=False), on=place, how="left", maintain_order="left")
        before = pl.col("left_wh").cum_sum().over(place) - pl.col("left_wh")
        covered = (pl.col("trade_wh").fill_null(0) - before).clip(0, pl.col("left_wh"))
        start = pl.col("first_wh") + pl.col("claim_wh") + pl.col("lock_wh") + before
        found = found.with_columns(covered_wh=covered, start_wh=start)
        wanted = wanted.with_columns(left_wh=pl.col("left_wh") - found["covered_wh"])
        # integers throughout: energies of one interval are far below the roots of 2^63
        moved = pl.col("covered_wh") * (pl.col("energy_wh") - pl.col("loss_wh")) // pl.col("energy_wh")
        found = found.filter(pl.col("covered_wh") > 0).with_columns(moved_wh=moved)
        yield found.filter(pl.col("moved_wh") > 0).select(
            *_BUNDLE,
            first_wh="start_wh",
            last_wh=pl.col("start_wh") + pl.col("moved_wh") - 1,
            energy_wh="moved_wh",
            kind=pl.lit(TRANSFERRED),
            owner="buyer_meter_id",
            from_owner="meter_id",
            trade_id="trade_id",
            step=pl.lit(TRADE_STEP),
        )
        yield found.filter(pl.col("moved_wh") < pl.col("covered_wh")).select(
            *_BUNDLE,
            first_wh=pl.col("start_wh") + pl.col("moved_wh"),
            last_wh=pl.col("start_wh") + pl.col("covered_wh") - 1,
            energy_wh=pl.col("covered_wh") - pl.col("moved_wh"),
            kind=pl.lit(RETIRED),
            owner="meter_id",
            trade_id="trade_id",
            beneficiary=pl.lit(GRID),
            purpose=pl.lit(GRID_LOSS),
            period_start="interval_start",
            period_end="interval_end",
            step=pl.lit(TRADE_STEP),
        )


def cancellations(locked: pl.DataFrame, taken: pl.DataFrame) -> pl.DataFrame:
    """Return the cancellations of locked certificates for what stores gave, first in first out, as `events_of` takes it.

    `locked` has zone, meter_id, bundle_id, bundle_interval_start, first_wh and last_wh: ranges that stand locked, and those that
    are locked now. `taken` has zone, meter_id, interval_start, version, green_used_wh (> 0) and counter_bundle_id.

    Raises `CertificateError` naming the meter and interval for one that takes more than was locked before it.
    """
    if taken.is_empty():
        return pl.DataFrame()
    size = pl.col("last_wh") - pl.col("first_wh") + 1
    lines = (
        locked.sort(*METER, "bundle_interval_start", "first_wh")
        .with_columns(high=size.cum_sum().over(METER))
        .with_columns(low=pl.col("high") - size)
    )
    cuts = (
        taken.sort(KEY)
        .with_columns(until=pl.col("green_used_wh").cum_sum().over(METER))
        .with_columns(since=pl.col("until") - pl.col("green_used_wh"))
    )
    # takings [since, until) and locked ranges [low, high) lie on one line of a meter's certificates: cut at all of their ends
    points = pl.concat(
        frame.select(*METER, at=name) for frame, name in ((lines, "low"), (lines, "high"), (cuts, "since"), (cuts, "until"))
    )
    parts = (
        points.unique()
        .sort(*METER, "at")
        .with_columns(to=pl.col("at").shift(-1).over(METER))
        .drop_nulls("to")
        .sort("at")
        .join_asof(lines.sort("low"), left_on="at", right_on="low", by=METER, check_sortedness=False)
        .join_asof(cuts.sort("since"), left_on="at", right_on="since", by=METER, check_sortedness=False)
    )
    both = parts.filter((pl.col("at") < pl.col("high")) & (pl.col("at") < pl.col("until"))).with_columns(
        first_wh=pl.col("first_wh") + pl.col("at") - pl.col("low"),
        last_wh=pl.col("first_wh") + pl.col("to") - pl.col("low") - 1,
        energy_wh=pl.col("to") - pl.col("at"),
    )
    found = both.group_by(KEY).agg(
        pl.col("energy_wh").sum(), early=(pl.col("bundle_interval_start") >= pl.col("interval_start")).any()
    )
    short = cuts.join(found, on=KEY, how="left").filter(
        (pl.col("energy_wh").fill_null(0) != pl.col("green_used_wh")) | pl.col("early")
    )
    if not short.is_empty():
        row = short.sort(KEY).row(0, named=True)
        raise CertificateError(
            f"the store of {row['meter_id']} gave {row['green_used_wh']} green Wh at {row['interval_start']}, "
            f"{row['energy_wh'] or 0} were locked before"
        )
    return both.select(
        *_BUNDLE,
        "first_wh",
        "last_wh",
        "energy_wh",
        "counter_bundle_id",
        kind=pl.lit(CANCELLED),
        owner="meter_id",
        step=pl.lit(CANCEL_STEP),
    )

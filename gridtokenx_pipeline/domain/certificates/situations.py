"""What certificates of an interval can be used for: own load, the store, trades."""

from __future__ import annotations

import polars as pl

from ..whole_wh import whole_wh
from .names import CLAIMED, KEY, RELEASED

POOL = ("bundle_id", "origin", *KEY, "interval_end", "version", "first_wh", "available_wh", "claim_wh", "lock_wh", "trade_wh")


def situations(energy: pl.DataFrame, closed: pl.DataFrame, trades: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Return whole Wh of every meter and closed interval, unknown ones as 0, with what it sold and the load not claimed yet."""
    sold = trades.group_by("zone", "interval_start", meter_id="seller_meter_id").agg(sold_wh=pl.col("energy_wh").sum())
    claimed = (
        events.filter(pl.col("kind") == CLAIMED)
        .group_by("zone", "interval_start", meter_id="owner")
        .agg(claimed_wh=pl.col("energy_wh").sum())
    )
    channels = ("generation", "load", "charge", "discharge")
    return (
        energy.join(closed, on=["zone", "interval_start"])
        .select(*KEY, "duration_s", "version", *(whole_wh(name).fill_null(0).alias(f"{name}_wh") for name in channels))
        .join(sold, on=KEY, how="left")
        .join(claimed, on=KEY, how="left")
        .with_columns(
            pl.col("sold_wh").fill_null(0),
            load_left_wh=(pl.col("load_wh") - pl.col("claimed_wh").fill_null(0)).clip(lower_bound=0),
        )
    )


def production_pools(production: pl.DataFrame, withdrawn: pl.DataFrame, situations: pl.DataFrame) -> pl.DataFrame:
    """Return issued bundles with the certificates that may be allocated and those that own load claims."""
    back = withdrawn.group_by("bundle_id").agg(back_wh=pl.col("energy_wh").sum())
    return (
        production.join(back, on="bundle_id", how="left")
        .join(situations.select(*KEY, "load_left_wh"), on=KEY, how="left")
        .with_columns(available_wh=pl.col("energy_wh") - pl.col("back_wh").fill_null(0))
        .with_columns(claim_wh=pl.min_horizontal("available_wh", "load_left_wh").clip(lower_bound=0))
    )


def with_locks(production: pl.DataFrame, storage: pl.DataFrame) -> pl.DataFrame:
    """Return what `allocate` takes of `production_pools`: after own load the store, and the rest to trades."""
    return (
        production.join(storage.select(*KEY, lock_wh="green_in_wh"), on=KEY, how="left")
        .with_columns(pl.col("lock_wh").fill_null(0))
        .with_columns(trade_wh=pl.col("available_wh") - pl.col("claim_wh") - pl.col("lock_wh"))
        .select(POOL)
    )


def discharge_pools(made: pl.DataFrame, production: pl.DataFrame, states: pl.DataFrame) -> pl.DataFrame:
    """Return what `allocate` takes of issued storage discharge.

    Trades carry it in the proportion that they carry of the discharge, which is what was sold beyond the generation that was
    left; of the rest, own load claims what its own generation did not serve.
    """
    generated = (pl.col("generation_wh") - pl.col("load_wh") - pl.col("charge_wh")).clip(lower_bound=0)
    sold = pl.min_horizontal("discharge_wh", (pl.col("sold_wh") - generated).clip(lower_bound=0))
    own = production.select(*KEY, own_claim_wh="claim_wh")
    load = pl.col("load_left_wh") - pl.col("own_claim_wh").fill_null(0)
    return (
        made.filter(pl.col("state") == RELEASED)
        .join(states.drop("version"), on=KEY)
        .join(own, on=KEY, how="left")
        .with_columns(available_wh=pl.col("energy_wh"), lock_wh=pl.lit(0, dtype=pl.Int64))
        .with_columns(trade_wh=pl.col("energy_wh") * sold // pl.col("discharge_wh"))
        .with_columns(claim_wh=pl.min_horizontal(pl.col("energy_wh") - pl.col("trade_wh"), load).clip(lower_bound=0))
        .select(POOL)
    )

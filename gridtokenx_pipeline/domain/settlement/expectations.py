"""What the chain has to show once actions are done: totals of every meter, roots of every interval, supply of both tokens."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from .kinds import EXECUTE_TRADE, MINT_GRID, MINT_REC, RECORD_BATCH, RETIRE_REC, SETTLE_POSITION, SUBMIT_ENERGY_READING

DONE = "done"
METER_TOTALS: dict[str, pl.DataType | type[pl.DataType]] = {
    "meter_id": pl.String,
    "readings": pl.Int64,
    "produced_wh": pl.Int64,
    "consumed_wh": pl.Int64,
    "grid_minted_wh": pl.Int64,
    "grid_balance_wh": pl.Int64,
    "amount_micro": pl.Int64,
    "rec_minted_wh": pl.Int64,
    "rec_retired_wh": pl.Int64,
}
ROOTS: dict[str, pl.DataType | type[pl.DataType]] = {
    "zone": pl.String,
    "window_start": pl.Datetime("us", "UTC"),
    "batch_id": pl.String,
    "version": pl.Int32,
    "leaves": pl.Int64,
    "root": pl.String,
}

_ARGUMENTS = dict.fromkeys(("meter_id", "seller_meter_id", "buyer_meter_id", "root"), pl.String) | dict.fromkeys(
    ("produced_wh", "consumed_wh", "energy_wh", "amount_micro", "version", "leaves"), pl.Int64
)


class Supply(NamedTuple):
    """Supply of both tokens, in Wh."""

    grid_wh: int
    rec_wh: int


def meter_totals(actions: pl.DataFrame) -> pl.DataFrame:
    """Return the columns `METER_TOTALS` of every meter that `actions` (ACTIONS) are about, counting what is done.

    `grid_balance_wh` is what was minted, bought and not sold, `amount_micro` what was received less what was paid.
    """
    done = _done(actions)
    energy, amount = pl.col("energy_wh"), pl.col("amount_micro")

    def of(kind: str, meter: str = "meter_id", **columns: pl.Expr) -> pl.DataFrame:
        return done.filter(pl.col("kind") == kind).select(pl.col(meter).alias("meter_id"), **columns)

    produced, consumed = pl.col("produced_wh"), pl.col("consumed_wh")
    parts = [
        of(SUBMIT_ENERGY_READING, readings=pl.lit(1, dtype=pl.Int64), produced_wh=produced, consumed_wh=consumed),
        of(MINT_GRID, grid_minted_wh=energy, grid_balance_wh=energy),
        of(EXECUTE_TRADE, "seller_meter_id", grid_balance_wh=-energy, amount_micro=amount),
        of(EXECUTE_TRADE, "buyer_meter_id", grid_balance_wh=energy, amount_micro=-amount),
        of(SETTLE_POSITION, grid_balance_wh=energy, amount_micro=amount),
        of(MINT_REC, rec_minted_wh=energy),
        of(RETIRE_REC, rec_retired_wh=energy),
    ]
    return (
        pl.concat([pl.DataFrame(schema=METER_TOTALS), *parts], how="diagonal")
        .group_by("meter_id")
        .agg(pl.col(list(METER_TOTALS)[1:]).sum())
        .sort("meter_id")
    )


def supply(actions: pl.DataFrame) -> Supply:
    """Return the supply that `actions` (ACTIONS) make, counting what is done."""
    totals = meter_totals(actions).sum()
    grid, minted, retired = (int(totals[name][0] or 0) for name in ("grid_minted_wh", "rec_minted_wh", "rec_retired_wh"))
    return Supply(grid, minted - retired)


def roots(actions: pl.DataFrame) -> pl.DataFrame:
    """Return the columns `ROOTS` of every interval whose root is recorded: the highest version's, which replaces the others'."""
    recorded = _done(actions).filter(pl.col("kind") == RECORD_BATCH).with_columns(pl.col("version").cast(pl.Int32))
    last = recorded.sort("version").unique(["zone", "window_start"], keep="last")
    return last.select(list(ROOTS)).sort("zone", "window_start")


def _done(actions: pl.DataFrame) -> pl.DataFrame:
    """What is done, with its arguments."""
    return (
        actions.filter(pl.col("state") == DONE)
        .with_columns(pl.col("arguments").str.json_decode(pl.Struct(_ARGUMENTS)))
        .unnest("arguments")
    )

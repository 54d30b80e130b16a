"""Invariants of the campus's account: what its meters settle, what its feeder says, and what is left over add up."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from ..market.clearing import OPEN
from .violations import violations

_WINDOW = ["zone", "interval_start", "version"]


def balance_violations(
    intervals: pl.DataFrame, trades: pl.DataFrame, grid: pl.DataFrame, balances: pl.DataFrame
) -> Iterator[pl.DataFrame]:
    """Yield, as `campus_balance`, what is wrong with `contracts.market.CAMPUS_BALANCES`, which has a row for each closed version.

    net = loss + export - import = loss + feeder + unaccounted, and energies and money are the sums of the rows.
    """
    closed = intervals.filter(pl.col("state") != OPEN).select(_WINDOW)
    broken = closed.join(balances, on=_WINDOW, how="anti")
    yield violations("campus_balance", broken, "version {} has no balance", "version")
    broken = balances.join(closed, on=_WINDOW, how="anti")
    yield violations("campus_balance", broken, "balance of no closed version {}", "version")

    rows = (
        balances.join(
            grid.group_by(_WINDOW).agg(
                settled_net=pl.col("net_wh").sum(),
                settled_rest=pl.col("energy_wh").sum(),
                settled_micro=pl.col("amount_micro").sum(),
                settled_meters=pl.len().cast(pl.Int32),
            ),
            on=_WINDOW,
            how="left",
        )
        .join(
            trades.group_by(_WINDOW).agg(
                traded_micro=pl.col("amount_micro").sum(),
                traded_loss=pl.col("loss_wh").sum(),
                traded_wheeling=pl.col("wheeling_micro").sum(),
            ),
            on=_WINDOW,
            how="left",
        )
        .with_columns(pl.col("^(settled|traded)_.*$").fill_null(0), exchanged=pl.col("export_wh") - pl.col("import_wh"))
        .with_columns(
            with_grid=pl.col("loss_wh") + pl.col("exchanged"),
            with_feeder=pl.col("loss_wh") + pl.col("feeder_net_wh") + pl.col("unaccounted_wh"),
        )
    )
    for stated, counted in (
        ("net_wh", "settled_net"),
        ("exchanged", "settled_rest"),
        ("grid_amount_micro", "settled_micro"),
        ("meters", "settled_meters"),
        ("trade_amount_micro", "traded_micro"),
        ("loss_wh", "traded_loss"),
        ("wheeling_micro", "traded_wheeling"),
        ("net_wh", "with_grid"),
    ):
        broken = rows.filter(pl.col(stated) != pl.col(counted))
        yield violations("campus_balance", broken, f"{stated} is {{}}, {counted} {{}}", stated, counted)
    silent = pl.col("feeder_net_wh").is_null()
    broken = rows.filter((silent != pl.col("unaccounted_wh").is_null()) | (~silent & (pl.col("with_feeder") != pl.col("net_wh"))))
    columns = ("net_wh", "loss_wh", "feeder_net_wh", "unaccounted_wh")
    yield violations("campus_balance", broken, "net {} is not loss {} + feeder {} + unaccounted {} Wh", *columns)

"""What a clearing means for its meters: bills with the market and without it, and prices by interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from gridtokenx_pipeline.domain.market import Cleared

_KEY = ["zone", "interval_start"]
METERS: dict[str, pl.DataType | type[pl.DataType]] = {
    "meter_id": pl.String,
    **dict.fromkeys(
        ("surplus_wh", "deficit_wh", "sold_wh", "received_wh", "wheeling_micro", "bill_micro", "sellers_micro", "buyers_micro"),
        pl.Int64,
    ),
}
INTERVALS: dict[str, pl.DataType | type[pl.DataType]] = {
    "interval_start": pl.Datetime("us", "UTC"),
    **dict.fromkeys(
        ("supply_wh", "demand_wh", "traded_wh", "loss_wh", "wheeling_micro", "low_micro", "high_micro", "worth"), pl.Int64
    ),
    "feed_in_micro_per_kwh": pl.Int64,
    "retail_micro_per_kwh": pl.Int64,
    "currency": pl.String,
}


@dataclass(frozen=True)
class Outcome:
    """What closed intervals came to under one mechanism, in Wh and micro-currency.

    `meters` has the columns `METERS`, by meter: `bill_micro` is what the meter receives (+) or pays (-) for trades, wheeling
    and the grid; `sellers_micro` and `buyers_micro` how much more that is than with the grid alone, in intervals of its surplus
    and of its deficit. `intervals` has the columns `INTERVALS`, by time: least and highest price of trades in micro per kWh
    (null without trades), and `worth`, the sum of Wh x price.
    """

    meters: pl.DataFrame
    intervals: pl.DataFrame

    def totals(self) -> dict[str, Any]:
        """Return the sums of all meters and intervals; prices are null where nothing was traded."""
        rows = self.intervals
        traded, worth = int(rows["traded_wh"].sum()), int(rows["worth"].sum())
        low, high = rows["low_micro"].min(), rows["high_micro"].max()
        return {
            "intervals": len(rows),
            "supply_wh": int(rows["supply_wh"].sum()),
            "demand_wh": int(rows["demand_wh"].sum()),
            "traded_wh": traded,
            "loss_wh": int(rows["loss_wh"].sum()),
            "price_min_micro_per_kwh": low,
            "price_mean_micro_per_kwh": (2 * worth + traded) // (2 * traded) if traded else None,
            "price_max_micro_per_kwh": high,
            "sellers_extra_micro": int(self.meters["sellers_micro"].sum()),
            "buyers_savings_micro": int(self.meters["buyers_micro"].sum()),
            "wheeling_micro": int(rows["wheeling_micro"].sum()),
        }


def outcome_of(cleared: Cleared) -> Outcome:
    """Return the outcome of a clearing; its open intervals are left out, as is what names their meters."""
    intervals = cleared.intervals.filter(pl.col("state") != "open")
    trades = cleared.trades
    priced = trades.group_by(_KEY).agg(
        pl.col("price_micro_per_kwh").min().alias("low_micro"),
        pl.col("price_micro_per_kwh").max().alias("high_micro"),
        (pl.col("price_micro_per_kwh") * pl.col("energy_wh")).sum().alias("worth"),
    )
    rows = intervals.join(priced, on=_KEY, how="left").with_columns(pl.col("worth").fill_null(0))
    return Outcome(_meters(cleared, intervals), rows.select(list(INTERVALS)).cast(INTERVALS).sort("interval_start"))  # type: ignore[arg-type]


def summed(parts: Sequence[Outcome]) -> Outcome:
    """Return the outcome of consecutive parts of a window."""
    meters = pl.concat([part.meters for part in parts]).group_by("meter_id").sum().select(list(METERS)).sort("meter_id")
    return Outcome(meters, pl.concat([part.intervals for part in parts]))


def _meters(cleared: Cleared, intervals: pl.DataFrame) -> pl.DataFrame:
    meter = [*_KEY, "meter_id"]
    amount, wheeling, energy = (pl.col(name) for name in ("amount_micro", "wheeling_micro", "energy_wh"))
    sold = cleared.trades.group_by(*_KEY, meter_id="seller_meter_id").agg(
        energy.sum().alias("sold_wh"), amount.sum().alias("earned")
    )
    bought = cleared.trades.group_by(*_KEY, meter_id="buyer_meter_id").agg(
        (energy - pl.col("loss_wh")).sum().alias("received_wh"), amount.sum().alias("spent"), wheeling.sum()
    )
    tariffs = intervals.select(*_KEY, "feed_in_micro_per_kwh", "retail_micro_per_kwh")
    traded = ["sold_wh", "earned", "received_wh", "spent", "wheeling_micro"]
    net, feed_in, retail = pl.col("net_wh"), pl.col("feed_in_micro_per_kwh"), pl.col("retail_micro_per_kwh")
    alone = pl.when(net >= 0).then((net * feed_in + 500) // 1000).otherwise(-((-net * retail + 500) // 1000))
    more = pl.col("bill_micro") - alone
    return (
        cleared.grid_settlements.join(tariffs, on=_KEY, how="inner")
        .join(sold, on=meter, how="left")
        .join(bought, on=meter, how="left")
        .with_columns(pl.col(traded).fill_null(0))
        .with_columns(bill_micro=amount + pl.col("earned") - pl.col("spent") - wheeling)
        .with_columns(
            surplus_wh=net.clip(0),
            deficit_wh=(-net).clip(0),
            sellers_micro=pl.when(net > 0).then(more).otherwise(0),
            buyers_micro=pl.when(net < 0).then(more).otherwise(0),
        )
        .group_by("meter_id")
        .agg(pl.col(name).sum() for name in METERS if name != "meter_id")
        .select(list(METERS))
        .cast(METERS)  # type: ignore[arg-type]
        .sort("meter_id")
    )

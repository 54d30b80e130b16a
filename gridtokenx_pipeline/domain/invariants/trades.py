"""Invariants of single trades: who, how much, at what price, over which way."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from ..market.model import Network
from .violations import violations

_WINDOW = ["zone", "interval_start", "version"]


def trade_violations(
    intervals: pl.DataFrame, trades: pl.DataFrame, grid: pl.DataFrame, network: Network | None
) -> Iterator[pl.DataFrame]:
    """Yield what is wrong with rows of `contracts.market.TRADES`; see `market_violations`.

    Prices are compared with the trade's interval; trades of no interval are not looked at. Losses and wheeling are
    compared with `network` where one is given.
    """
    terms = ("feed_in_micro_per_kwh", "retail_micro_per_kwh", "mechanism")
    joined = trades.join(
        intervals.select(*_WINDOW, *terms[:2], interval_price="price_micro_per_kwh", interval_mechanism="mechanism"), on=_WINDOW
    )
    price, energy, loss = pl.col("price_micro_per_kwh"), pl.col("energy_wh"), pl.col("loss_wh")
    broken = joined.filter(pl.col("seller_meter_id") == pl.col("buyer_meter_id"))
    yield violations("self_trade", broken, "trade {} of {} with itself", "trade_id", "seller_meter_id")
    broken = joined.filter(energy <= 0)
    yield violations("trade_energy", broken, "trade {} of {} Wh", "trade_id", "energy_wh")
    broken = joined.filter((price < pl.col("feed_in_micro_per_kwh")) | (price > pl.col("retail_micro_per_kwh")))
    bounds = ("price_micro_per_kwh", "feed_in_micro_per_kwh", "retail_micro_per_kwh")
    yield violations("price_bounds", broken, "trade {} at {}, outside {} to {} micro per kWh", "trade_id", *bounds)
    broken = joined.filter((pl.col("kind") == "pool") & (price != pl.col("interval_price")))
    yield violations("pool_price", broken, "trade {} at {}, not {} micro per kWh", "trade_id", bounds[0], "interval_price")
    broken = joined.filter(pl.col("mechanism") != pl.col("interval_mechanism"))
    yield violations("mechanism", broken, "trade {} by {}, its interval by {}", "trade_id", "mechanism", "interval_mechanism")

    worth = joined.with_columns(
        expected=amount(energy, price),
        received_at_retail=amount(energy - loss, pl.col("retail_micro_per_kwh")),
        sold_at_feed_in=amount(energy, pl.col("feed_in_micro_per_kwh")),
        paid=pl.col("amount_micro").cast(pl.Int128) + pl.col("wheeling_micro").cast(pl.Int128),
    )
    broken = worth.filter(pl.col("amount_micro").cast(pl.Int128) != pl.col("expected"))
    yield violations("amount", broken, "trade {} costs {}, not {} micro", "trade_id", "amount_micro", "expected")
    broken = worth.filter(pl.col("paid") > pl.col("received_at_retail"))
    text = "buyer of trade {} pays {}, the grid would ask {} micro"
    yield violations("individual_rationality", broken, text, "trade_id", "paid", "received_at_retail")
    broken = worth.filter(pl.col("amount_micro").cast(pl.Int128) < pl.col("sold_at_feed_in"))
    text = "seller of trade {} gets {}, the grid would pay {} micro"
    yield violations("individual_rationality", broken, text, "trade_id", "amount_micro", "sold_at_feed_in")

    broken = joined.filter((loss < 0) | (loss > energy))
    yield violations("loss", broken, "trade {} of {} Wh loses {} Wh", "trade_id", "energy_wh", "loss_wh")
    broken = joined.filter(pl.col("wheeling_micro") < 0)
    yield violations("wheeling", broken, "trade {} pays {} micro for its way", "trade_id", "wheeling_micro")
    if network is not None:
        yield from _ways(joined, network)
    yield from _flags(joined, grid)


def amount(energy: pl.Expr, price: pl.Expr) -> pl.Expr:
    """Return (energy x price + 500) // 1000 in 128 bits: large volumes at extreme tariffs pass 64 before the division."""
    return (energy.cast(pl.Int128) * price.cast(pl.Int128) + 500) // 1000


def _ways(trades: pl.DataFrame, network: Network) -> Iterator[pl.DataFrame]:
    """Losses and wheeling of the link between the two meters' grid zones, the way back standing in for a way without a link."""
    both_ways = {(target, source): link for (source, target), link in network.links.items()} | dict(network.links)
    links = pl.DataFrame(
        [(source, target, link.loss_ppm, link.wheeling_micro_per_kwh) for (source, target), link in both_ways.items()],
        schema={"source": pl.String, "target": pl.String, "ppm": pl.Int64, "wheeling": pl.Int64},
        orient="row",
    )
    meters = pl.DataFrame(list(network.grid_zones.items()), schema={"meter_id": pl.String, "grid_zone": pl.String}, orient="row")
    for side, name in (("seller_meter_id", "source"), ("buyer_meter_id", "target")):
        trades = trades.join(meters.rename({"grid_zone": name}), left_on=side, right_on="meter_id", how="left")
    million = 1_000_000
    energy = pl.col("energy_wh").cast(pl.Int128)
    ways = (
        trades.with_columns(pl.col("source", "target").fill_null(""))
        .join(links, on=["source", "target"], how="left")
        .with_columns(pl.col("ppm", "wheeling").fill_null(0))
        .with_columns(
            due_loss=energy - energy * (million - pl.col("ppm")).cast(pl.Int128) // million,
            due_wheeling=amount(pl.col("energy_wh"), pl.col("wheeling")),
        )
    )
    broken = ways.filter(pl.col("loss_wh").cast(pl.Int128) != pl.col("due_loss"))
    yield violations("loss", broken, "trade {} loses {} Wh, its way {} Wh", "trade_id", "loss_wh", "due_loss")
    broken = ways.filter(pl.col("wheeling_micro").cast(pl.Int128) != pl.col("due_wheeling"))
    yield violations(
        "wheeling", broken, "trade {} pays {} micro for its way, not {}", "trade_id", "wheeling_micro", "due_wheeling"
    )


def _flags(trades: pl.DataFrame, grid: pl.DataFrame) -> Iterator[pl.DataFrame]:
    flags = grid.select(*_WINDOW, "meter_id", flags="quality_flags").unique([*_WINDOW, "meter_id"])
    of = trades
    for side in ("seller", "buyer"):
        renamed = flags.rename({"meter_id": f"{side}_meter_id", "flags": f"{side}_flags"})
        of = of.join(renamed, on=[*_WINDOW, f"{side}_meter_id"])
    broken = of.filter(pl.col("quality_flags") != (pl.col("seller_flags") | pl.col("buyer_flags")))
    columns = ("trade_id", "quality_flags", "seller_flags", "buyer_flags")
    yield violations("quality_flags", broken, "trade {} has flags {}, its meters {} and {}", *columns)

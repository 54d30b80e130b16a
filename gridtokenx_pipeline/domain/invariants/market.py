"""Invariants of a cleared market: every metered Wh settled exactly once, no money made or lost between meters."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from ..market.clearing import OPEN, RESIDUAL
from ..market.sdr_bilateral import POOL
from .violations import collected, violations

_WINDOW = ["zone", "interval_start", "version"]
_SIDES = (("seller_meter_id", 1), ("buyer_meter_id", -1))


def market_violations(
    intervals: pl.DataFrame,
    trades: pl.DataFrame,
    grid_settlements: pl.DataFrame,
    *,
    max_partners: int,
    positions: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Return what is wrong with frames of `contracts.market`, with the columns `VIOLATIONS`.

    Names: `meter_balance` (net = traded + grid, traded = the meter's trades, no sign change), `zero_sum` (bookings of trades
    cancel out, in Wh and money), `self_trade`, `trade_energy`, `price_bounds`, `pool_price`, `partner_cap`, `traded_volume`
    (min(supply, demand) less what the cap cost, and equal to the trades), `interval_totals` (supply, demand and meter counts),
    `amount`, `grid_only_meters_do_not_trade`, `open_interval`, `orphan` (a row of no interval). With `positions` (columns
    `market.POSITIONS`) also `coverage`: the meters of every closed interval settled exactly once, at their net.
    """
    joined = trades.join(
        intervals.select(*_WINDOW, "feed_in_micro_per_kwh", "retail_micro_per_kwh", interval_price="price_micro_per_kwh"),
        on=_WINDOW,
    )
    checks = [
        *_trade_rows(joined),
        *_grid_rows(intervals, grid_settlements),
        *_meters(trades, grid_settlements, max_partners),
        *_intervals(intervals, trades, grid_settlements),
    ]
    if positions is not None:
        checks.extend(_coverage(intervals, grid_settlements, positions))
    return collected(checks)


def _amount(energy: pl.Expr, price: pl.Expr) -> pl.Expr:
    # 128 bits: large volumes at extreme tariffs pass 64 before the division
    return (energy.cast(pl.Int128) * price.cast(pl.Int128) + 500) // 1000


def _trade_rows(trades: pl.DataFrame) -> Iterator[pl.DataFrame]:
    price = pl.col("price_micro_per_kwh")
    broken = trades.filter(pl.col("seller_meter_id") == pl.col("buyer_meter_id"))
    yield violations("self_trade", broken, "trade {} of {} with itself", "trade_id", "seller_meter_id")
    broken = trades.filter(pl.col("energy_wh") <= 0)
    yield violations("trade_energy", broken, "trade {} of {} Wh", "trade_id", "energy_wh")
    broken = trades.filter((price < pl.col("feed_in_micro_per_kwh")) | (price > pl.col("retail_micro_per_kwh")))
    bounds = ("price_micro_per_kwh", "feed_in_micro_per_kwh", "retail_micro_per_kwh")
    yield violations("price_bounds", broken, "trade {} at {}, outside {} to {} micro per kWh", "trade_id", *bounds)
    broken = trades.filter((pl.col("kind") == POOL) & (price != pl.col("interval_price")))
    yield violations("pool_price", broken, "trade {} at {}, not {} micro per kWh", "trade_id", bounds[0], "interval_price")
    expected = trades.with_columns(expected=_amount(pl.col("energy_wh"), price))
    broken = expected.filter(pl.col("amount_micro").cast(pl.Int128) != pl.col("expected"))
    yield violations("amount", broken, "trade {} costs {}, not {} micro", "trade_id", "amount_micro", "expected")


def _grid_rows(intervals: pl.DataFrame, grid: pl.DataFrame) -> Iterator[pl.DataFrame]:
    rest = pl.col("energy_wh")
    sold = _amount(rest, pl.col("feed_in_micro_per_kwh"))
    # polars cannot negate 128 bits, but it can subtract them
    bought = pl.lit(0, dtype=pl.Int128) - _amount(-rest, pl.col("retail_micro_per_kwh"))
    rows = grid.join(intervals.select(*_WINDOW, "feed_in_micro_per_kwh", "retail_micro_per_kwh"), on=_WINDOW).with_columns(
        expected=pl.when(rest >= 0).then(sold).otherwise(bought)
    )
    broken = rows.filter(pl.col("amount_micro").cast(pl.Int128) != pl.col("expected"))
    yield violations("amount", broken, "{} settles {} with the grid, not {} micro", "meter_id", "amount_micro", "expected")
    broken = grid.filter((pl.col("reason") != RESIDUAL) & (pl.col("traded_wh") != 0))
    yield violations("grid_only_meters_do_not_trade", broken, "{} ({}) traded {} Wh", "meter_id", "reason", "traded_wh")


def _bookings(trades: pl.DataFrame) -> pl.DataFrame:
    """Both sides of every trade: meter, partner, signed Wh and signed micro-currency."""
    sides = []
    for (own, sign), (other, _) in zip(_SIDES, reversed(_SIDES), strict=True):
        sides.append(
            trades.select(
                *_WINDOW,
                pl.col(own).alias("meter_id"),
                pl.col(other).alias("partner"),
                (pl.col("energy_wh") * sign).alias("booked_wh"),
                (pl.col("amount_micro") * sign).alias("booked_micro"),
            )
        )
    return pl.concat(sides)


def _meters(trades: pl.DataFrame, grid: pl.DataFrame, max_partners: int) -> Iterator[pl.DataFrame]:
    bookings = _bookings(trades)
    by_meter = bookings.group_by(*_WINDOW, "meter_id").agg(
        pl.col("booked_wh").sum(), pl.col("booked_micro").sum(), partners=pl.col("partner").n_unique().cast(pl.Int64)
    )
    broken = by_meter.filter(pl.col("partners") > max_partners)
    yield violations("partner_cap", broken, "{} has {} partners", "meter_id", "partners")

    meters = grid.join(by_meter, on=[*_WINDOW, "meter_id"], how="left").with_columns(
        pl.col("booked_wh").fill_null(0), pl.col("booked_micro").fill_null(0)
    )
    net, traded, rest = pl.col("net_wh"), pl.col("traded_wh"), pl.col("energy_wh")
    broken = meters.filter((net != traded + rest) | (traded != pl.col("booked_wh")))
    columns = ("meter_id", "net_wh", "traded_wh", "energy_wh", "booked_wh")
    yield violations("meter_balance", broken, "{}: net {}, traded {}, grid {}, trades {} Wh", *columns)
    broken = meters.filter((traded.sign() * net.sign() < 0) | (rest.sign() * net.sign() < 0))
    yield violations("meter_balance", broken, "{}: sign of net {} is not that of traded {} or grid {} Wh", *columns[:4])

    # only meters that settle are summed: a trade with anyone else shows as a remainder
    sums = meters.group_by(_WINDOW).agg(traded.sum(), pl.col("booked_wh").sum(), pl.col("booked_micro").sum())
    broken = sums.filter((traded != 0) | (pl.col("booked_wh") != 0) | (pl.col("booked_micro") != 0))
    text = "meters' traded sums to {} Wh, their trades to {} Wh and {} micro"
    yield violations("zero_sum", broken, text, "traded_wh", "booked_wh", "booked_micro")


def _intervals(intervals: pl.DataFrame, trades: pl.DataFrame, grid: pl.DataFrame) -> Iterator[pl.DataFrame]:
    for name, frame in (("trade", trades), ("grid settlement", grid)):
        broken = frame.join(intervals, on=_WINDOW, how="anti").unique(_WINDOW)
        yield violations("orphan", broken, name + " of no interval, version {}", "version")
        broken = frame.join(intervals.filter(pl.col("state") == OPEN), on=_WINDOW, how="semi").unique(_WINDOW)
        yield violations("open_interval", broken, name + " in an open interval, version {}", "version")

    takes_part = pl.col("reason") == RESIDUAL
    net = pl.col("net_wh")
    counted = grid.group_by(_WINDOW).agg(
        grid_supply=net.filter(takes_part & (net > 0)).sum(),
        grid_demand=-net.filter(takes_part & (net < 0)).sum(),
        grid_meters=pl.col("meter_id").n_unique().cast(pl.Int32),
        grid_rows=pl.len().cast(pl.Int32),
        grid_only=(~takes_part).sum().cast(pl.Int32),
    )
    summed = trades.group_by(_WINDOW).agg(trades_wh=pl.col("energy_wh").sum())
    closed = (
        intervals.filter(pl.col("state") != OPEN)
        .join(counted, on=_WINDOW, how="left")
        .join(summed, on=_WINDOW, how="left")
        .with_columns(pl.col("trades_wh", "grid_supply", "grid_demand", "grid_meters", "grid_rows", "grid_only").fill_null(0))
    )
    volume = pl.min_horizontal("supply_wh", "demand_wh") - pl.col("capped_wh")
    broken = closed.filter(
        (pl.col("traded_wh") != volume) | (pl.col("traded_wh") != pl.col("trades_wh")) | (pl.col("capped_wh") < 0)
    )
    columns = ("supply_wh", "demand_wh", "capped_wh", "traded_wh", "trades_wh")
    yield violations("traded_volume", broken, "supply {}, demand {}, capped {}, traded {}, trades {} Wh", *columns)
    pairs = [
        ("supply_wh", "grid_supply"),
        ("demand_wh", "grid_demand"),
        ("meters", "grid_meters"),
        ("meters", "grid_rows"),
        ("meters_grid_only", "grid_only"),
    ]
    for stated, counted_as in pairs:
        broken = closed.filter(pl.col(stated) != pl.col(counted_as))
        yield violations("interval_totals", broken, stated + " is {}, grid settlements say {}", stated, counted_as)


def _coverage(intervals: pl.DataFrame, grid: pl.DataFrame, positions: pl.DataFrame) -> Iterator[pl.DataFrame]:
    closed = intervals.filter(pl.col("state") != OPEN).select(_WINDOW)
    expected = positions.select("zone", "interval_start", "meter_id", position_wh=pl.col("net_wh").fill_null(0)).join(
        closed, on=["zone", "interval_start"]
    )
    settled = grid.group_by(*_WINDOW, "meter_id").agg(rows=pl.len().cast(pl.Int64), settled_wh=pl.col("net_wh").sum())
    both = expected.join(settled, on=[*_WINDOW, "meter_id"], how="full", coalesce=True).with_columns(pl.col("rows").fill_null(0))
    broken = both.filter((pl.col("rows") != 1) | pl.col("settled_wh").ne_missing(pl.col("position_wh")))
    columns = ("meter_id", "rows", "settled_wh", "position_wh")
    yield violations("coverage", broken, "{} settled {} times, at {} Wh; its position is {} Wh", *columns)

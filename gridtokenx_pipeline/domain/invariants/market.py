"""Invariants of a cleared market: every metered Wh settled exactly once, no money made or lost between meters.

Version 1 of an interval is its settlement. Later versions are corrections: differences, settled with the grid alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from ..market.clearing import OPEN, RESIDUAL
from ..market.corrections import CORRECTION, worth
from ..market.model import Network
from .campus import balance_violations
from .trades import trade_violations
from .versions import version_violations
from .violations import collected, violations

_INTERVAL = ["zone", "interval_start"]
_WINDOW = [*_INTERVAL, "version"]
_METER = [*_INTERVAL, "meter_id"]
_SIDES = (("seller_meter_id", 1), ("buyer_meter_id", -1))


def market_violations(
    intervals: pl.DataFrame,
    trades: pl.DataFrame,
    grid_settlements: pl.DataFrame,
    *,
    max_partners: int,
    positions: pl.DataFrame | None = None,
    balances: pl.DataFrame | None = None,
    network: Network | None = None,
) -> pl.DataFrame:
    """Return what is wrong with frames of `contracts.market`, with the columns `VIOLATIONS`.

    Of an interval the frames hold every version. Names, with the numbers of the invariants they are about:

    - `meter_balance` (1: net = traded + grid, traded = the meter's trades; of version 1, no sign change), `coverage` (1, with
      `positions`, columns `market.POSITIONS`: the versions of every closed interval sum to each meter's net, each row being there
      once; of an interval that was settled before, a net that is unknown now is passed over)
    - `zero_sum` (2: bookings of trades cancel out but for losses, in Wh and money), `amount` (money of trades, and of what each
      meter's rest is worth after each version)
    - `self_trade`, `trade_energy` (3), `price_bounds`, `pool_price` (4), `individual_rationality` (5: no buyer pays more than
      retail for what arrives, no seller gets less than feed-in), `partner_cap` (6)
    - `traded_volume` (8: what the pool could sell less `capped_wh`, equal to the trades), `interval_totals` (supply, demand and
      meter counts), `loss`, `wheeling` (of trades and intervals; with `network`, against its links), `mechanism`
    - `version_order`, `correction` (9: see `versions`), `open_interval`, `orphan` (10: a row of no interval, or of an open one),
      `grid_only_meters_do_not_trade` (10), `quality_flags` (10: those of both meters travel with a trade)
    - `campus_balance` (11, with `balances`, a frame of `market.CAMPUS_BALANCES`: every closed version has one that adds up)

    7 (order of rows) is the engine's to prove.
    """
    checks = [
        *trade_violations(intervals, trades, grid_settlements, network),
        *_grid_rows(intervals, grid_settlements),
        *_meters(trades, grid_settlements, max_partners),
        *_places(intervals, trades, grid_settlements),
        *_totals(intervals, trades, grid_settlements),
        *version_violations(intervals, trades, grid_settlements),
    ]
    if positions is not None:
        checks.extend(_coverage(intervals, grid_settlements, positions))
    if balances is not None:
        checks.extend(balance_violations(intervals, trades, grid_settlements, balances))
    return collected(checks)


def _grid_rows(intervals: pl.DataFrame, grid: pl.DataFrame) -> Iterator[pl.DataFrame]:
    rest = pl.col("energy_wh")
    rows = (
        grid.join(intervals.select(*_WINDOW, "feed_in_micro_per_kwh", "retail_micro_per_kwh"), on=_WINDOW)
        .with_columns(after=rest.cum_sum().over(_METER, order_by="version"))
        .with_columns(before=pl.col("after") - rest)
        .with_columns(expected=worth(pl.col("after")) - worth(pl.col("before")))
    )
    broken = rows.filter(pl.col("amount_micro").cast(pl.Int128) != pl.col("expected"))
    yield violations("amount", broken, "{} settles {} with the grid, not {} micro", "meter_id", "amount_micro", "expected")
    broken = grid.filter((pl.col("reason") != RESIDUAL) & (pl.col("traded_wh") != 0))
    yield violations("grid_only_meters_do_not_trade", broken, "{} ({}) traded {} Wh", "meter_id", "reason", "traded_wh")


def _bookings(trades: pl.DataFrame) -> pl.DataFrame:
    """Both sides of every trade: meter, partner, signed Wh (a buyer's without the loss) and signed micro-currency."""
    sides = []
    for (own, sign), (other, _) in zip(_SIDES, reversed(_SIDES), strict=True):
        energy = pl.col("energy_wh") if sign > 0 else pl.col("loss_wh") - pl.col("energy_wh")
        sides.append(
            trades.select(
                *_WINDOW,
                pl.col(own).alias("meter_id"),
                pl.col(other).alias("partner"),
                energy.alias("booked_wh"),
                (pl.col("amount_micro") * sign).alias("booked_micro"),
                # counted once, with the seller's side
                pl.col("loss_wh").alias("lost_wh") if sign > 0 else pl.lit(0, dtype=pl.Int64).alias("lost_wh"),
            )
        )
    return pl.concat(sides)


def _meters(trades: pl.DataFrame, grid: pl.DataFrame, max_partners: int) -> Iterator[pl.DataFrame]:
    by_meter = (
        _bookings(trades)
        .group_by(*_WINDOW, "meter_id")
        .agg(pl.col("booked_wh", "booked_micro", "lost_wh").sum(), partners=pl.col("partner").n_unique().cast(pl.Int64))
    )
    broken = by_meter.filter(pl.col("partners") > max_partners)
    yield violations("partner_cap", broken, "{} has {} partners", "meter_id", "partners")

    meters = grid.join(by_meter, on=[*_WINDOW, "meter_id"], how="left").with_columns(
        pl.col("booked_wh", "booked_micro", "lost_wh").fill_null(0)
    )
    net, traded, rest = pl.col("net_wh"), pl.col("traded_wh"), pl.col("energy_wh")
    broken = meters.filter((net != traded + rest) | (traded != pl.col("booked_wh")))
    columns = ("meter_id", "net_wh", "traded_wh", "energy_wh", "booked_wh")
    yield violations("meter_balance", broken, "{}: net {}, traded {}, grid {}, trades {} Wh", *columns)
    changed = (traded.sign() * net.sign() < 0) | (rest.sign() * net.sign() < 0)
    broken = meters.filter(changed & (pl.col("version") == 1))
    yield violations("meter_balance", broken, "{}: sign of net {} is not that of traded {} or grid {} Wh", *columns[:4])

    # only meters that settle are summed: a trade with anyone else shows as a remainder
    sums = meters.group_by(_WINDOW).agg(traded.sum(), pl.col("booked_wh", "booked_micro", "lost_wh").sum())
    lost = pl.col("lost_wh")
    broken = sums.filter((traded != lost) | (pl.col("booked_wh") != lost) | (pl.col("booked_micro") != 0))
    text = "meters' traded sums to {} Wh, their trades to {} Wh and {} micro, of {} Wh lost"
    yield violations("zero_sum", broken, text, "traded_wh", "booked_wh", "booked_micro", "lost_wh")


def _places(intervals: pl.DataFrame, trades: pl.DataFrame, grid: pl.DataFrame) -> Iterator[pl.DataFrame]:
    for name, frame in (("trade", trades), ("grid settlement", grid)):
        broken = frame.join(intervals, on=_WINDOW, how="anti").unique(_WINDOW)
        yield violations("orphan", broken, name + " of no interval, version {}", "version")
        broken = frame.join(intervals.filter(pl.col("state") == OPEN), on=_WINDOW, how="semi").unique(_WINDOW)
        yield violations("open_interval", broken, name + " in an open interval, version {}", "version")


def _totals(intervals: pl.DataFrame, trades: pl.DataFrame, grid: pl.DataFrame) -> Iterator[pl.DataFrame]:
    took_part = grid.filter((pl.col("version") == 1) & (pl.col("reason") == RESIDUAL)).select(_METER, took_part=True).unique()
    net = pl.col("net_wh")
    counted = (
        grid.join(took_part, on=_METER, how="left")
        .with_columns(pl.col("took_part").fill_null(False), after=net.cum_sum().over(_METER, order_by="version"))
        .with_columns(before=pl.col("after") - net)
        .group_by(_WINDOW)
        .agg(
            grid_supply=(pl.col("after").clip(0) - pl.col("before").clip(0)).filter("took_part").sum(),
            grid_demand=((-pl.col("after")).clip(0) - (-pl.col("before")).clip(0)).filter("took_part").sum(),
            grid_meters=pl.col("meter_id").n_unique().cast(pl.Int32),
            grid_rows=pl.len().cast(pl.Int32),
            grid_only=(~pl.col("reason").is_in([RESIDUAL, CORRECTION])).sum().cast(pl.Int32),
        )
    )
    in_pool = pl.col("kind") == "pool"
    sold, received = pl.col("energy_wh"), pl.col("energy_wh") - pl.col("loss_wh")
    summed = trades.group_by(_WINDOW).agg(
        trades_wh=sold.sum(),
        agreed_wh=sold.filter(~in_pool).sum(),
        agreed_received_wh=received.filter(~in_pool).sum(),
        trades_loss_wh=pl.col("loss_wh").sum(),
        trades_wheeling_micro=pl.col("wheeling_micro").sum(),
    )
    closed = (
        intervals.filter(pl.col("state") != OPEN)
        .join(counted, on=_WINDOW, how="left")
        .join(summed, on=_WINDOW, how="left")
        .with_columns(pl.exclude(intervals.columns).fill_null(0))
    )
    # What agreements sold has left the supply, and what they delivered the demand.
    pool = pl.min_horizontal(pl.col("supply_wh") - pl.col("agreed_wh"), pl.col("demand_wh") - pl.col("agreed_received_wh"))
    volume = pl.when(pl.col("version") == 1).then(pl.col("agreed_wh") + pool - pl.col("capped_wh")).otherwise(pl.col("capped_wh"))
    broken = closed.filter(
        (pl.col("traded_wh") != volume) | (pl.col("traded_wh") != pl.col("trades_wh")) | (pl.col("capped_wh") < 0)
    )
    columns = ("supply_wh", "demand_wh", "capped_wh", "traded_wh", "trades_wh")
    yield violations("traded_volume", broken, "supply {}, demand {}, capped {}, traded {}, trades {} Wh", *columns)
    for name, stated, counted_as in (
        ("interval_totals", "supply_wh", "grid_supply"),
        ("interval_totals", "demand_wh", "grid_demand"),
        ("interval_totals", "meters", "grid_meters"),
        ("interval_totals", "meters", "grid_rows"),
        ("interval_totals", "meters_grid_only", "grid_only"),
        ("loss", "loss_wh", "trades_loss_wh"),
        ("wheeling", "wheeling_micro", "trades_wheeling_micro"),
    ):
        broken = closed.filter(pl.col(stated) != pl.col(counted_as))
        yield violations(name, broken, stated + " is {}, the rows say {}", stated, counted_as)


def _coverage(intervals: pl.DataFrame, grid: pl.DataFrame, positions: pl.DataFrame) -> Iterator[pl.DataFrame]:
    closed = intervals.filter(pl.col("state") != OPEN)
    by_interval = closed.group_by(_INTERVAL).agg(settled_before=(pl.col("state") == "settled").any())
    rows = grid.join(closed, on=_WINDOW, how="semi")
    once = rows.select(*_WINDOW, "meter_id")
    repeated = once.filter(once.is_duplicated()).unique()
    yield violations("coverage", repeated, "{} settled twice in version {}", "meter_id", "version")

    expected = positions.select(*_METER, position_wh="net_wh").join(by_interval, on=_INTERVAL)
    settled = rows.group_by(_METER).agg(settled_wh=pl.col("net_wh").sum()).join(by_interval, on=_INTERVAL)
    both = expected.join(settled, on=_METER, how="full", coalesce=True).with_columns(
        # a position without a net settles as nothing, once
        pl.when(pl.col("settled_before").is_null())
        .then("position_wh")
        .otherwise(pl.col("position_wh").fill_null(0))
        .alias("due_wh")
    )
    ok = pl.col("settled_wh").eq_missing(pl.col("due_wh"))
    unknown = pl.coalesce("settled_before", "settled_before_right") & pl.col("position_wh").is_null()
    broken = both.filter(~ok & ~unknown)
    columns = ("meter_id", "settled_wh", "position_wh")
    yield violations("coverage", broken, "{} settled at {} Wh; its position is {} Wh", *columns)

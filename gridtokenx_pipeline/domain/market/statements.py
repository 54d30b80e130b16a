"""Frames of the market's tables from what clearing of a book came to."""

from __future__ import annotations

import numpy as np
import polars as pl

from gridtokenx_pipeline.contracts import Table
from gridtokenx_pipeline.contracts import market as tables

from ..id_columns import derived_id_column, json_texts
from .book import AGREEMENT, POOL, Book, Flags, Ints, amounts_micro, sums
from .grid_prices import InForce
from .matching import Outcome, Trades
from .model import Agreement
from .position_checks import Sorted

OPEN, CLOSED = "open", "closed"
RESIDUAL = "residual"

_Columns = dict[str, pl.Series | Ints | int | str]


def intervals_frame(
    positions: Sorted, outcome: Outcome, trades: Trades, in_force: InForce, closed: Flags, mechanism: str, version: int
) -> pl.DataFrame:
    """Return INTERVALS, one row a group; `trades` are those of closed groups."""
    book, prices = positions.book, in_force.prices
    bounds = np.searchsorted(book.group[trades.seller], np.arange(book.groups + 1))
    grid_only = positions.grid_only.is_not_null().to_numpy().astype(np.int64)
    return _frame(
        tables.INTERVALS,
        {
            **_group_columns(book, np.arange(book.groups)),
            "duration_s": positions.duration_s,
            "supply_wh": outcome.supply_wh,
            "demand_wh": outcome.demand_wh,
            "traded_wh": sums(trades.energy_wh, bounds),
            "capped_wh": np.where(closed, outcome.capped_wh, 0),
            "price_micro_per_kwh": outcome.price,
            "feed_in_micro_per_kwh": prices.feed_in,
            "retail_micro_per_kwh": prices.retail,
            "meters": np.diff(book.bounds),
            "meters_grid_only": sums(grid_only, book.bounds),
            "mechanism": mechanism,
            "version": version,
            "state": pl.Series([OPEN, CLOSED], dtype=pl.String).gather(closed.astype(np.int64)),
            "currency": in_force.currency,
            "tariff": in_force.tariff,
            "loss_wh": sums(trades.loss_wh, bounds),
            "wheeling_micro": sums(trades.wheeling_micro, bounds),
        },
        book.groups,
    )


def trades_frame(positions: Sorted, trades: Trades, agreements: list[Agreement], mechanism: str, version: int) -> pl.DataFrame:
    """Return TRADES, in the order given."""
    book = positions.book
    group = book.group[trades.seller]
    kind = pl.Series([AGREEMENT, POOL], dtype=pl.String).gather((trades.agreement < 0).astype(np.int64))
    # the last is the agreement of trades in the pool, which have number -1
    agreement_ids = pl.Series([*(one.agreement_id for one in agreements), None], dtype=pl.String)
    flags = positions.quality_flags.to_numpy()
    meters = pl.Series(book.meters, dtype=pl.String)
    texts = pl.Series(json_texts(book.meters), dtype=pl.String)
    seller, buyer = book.meter[trades.seller], book.meter[trades.buyer]
    key = _keys(book, group, version, pl.format('"{}"', kind), texts.gather(seller), texts.gather(buyer))
    return _frame(
        tables.TRADES,
        {
            "trade_id": derived_id_column("trade", key),
            **_group_columns(book, group),
            "seller_meter_id": meters.gather(seller),
            "buyer_meter_id": meters.gather(buyer),
            "energy_wh": trades.energy_wh,
            "price_micro_per_kwh": trades.price,
            "amount_micro": amounts_micro(trades.energy_wh, trades.price),
            "kind": kind,
            "mechanism": mechanism,
            "version": version,
            "quality_flags": flags[trades.seller] | flags[trades.buyer],
            "loss_wh": trades.loss_wh,
            "wheeling_micro": trades.wheeling_micro,
            "agreement_id": agreement_ids.gather(np.where(trades.agreement < 0, len(agreements), trades.agreement)),
        },
        len(group),
    )


def grid_frame(positions: Sorted, trades: Trades, in_force: InForce, closed: Flags, version: int) -> pl.DataFrame:
    """Return GRID_SETTLEMENTS of the closed groups, one row a meter, whether it trades or not."""
    book, prices = positions.book, in_force.prices
    traded = np.zeros(len(book.group), dtype=np.int64)
    np.add.at(traded, trades.seller, trades.energy_wh)
    np.subtract.at(traded, trades.buyer, trades.energy_wh - trades.loss_wh)
    rows = np.flatnonzero(closed[book.group])
    group = book.group[rows]
    net, traded = positions.net_wh[rows], traded[rows]
    rest = net - traded
    amount = amounts_micro(np.abs(rest), np.where(rest >= 0, prices.feed_in[group], prices.retail[group]))
    texts = pl.Series(json_texts(book.meters), dtype=pl.String)
    return _frame(
        tables.GRID_SETTLEMENTS,
        {
            "grid_settlement_id": derived_id_column(
                "grid_settlement", _keys(book, group, version, texts.gather(book.meter[rows]))
            ),
            **_group_columns(book, group),
            "meter_id": pl.Series(book.meters, dtype=pl.String).gather(book.meter[rows]),
            "net_wh": net,
            "traded_wh": traded,
            "energy_wh": rest,
            "amount_micro": np.where(rest >= 0, amount, -amount),
            "reason": positions.grid_only.gather(rows).fill_null(RESIDUAL),
            "version": version,
            "quality_flags": positions.quality_flags.gather(rows),
        },
        len(rows),
    )


def _group_columns(book: Book, group: Ints) -> _Columns:
    return {
        "zone": pl.Series(book.zones, dtype=pl.String).gather(book.zone[group]),
        "interval_start": pl.Series(book.start[group]).cast(pl.Datetime("us", "UTC")),
    }


def _keys(book: Book, group: Ints, version: int, *more: pl.Series | pl.Expr) -> pl.Series:
    """Return natural keys of zone, interval start, version and `more` (JSON texts), as JSON arrays."""
    starts = pl.Series(book.start).cast(pl.Datetime("us", "UTC")).dt.strftime('"%Y-%m-%dT%H:%M:%SZ"')
    zones = pl.Series(json_texts(book.zones), dtype=pl.String).gather(book.zone)
    heads = pl.select(pl.concat_str(pl.lit("["), zones, pl.lit(","), starts, pl.lit(f",{version},"))).to_series()
    parts: list[pl.Series | pl.Expr] = [heads.gather(group)]
    for part in more:
        parts += [part, pl.lit(",")]
    return pl.select(pl.concat_str(*parts[:-1], pl.lit("]"))).to_series()


def _frame(table: Table, columns: _Columns, height: int) -> pl.DataFrame:
    series = []
    for name, dtype in table.frame_schema().items():
        values = columns[name]
        if isinstance(values, int | str):
            values = pl.repeat(values, height, dtype=dtype, eager=True)
        elif not isinstance(values, pl.Series):
            values = pl.Series(values)
        series.append(values.alias(name).cast(dtype))
    return table.conform(pl.DataFrame(series))

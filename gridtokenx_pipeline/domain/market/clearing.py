"""Clearing of any number of zones and intervals: frames in, frames of the market's tables out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import polars as pl

from .book import micros
from .grid_prices import tariffs_in_force
from .matching import match_all, select
from .mechanisms import mechanism_of
from .model import Agreement, Network, Offer, Rules, Tariff
from .position_checks import sorted_positions
from .standing import agreements_in_force, offers_in_force
from .statements import CLOSED, OPEN, RESIDUAL, grid_frame, intervals_frame, trades_frame

MECHANISM = "sdr_bilateral/1"

__all__ = ["CLOSED", "MECHANISM", "OPEN", "RESIDUAL", "Cleared", "clear", "closed_only"]


@dataclass(frozen=True)
class Cleared:
    """Frames of `contracts.market`: INTERVALS, TRADES and GRID_SETTLEMENTS."""

    intervals: pl.DataFrame
    trades: pl.DataFrame
    grid_settlements: pl.DataFrame


def clear(
    positions: pl.DataFrame,
    tariff: Tariff | pl.DataFrame,
    *,
    closed_before: dt.datetime,
    mechanism: str = MECHANISM,
    rules: Rules | None = None,
    agreements: Iterable[Agreement] = (),
    offers: Iterable[Offer] = (),
    network: Network | None = None,
    meters: Collection[str] | None = None,
    version: int = 1,
) -> Cleared:
    """Clear every zone and interval of `positions` with `mechanism` (`sdr_bilateral`, `mmr` or `double_auction`).

    `positions` has the columns `POSITIONS`; `tariff` is one for all, or a frame with a row for every interval
    (`tariffs.TARIFFS`). An interval whose end plus watermark is not after `closed_before` is closed: its
    trades and grid settlements are made. A later one is open: it gets an INTERVALS row with the supply, demand and price
    so far and nothing else. Meters with a `reason` do not trade and settle their measured net with the grid; one
    without a net (`no_register`) settles 0 Wh. Agreements and offers hold in the intervals that start while they are valid.
    `meters` are the known meter ids that they may name; without it those of `positions`. Over a `network` whose ways cost
    something, pairs that cannot pay for theirs are not made. Rows come out sorted by their natural keys, whatever the order
    they came in, with ids derived from them.

    Raises `MarketInputError`, naming the row, for a negative energy, a net that is not the sum of its channels, a meter
    twice in an interval, differing lengths of an interval, an interval without a tariff or with two, an agreement that trades
    with itself, holds twice at once, names an unknown meter, has a negative limit or a price outside the tariffs of an interval
    it holds in, a bad offer, an unknown mechanism, and for sums and amounts that do not fit 64 bits.
    """
    rules, chosen = rules or Rules(), mechanism_of(mechanism)
    given = sorted_positions(positions)
    book = given.book
    in_force = tariffs_in_force(tariff, book)
    known = book.meters if meters is None else meters
    standing = agreements_in_force(agreements, known, book, in_force.prices)
    offered = offers_in_force(offers, known, book)
    outcome = match_all(book, in_force.prices, rules.max_partners, chosen, standing, offered, network)
    closed = book.start + (given.duration_s + rules.watermark_s) * 1_000_000 <= micros(closed_before)
    trades = select(outcome.trades, closed[book.group[outcome.trades.seller]])
    return Cleared(
        intervals_frame(given, outcome, trades, in_force, closed, chosen.name, version),
        trades_frame(given, trades, [agreement for agreement, _ in standing], chosen.name, version),
        grid_frame(given, trades, in_force, closed, version),
    )


def closed_only(frame: pl.DataFrame, intervals: pl.DataFrame) -> pl.DataFrame:
    """Keep the rows of `frame` whose zone and interval_start are closed or settled in `intervals` (contracts.market)."""
    closed = intervals.filter(pl.col("state") != OPEN).select("zone", "interval_start").unique()
    return frame.join(closed, on=["zone", "interval_start"], how="semi", maintain_order="left")

"""Meters of many intervals in arrays: what each has over or lacks, and the prices of the grid, ready to be matched at once.

Rows are sorted by group (a zone and an interval) and meter, so that the number of a row orders the meters of a group.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .model import MarketInputError, Tariff, amount_micro

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

AGREEMENT, POOL = "agreement", "pool"
# A group whose supply, demand and retail tariff stay below is matched in 64 bits: products of two of them fit.
NARROW = 2**31
_FITS = 2.0**62
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def micros(moment: dt.datetime) -> int:
    """Return an aware `moment` in microseconds since 1970."""
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)


def moment_of(micros_since_1970: int) -> dt.datetime:
    """Return the moment of `micros`."""
    return _EPOCH + dt.timedelta(microseconds=micros_since_1970)


@dataclass(frozen=True)
class GridPrices:
    """Tariffs in force, int64 of one value for each group, in micro-currency per kWh; `floor` is the pool's lowest price."""

    feed_in: Ints
    floor: Ints
    retail: Ints

    def tariff(self, group: int) -> Tariff:
        """Return the tariff of one group."""
        feed_in, floor = int(self.feed_in[group]), int(self.floor[group])
        return Tariff(feed_in, int(self.retail[group]), floor - feed_in)


@dataclass(frozen=True)
class Book:
    """Who takes part in each group.

    `zones` and `meters` are sorted names; `zone` (rank) and `start` (microseconds since 1970) have one value for each group.
    `group` and `meter` (rank) have one for each row, ascending; `net_wh` (int64) is a row's surplus (> 0) or deficit (< 0), 0
    where the meter does not take part. `bounds` (groups + 1) are the first rows of the groups, and the number of rows.
    """

    zones: list[str]
    meters: list[str]
    zone: Ints
    start: Ints
    bounds: Ints
    group: Ints
    meter: Ints
    net_wh: Ints

    @property
    def groups(self) -> int:
        """How many zones and intervals there are."""
        return len(self.bounds) - 1

    def interval(self, group: int) -> str:
        """Name a group in an error."""
        return f"interval {moment_of(int(self.start[group]))} of {self.zones[self.zone[group]]}"

    def rows_of(self, meter: str) -> Ints:
        """Return the row of a meter in each group, -1 where it has none."""
        rows = np.full(self.groups, -1, dtype=np.int64)
        rank = bisect_left(self.meters, meter)
        if rank < len(self.meters) and self.meters[rank] == meter:
            found = np.flatnonzero(self.meter == rank)
            rows[self.group[found]] = found
        return rows

    def in_force(self, zone: str, valid_from: dt.datetime | None, valid_until: dt.datetime | None) -> Flags:
        """Return for each group whether what holds in `zone` for starts in [`valid_from`, `valid_until`) holds there."""
        holds = self.zone == (self.zones.index(zone) if zone in self.zones else -1)
        if valid_from is not None:
            holds &= self.start >= micros(valid_from)
        if valid_until is not None:
            holds &= self.start < micros(valid_until)
        return holds


def sums(values: Ints, bounds: Ints) -> Ints:
    """Sum `values` of each group; `bounds` as in `Book`. A group may be empty."""
    running = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(values)))
    return running[bounds[1:]] - running[bounds[:-1]]


def checked_sums(values: Ints, book: Book, what: str) -> Ints:
    """Sum `values` of each group of `book`. Raises `MarketInputError`, naming the interval, where a sum passes 64 bits."""
    if values.size and np.abs(values.astype(np.float64)).sum() >= _FITS:
        for group, (first, end) in enumerate(zip(book.bounds[:-1], book.bounds[1:], strict=True)):
            total = sum(values[first:end].tolist())
            if abs(total) >= 2**63:
                raise MarketInputError(f"{what} of {total} does not fit 64 bits: {book.interval(group)}")
    # a running sum over the groups may wrap around, and back in the difference
    return sums(values, book.bounds)


def amounts_micro(energy_wh: Ints, price_micro_per_kwh: Ints) -> Ints:
    """Return `amount_micro` of each energy (int64, >= 0) and price (int64, >= 0). Raises `MarketInputError` past 64 bits."""
    wide = energy_wh.astype(np.float64) * price_micro_per_kwh >= _FITS
    with np.errstate(over="ignore"):
        amounts = (energy_wh * price_micro_per_kwh + 500) // 1000
    for row in np.flatnonzero(wide):
        energy, price = int(energy_wh[row]), int(price_micro_per_kwh[row])
        amount = amount_micro(energy, price)
        if amount >= 2**63:
            raise MarketInputError(f"the amount of {energy} Wh at {price} micro per kWh does not fit 64 bits")
        amounts[row] = amount
    return amounts


def too_wide(supply: Ints, demand: Ints, prices: GridPrices) -> Flags:
    """Return for each group whether its arithmetic could pass 64 bits."""
    demanded = np.maximum(demand, 1).astype(np.float64) * np.maximum(prices.floor, 1) * prices.retail
    wide: Flags = (supply >= NARROW) | (demand >= NARROW) | (prices.retail >= NARROW) | (demanded >= _FITS)
    return wide

"""Clearing mechanisms: what the pool of an interval trades, of whom, and at what price.

A mechanism says it twice: `pools` for all groups at once in 64-bit integers, and `pool` for one interval in integers of any
size, which is the reference and does what 64 bits cannot. Both give the same for what both can do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from .book import Book, Flags, GridPrices, Ints, sums
from .double_auction import auction, auctions
from .model import MarketInputError, Offer, Tariff
from .pairing import pro_rata, shares
from .prices import mid_market_price, mid_market_prices, pool_price, pool_prices


@dataclass(frozen=True)
class Pools:
    """What is left for the pools of all groups: `surplus` and `deficit` (int64, >= 0) of each row of `book`.

    `offers` are those known, each with the groups it is in force in.
    """

    book: Book
    prices: GridPrices
    surplus: Ints
    deficit: Ints
    offers: Sequence[tuple[Offer, Flags]] = ()

    @cached_property
    def supply(self) -> Ints:
        """Sum of the surpluses of each group."""
        return sums(self.surplus, self.book.bounds)

    @cached_property
    def demand(self) -> Ints:
        """Sum of the deficits of each group."""
        return sums(self.deficit, self.book.bounds)


@dataclass(frozen=True)
class Volumes:
    """The price of each group, and what each row sells and buys: equal sums in each group."""

    price: Ints
    sold: Ints
    bought: Ints


@dataclass(frozen=True)
class Pool:
    """What is left for the pool of one interval, by meter id, and the offers in force."""

    surplus: Mapping[str, int]
    deficit: Mapping[str, int]
    tariff: Tariff
    offers: Sequence[Offer] = ()


@dataclass(frozen=True)
class PoolVolumes:
    """The price of one interval, and what each meter id sells and buys: equal sums."""

    price: int
    sold: dict[str, int]
    bought: dict[str, int]


class Mechanism(Protocol):
    """A clearing mechanism; `name`, such as `mmr/1`, stands in every row it makes."""

    @property
    def name(self) -> str:
        """Id and version."""

    def pools(self, pools: Pools) -> Volumes:
        """Clear the pools of all groups; what it says of groups that are too wide is not used."""

    def pool(self, pool: Pool) -> PoolVolumes:
        """Clear the pool of one interval."""


@dataclass(frozen=True)
class ProRata:
    """All that both sides have is traded, at a price that depends on no meter: the long side is scaled down in proportion."""

    name: str
    prices: Callable[[Ints, Ints, GridPrices], Ints]
    price: Callable[[int, int, Tariff], int]

    def pools(self, pools: Pools) -> Volumes:
        """Clear the pools of all groups."""
        price = self.prices(pools.supply, pools.demand, pools.prices)
        volume = np.minimum(pools.supply, pools.demand)
        group, bounds = pools.book.group, pools.book.bounds
        return Volumes(price, pro_rata(pools.surplus, group, bounds, volume), pro_rata(pools.deficit, group, bounds, volume))

    def pool(self, pool: Pool) -> PoolVolumes:
        """Clear the pool of one interval."""
        supply, demand = sum(pool.surplus.values()), sum(pool.deficit.values())
        volume = min(supply, demand)
        return PoolVolumes(self.price(supply, demand, pool.tariff), shares(pool.surplus, volume), shares(pool.deficit, volume))


@dataclass(frozen=True)
class DoubleAuction:
    """One price half way between the last bid and the last ask that meet; see `double_auction`."""

    name: str

    def pools(self, pools: Pools) -> Volumes:
        """Clear the pools of all groups."""
        return Volumes(*auctions(pools.book, pools.prices, pools.surplus, pools.deficit, pools.offers))

    def pool(self, pool: Pool) -> PoolVolumes:
        """Clear the pool of one interval."""
        return PoolVolumes(*auction(pool.surplus, pool.deficit, pool.tariff, pool.offers))


MECHANISMS: dict[str, Mechanism] = {
    "sdr_bilateral": ProRata("sdr_bilateral/1", pool_prices, pool_price),
    "mmr": ProRata("mmr/1", lambda _s, _d, prices: mid_market_prices(prices), lambda _s, _d, tariff: mid_market_price(tariff)),
    "double_auction": DoubleAuction("double_auction/1"),
}


def mechanism_of(name: str) -> Mechanism:
    """Return the mechanism called `name`, with or without its version. Raises `MarketInputError` where there is none."""
    for short, mechanism in MECHANISMS.items():
        if name in (short, mechanism.name):
            return mechanism
    known = ", ".join(mechanism.name for mechanism in MECHANISMS.values())
    raise MarketInputError(f"no mechanism is called {name!r}; there are {known}")

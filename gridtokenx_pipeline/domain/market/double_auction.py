"""`double_auction/1`: orders with limits, one price for all.

Standing offers are limits, of price and of energy; a meter without one takes the price: it asks the pool's floor, or bids the
retail tariff. Limits of price are clipped to [floor, retail]. Asks rise and bids fall until they cross; the price is half way
between the last bid and the last ask that meet, rounded down. Orders strictly better than these are filled whole, those with the
same limit share what is left in proportion, by largest remainders, equal ones favouring the lower meter id. Where no two orders
meet, the price is half way between the best of each side, a side without orders being the grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .book import Book, Flags, GridPrices, Ints, sums
from .model import Offer, Tariff
from .pairing import pieces, pro_rata, shares
from .prices import half_way

SELL, BUY = "sell", "buy"


@dataclass(frozen=True)
class _Orders:
    """One side's orders of all groups, the best first. `cost` rises: the limit of asks, the negative limit of bids."""

    row: Ints
    group: Ints
    cost: Ints
    energy: Ints
    bounds: Ints

    def best(self, none: Ints) -> Ints:
        """The best cost of each group; `none` for one without orders."""
        present = self.bounds[1:] > self.bounds[:-1]
        best = none.copy()
        best[present] = self.cost[self.bounds[:-1][present]]
        return best


def auctions(
    book: Book, prices: GridPrices, surplus: Ints, deficit: Ints, offers: Sequence[tuple[Offer, Flags]]
) -> tuple[Ints, Ints, Ints]:
    """Clear the pools of all groups; return the price of each group, and what each row sells and buys."""
    asks = _orders(book, surplus, prices, [(o, held) for o, held in offers if o.side == SELL], 1)
    bids = _orders(book, deficit, prices, [(o, held) for o, held in offers if o.side == BUY], -1)
    volume, last_ask, last_bid = _crossing(asks, bids, prices)
    return half_way(last_ask, -last_bid), _filled(book, asks, last_ask, volume), _filled(book, bids, last_bid, volume)


def _orders(book: Book, energy: Ints, prices: GridPrices, offers: Sequence[tuple[Offer, Flags]], sign: int) -> _Orders:
    """Return what is asked (`sign` 1, of surpluses) or bid (-1, of deficits). A meter's better offers use its energy first."""
    rest, takes_price = energy.copy(), np.ones(len(energy), dtype=np.bool_)
    placed = []
    for offer, held in sorted(offers, key=lambda one: sign * one[0].price_limit_micro_per_kwh):
        rows = book.rows_of(offer.meter_id)
        rows = rows[held & (rows >= 0)]
        offered = np.minimum(rest[rows], min(offer.energy_limit_wh, 2**62))
        rest[rows] -= offered
        takes_price[rows] = False
        limit = min(max(offer.price_limit_micro_per_kwh, 0), 2**62)
        placed.append((rows, np.clip(limit, prices.floor, prices.retail)[book.group[rows]], offered))
    takers = np.flatnonzero(takes_price & (energy > 0))
    placed.append((takers, (prices.floor if sign == 1 else prices.retail)[book.group[takers]], energy[takers]))
    row, limit_of, offered = (np.concatenate(parts) for parts in zip(*placed, strict=True))
    order = np.lexsort((row, sign * limit_of, book.group[row]))
    order = order[offered[order] > 0]
    row, cost, offered = row[order], sign * limit_of[order], offered[order]
    if offers and len(row):
        first = np.flatnonzero(np.concatenate(([True], (np.diff(row) != 0) | (np.diff(cost) != 0))))
        row, cost, offered = row[first], cost[first], np.add.reduceat(offered, first)
    group = book.group[row]
    return _Orders(row, group, cost, offered, np.searchsorted(group, np.arange(book.groups + 1)))


def _crossing(asks: _Orders, bids: _Orders, prices: GridPrices) -> tuple[Ints, Ints, Ints]:
    """Return of each group the volume where the two sides cross, and the costs of the last ask and bid before that."""
    asked, wanted = sums(asks.energy, asks.bounds), sums(bids.energy, bids.bounds)
    # every group has a stretch of one line, as long as its longer side
    until = np.cumsum(np.maximum(asked, wanted))
    base = until - np.maximum(asked, wanted)
    asked_until, wanted_until = (
        np.cumsum(side.energy) + (base - (np.cumsum(total) - total))[side.group]
        for side, total in ((asks, asked), (bids, wanted))
    )
    ends, _ = pieces(asked_until, wanted_until)
    group = np.searchsorted(until, ends)
    both = ends <= (base + np.minimum(asked, wanted))[group]
    ends, group = ends[both], group[both]
    ask, bid = asks.cost[np.searchsorted(asked_until, ends)], bids.cost[np.searchsorted(wanted_until, ends)]
    meet = -bid >= ask
    ends, group, ask, bid = ends[meet], group[meet], ask[meet], bid[meet]
    last = np.flatnonzero(np.concatenate((np.diff(group) != 0, np.ones(min(len(group), 1), dtype=np.bool_))))
    volume = np.zeros(len(base), dtype=np.int64)
    volume[group[last]] = ends[last] - base[group[last]]
    last_ask, last_bid = asks.best(prices.retail), bids.best(-prices.floor)
    last_ask[group[last]], last_bid[group[last]] = ask[last], bid[last]
    return volume, last_ask, last_bid


def _filled(book: Book, orders: _Orders, last: Ints, volume: Ints) -> Ints:
    """Return what each row trades of its orders, given the cost of its group's last order that meets another."""
    margin = last[orders.group]
    whole = np.where(orders.cost < margin, orders.energy, 0)
    whole[volume[orders.group] == 0] = 0
    at_margin = np.where(orders.cost == margin, orders.energy, 0)
    shared = pro_rata(at_margin, orders.group, orders.bounds, volume - sums(whole, orders.bounds))
    filled = np.zeros(len(book.group), dtype=np.int64)
    np.add.at(filled, orders.row, whole + shared)
    return filled


def auction(
    surplus: Mapping[str, int], deficit: Mapping[str, int], tariff: Tariff, offers: Sequence[Offer]
) -> tuple[int, dict[str, int], dict[str, int]]:
    """Clear the pool of one interval in integers of any size; return its price, and what each meter sells and buys."""
    floor, retail = tariff.pool_floor_micro_per_kwh, tariff.retail_micro_per_kwh
    asks = _levels(surplus, tariff, [offer for offer in offers if offer.side == SELL], floor, 1)
    bids = _levels(deficit, tariff, [offer for offer in offers if offer.side == BUY], retail, -1)
    ask_costs, bid_costs = sorted(asks), sorted(bids)
    sold: dict[str, int] = dict.fromkeys(surplus, 0)
    bought: dict[str, int] = dict.fromkeys(deficit, 0)
    a = b = volume = 0
    ask_left = {cost: sum(asks[cost].values()) for cost in ask_costs}
    bid_left = {cost: sum(bids[cost].values()) for cost in bid_costs}
    last_ask, last_bid = ask_costs[0] if asks else retail, bid_costs[0] if bids else -floor
    while a < len(ask_costs) and b < len(bid_costs) and ask_costs[a] <= -bid_costs[b]:
        last_ask, last_bid = ask_costs[a], bid_costs[b]
        energy = min(ask_left[last_ask], bid_left[last_bid])
        volume += energy
        ask_left[last_ask] -= energy
        bid_left[last_bid] -= energy
        a += ask_left[last_ask] == 0
        b += bid_left[last_bid] == 0
    for filled, levels, last in ((sold, asks, last_ask), (bought, bids, last_bid)):
        rest = volume
        for cost in sorted(levels):
            if cost > last or rest == 0:
                break
            for meter, energy in shares(levels[cost], min(rest, sum(levels[cost].values()))).items():
                filled[meter] += energy
                rest -= energy
    return (last_ask - last_bid) // 2, sold, bought


def _levels(
    energies: Mapping[str, int], tariff: Tariff, offers: Sequence[Offer], taken: int, sign: int
) -> dict[int, dict[str, int]]:
    """Return the energy of each meter at each cost, which rises as orders get worse."""
    levels: dict[int, dict[str, int]] = {}
    rest = dict(energies)
    offering = {offer.meter_id for offer in offers}

    def place(meter: str, limit: int, energy: int) -> None:
        if energy > 0:
            level = levels.setdefault(sign * limit, {})
            level[meter] = level.get(meter, 0) + energy

    for offer in sorted(offers, key=lambda offer: sign * offer.price_limit_micro_per_kwh):
        meter = offer.meter_id
        energy = min(rest.get(meter, 0), offer.energy_limit_wh)
        limit = min(max(offer.price_limit_micro_per_kwh, tariff.pool_floor_micro_per_kwh), tariff.retail_micro_per_kwh)
        place(meter, limit, energy)
        if energy > 0:
            rest[meter] -= energy
    for meter, energy in energies.items():
        if meter not in offering:
            place(meter, taken, energy)
    return levels

"""Matching of all groups of a book: agreements, then the pool, at once where arrays can, one by one where they cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import one_interval
from .book import AGREEMENT, NARROW, Book, Flags, GridPrices, Ints, checked_sums, sums, too_wide
from .mechanisms import Mechanism, Pools
from .model import Agreement, Link, MarketInputError, Network, Offer
from .pairing import paired

_NO_NETWORK = Network()


@dataclass(frozen=True)
class Trades:
    """Trades as int64 columns; sellers and buyers are rows of the book, `agreement` is a number in the list, -1 in the pool."""

    seller: Ints
    buyer: Ints
    energy_wh: Ints
    price: Ints
    agreement: Ints
    loss_wh: Ints
    wheeling_micro: Ints


@dataclass(frozen=True)
class Outcome:
    """What clearing of a book came to: one value a group (int64), and its trades by group, kind, seller and buyer."""

    supply_wh: Ints
    demand_wh: Ints
    capped_wh: Ints
    price: Ints
    trades: Trades


def match_all(
    book: Book,
    prices: GridPrices,
    max_partners: int,
    mechanism: Mechanism,
    agreements: Sequence[tuple[Agreement, Flags]] = (),
    offers: Sequence[tuple[Offer, Flags]] = (),
    network: Network | None = None,
) -> Outcome:
    """Match every group of `book`; `agreements` are in the order they are served, each (as `offers`) with the groups it holds in.

    A group goes meter by meter through `one_interval` where its sums or products could pass 64 bits, where a way between a seller
    and a buyer of it costs something, or where its pairs break the partner cap; all others at once. Raises `MarketInputError` for
    energies that sum to more than 64 bits.
    """
    network = network or _NO_NETWORK
    surplus, deficit = np.maximum(book.net_wh, 0), np.maximum(-book.net_wh, 0)
    supply, demand = checked_sums(surplus, book, "a supply"), checked_sums(deficit, book, "a demand")
    exact = too_wide(supply, demand, prices) | _priced_ways(book, network)
    if exact.any():
        surplus[exact[book.group]] = deficit[exact[book.group]] = 0

    partners = np.zeros(len(book.group), dtype=np.int64)
    agreed = _agreed(book, surplus, deficit, partners, agreements)
    pools = Pools(book, prices, surplus, deficit, offers)
    volumes = mechanism.pools(pools)
    seller, buyer, energy = paired(volumes.sold, volumes.bought, book.group)
    for side in (seller, buyer):
        partners += np.bincount(side, minlength=len(partners))
    # an agreement's partner may be the pool's too, and is counted twice here: such a group is only looked at more closely
    exact[book.group[partners > max_partners]] = True

    capped = np.minimum(pools.supply, pools.demand) - sums(volumes.sold, book.bounds)
    price = volumes.price
    nothing = np.zeros_like(energy)
    parts = [*agreed, Trades(seller, buyer, energy, price[book.group[seller]], nothing - 1, nothing, nothing)]
    if exact.any():
        parts = [select(part, ~exact[book.group[part.seller]]) for part in parts]
        for group in np.flatnonzero(exact):
            matched, part = _one(book, int(group), prices, max_partners, mechanism, agreements, offers, network)
            capped[group], price[group] = matched.capped_wh, matched.price_micro_per_kwh
            parts.append(part)
    return Outcome(supply, demand, capped, price, _sorted(parts, book))


def _priced_ways(book: Book, network: Network) -> Flags:
    """Return for each group whether a way from one of its sellers to one of its buyers costs something."""
    found = np.zeros(book.groups, dtype=np.bool_)
    ends = {network.grid_zones.get(meter, "") for meter in book.meters}
    dear = [way for way in network.links if set(way) <= ends and network.links[way] != Link()]
    if not dear:
        return found
    rank = {zone: number for number, zone in enumerate(sorted(ends))}
    zone = np.array([rank[network.grid_zones.get(meter, "")] for meter in book.meters], dtype=np.int64)[book.meter]

    def has(name: str, side: Flags) -> Flags:
        there = np.zeros(book.groups, dtype=np.bool_)
        there[book.group[side & (zone == rank[name])]] = True
        return there

    sellers, buyers = book.net_wh > 0, book.net_wh < 0
    for source, target in dear:
        # a way back without a link of its own costs the same
        found |= has(source, sellers) & has(target, buyers) | has(target, sellers) & has(source, buyers)
    return found


def _agreed(
    book: Book,
    surplus: Ints,
    deficit: Ints,
    partners: Ints,
    agreements: Sequence[tuple[Agreement, Flags]],
) -> list[Trades]:
    """Serve agreements of all groups, one after the other, taking what they trade out of `surplus` and `deficit`.

    They are served as if there were no partner cap: where `partners` then breaks it, the group goes meter by meter.
    """
    trades = []
    for number, (agreement, held) in enumerate(agreements):
        sellers, buyers = book.rows_of(agreement.seller_meter_id), book.rows_of(agreement.buyer_meter_id)
        groups = np.flatnonzero(held & (sellers >= 0) & (buyers >= 0))
        seller, buyer = sellers[groups], buyers[groups]
        energy = np.minimum(np.minimum(surplus[seller], deficit[buyer]), min(agreement.max_wh, NARROW))
        made = energy > 0
        seller, buyer, energy = seller[made], buyer[made], energy[made]
        surplus[seller] -= energy
        deficit[buyer] -= energy
        partners[seller] += 1
        partners[buyer] += 1
        nothing = np.zeros_like(energy)
        trades.append(Trades(seller, buyer, energy, nothing + agreement.price_micro_per_kwh, nothing + number, nothing, nothing))
    return trades


def _one(
    book: Book,
    group: int,
    prices: GridPrices,
    max_partners: int,
    mechanism: Mechanism,
    agreements: Sequence[tuple[Agreement, Flags]],
    offers: Sequence[tuple[Offer, Flags]],
    network: Network,
) -> tuple[one_interval.Matched, Trades]:
    first, end = int(book.bounds[group]), int(book.bounds[group + 1])
    meters = [book.meters[meter] for meter in book.meter[first:end].tolist()]
    numbers = {id(agreement): number for number, (agreement, held) in enumerate(agreements) if held[group]}
    matched = one_interval.match(
        dict(zip(meters, book.net_wh[first:end].tolist(), strict=True)),
        prices.tariff(group),
        max_partners,
        [agreement for agreement, held in agreements if held[group]],
        [offer for offer, held in offers if held[group]],
        network,
        mechanism,
    )
    row = {meter: first + number for number, meter in enumerate(meters)}
    columns = [
        (
            row[pair.seller],
            row[pair.buyer],
            pair.energy_wh,
            pair.price_micro_per_kwh,
            numbers[id(pair.agreement)] if pair.kind == AGREEMENT else -1,
            pair.loss_wh,
            pair.wheeling_micro,
        )
        for pair in matched.matches
    ]
    try:
        table = np.array(columns, dtype=np.int64).reshape(-1, 7)
    except OverflowError as error:
        raise MarketInputError(f"a wheeling charge does not fit 64 bits: {book.interval(group)}") from error
    return matched, Trades(*table.T)


def select(trades: Trades, kept: Flags) -> Trades:
    """Return the trades where `kept`."""
    return Trades(*(column[kept] for column in _columns(trades)))


def _columns(trades: Trades) -> tuple[Ints, ...]:
    return (
        trades.seller,
        trades.buyer,
        trades.energy_wh,
        trades.price,
        trades.agreement,
        trades.loss_wh,
        trades.wheeling_micro,
    )


def _sorted(parts: Sequence[Trades], book: Book) -> Trades:
    """Return all trades by group, kind (agreements first), seller and buyer."""
    columns = [np.concatenate(column) for column in zip(*map(_columns, parts), strict=True)]
    seller, buyer, agreement = columns[0], columns[1], columns[4]
    order = np.lexsort((buyer, seller, book.group[seller] * 2 + (agreement < 0)))
    return Trades(*(column[order] for column in columns))

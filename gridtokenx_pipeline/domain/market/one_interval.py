"""Matching of one interval, meter by meter, in integers of any size: the reference, and the way of what arrays cannot do.

Arrays cannot bind a partner cap, pass 64 bits, or pair over a network whose ways cost something.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .book import AGREEMENT, POOL
from .mechanisms import Mechanism, Pool
from .model import Agreement, Link, Network, Offer, Tariff, amount_micro

_PPM = 1_000_000


@dataclass(frozen=True)
class Match:
    """Energy that one meter sells to another; the buyer receives `loss_wh` less and pays `wheeling_micro` besides."""

    kind: str
    seller: str
    buyer: str
    energy_wh: int
    price_micro_per_kwh: int
    loss_wh: int = 0
    wheeling_micro: int = 0
    agreement: Agreement | None = None


@dataclass(frozen=True)
class Matched:
    """The outcome of an interval: `capped_wh` both sides had, and the pool did not trade."""

    supply_wh: int
    demand_wh: int
    capped_wh: int
    price_micro_per_kwh: int
    matches: tuple[Match, ...]


class _Partners:
    """Who trades with whom, and whether two meters still may."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._of: defaultdict[str, set[str]] = defaultdict(set)

    def blocked(self, meter: str, other: str) -> bool:
        partners = self._of[meter]
        return len(partners) >= self._cap and other not in partners

    def add(self, seller: str, buyer: str) -> None:
        self._of[seller].add(buyer)
        self._of[buyer].add(seller)


def match(
    net_wh: Mapping[str, int],
    tariff: Tariff,
    max_partners: int,
    agreements: Iterable[Agreement],
    offers: Iterable[Offer],
    network: Network,
    mechanism: Mechanism,
) -> Matched:
    """Match the meters of one interval.

    `net_wh` is each participant's surplus (> 0) or deficit (< 0) in Wh; agreements and offers are those in force. Agreements come
    first, in order of priority, seller and buyer; what is left is traded in the mechanism's pool. Sellers and buyers, each by
    falling volume and rising id, are paired off with two pointers, way by way through the network, the cheapest first. The
    outcome does not depend on the order of anything given.
    """
    surplus = {meter: net for meter, net in net_wh.items() if net > 0}
    deficit = {meter: -net for meter, net in net_wh.items() if net < 0}
    supply, demand = sum(surplus.values()), sum(deficit.values())
    partners = _Partners(max_partners)
    matches = _agreed(surplus, deficit, partners, agreements, network, tariff)

    pool = mechanism.pool(Pool(surplus, deficit, tariff, list(offers)))
    volume = min(sum(surplus.values()), sum(deficit.values()))
    pooled: list[Match] = []
    for link, sellers, buyers in _ways(pool.sold, pool.bought, network):
        pooled.extend(_paired(pool.sold, pool.bought, sellers, buyers, partners, pool.price, link, tariff))
    capped = volume - sum(pair.energy_wh for pair in pooled)
    return Matched(supply, demand, capped, pool.price, (*matches, *pooled))


def _needed(energy_wh: int, link: Link) -> int:
    """Return the least energy to sell of which `energy_wh` arrives."""
    return -(-energy_wh * _PPM // (_PPM - link.loss_ppm))


def _carried(
    kind: str, seller: str, buyer: str, energy: int, price: int, link: Link, tariff: Tariff, agreement: Agreement | None = None
) -> Match | None:
    """Return the trade of `energy`, or None where it would cost the buyer more than the grid: it cannot pay its way."""
    delivered = energy * (_PPM - link.loss_ppm) // _PPM
    wheeling = amount_micro(energy, link.wheeling_micro_per_kwh)
    # a rate may pay where the amounts, once rounded, do not
    too_dear = amount_micro(energy, price) + wheeling > amount_micro(delivered, tariff.retail_micro_per_kwh)
    if delivered == 0 or too_dear or not _pays(price, link, tariff):
        return None
    return Match(kind, seller, buyer, energy, price, energy - delivered, wheeling, agreement)


def _pays(price: int, link: Link, tariff: Tariff) -> bool:
    affordable = (tariff.retail_micro_per_kwh - link.wheeling_micro_per_kwh) * (_PPM - link.loss_ppm)
    return price * _PPM <= affordable


def _agreed(
    surplus: dict[str, int],
    deficit: dict[str, int],
    partners: _Partners,
    agreements: Iterable[Agreement],
    network: Network,
    tariff: Tariff,
) -> list[Match]:
    """Serve agreements, taking what is sold out of `surplus` and what arrives out of `deficit`."""
    matches = []
    for agreement in sorted(agreements, key=lambda a: (a.priority, a.seller_meter_id, a.buyer_meter_id)):
        seller, buyer = agreement.seller_meter_id, agreement.buyer_meter_id
        if partners.blocked(seller, buyer) or partners.blocked(buyer, seller):
            continue
        link = network.link(seller, buyer)
        energy = min(surplus.get(seller, 0), _needed(deficit.get(buyer, 0), link), agreement.max_wh)
        price = agreement.price_micro_per_kwh
        made = _carried(AGREEMENT, seller, buyer, energy, price, link, tariff, agreement) if energy > 0 else None
        if made is None:
            continue
        surplus[seller] -= energy
        deficit[buyer] -= energy - made.loss_wh
        partners.add(seller, buyer)
        matches.append(made)
    return matches


def _ways(selling: Mapping[str, int], buying: Mapping[str, int], network: Network) -> list[tuple[Link, list[str], list[str]]]:
    """Return the ways between the grid zones of sellers and buyers, and who is at their ends, the cheapest first."""
    zones: tuple[defaultdict[str, list[str]], defaultdict[str, list[str]]] = (defaultdict(list), defaultdict(list))
    for side, volumes in zip(zones, (selling, buying), strict=True):
        for meter, energy in volumes.items():
            if energy:
                side[network.grid_zones.get(meter, "")].append(meter)
    ways = [
        (network.link(sellers[0], buyers[0]), source, target)
        for source, sellers in zones[0].items()
        for target, buyers in zones[1].items()
    ]
    if all(link == Link() for link, _, _ in ways):
        # where no way costs anything, the campus is one zone
        return [(Link(), [m for side in zones[0].values() for m in side], [m for side in zones[1].values() for m in side])]
    ways.sort(key=lambda way: (way[0].loss_ppm, way[0].wheeling_micro_per_kwh, way[1], way[2]))
    return [(link, zones[0][source], zones[1][target]) for link, source, target in ways]


def _paired(
    selling: dict[str, int],
    buying: dict[str, int],
    sellers: list[str],
    buyers: list[str],
    partners: _Partners,
    price: int,
    link: Link,
    tariff: Tariff,
) -> list[Match]:
    """Pair `sellers` and `buyers` with two pointers, taking what they trade out of `selling` and `buying`.

    One price makes the pairing neutral in money; it decides only how many trades there are and whose energy goes where.
    """
    if not _pays(price, link, tariff):
        return []
    sellers = sorted((m for m in sellers if selling[m]), key=lambda m: (-selling[m], m))
    buyers = sorted((m for m in buyers if buying[m]), key=lambda m: (-buying[m], m))
    matches = []
    s = b = 0
    while s < len(sellers) and b < len(buyers):
        seller, buyer = sellers[s], buyers[b]
        if partners.blocked(seller, buyer):
            s += 1
            continue
        if partners.blocked(buyer, seller):
            b += 1
            continue
        available, needed = selling[seller], _needed(buying[buyer], link)
        energy = min(available, needed)
        made = _carried(POOL, seller, buyer, energy, price, link, tariff)
        if made is not None:
            partners.add(seller, buyer)
            matches.append(made)
            selling[seller] -= energy
            buying[buyer] -= energy - made.loss_wh
        # whoever held the energy down is served, or too small to pay the way
        s += energy == available
        b += energy == needed
    return matches

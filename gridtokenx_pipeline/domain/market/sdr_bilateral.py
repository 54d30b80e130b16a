"""Supply-demand-ratio price with bilateral trades, for one interval, in exact integers.

The market is cleared after delivery on metered energy, so no one enters a price: the pool price follows from the ratio of
surplus to deficit (Liu et al. 2017, IEEE Transactions on Power Systems 32(5)), falling from the retail tariff, where
supply is nothing, to the feed-in tariff, where supply covers demand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .model import Agreement, Tariff

AGREEMENT = "agreement"
POOL = "pool"


@dataclass(frozen=True)
class Match:
    """Energy that one meter sells to another."""

    kind: str
    seller: str
    buyer: str
    energy_wh: int
    price_micro_per_kwh: int


@dataclass(frozen=True)
class Matched:
    """The outcome of an interval: `capped_wh` cleared but found no partner under the partner cap."""

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


def pool_price(supply_wh: int, demand_wh: int, tariff: Tariff) -> int:
    """Return the pool price in micro-currency per kWh, rounded down, for a supply and a demand (both >= 0)."""
    floor, retail = tariff.pool_floor_micro_per_kwh, tariff.retail_micro_per_kwh
    if supply_wh >= demand_wh:
        return floor
    if supply_wh == 0 or floor == retail:
        # the formula says the same, but for tariffs of 0, where it is 0 / 0
        return retail
    return floor * retail * demand_wh // ((retail - floor) * supply_wh + floor * demand_wh)


def pro_rata(volumes: Mapping[str, int], total: int) -> dict[str, int]:
    """Scale `volumes` down to sum to `total` by largest remainders; equal remainders favour the lower meter id."""
    whole = sum(volumes.values())
    if whole == total:
        return dict(volumes)
    shares = {meter: volume * total // whole for meter, volume in volumes.items()}
    by_remainder = sorted(volumes, key=lambda meter: (-(volumes[meter] * total % whole), meter))
    for meter in by_remainder[: total - sum(shares.values())]:
        shares[meter] += 1
    return shares


def match(net_wh: Mapping[str, int], tariff: Tariff, max_partners: int, agreements: Iterable[Agreement] = ()) -> Matched:
    """Match the meters of one interval.

    `net_wh` is each participant's surplus (> 0) or deficit (< 0) in Wh. Agreements come first, in order of priority, seller and
    buyer; what is left is traded in a pool at one price: the long side is scaled pro rata, then sellers and buyers, each by
    falling volume and rising id, are paired off. The outcome does not depend on the order of `net_wh` or `agreements`.
    """
    surplus = {meter: net for meter, net in net_wh.items() if net > 0}
    deficit = {meter: -net for meter, net in net_wh.items() if net < 0}
    supply, demand = sum(surplus.values()), sum(deficit.values())
    partners = _Partners(max_partners)
    matches = _agreed(surplus, deficit, partners, agreements)

    pool_supply, pool_demand = sum(surplus.values()), sum(deficit.values())
    price = pool_price(pool_supply, pool_demand, tariff)
    volume = min(pool_supply, pool_demand)
    pooled = _paired(pro_rata(surplus, volume), pro_rata(deficit, volume), partners, price) if volume else []
    capped = volume - sum(pair.energy_wh for pair in pooled)
    return Matched(supply, demand, capped, price, (*matches, *pooled))


def _agreed(
    surplus: dict[str, int], deficit: dict[str, int], partners: _Partners, agreements: Iterable[Agreement]
) -> list[Match]:
    """Serve agreements, taking what they trade out of `surplus` and `deficit`."""
    matches = []
    for agreement in sorted(agreements, key=lambda a: (a.priority, a.seller_meter_id, a.buyer_meter_id)):
        seller, buyer = agreement.seller_meter_id, agreement.buyer_meter_id
        energy = min(surplus.get(seller, 0), deficit.get(buyer, 0), agreement.max_wh)
        if energy <= 0 or partners.blocked(seller, buyer) or partners.blocked(buyer, seller):
            continue
        surplus[seller] -= energy
        deficit[buyer] -= energy
        partners.add(seller, buyer)
        matches.append(Match(AGREEMENT, seller, buyer, energy, agreement.price_micro_per_kwh))
    return matches


def _paired(selling: dict[str, int], buying: dict[str, int], partners: _Partners, price: int) -> list[Match]:
    """Pair sellers and buyers with two pointers: at most one trade less than there are meters.

    One price makes the pairing neutral in money; it decides only how many trades there are and whose energy goes where.
    """
    sellers = sorted((m for m, wh in selling.items() if wh), key=lambda m: (-selling[m], m))
    buyers = sorted((m for m, wh in buying.items() if wh), key=lambda m: (-buying[m], m))
    selling, buying = dict(selling), dict(buying)
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
        energy = min(selling[seller], buying[buyer])
        partners.add(seller, buyer)
        matches.append(Match(POOL, seller, buyer, energy, price))
        selling[seller] -= energy
        buying[buyer] -= energy
        s += selling[seller] == 0
        b += buying[buyer] == 0
    return matches

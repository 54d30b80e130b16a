"""What a market is told besides positions: tariffs, rules and standing agreements."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field


class MarketInputError(ValueError):
    """A row, tariff or agreement that no market may be cleared with; the message names it."""


def amount_micro(energy_wh: int, price_micro_per_kwh: int) -> int:
    """Return the price of `energy_wh` (>= 0) in micro-currency, rounded half up, as every amount here is."""
    return (energy_wh * price_micro_per_kwh + 500) // 1000


@dataclass(frozen=True)
class Tariff:
    """What the grid pays and asks, in micro-currency per kWh.

    `seller_compensation_micro_per_kwh` raises the floor of the pool price above the feed-in tariff, so that
    sellers gain from trading in a surplus too (Zhou et al. 2018). Raises `MarketInputError` where a tariff is negative or
    the feed-in tariff with the compensation exceeds the retail tariff.
    """

    feed_in_micro_per_kwh: int
    retail_micro_per_kwh: int
    seller_compensation_micro_per_kwh: int = 0
    currency: str = "USD"

    def __post_init__(self) -> None:
        if self.feed_in_micro_per_kwh < 0 or self.seller_compensation_micro_per_kwh < 0:
            raise MarketInputError(f"{self}: a tariff is negative")
        if self.pool_floor_micro_per_kwh > self.retail_micro_per_kwh:
            raise MarketInputError(f"{self}: feed-in plus seller compensation exceeds the retail tariff")

    @property
    def pool_floor_micro_per_kwh(self) -> int:
        """The lowest price of the pool."""
        return self.feed_in_micro_per_kwh + self.seller_compensation_micro_per_kwh


@dataclass(frozen=True)
class Rules:
    """Limits of clearing.

    `max_partners` is the number of distinct partners a meter may have in one interval, agreements included;
    an interval closes `watermark_s` seconds after its end.
    """

    max_partners: int = 25
    watermark_s: int = 60

    def __post_init__(self) -> None:
        if self.max_partners < 1 or self.watermark_s < 0:
            raise MarketInputError(f"{self}: max_partners must be at least 1 and watermark_s at least 0")


@dataclass(frozen=True)
class Agreement:
    """A standing bilateral contract: up to `max_wh` in every interval at a fixed price, before the pool.

    It holds for intervals that start in [`valid_from`, `valid_until`); None is for ever. A lower `priority` is served first;
    equal priorities in order of seller and buyer.
    """

    zone: str
    seller_meter_id: str
    buyer_meter_id: str
    max_wh: int
    price_micro_per_kwh: int
    priority: int = 0
    valid_from: dt.datetime | None = None
    valid_until: dt.datetime | None = None
    agreement_id: str | None = None


@dataclass(frozen=True)
class Offer:
    """A limit of a meter in the pool: at most `energy_limit_wh` an interval, for no less (sell) or no more (buy) than the price.

    It holds for intervals that start in [`valid_from`, `valid_until`); None is for ever.
    """

    zone: str
    meter_id: str
    side: str
    energy_limit_wh: int
    price_limit_micro_per_kwh: int
    valid_from: dt.datetime | None = None
    valid_until: dt.datetime | None = None


@dataclass(frozen=True)
class Link:
    """Losses (parts per million of what is sold) and wheeling (micro-currency per kWh sold) between two grid zones."""

    loss_ppm: int = 0
    wheeling_micro_per_kwh: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.loss_ppm < 1_000_000 or self.wheeling_micro_per_kwh < 0:
            raise MarketInputError(f"{self}: losses must be 0 to 999,999 ppm and wheeling at least 0")


@dataclass(frozen=True)
class Network:
    """Where meters are connected, and what the way from one grid zone to another costs.

    A meter that is not named is in the zone "". A way that is not named is free; the way back costs the same unless it is named.
    """

    grid_zones: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[tuple[str, str], Link] = field(default_factory=dict)

    def link(self, seller_meter_id: str, buyer_meter_id: str) -> Link:
        """Return what it costs to bring energy from one meter to another."""
        source, target = self.grid_zones.get(seller_meter_id, ""), self.grid_zones.get(buyer_meter_id, "")
        return self.links.get((source, target)) or self.links.get((target, source)) or _FREE


_FREE = Link()

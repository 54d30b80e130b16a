"""Price rules: from a group's supply and demand, and the grid's tariffs, to one price of the pool.

Supply-demand ratio: the price falls from the retail tariff, where supply is nothing, to the floor, where supply covers demand
(Liu et al. 2017, IEEE Transactions on Power Systems 32(5)). Mid-market rate: half way between the two (Long et al. 2017).
"""

from __future__ import annotations

import numpy as np

from .book import GridPrices, Ints
from .model import Tariff


def pool_price(supply_wh: int, demand_wh: int, tariff: Tariff) -> int:
    """Return the supply-demand-ratio price in micro-currency per kWh, rounded down, for a supply and a demand (both >= 0)."""
    floor, retail = tariff.pool_floor_micro_per_kwh, tariff.retail_micro_per_kwh
    if supply_wh >= demand_wh:
        return floor
    if supply_wh == 0 or floor == retail:
        # the formula says the same, but for tariffs of 0, where it is 0 / 0
        return retail
    return floor * retail * demand_wh // ((retail - floor) * supply_wh + floor * demand_wh)


def pool_prices(supply: Ints, demand: Ints, prices: GridPrices) -> Ints:
    """Return `pool_price` of every group that is not too wide for it; anything between floor and retail for the others."""
    floor, retail = prices.floor, prices.retail
    short = (supply < demand) & (supply > 0) & (floor < retail)
    with np.errstate(over="ignore"):
        divisor = np.where(short, (retail - floor) * supply + floor * demand, 1)
        between = floor * retail * demand // np.where(divisor > 0, divisor, 1)
    price: Ints = np.where(short, np.clip(between, floor, retail), np.where(supply >= demand, floor, retail))
    return price


def mid_market_price(tariff: Tariff) -> int:
    """Return the mid-market rate in micro-currency per kWh, rounded down: half way between the pool's floor and retail."""
    return (tariff.pool_floor_micro_per_kwh + tariff.retail_micro_per_kwh) // 2


def mid_market_prices(prices: GridPrices) -> Ints:
    """Return `mid_market_price` of every group."""
    return half_way(prices.floor, prices.retail)


def half_way(one: Ints, other: Ints) -> Ints:
    """Return the middle of each two prices, rounded down; their sums may pass 64 bits."""
    middle: Ints = one // 2 + other // 2 + (one & other & 1)
    return middle


def blended_prices(supply_wh: int, demand_wh: int, tariff: Tariff) -> tuple[int, int]:
    """Return what a Wh of surplus earns and one of deficit costs on average under the mid-market rate, rounded down.

    Both in micro-currency per kWh: the long side trades its share at the mid-market rate and settles the rest with the grid
    (Long et al. 2017). Without surplus and deficit, both are the mid-market rate.
    """
    mid = mid_market_price(tariff)
    if supply_wh > demand_wh:
        return (mid * demand_wh + tariff.feed_in_micro_per_kwh * (supply_wh - demand_wh)) // supply_wh, mid
    if supply_wh < demand_wh:
        return mid, (mid * supply_wh + tariff.retail_micro_per_kwh * (demand_wh - supply_wh)) // demand_wh
    return mid, mid

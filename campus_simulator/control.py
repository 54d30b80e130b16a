"""A building under orders: what its inverters, battery and load do in one interval. Integers throughout, milli-Wh."""

from __future__ import annotations

from dataclasses import dataclass

from .battery import Battery, Store
from .models import KWH, Building
from .orders import WHOLE, Order

SHEDDABLE_PCT = {
    "academic": 30,
    "residential": 35,
    "administrative": 40,
    "athletic": 50,
    "research": 15,
    "support": 40,
}
"""Share of a building's load that can be done without for a while."""


@dataclass(frozen=True, slots=True)
class Plant:
    """A building's equipment for intervals of `interval_s` seconds; `rated` is what its inverter makes at most in one."""

    battery: Battery
    rated: int
    sheddable_pct: int
    interval_s: int

    @classmethod
    def of(cls, building: Building, interval_s: int) -> Plant:
        """Return the plant of a building."""
        rated = int(building.rated_kw * KWH * interval_s // 3600)
        return cls(Battery.of(building, interval_s), rated, SHEDDABLE_PCT[building.building_type], interval_s)

    def _energy(self, watts: int) -> int:
        return watts * 1000 * self.interval_s // 3600

    def follow(self, order: Order, store: Store, available: int, demand: int) -> tuple[Store, int, int, int, int]:
        """Return (store after, generation, load, charge, discharge) of an interval under an order.

        `available` is what the sky offers, `demand` what the building would use.
        """
        load = self._load(order, demand)
        if not order.connected:
            return store, 0, load, 0, 0
        want = self._battery_wish(order, available - load)
        if order.max_output is None:
            store, charge, discharge = self.battery.run(store, want)
            return store, available, load, charge, discharge
        limit = self.rated * order.max_output // WHOLE
        # The sun's energy goes before the battery's, which keeps. What charges the battery does not leave the inverter.
        want = max(want, -max(limit - available, 0))
        store, charge, discharge = self.battery.run(store, want)
        return store, min(available, limit + charge - discharge), load, charge, discharge

    def _load(self, order: Order, demand: int) -> int:
        less = demand * order.load_less // WHOLE + self._energy(order.load_less_w)
        return demand - min(less, demand * self.sheddable_pct // 100)

    def _battery_wish(self, order: Order, surplus: int) -> int:
        full = self.battery.per_interval
        if order.battery is not None:
            return -(full * order.battery // WHOLE)
        if order.charge_w is not None:
            return self._energy(order.charge_w)
        if order.price:
            return -full if order.price > 0 else full
        return self.battery.own_wish(surplus)

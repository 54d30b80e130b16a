"""Battery of a building, in integers.

Self-consumption: it takes a share of what the roof makes beyond the load and covers a share of what the roof lacks, at once and
without looking ahead, within its power and between its reserve and its capacity. The share is less than one because these
batteries could swallow every surplus of their building, and the campus would have nothing to trade.
"""

from __future__ import annotations

from dataclasses import dataclass

from .models import KWH, Building

C_RATE = 0.5
"""Power limit as a multiple of the capacity per hour."""
RESERVE_PCT = 10
SHARE_NUMERATOR, SHARE_DENOMINATOR = 1, 2
EFFICIENCY = 948_683
"""One way, parts per million: the square root of 0.9, so a round trip keeps 90 %."""
_PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Store:
    """Energy in the battery: milli-Wh, and what did not make a whole milli-Wh yet.

    `charge_carry` is in millionths of a milli-Wh, `discharge_carry` in `1 / EFFICIENCY` milli-Wh. Over any run of intervals
    `stored` changes by exactly floor((charged * EFFICIENCY + charge_carry) / 10^6)
    - floor((discharged * 10^6 + discharge_carry) / EFFICIENCY).
    """

    stored: int
    charge_carry: int = 0
    discharge_carry: int = 0


@dataclass(frozen=True, slots=True)
class Battery:
    """Limits in milli-Wh: `per_interval` at the AC terminals, `capacity` and `reserve` in the store."""

    capacity: int
    reserve: int
    per_interval: int

    @classmethod
    def of(cls, building: Building, interval_s: int) -> Battery:
        """Return the battery of a building for intervals of `interval_s` seconds; the solar rating bounds its power too."""
        capacity = round(building.battery_kwh * KWH)
        power_kw = min(C_RATE * building.battery_kwh, building.rated_kw)
        return cls(capacity, capacity * RESERVE_PCT // 100, int(power_kw * KWH * interval_s // 3600))

    def step(self, store: Store, surplus: int) -> tuple[Store, int, int]:
        """Return (store after, charge, discharge) of an interval, milli-Wh at the AC terminals; one of the two is 0.

        `surplus` is generation minus load, milli-Wh.
        """
        return self.run(store, self.own_wish(surplus))

    def own_wish(self, surplus: int) -> int:
        """What the battery takes (positive) or gives (negative) of itself, milli-Wh, at a surplus of generation over load."""
        want = min(abs(surplus) * SHARE_NUMERATOR // SHARE_DENOMINATOR, self.per_interval)
        return want if surplus > 0 else -want

    def run(self, store: Store, want: int) -> tuple[Store, int, int]:
        """Take (positive) or give (negative) as much of `want` milli-Wh as power and store allow; returns as `step`."""
        if want > 0:
            headroom = max(self.capacity - store.stored, 0)
            want = min(want, self.per_interval)
            charge = max(min(want, ((headroom + 1) * _PPM - 1 - store.charge_carry) // EFFICIENCY), 0)
            gained, carry = divmod(charge * EFFICIENCY + store.charge_carry, _PPM)
            return Store(store.stored + gained, carry, store.discharge_carry), charge, 0
        want = min(-want, self.per_interval)
        available = max(store.stored - self.reserve, 0)
        discharge = max(min(want, ((available + 1) * EFFICIENCY - 1 - store.discharge_carry) // _PPM), 0)
        spent, carry = divmod(discharge * _PPM + store.discharge_carry, EFFICIENCY)
        return Store(store.stored - spent, store.charge_carry, carry), 0, discharge

    def state_of_charge(self, stored: int) -> int:
        """Return the state of charge in hundredths of a percent; 0 where there is no battery."""
        return min(stored * 10_000 // self.capacity, 10_000) if self.capacity else 0

"""What a legacy feed means by its numbers, where the numbers do not say it themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Storage = Literal["unknown", "none", "separate"]


@dataclass(frozen=True)
class Feed:
    """How the readings of one shape, from some meters or all, are to be understood.

    - `meters`: whose, empty for all that no other feed of the shape names.
    - `interval_s`: length of the interval (s) of a reading that does not state one; None where nobody knows, and then such a
      reading has no interval.
    - `stamp`: whether the timestamp is the start or the end of the interval.
    - `clock_tolerance_s`: a timestamp this close (s) to a multiple of the interval's length is taken as that multiple.
    - `storage`: whether energy_generated may hold battery discharge (`unknown`: it may; `none`: the meters have no battery;
      `separate`: a battery is metered on its own).
    - `obis`: whether OBIS 1.8.0 and 2.8.0 are the cumulative registers that IEC 62056-61 defines, or the interval's energy.
    - `flow`: whether they are import and export at the connection, as defined, or all that was consumed and generated behind it.
    """

    shape: str
    meters: frozenset[str] = frozenset()
    interval_s: int | None = None
    stamp: Literal["start", "end"] = "end"
    clock_tolerance_s: int = 1
    storage: Storage = "unknown"
    obis: Literal["register", "interval"] = "register"
    flow: Literal["connection", "gross"] = "connection"


@dataclass(frozen=True)
class Feeds:
    """The configured feeds, in order, and the meters that the configuration gives a battery."""

    feeds: tuple[Feed, ...] = ()
    batteries: frozenset[str] = frozenset()

    def of(self, shape: str, meter_id: str) -> Feed:
        """Return the first feed of the shape that names the meter, else the first for all, else one that knows nothing."""
        own = [feed for feed in self.feeds if feed.shape == shape]
        named = next((feed for feed in own if meter_id in feed.meters), None)
        return named or next((feed for feed in own if not feed.meters), None) or Feed(shape)

"""The one clock. Everything that asks what time it is asks here, so that a test can answer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

UTC = dt.UTC


def system_clock() -> dt.datetime:
    """Return the current time, aware, in UTC."""
    return dt.datetime.now(UTC)


_now: Callable[[], dt.datetime] = system_clock


def now() -> dt.datetime:
    """Return the time of the clock in force, aware, in UTC."""
    return _now()


def set_clock(clock: Callable[[], dt.datetime]) -> None:
    """Replace the clock of this process; `set_clock(system_clock)` restores it."""
    global _now
    _now = clock


def floor(moment: dt.datetime, seconds: int) -> dt.datetime:
    """Return the start of the interval of `seconds` that holds `moment`, counted from the epoch in UTC."""
    stamp = int(moment.timestamp())
    return dt.datetime.fromtimestamp(stamp - stamp % seconds, UTC)

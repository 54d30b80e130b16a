"""How much a device may ask for, and how often it may fail to prove who it is, counted over all workers of a server.

The counts are in one block of memory that the workers share. Nothing is locked: two workers that count the same device
in the same instant may miss a request, which makes a limit laxer by one and nothing else. A device has one connection,
hence one worker, nearly always.
"""

from __future__ import annotations

import hashlib
import math
import mmap
import os
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

_MINUTE_S = 60.0
_SLOTS = 1 << 16
_PROBES = 8
_CACHE_MAX = 100_000
# A slot is a key (UInt64, 0 for none) and three doubles, the first of which is the last time it mattered.
_FIELDS = 4
_TABLE_BYTES = _SLOTS * _FIELDS * 8
_HEADER_BYTES = 64
SHARED_BYTES = _HEADER_BYTES + 2 * _TABLE_BYTES
"""Size of the block: one table of request counts, one of failed authentications, before them what all need to know."""


def shared_file() -> int:
    """Return a descriptor of a zeroed file of `SHARED_BYTES` without a name, to be passed on to the workers."""
    memory = Path("/dev/shm")  # noqa: S108
    # In memory where there is such a place: the counts are worth nothing after the server has stopped.
    with tempfile.TemporaryFile(dir=memory if os.access(memory, os.W_OK) else None) as file:
        file.truncate(SHARED_BYTES)
        return os.dup(file.fileno())


class Limits:
    """The limits of all devices.

    `requests_per_minute` in any minute; the minute before is weighted by its part that the sliding minute still covers.
    After `failures` failed authentications within a minute, a device is refused for `cool_down_s`. 0 turns either off.
    `shared` is a descriptor from `shared_file`; without it the counts are this process's own. `clock` is monotonic, in
    seconds, and the same in all processes.
    """

    def __init__(
        self,
        *,
        requests_per_minute: int = 0,
        failures: int = 0,
        cool_down_s: float = 60.0,
        shared: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        block = memoryview(mmap.mmap(-1 if shared is None else shared, SHARED_BYTES))
        self._limit = requests_per_minute
        self._failures = failures
        self._cool_down_s = cool_down_s
        self._clock = clock
        # Header: until when any device at all is in its cool-down. One look spares those who behave the search.
        self._header = block[:8].cast("d")
        self._requests = _Table(block[_HEADER_BYTES : _HEADER_BYTES + _TABLE_BYTES])
        self._failed = _Table(block[_HEADER_BYTES + _TABLE_BYTES :])

    def request(self, device: str) -> int:
        """Count a request; return 0 if it may be served, else the seconds to wait (and the request is not counted)."""
        if not self._limit:
            return 0
        now = self._clock()
        table = self._requests
        slot = table.slot(device, now)
        values = table.values
        started, count, before = values[slot + 1], values[slot + 2], values[slot + 3]
        elapsed = now - started
        if elapsed >= _MINUTE_S:
            if elapsed < 2 * _MINUTE_S:
                before, started = count, started + _MINUTE_S
                elapsed -= _MINUTE_S
            else:
                before, started, elapsed = 0.0, now, 0.0
            count = 0.0
            values[slot + 1], values[slot + 3] = started, before
        if before * (1 - elapsed / _MINUTE_S) + count + 1 > self._limit:
            values[slot + 2] = count
            return self._wait(elapsed, count, before)
        values[slot + 2] = count + 1
        return 0

    def cooling(self, device: str) -> int:
        """Return the seconds left of the device's cool-down, 0 if it is in none."""
        if not self._header[0]:
            return 0
        now = self._clock()
        if now >= self._header[0]:
            return 0
        slot = self._failed.find(device)
        until = self._failed.values[slot + 1] if slot is not None and self._failed.values[slot + 3] else 0.0
        return max(math.ceil(until - now), 0)

    def failed(self, device: str) -> bool:
        """Count a failed authentication; return whether it starts a cool-down."""
        if not self._failures:
            return False
        now = self._clock()
        slot = self._failed.slot(device, now)
        values = self._failed.values
        # Fields: start of the minute or end of the cool-down, failures, whether it is a cool-down.
        if values[slot + 3] and values[slot + 1] > now:
            return False
        if values[slot + 3] or now - values[slot + 1] >= _MINUTE_S:
            values[slot + 1], values[slot + 2], values[slot + 3] = now, 0.0, 0.0
        values[slot + 2] += 1
        if values[slot + 2] < self._failures:
            return False
        values[slot + 1], values[slot + 2], values[slot + 3] = now + self._cool_down_s, 0.0, 1.0
        self._header[0] = max(self._header[0], now + self._cool_down_s)
        return True

    def _wait(self, elapsed: float, count: float, before: float) -> int:
        room = self._limit - count - 1
        if room >= 0:
            return max(math.ceil(_MINUTE_S * (1 - room / before) - elapsed), 1)
        # Not in this minute: until enough of it has left the sliding one.
        return math.ceil(_MINUTE_S - elapsed + _MINUTE_S * (1 - (self._limit - 1) / count))


class _Table:
    """Open addressing over shared memory; a slot whose time is past counts as free."""

    def __init__(self, block: memoryview) -> None:
        self.values = block.cast("d")
        self._keys = block.cast("Q")
        self._known: dict[str, tuple[int, int]] = {}

    def slot(self, device: str, now: float) -> int:
        """Return the index of the device's key among 64-bit words, taking the place of the stalest where it has none."""
        known = self._known.get(device)
        if known is not None and self._keys[known[0]] == known[1]:
            return known[0]
        found = self.find(device)
        if found is not None:
            return found
        key, places = _places(device)
        place = min(places, key=lambda index: self.values[index + 1] if self._keys[index] else -1.0)
        self._keys[place] = key
        self.values[place + 1], self.values[place + 2], self.values[place + 3] = now, 0.0, 0.0
        self._remember(device, place, key)
        return place

    def find(self, device: str) -> int | None:
        """Return the index of the device's key, or None."""
        known = self._known.get(device)
        if known is not None and self._keys[known[0]] == known[1]:
            return known[0]
        key, places = _places(device)
        for place in places:
            if self._keys[place] == key:
                self._remember(device, place, key)
                return place
        return None

    def _remember(self, device: str, place: int, key: int) -> None:
        if len(self._known) >= _CACHE_MAX:
            self._known.clear()
        self._known[device] = place, key


def _places(device: str) -> tuple[int, list[int]]:
    key, start = struct.unpack("<QQ", hashlib.blake2b(device.encode(), digest_size=16).digest())
    return key or 1, [(start + probe) % _SLOTS * _FIELDS for probe in range(_PROBES)]

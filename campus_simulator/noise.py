"""Random processes that can be asked for any moment, in any order.

A value depends on (seed, name, time) alone: the generator is counter-based (Philox, Salmon et al. 2011) and the counter is the
time, so a window has the same noise however it is cut.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

_LANES = 4
"""Philox4x64 gives four words for each counter value."""


def _key(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256("|".join(map(str, parts)).encode()).digest()[:16], "big")


def uniform(seed: int, name: str) -> float:
    """Return the constant of `name` in [0, 1)."""
    return _key(seed, name, "constant") / 2**128


def _knots(key: int, first: int, count: int) -> NDArray[np.float64]:
    """Knots `first` .. `first + count - 1` of a sequence, uniform in [-1, 1)."""
    lead = first % _LANES
    words = np.random.Philox(key=key, counter=first // _LANES).random_raw(lead + count)[lead:]
    return (words >> np.uint64(11)).astype(np.float64) / 2.0**52 - 1.0


def smooth(seed: int, name: str, spacing_s: int, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a smooth process in [-1, 1] with independent uniform values every `spacing_s` seconds.

    `at_s` are ascending epoch seconds. Between knots the process follows a cubic with flat ends, so it has no kinks.
    """
    position = at_s / spacing_s
    below = np.floor(position).astype(np.int64)
    first = int(below[0])
    knots = _knots(_key(seed, name, spacing_s), first, int(below[-1]) - first + 2)
    fraction = position - below
    weight = fraction * fraction * (3.0 - 2.0 * fraction)
    index = below - first
    return knots[index] * (1.0 - weight) + knots[index + 1] * weight

"""Which reading types a worker has just stored, so that a device that sends its types with each post costs no more for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

_KEPT_S = 60.0
_MOST = 20_000
"""Mirrors."""


class TypeMemory:
    """Declarations by mirror and mRID, as they were written, for a minute.

    Another worker may store another type meanwhile: after the minute the device's own is stored again where it differs.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, dict[bytes, tuple[bytes, float]]] = {}

    def holds(self, mup_id: str, declared: Mapping[bytes, bytes]) -> bool:
        """Return whether each of these declarations of a mirror was noted within the last minute."""
        if not declared:
            return True
        known, now = self._known.get(mup_id, {}), self._clock()
        for mrid, written in declared.items():
            noted = known.get(mrid)
            if noted is None or noted[0] != written or now >= noted[1]:
                return False
        return True

    def note(self, mup_id: str, declared: Mapping[bytes, bytes]) -> None:
        """Remember declarations that are stored."""
        if not declared:
            return
        if len(self._known) >= _MOST:
            self._known.clear()
        until = self._clock() + _KEPT_S
        self._known.setdefault(mup_id, {}).update({mrid: (written, until) for mrid, written in declared.items()})

    def forget(self, mup_id: str) -> None:
        """Forget a mirror, whose types have been changed by other means than a post of readings."""
        self._known.pop(mup_id, None)

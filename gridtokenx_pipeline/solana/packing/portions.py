"""Many intervals in portions, so that none falls out of what programs remember."""

from __future__ import annotations

from collections.abc import Sequence

from ..actions import Action

WINDOWS_AT_ONCE = 12
"""Intervals that are brought to their ends before later ones begin.

Programs remember the last 128 things of a meter or seller (`programs/README.md`) and refuse for good what is older than that. An
hour of 5-minute intervals stays far within, whichever of its transactions expire and have to be sent again.
"""


def portions(actions: Sequence[Action]) -> list[list[Action]]:
    """Return `actions` in portions of `WINDOWS_AT_ONCE` intervals, the oldest first."""
    windows = sorted({action.window_start for action in actions})
    number = {window: place // WINDOWS_AT_ONCE for place, window in enumerate(windows)}
    found: dict[int, list[Action]] = {}
    for action in sorted(actions, key=lambda action: action.window_start):
        found.setdefault(number[action.window_start], []).append(action)
    return list(found.values())

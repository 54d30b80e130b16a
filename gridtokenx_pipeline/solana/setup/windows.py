"""Windows as the programs number them: unix time / window length."""

from __future__ import annotations

import datetime as dt


def window_of(start: dt.datetime | str, duration_s: int) -> int:
    """Return the number of the window of `duration_s` that begins at `start` (aware, or ISO 8601 with its offset).

    Raises `ValueError` where none begins there.
    """
    moment = dt.datetime.fromisoformat(start) if isinstance(start, str) else start
    number, off = divmod(int(moment.timestamp()), duration_s)
    if off or moment.microsecond:
        raise ValueError(f"no window of {duration_s} s begins at {moment.isoformat()}")
    return number

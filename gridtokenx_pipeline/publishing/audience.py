"""Who reads: the devices of the campus's meters that are in force."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from ingest_server.operational.registry import Device


def audience(devices: Iterable[Device], zone: str, meters: Iterable[str], now: dt.datetime) -> dict[str, tuple[str, ...]]:
    """LFDIs in force at `now` by meter, for the meters named, in order; a meter without one is left out.

    A meter whose certificate was renewed has two for a while, and each sees the whole.
    """
    wanted = set(meters)
    found: dict[str, list[str]] = {}
    for device in devices:
        if device.zone == zone and device.meter_id in wanted and device.in_force(now):
            found.setdefault(device.meter_id, []).append(device.lfdi)
    return {meter: tuple(sorted(found[meter])) for meter in sorted(found)}

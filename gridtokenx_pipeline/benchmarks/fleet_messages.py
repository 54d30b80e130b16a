"""What a fleet of meters posts, made fast: the same messages each time, of energies that balance and registers that fit them."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
from collections.abc import Sequence

import numpy as np
import polars as pl

from gridtokenx_pipeline.contracts.core import CHANNELS, ENERGY_CHANNELS
from gridtokenx_pipeline.contracts.raw import MESSAGES

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
INTERVAL_S = 15
STEP = dt.timedelta(seconds=INTERVAL_S)
READINGS = 13
# A message is received this long after the end of its interval.
DELAY = dt.timedelta(seconds=1)

_NAMESPACE = "urn:ieee:std:2030.5:ns"
_DAY = 86_400 // INTERVAL_S
# Generation between 16:00 and 24:00 UTC, the day of a campus at eight hours west.
_SUNRISE = 16 * 3600 // INTERVAL_S


def lfdi(meter: int) -> str:
    """Return the LFDI of a meter's device."""
    return hashlib.sha256(f"bench {meter}".encode()).hexdigest()[:40].upper()


def declaration(meter: int) -> bytes:
    """Return the MirrorUsagePoint of a meter: types of an interval and a register of each energy, and of the state of charge."""
    parts = []
    for channel in CHANNELS:
        for register in (False, True) if channel in ENERGY_CHANNELS else (True,):
            codes = f"<accumulationBehaviour>{9 if register else 4}</accumulationBehaviour>"
            codes += "" if register else f"<intervalLength>{INTERVAL_S}</intervalLength>"
            if channel in ENERGY_CHANNELS:
                codes += "<kind>12</kind><powerOfTenMultiplier>-3</powerOfTenMultiplier><uom>72</uom>"
            else:
                codes += "<kind>0</kind><powerOfTenMultiplier>-2</powerOfTenMultiplier><uom>0</uom>"
            parts.append(
                f"<MirrorMeterReading><mRID>{_mrid(meter, channel, register)}</mRID><description>{channel}</description>"
                f"<ReadingType>{codes}</ReadingType></MirrorMeterReading>"
            )
    return (
        f'<MirrorUsagePoint xmlns="{_NAMESPACE}"><mRID>{lfdi(meter)[:32]}</mRID><roleFlags>0B</roleFlags>'
        f"<serviceCategoryKind>0</serviceCategoryKind><status>1</status><deviceLFDI>{lfdi(meter)}</deviceLFDI>"
        f"{''.join(parts)}</MirrorUsagePoint>"
    ).encode()


def post(meter: int, interval: int) -> bytes:
    """Return the MirrorMeterReadingList of an interval, numbered from `START`: 13 readings."""
    day, place = divmod(interval, _DAY)
    start = int(START.timestamp()) + interval * INTERVAL_S
    parts = []
    for channel in CHANNELS:
        for register in (False, True) if channel in ENERGY_CHANNELS else (True,):
            if channel in ENERGY_CHANNELS:
                energies, sums = _energies(meter)[channel]
                value = day * sums[-1] + sums[place] if register else energies[place]
            else:
                value = 5000 + interval % 100
            duration, moment = (0, start + INTERVAL_S) if register else (INTERVAL_S, start)
            parts.append(
                f"<MirrorMeterReading><mRID>{_mrid(meter, channel, register)}</mRID><Reading><timePeriod>"
                f"<duration>{duration}</duration><start>{moment}</start></timePeriod><value>{value}</value>"
                "</Reading></MirrorMeterReading>"
            )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<MirrorMeterReadingList xmlns="{_NAMESPACE}" all="{len(parts)}" results="{len(parts)}">{"".join(parts)}'
        "</MirrorMeterReadingList>"
    ).encode()


def declarations(meters: Sequence[str], zone: str = "bench") -> pl.DataFrame:
    """Return raw.messages of every meter's declaration, received at `START`."""
    rows = [(number, START, "/mup", declaration(number)) for number in range(len(meters))]
    return _messages(rows, meters, zone, "bench-declarations")


def posts(meters: Sequence[str], first: int, count: int, zone: str = "bench") -> pl.DataFrame:
    """Return raw.messages of `count` intervals of every meter from the number `first` on, interval after interval."""
    rows = [
        (number, START + (interval + 1) * STEP + DELAY, "/mup/1", post(number, interval))
        for interval in range(first, first + count)
        for number in range(len(meters))
    ]
    return _messages(rows, meters, zone, f"bench-{first:09d}")


def _messages(rows: list[tuple[int, dt.datetime, str, bytes]], meters: Sequence[str], zone: str, segment: str) -> pl.DataFrame:
    numbers, moments, paths, bodies = (list(column) for column in zip(*rows, strict=True))
    size = len(rows)
    columns = {
        "message_id": [f"{segment}:{place:09d}" for place in range(size)],
        "received_at": moments,
        "zone": [zone] * size,
        "device_lfdi": [_lfdi(number) for number in numbers],
        "meter_id": [meters[number] for number in numbers],
        "method": ["POST"] * size,
        "path": paths,
        "content_type": ["application/sep+xml"] * size,
        "body": bodies,
        "body_sha256": [hashlib.sha256(body).hexdigest() for body in bodies],
        "source": ["sep2"] * size,
        "segment": [segment] * size,
        "sequence": list(range(1, size + 1)),
        "sender_lfdi": [None] * size,
        "body_removed_at": [None] * size,
    }
    return MESSAGES.conform(pl.DataFrame(columns, schema=MESSAGES.frame_schema()))


_lfdi = functools.lru_cache(maxsize=20_000)(lfdi)


@functools.lru_cache(maxsize=400_000)
def _mrid(meter: int, channel: str, register: bool) -> str:
    return hashlib.sha256(f"{meter} {channel} {register}".encode()).hexdigest()[:32].upper()


@functools.cache
def _energies(meter: int) -> dict[str, tuple[list[int], list[int]]]:
    """Of each energy channel the milli-watt-hours of every interval of a day, and their running sum."""
    # A fleet's meters differ in eight ways, so that ten thousand of them need no more memory than eight.
    return _kinds()[meter % 8]


@functools.cache
def _kinds() -> list[dict[str, tuple[list[int], list[int]]]]:
    steps = np.arange(_DAY, dtype=np.int64)
    kinds = []
    for kind in range(8):
        sun = np.sin(np.clip((steps - _SUNRISE) / (_DAY - _SUNRISE), 0, 1) * np.pi)
        generation = np.where(steps >= _SUNRISE, (sun * 90_000).astype(np.int64) + 10_000 + (steps * 7 + kind) % 41 * 10, 0)
        load = 40_000 + 2_000 * kind + (steps * 11 + kind) % 37 * 10
        charge, discharge = np.zeros_like(steps), np.zeros_like(steps)
        net = generation - load
        energies = {
            "generation": generation,
            "load": load,
            "charge": charge,
            "discharge": discharge,
            "import": np.maximum(-net, 0),
            "export": np.maximum(net, 0),
        }
        kinds.append({name: (values.tolist(), np.cumsum(values).tolist()) for name, values in energies.items()})
    return kinds

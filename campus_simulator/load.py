"""Load of a building: a share of its baseline that follows local hours, weekday and chance."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from . import noise
from .models import KWH, Building, Site
from .weather import middles

PEAK_FACTOR = 1.5
_RAMP_H = 0.5


@dataclass(frozen=True, slots=True)
class Shape:
    """How a type of building uses power: share of the baseline outside peaks, peak hours (local), factor at weekends."""

    base: float
    peaks: tuple[tuple[float, float], ...]
    weekend: float


SHAPES: dict[str, Shape] = {
    "academic": Shape(0.65, ((8, 18),), 0.7),
    "residential": Shape(0.40, ((6, 9), (17, 23)), 1.2),
    "administrative": Shape(0.50, ((8, 17),), 0.2),
    "athletic": Shape(0.30, ((15, 22),), 1.5),
    "research": Shape(0.80, ((9, 18),), 0.9),
    "support": Shape(0.40, ((6, 14),), 0.5),
}


def _peak(shape: Shape, hour: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factor of the peak hours, with ramps of an hour around their edges."""
    inside = np.zeros_like(hour)
    for begin, end in shape.peaks:
        rise = (hour - (begin - _RAMP_H)) / (2 * _RAMP_H)
        fall = ((end + _RAMP_H) - hour) / (2 * _RAMP_H)
        inside = np.maximum(inside, np.clip(np.minimum(rise, fall), 0.0, 1.0))
    return 1.0 + (PEAK_FACTOR - 1.0) * inside


def load(building: Building, site: Site, block_start_s: int, interval_s: int, seed: int) -> NDArray[np.int64]:
    """Return milli-Wh consumed in each interval of the UTC hour, never negative.

    The UTC offset of the hour's start serves for the whole hour.
    """
    shape = SHAPES[building.building_type]
    at = middles(block_start_s, interval_s)
    here = dt.datetime.fromtimestamp(block_start_s, ZoneInfo(site.timezone))
    hour = here.hour + here.minute / 60.0 + (at - block_start_s) / 3600.0
    weekend = shape.weekend if here.weekday() >= 5 else 1.0
    name = f"load {building.meter_id}"
    habit = 0.85 + 0.35 * noise.uniform(seed, name)
    chance = (
        1.0
        + 0.08 * noise.smooth(seed, name, 3600, at)
        + 0.05 * noise.smooth(seed, name, 300, at)
        + 0.03 * noise.smooth(seed, name, 2 * interval_s, at)
    )
    kw = building.baseline_kw * shape.base * _peak(shape, hour) * weekend * habit * chance
    return np.rint(np.maximum(kw, 0.0) * KWH * interval_s / 3600.0).astype(np.int64)

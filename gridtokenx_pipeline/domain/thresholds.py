"""Thresholds of validation and estimation, and the frame that says them for every meter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

import polars as pl


@dataclass(frozen=True)
class Thresholds:
    """The defaults are those of the validation rules for 15-second data; section `vee` of the configuration overrides them.

    Lengths of time end in their unit; `_pct` are percent.
    """

    bound_factor: float = 1.2
    load_bound_factor: float = 4.0
    clock_snap_s: int = 2
    clock_drift_s: int = 15
    tare_pct: float = 0.5  # of rated power, within which a negative generation is the inverter's own use
    sum_check_pct: float = 0.1
    sum_check_lsb: int = 2  # milli-watt-hours are the least that is told
    overcounting_pct: float = 20.0  # of an hour's readings of a channel out of range
    spike_days: int = 7
    spike_mads: float = 5.0
    spike_pct: float = 180.0
    zero_generation_min: int = 30
    neighbours_pct: float = 20.0  # of capacity, the neighbours' median that makes a zero suspect
    zero_load_h: int = 24
    stuck_readings: int = 20
    night_elevation_deg: float = -6.0
    night_pct: float = 0.5
    sibling_pct: float = 1.0
    sibling_wh: float = 1.0
    linear_s: int = 7200  # longest gap for which a line between its neighbours is an estimate
    like_days: int = 3
    settlement_gap_s: int = 900  # longest gap whose estimate settlement may use
    prolonged_days: int = 7
    feeder_pct: float = 3.0


@dataclass(frozen=True)
class Ratings:
    """A meter's ratings and thresholds."""

    meter_id: str
    meter_type: str
    rated_kw: float
    battery_kwh: float
    baseline_kw: float
    thresholds: Thresholds = Thresholds()


def ratings_frame(meters: Iterable[Ratings]) -> pl.DataFrame:
    """Return one row a meter: meter_id, meter_type (String), rated_kw, battery_kwh, baseline_kw (Float64), and every threshold.

    Threshold columns are named as in `Thresholds`, Int64 or Float64. The order is that of `meters`.
    """
    types: dict[str, type[pl.DataType]] = {
        "meter_id": pl.String,
        "meter_type": pl.String,
        "rated_kw": pl.Float64,
        "battery_kwh": pl.Float64,
        "baseline_kw": pl.Float64,
    }
    types |= {field.name: pl.Int64 if field.type == "int" else pl.Float64 for field in fields(Thresholds)}
    rows = [
        {
            "meter_id": m.meter_id,
            "meter_type": m.meter_type,
            "rated_kw": m.rated_kw,
            "battery_kwh": m.battery_kwh,
            "baseline_kw": m.baseline_kw,
            **asdict(m.thresholds),
        }
        for m in meters
    ]
    return pl.DataFrame(rows, schema=types)

"""Thresholds of validation and estimation, and the frame that says them for every meter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import polars as pl


def _threshold(default: float, unit: str, meaning: str) -> Any:
    return field(default=default, metadata={"unit": unit, "meaning": meaning})


@dataclass(frozen=True)
class Thresholds:
    """The defaults are those of the validation rules for 15-second data; section `vee` of the configuration overrides them.

    What each is and its unit is in its field's metadata.
    """

    bound_factor: float = _threshold(1.2, "x", "Bound of generation, charge and discharge, as a multiple of rated power.")
    load_bound_factor: float = _threshold(4.0, "x", "Bound of load, the breaker, as a multiple of the baseline.")
    clock_snap_s: int = _threshold(2, "s", "A start this far off a multiple of its length is taken as that multiple.")
    clock_drift_s: int = _threshold(15, "s", "A clock off by more, steadily for an hour, makes its readings questionable.")
    tare_pct: float = _threshold(0.5, "% of rated power", "A negative generation up to this is the inverter's own use.")
    sum_check_pct: float = _threshold(0.1, "%", "Interval values and registers may differ by this part of the energy.")
    sum_check_lsb: int = _threshold(2, "mWh", "They may always differ by this much.")
    overcounting_pct: float = _threshold(20.0, "%", "With this part of an hour out of range, the rest is not believed either.")
    spike_days: int = _threshold(7, "days", "Like days before, with which 5-minute energy is compared.")
    spike_mads: float = _threshold(5.0, "x", "A spike is above the median by this many median absolute deviations,")
    spike_pct: float = _threshold(180.0, "%", "or by this part of the median, whichever is more.")
    zero_generation_min: int = _threshold(30, "min", "No generation for so long, while the neighbours generate, is suspect.")
    neighbours_pct: float = _threshold(20.0, "% of rated power", "The neighbours' median that makes it so.")
    zero_load_h: int = _threshold(24, "h", "A load of exactly 0 for so long is suspect.")
    stuck_readings: int = _threshold(20, "readings", "So many equal values other than 0 in a row are suspect.")
    night_elevation_deg: float = _threshold(-6.0, "deg", "Elevation of the sun below which it is night.")
    night_pct: float = _threshold(0.5, "% of rated power", "Generation above this at night is suspect.")
    sibling_pct: float = _threshold(1.0, "%", "The channels' balance may be off by this part of the larger side,")
    sibling_wh: float = _threshold(1.0, "Wh", "and always by this much.")
    linear_s: int = _threshold(7200, "s", "Longest gap for which a line between its neighbours is an estimate.")
    like_days: int = _threshold(3, "days", "Like days whose mean is the estimate of a longer gap.")
    settlement_gap_s: int = _threshold(900, "s", "Longest gap whose estimate settlement may use.")
    prolonged_days: int = _threshold(7, "days", "After so long without readings somebody has to go to the meter.")
    feeder_pct: float = _threshold(3.0, "%", "The meters' sum and the feeder's meter may differ by this in an hour.")


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
    types |= {f.name: pl.Int64 if f.type == "int" else pl.Float64 for f in fields(Thresholds)}
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


def meter_bounds(meters: pl.DataFrame) -> pl.DataFrame:
    """Highest believable power of every meter and channel: meter_id, channel (String), limit_w (Int64, W).

    `meters`: the frame of `ratings_frame`. Generation: rated power x bound_factor. Charge and discharge: the
    inverter's rating too, or the battery's capacity in one hour where that is larger, x bound_factor. Load: baseline x
    load_bound_factor, which stands for the breaker. Import: load and charge together; export: generation and discharge together.
    """
    rated, battery, load = (pl.col(name) * 1000 for name in ("rated_kw", "battery_kwh", "baseline_kw"))
    generation = rated * pl.col("bound_factor")
    store = pl.max_horizontal(rated, battery) * pl.col("bound_factor")
    consumption = load * pl.col("load_bound_factor")
    watts = {
        "generation": generation,
        "load": consumption,
        "charge": store,
        "discharge": store,
        "import": consumption + store,
        "export": generation + store,
    }
    return (
        meters.select("meter_id", *(watt.round().cast(pl.Int64).alias(channel) for channel, watt in watts.items()))
        .unpivot(index="meter_id", variable_name="channel", value_name="limit_w")
        .with_columns(pl.col("channel").cast(pl.String))
    )

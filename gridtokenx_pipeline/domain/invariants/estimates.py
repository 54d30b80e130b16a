"""Invariants of estimation: nothing is estimated that was measured, and what registers bound adds up to them."""

from __future__ import annotations

import polars as pl

from ..effective import latest
from .violations import collected, violations

_SERIES = ["zone", "meter_id", "channel"]
_AFTER = "register after the gap less its energy"


def estimate_violations(estimates: pl.DataFrame, readings: pl.DataFrame) -> pl.DataFrame:
    """Return what is wrong with a core.estimates frame, given the core.readings around it, with the columns `VIOLATIONS`.

    Names: `estimated_although_measured` (an estimate other than register_wins where a reading of the same interval is),
    `register_exact_sum` (the register at the end of a register-exact gap is not where the first reading after it began) and
    `estimate_negative`.
    """
    now = latest(readings)
    key = [*_SERIES, "interval_start", "duration_s"]
    exact = estimates.filter(pl.col("method") == "register_exact")
    ends = (
        exact.sort("interval_start")
        .group_by(*_SERIES, "gap_start", "gap_end")
        .agg(pl.all().exclude(*_SERIES, "gap_start", "gap_end").last())
        .filter(pl.col("interval_start") + pl.duration(seconds="duration_s") == pl.col("gap_end"))
    )
    after = now.select(
        *_SERIES,
        pl.col("interval_start").alias("gap_end"),
        (pl.col("register_milli_wh") - pl.col("energy_milli_wh")).alias(_AFTER),
    ).drop_nulls(_AFTER)
    joined = ends.join(after.unique([*_SERIES, "gap_end"], keep="any"), on=[*_SERIES, "gap_end"])
    return collected(
        [
            violations(
                "estimated_although_measured",
                estimates.filter(pl.col("method") != "register_wins").join(now.select(key), on=key, how="semi"),
                "{} {} was measured",
                "meter_id",
                "channel",
            ),
            violations(
                "register_exact_sum",
                joined.filter(pl.col("register_milli_wh") != pl.col(_AFTER)),
                "{} {}: the gap ends at register {} mWh, the reading after it begins at {}",
                "meter_id",
                "channel",
                "register_milli_wh",
                _AFTER,
            ),
            violations(
                "estimate_negative",
                estimates.filter(pl.col("energy_milli_wh") < 0),
                "{} {}: {} mWh",
                "meter_id",
                "channel",
                "energy_milli_wh",
            ),
        ]
    )

"""Gaps without registers: the line from the reading before to the one after, if both are good."""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.contracts.core import ESTIMATES
from gridtokenx_pipeline.domain.effective import EDIT, KEY, effective, overlapping
from gridtokenx_pipeline.domain.findings import INTERPOLATED, PROJECTED, QUESTIONABLE, REFERENCE_DAY, Finding

from .slots import slots, wide

_NOT_MEASURED = REFERENCE_DAY | INTERPOLATED | QUESTIONABLE | PROJECTED
_HOUR_S = 3600


def on_a_line(
    gaps: pl.DataFrame, readings: pl.DataFrame, edits: pl.DataFrame, exceptions: pl.DataFrame, first_s: int, last_s: int
) -> pl.DataFrame:
    """Return the slots of `gaps` (`find_gaps`) within [first_s, last_s) that have good end points, with energy_milli_wh added.

    A good end point is neither questionable nor estimated, by its own flags or the device's, and no register began anew in it;
    or a person edited it. What `exceptions` say of an end point counts for the slots of its own hour: each hour's estimates are
    made from what was found in that hour.
    """
    ends = _ends(gaps, readings, edits, exceptions)
    missing = slots(gaps, first_s, last_s)
    for suffix in ("", "_after"):
        right = ends.select(
            "meter_id",
            "channel",
            pl.col("interval_start").alias(f"interval_start{suffix}"),
            pl.col("duration_s").cast(pl.Int64).alias(f"duration_s{suffix}"),
            pl.col("energy_milli_wh").alias(f"end{suffix}"),
            "good",
            "doubted",
        )
        on = ["meter_id", "channel", f"interval_start{suffix}", f"duration_s{suffix}"]
        hour = pl.col("at") // _HOUR_S == pl.col(f"interval_start{suffix}").dt.epoch("s") // _HOUR_S
        missing = missing.join(right, on=on).filter(pl.col("good") & ~(pl.col("doubted") & hour)).drop("good", "doubted")
    count = (wide("gap_end") - pl.col("gap_start")) // pl.col("slot_s")
    before = wide("end") * pl.col("slot_s") * pl.col("duration_s_after")
    after = wide("end_after") * pl.col("slot_s") * pl.col("duration_s")
    parts = (count + 1) * pl.col("duration_s") * pl.col("duration_s_after")

    def reached(k: pl.Expr) -> pl.Expr:
        """Energy of the slots before k: the sum of (before x (n - j) + after x (j + 1)) / (n + 1), rounded down once."""
        return ((before * (2 * count * k - k * (k - 1)) + after * k * (k + 1)) // (2 * parts)).cast(pl.Int64)

    k = wide("k")
    return missing.with_columns((reached(k + 1) - reached(k)).alias("energy_milli_wh"))


def _ends(gaps: pl.DataFrame, readings: pl.DataFrame, edits: pl.DataFrame, exceptions: pl.DataFrame) -> pl.DataFrame:
    """The readings around gaps as they count, with `good` and `doubted` (by an exception, and not edited)."""
    length = pl.col("duration_s").cast(pl.Int32)
    after = gaps.select(
        "meter_id",
        "channel",
        pl.col("interval_start_after").alias("interval_start"),
        pl.col("duration_s_after").alias("duration_s"),
    )
    keys = pl.concat([gaps.select(KEY), after]).unique().with_columns(length)
    near = readings.join(keys, on=KEY, how="semi")
    ends = effective(near, edits.join(keys, on=KEY, how="semi"), exceptions.clear(), ESTIMATES.empty())
    said = near.select(*KEY, "device_quality_flags", "findings")
    ends = ends.join(said, on=KEY)
    edited = pl.col("source") == EDIT
    swapped = pl.col("findings").fill_null("").str.contains(Finding.METER_SWAP.value, literal=True)
    bad = (pl.col("quality_flags") | pl.col("device_quality_flags").fill_null(0)) & _NOT_MEASURED != 0
    doubted = overlapping(ends, exceptions.filter(pl.col("quality_flags") & QUESTIONABLE != 0).select(KEY))
    return ends.with_columns((edited | ~(bad | swapped)).alias("good"), doubted.alias("doubted")).with_columns(
        pl.col("doubted") & ~edited
    )

"""What was found at receipt, and readings that contradict a person: checks 2, 3, 4 and 7."""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.domain.effective import KEY, in_force, latest
from gridtokenx_pipeline.domain.findings import Finding

from .found import exceptions, nothing, stretches
from .series import NUMBER, Series, numbered


def found_at_receipt(series: Series) -> pl.DataFrame:
    """Every code in the findings of the latest version; readings that follow on one another are one row.

    A code that is none of `Finding` is left out: an older pipeline may have known it.
    """
    rows = series.judged.filter(pl.col("findings").is_not_null())
    if rows.is_empty():
        return nothing()
    codes = rows.with_columns(pl.col("findings").str.split(",").alias("code")).explode("code")
    codes = codes.rename({"start_s": "at"})
    parts = []
    for finding in Finding:
        own = codes.filter(pl.col("code") == finding.value)
        if not own.is_empty():
            joined = stretches(own, pl.len().alias("n"))
            parts.append(exceptions(series, joined, finding, pl.format("{} readings, found at receipt", "n")))
    return pl.concat(parts) if parts else nothing()


def edit_contradicted(series: Series) -> pl.DataFrame:
    """The latest version of a reading came after the edit in force and says another value than it."""
    decided = in_force(series.evidence.edits)
    if decided.is_empty():
        return nothing()
    said = decided.select(*KEY, pl.col("energy_milli_wh").alias("edited"), "edited_at")
    rows = latest(series.readings.join(said.select(KEY), on=KEY, how="semi")).join(said, on=KEY)
    contradicting = rows.filter(
        pl.col("received_at") > pl.col("edited_at"), pl.col("energy_milli_wh") != pl.col("edited")
    ).with_columns(
        numbered(series.names),
        pl.col("channel").replace_strict(NUMBER, return_dtype=pl.Int64),
        pl.col("interval_start").dt.epoch("s").alias("at"),
        pl.col("duration_s").cast(pl.Int64).alias("length_s"),
    )
    detail = pl.format("reading of {} mWh came after an edit to {} mWh", "energy_milli_wh", "edited")
    return exceptions(series, contradicting.drop_nulls("meter"), Finding.EDIT_CONTRADICTED, detail)

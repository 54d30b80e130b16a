"""Solar generation when there is no sun: check 10."""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.domain.findings import Finding

from .found import exceptions, nothing, stretches
from .series import HOUR_S, SERIES, Series
from .sun import elevation_deg


def night_generation(series: Series) -> pl.DataFrame:
    """Generation above night_pct of rated power while the sun is below night_elevation_deg for the whole interval.

    The sun is looked at at the start, the middle and the end of an interval.
    """
    limits = series.threshold("rated_kw", "night_pct", "night_elevation_deg")
    bound = pl.col("rated_kw") * 10_000 * pl.col("night_pct") * pl.col("length_s") / HOUR_S
    rows = series.of("generation").filter(pl.col("start_s") >= series.start_s, pl.col("energy") > 0)
    rows = rows.join(limits, on="meter").filter(pl.col("energy") > bound)
    if rows.is_empty():
        return nothing()
    site = series.evidence.site
    moments = (pl.col("start_s"), (pl.col("start_s") + pl.col("end_s")) // 2, pl.col("end_s"))
    heights = (elevation_deg(moment, site.latitude, site.longitude) for moment in moments)
    sun = rows.select("start_s", "end_s").unique().with_columns(pl.max_horizontal(heights).alias("sun"))
    dark = rows.join(sun, on=["start_s", "end_s"]).filter(pl.col("sun") < pl.col("night_elevation_deg"))
    dark = dark.select(*SERIES, pl.col("start_s").alias("at"), "length_s", "energy", "sun")
    joined = stretches(dark, pl.col("energy").max(), pl.col("sun").max().round(1), pl.len().alias("n"))
    detail = pl.format("{} readings of up to {} mWh, sun at most {} deg high", "n", "energy", "sun")
    return exceptions(series, joined, Finding.NIGHT_GENERATION, detail)

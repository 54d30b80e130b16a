"""Rows of core.vee_exceptions from what checks found."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from gridtokenx_pipeline.contracts.core import CHANNELS, VEE_EXCEPTIONS
from gridtokenx_pipeline.domain.findings import ALL_CHANNELS, Finding

from .series import HOUR_S, SERIES, Series

WHOLE_METER = -1
"""Stands for the channel `all`."""


def nothing() -> pl.DataFrame:
    """No exceptions."""
    return VEE_EXCEPTIONS.empty()


def exceptions(series: Series, frame: pl.DataFrame, finding: Finding, detail: pl.Expr) -> pl.DataFrame:
    """Return core.vee_exceptions rows. `frame`: meter, at, length_s (Int64) and, unless of all channels, channel (Int64)."""
    if frame.is_empty():
        return nothing()
    channel = pl.lit(ALL_CHANNELS)
    if "channel" in frame.columns:
        numbers = [WHOLE_METER, *range(len(CHANNELS))]
        channel = pl.col("channel").replace_strict(numbers, [ALL_CHANNELS, *CHANNELS], return_dtype=pl.String)
    names = series.names
    return frame.select(
        pl.lit(series.evidence.zone).alias("zone"),
        pl.col("meter").replace_strict(range(len(names)), names, return_dtype=pl.String).alias("meter_id"),
        channel.alias("channel"),
        pl.from_epoch(pl.col("at") * 1_000_000, "us").cast(pl.Datetime("us", "UTC")).alias("interval_start"),
        pl.col("length_s").cast(pl.Int32).alias("duration_s"),
        pl.lit(finding.value).alias("code"),
        pl.lit(finding.severity).alias("severity"),
        pl.lit(finding.flags, pl.Int32).alias("quality_flags"),
        detail.cast(pl.String).alias("detail"),
    )


def stretches(frame: pl.DataFrame, *values: pl.Expr, by: Sequence[str] = SERIES) -> pl.DataFrame:
    """Join what follows on one another within an hour: `by`, at, length_s (Int64), and `values` aggregated.

    `frame`: the columns `by`, at and length_s (Int64), and what `values` need. What crosses the end of an hour is cut there.
    """
    end = pl.col("at") + pl.col("length_s")
    hour = pl.col("at") // HOUR_S
    frame = hourly(frame)
    reached = end.cum_max().shift(1).over([*by, hour])
    rows = frame.sort(*by, "at", "length_s")
    rows = rows.with_columns((reached.is_null() | (pl.col("at") > reached)).cum_sum().alias("stretch"), end.alias("end"))
    joined = rows.group_by("stretch", maintain_order=True).agg(
        *(pl.col(name).first() for name in by), pl.col("at").first(), pl.col("end").max(), *values
    )
    return joined.with_columns((pl.col("end") - pl.col("at")).alias("length_s")).drop("stretch", "end")


def hourly(frame: pl.DataFrame) -> pl.DataFrame:
    """Cut rows (at, length_s, whatever else) at the hours."""
    end = pl.col("at") + pl.col("length_s")
    if frame.filter((end - 1) // HOUR_S != pl.col("at") // HOUR_S).is_empty():
        return frame
    pieces = frame.with_columns(pl.int_ranges(pl.col("at") // HOUR_S, (end - 1) // HOUR_S + 1).alias("hour")).explode("hour")
    first = pl.max_horizontal("at", pl.col("hour") * HOUR_S)
    last = pl.min_horizontal(end, (pl.col("hour") + 1) * HOUR_S)
    return pieces.with_columns(first.alias("at"), (last - first).alias("length_s")).drop("hour")

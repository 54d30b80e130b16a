"""Clocks and lateness, from when readings were received: checks 3 and 13."""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.domain.findings import Finding

from .found import exceptions
from .series import HOUR_S, Series, numbered

LEAST_POSTS = 3
_MICRO = 1_000_000


def posts(series: Series) -> pl.DataFrame:
    """Receipts of the hours' first versions: meter, message_id, hour, end_s, delay_us (receipt less end of interval), n.

    One row for each message and interval's end, `n` readings each.
    """
    evidence = series.evidence
    end = pl.col("interval_start").dt.epoch("s") + pl.col("duration_s")
    return (
        series.readings.lazy()
        .filter(pl.col("version") == 1, pl.col("interval_start") >= evidence.start)
        .select(
            numbered(series.names),
            "message_id",
            (pl.col("interval_start").dt.epoch("s") // HOUR_S * HOUR_S).alias("hour"),
            end.cast(pl.Int64).alias("end_s"),
            pl.col("received_at").dt.epoch("us").alias("received"),
        )
        .filter(pl.col("meter").is_not_null())
        .group_by("meter", "message_id", "hour", "end_s")
        .agg(pl.col("received").first(), pl.len().cast(pl.Int64).alias("n"))
        .with_columns((pl.col("received") - pl.col("end_s") * _MICRO).alias("delay_us"))
        .collect()
    )


def clock_drift(series: Series, received: pl.DataFrame) -> pl.DataFrame:
    """A steady delay between intervals' ends and their receipt, beyond clock_drift_s either way: the clock is off.

    `received`: `posts`. Only live posts tell: messages with one interval's end alone. They have to be at least half of the
    hour's, and 3. The delay is steady when its interquartile range is at most half of clock_drift_s: a meter that sends what it
    kept while it was offline, or a past day as fast as it can, has delays that change by an interval with each post.
    """
    single = received.filter(pl.len().over("meter", "message_id") == 1)
    all_ends = received.group_by("meter", "hour").agg(pl.col("end_s").n_unique().alias("ends"))
    delay = pl.col("delay_us")
    hours = (
        single.group_by("meter", "hour")
        .agg(
            delay.median().alias("median"),
            (delay.quantile(0.75, "nearest") - delay.quantile(0.25, "nearest")).alias("range"),
            pl.len().alias("live"),
        )
        .join(all_ends, on=["meter", "hour"])
        .join(series.threshold("clock_drift_s"), on="meter")
    )
    limit = pl.col("clock_drift_s") * _MICRO
    off = hours.filter(
        pl.col("median").abs() > limit,
        pl.col("range") <= limit / 2,
        pl.col("live") >= LEAST_POSTS,
        pl.col("live") * 2 >= pl.col("ends"),
    )
    detail = pl.format(
        "receipt {} s after the end of the interval (median of {}), bound {} s",
        (pl.col("median") / _MICRO).round(1),
        "live",
        "clock_drift_s",
    )
    return exceptions(series, _of_hours(off), Finding.CLOCK_DRIFT, detail)


def late(series: Series, received: pl.DataFrame) -> pl.DataFrame:
    """First versions that were received after their interval had closed; one row for each meter and hour."""
    watermark = series.evidence.watermark_s
    hours = (
        received.filter(pl.col("delay_us") > watermark * _MICRO)
        .group_by("meter", "hour")
        .agg(pl.col("n").sum(), (pl.col("delay_us").max() / _MICRO).round(1).alias("most"))
    )
    detail = pl.format("{} readings, up to {} s after the end of their interval, bound {} s", "n", "most", pl.lit(watermark))
    return exceptions(series, _of_hours(hours), Finding.LATE, detail)


def _of_hours(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("hour").alias("at"), pl.lit(HOUR_S, pl.Int64).alias("length_s"))

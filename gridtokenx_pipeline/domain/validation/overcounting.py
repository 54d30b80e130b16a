"""Energy told too often, or of a longer time than was said: check 6 over an hour."""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.contracts.core import ENERGY_CHANNELS
from gridtokenx_pipeline.domain.findings import Finding
from gridtokenx_pipeline.domain.reasons import Reason

from .found import exceptions, hourly, nothing
from .series import HOUR_S, NUMBER, SERIES, Series, numbered

DISAGREEMENT = 0.05


def overcounting(series: Series) -> pl.DataFrame:
    """Both ways in which a wrong interval length shows."""
    return pl.concat([_mostly_refused(series), _overlapping(series)])


def _mostly_refused(series: Series) -> pl.DataFrame:
    """overcounting_pct of a channel's intervals in an hour were out of range: the hour's others are not believed either."""
    start = pl.col("interval_start").dt.epoch("s")
    refused = (
        series.evidence.rejected.filter(
            pl.col("reason") == Reason.OUT_OF_RANGE.value,
            pl.col("channel").is_in(ENERGY_CHANNELS),
            pl.col("interval_start") >= series.evidence.start,
            pl.col("interval_start") < series.evidence.end,
        )
        .select(
            numbered(series.names),
            pl.col("channel").replace_strict(NUMBER, return_dtype=pl.Int64),
            (start // HOUR_S * HOUR_S).alias("hour"),
            "interval_start",
        )
        .drop_nulls()
        .group_by("meter", "channel", "hour")
        .agg(pl.col("interval_start").n_unique().cast(pl.Int64).alias("refused"))
    )
    if refused.is_empty():
        return nothing()
    key = [*SERIES, "hour"]
    accepted = series.judged.group_by(key).agg(pl.col("start_s").n_unique().cast(pl.Int64).alias("accepted"))
    hours = (
        refused.join(accepted, on=key, how="left")
        .join(series.threshold("overcounting_pct"), on="meter")
        .with_columns(pl.col("accepted").fill_null(0))
        .filter(pl.col("refused") * 100 >= pl.col("overcounting_pct") * (pl.col("refused") + pl.col("accepted")))
        .with_columns(pl.col("hour").alias("at"), pl.lit(HOUR_S, pl.Int64).alias("length_s"))
    )
    detail = pl.format("{} intervals of the hour out of range, {} accepted", "refused", "accepted")
    return exceptions(series, hours, Finding.OVERCOUNTING, detail)


def _overlapping(series: Series) -> pl.DataFrame:
    """A reading that shorter ones cover wholly, whose sum differs by more than 5 % of the larger."""
    rows = series.rows.filter(pl.col("energy").is_not_null())
    mixed = rows.group_by(SERIES).agg((pl.col("length_s").min() != pl.col("length_s").max()).alias("mixed")).filter("mixed")
    if mixed.is_empty():
        return nothing()
    rows = rows.join(mixed, on=SERIES, how="semi")
    running = rows.with_columns(
        pl.col("energy").cum_sum().over([*SERIES, "length_s"]).alias("sum"),
        pl.col("length_s").cum_sum().over([*SERIES, "length_s"]).alias("time"),
    )
    parts = []
    for length in rows["length_s"].unique().sort().to_list():
        # The sum of shorter ones within a reading is the difference of two running sums.
        short = running.filter(pl.col("length_s") == length)
        known = short.select(*SERIES, pl.col("start_s").alias("t"), pl.col("sum") - pl.col("energy"), pl.col("time") - length)
        until = short.select(*SERIES, pl.col("end_s").alias("t"), "sum", "time")
        long = rows.filter((pl.col("length_s") > length) & (pl.col("length_s") % length == 0))
        both = long.join(known, left_on=[*SERIES, "start_s"], right_on=[*SERIES, "t"]).join(
            until, left_on=[*SERIES, "end_s"], right_on=[*SERIES, "t"], suffix="_until"
        )
        parts.append(
            both.filter(pl.col("time_until") - pl.col("time") == pl.col("length_s")).select(
                *SERIES,
                pl.col("start_s").alias("at"),
                "length_s",
                "energy",
                (pl.col("sum_until") - pl.col("sum")).alias("sum"),
                pl.lit(length).alias("short_s"),
            )
        )
    both = pl.concat(parts)
    larger = pl.max_horizontal(pl.col("energy").abs(), pl.col("sum").abs())
    off = both.filter((pl.col("energy") - pl.col("sum")).abs() > DISAGREEMENT * larger).with_columns(
        pl.col("length_s").alias("long_s")
    )
    detail = pl.format("reading of {} s says {} mWh, those of {} s in it {} mWh", "long_s", "energy", "short_s", "sum")
    return exceptions(series, hourly(off).filter(pl.col("at") >= series.start_s), Finding.OVERCOUNTING, detail)

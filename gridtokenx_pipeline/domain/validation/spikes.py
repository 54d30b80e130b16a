"""Energy far above like days, which no register confirms: check 8."""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.domain.findings import Finding

from .found import exceptions, nothing
from .registers import confirmed
from .series import BLOCK_S, FEEDER, NUMBER, SERIES, Series

LEAST_DAYS = 3
LEAST_NEIGHBOURS = 2
LEAST_PCT = 1.0
"""A spike is at least this part of the rating (%): the first light of a day that is a minute longer is none."""
_DAY_S = 86_400
_SATURDAY = 6


def spike(series: Series) -> pl.DataFrame:
    """Generation or load of 5 minutes above median + max(spike_mads x MAD, spike_pct of the median) of like days.

    Like days are the last spike_days of the same kind, weekday or weekend, in local time, before the UTC day of the interval; at
    least 3. The same 5 minutes of local time are compared; a longer reading with its mean over each 5 minutes. Registers that
    agree with the interval values confirm them, and so do two neighbours' generation, if in the median it is at least half of
    the meter's in percent of the ratings: a clear day after a dull week is no spike.
    """
    wanted = [NUMBER["generation"], NUMBER["load"]]
    own = series.blocks.filter(
        pl.col("at") >= series.start_s, pl.col("channel").is_in(wanted), pl.col("covered_s") == pl.col("block_s")
    )
    rating = pl.when(pl.col("channel") == NUMBER["generation"]).then("rated_kw").otherwise("baseline_kw")
    thresholds = ("sum_check_lsb", "sum_check_pct", "spike_days", "spike_mads", "spike_pct", "rated_kw", "baseline_kw")
    share = (pl.col("energy") * BLOCK_S / pl.col("block_s")).alias("share")
    own = own.join(series.threshold(*thresholds), on="meter").with_columns(share, _milli_wh(rating).alias("rating"))
    doubted = own.filter(~confirmed() & (share > pl.col("rating") * LEAST_PCT / 100))
    if doubted.is_empty() or series.history.is_empty():
        return nothing()
    pieces = doubted.with_columns(pl.int_ranges("at", pl.col("at") + pl.col("block_s"), BLOCK_S).alias("at")).explode("at")
    compared = _like_days(series, pieces)
    limit = pl.col("median") + pl.max_horizontal(
        pl.col("spike_mads") * pl.col("mad"), pl.col("spike_pct") / 100 * pl.col("median")
    )
    high = compared.with_columns(limit.alias("limit")).filter(pl.col("share") > pl.col("limit"))
    if high.is_empty():
        return nothing()
    high = high.join(_neighbours(series, high), on=["meter", "channel", "at"], how="left")
    high = high.filter(pl.col("neighbours").is_null() | (pl.col("neighbours") < pl.col("share") / pl.col("rating") / 2))
    detail = pl.format(
        "{} mWh in 5 min, bound {} mWh, median of {} like days {} mWh",
        pl.col("share").round().cast(pl.Int64),
        pl.col("limit").round().cast(pl.Int64),
        "days",
        pl.col("median").round().cast(pl.Int64),
    )
    return exceptions(series, high.with_columns(pl.lit(BLOCK_S, pl.Int64).alias("length_s")), Finding.SPIKE, detail)


def _like_days(series: Series, pieces: pl.DataFrame) -> pl.DataFrame:
    """Add median, mad (Float64, mWh) and days (count) of like days; pieces with fewer than LEAST_DAYS are left out."""
    timezone = series.evidence.site.timezone
    key = [*SERIES, "slot", "weekend"]
    targets = pieces.with_columns(*_local(timezone))
    past = series.history.join(pieces.select(SERIES).unique(), on=SERIES, how="semi").with_columns(*_local(timezone))
    past = past.select(*key, "date", pl.col("at").alias("then"), pl.col("energy").alias("was"))
    pairs = targets.select(*key, "date", "at", "spike_days").join(past, on=key, suffix="_then")
    pairs = pairs.filter(pl.col("date_then") < pl.col("date"), pl.col("then") < pl.col("at") // _DAY_S * _DAY_S)
    # A local hour that comes twice tells one day once.
    pairs = pairs.sort("then").unique([*SERIES, "at", "date_then"], keep="last", maintain_order=True)
    recent = pairs.filter(pl.col("then").rank("ordinal", descending=True).over([*SERIES, "at"]) <= pl.col("spike_days"))
    was, median = pl.col("was"), pl.col("was").median()
    told = recent.group_by([*SERIES, "at"]).agg(
        median.alias("median"), (was - median).abs().median().alias("mad"), pl.len().alias("days")
    )
    return targets.join(told.filter(pl.col("days") >= LEAST_DAYS), on=[*SERIES, "at"])


def _local(timezone: str) -> list[pl.Expr]:
    local = pl.from_epoch(pl.col("at") * 1_000_000, "us").dt.replace_time_zone("UTC").dt.convert_time_zone(timezone)
    return [
        (local.dt.hour().cast(pl.Int64) * 3600 + local.dt.minute().cast(pl.Int64) * 60).alias("slot"),
        (local.dt.weekday() >= _SATURDAY).alias("weekend"),
        local.dt.date().alias("date"),
    ]


def _neighbours(series: Series, high: pl.DataFrame) -> pl.DataFrame:
    """The others' median generation as part of their ratings: meter, channel, at, neighbours; where there are two others."""
    generation = NUMBER["generation"]
    others = (
        series.slots.filter((pl.col("channel") == generation) & (pl.col("at") >= series.start_s))
        .join(series.meters.filter(pl.col("meter_type") != FEEDER).select("meter", "rated_kw"), on="meter")
        .filter(pl.col("rated_kw") > 0)
        .select(
            pl.col("meter").alias("other"),
            "at",
            (pl.col("energy") * BLOCK_S / pl.col("block_s") / _milli_wh(pl.col("rated_kw"))).alias("part"),
        )
    )
    own = high.filter(pl.col("channel") == generation).select(*SERIES, "at")
    near = own.join(others, on="at").filter(pl.col("meter") != pl.col("other"))
    found = near.group_by(*SERIES, "at").agg(pl.col("part").median().alias("neighbours"), pl.len().alias("n"))
    return found.filter(pl.col("n") >= LEAST_NEIGHBOURS).drop("n")


def _milli_wh(kw: pl.Expr) -> pl.Expr:
    """Energy of a power over 5 minutes."""
    return kw * 1_000_000 * BLOCK_S / 3600

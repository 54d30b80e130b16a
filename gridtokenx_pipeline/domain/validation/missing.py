"""Time without readings: check 12."""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.domain.findings import Finding

from .found import WHOLE_METER, exceptions, hourly, stretches
from .series import HOUR_S, NUMBER, SERIES, Series, numbered
from .siblings import MARKET

_DAY_S = 86_400


def missing(series: Series) -> pl.DataFrame:
    """Stretches of closed time without readings of every configured meter, within each hour.

    A row is of channel `all` where every channel that is expected of the meter is missing. Expected are those that it sent in
    the hour or the hour before; and all of generation, load, charge and discharge if it sent one of them.
    """
    hours = _closed_hours(series)
    key = ["meter", "hour"]
    pieces = hourly(series.rows.select(*SERIES, pl.col("start_s").alias("at"), "length_s"))
    present = pieces.select(*SERIES, (pl.col("at") // HOUR_S * HOUR_S).alias("hour")).unique()
    # The hour before tells what is expected too.
    seen = pl.concat([present, present.with_columns(pl.col("hour") + HOUR_S)]).unique()
    market = [NUMBER[name] for name in MARKET]
    traded = seen.filter(pl.col("channel").is_in(market)).select(*key).unique()
    both = traded.join(pl.DataFrame({"channel": market}), how="cross").select(*SERIES, "hour")
    expected = pl.concat([seen, both]).unique().join(hours, on="hour")
    silent = hours.join(series.meters.select("meter"), how="cross").join(present.select(key).unique(), on=key, how="anti")
    silent = silent.with_columns(pl.lit(WHOLE_METER, pl.Int64).alias("channel"), pl.col("hour").alias("at"))
    gaps = _gaps(series, expected.join(silent, on=key, how="anti"))
    rows = pl.concat([silent.select(*SERIES, "at", pl.col("closed").alias("length_s")), _told_once(gaps, expected)])
    detail = pl.format("no readings for {} s", "length_s")
    return exceptions(series, rows, Finding.MISSING, detail)


def prolonged_estimation(series: Series) -> pl.DataFrame:
    """A meter without readings for prolonged_days at the end of an hour that has closed; one row for each such hour."""
    parts = [series.readings.select(numbered(series.names), pl.col("interval_start").dt.epoch("s").alias("seen"))]
    if series.evidence.last_seen is not None:
        told = series.evidence.last_seen
        parts.append(told.select(numbered(series.names), pl.col("last_seen_at").dt.epoch("s").alias("seen")))
    first = pl.col("seen") < series.start_s
    seen = pl.concat(parts).drop_nulls()
    last = seen.filter(first).group_by("meter").agg(pl.col("seen").max())
    later = seen.filter(~first).group_by("meter").agg(pl.col("seen").min().alias("back"))
    hours = _closed_hours(series).filter(pl.col("closed") == HOUR_S)
    rows = (
        hours.join(last, how="cross")
        .join(later, on="meter", how="left")
        .join(series.threshold("prolonged_days"), on="meter")
        .filter(pl.col("hour") + HOUR_S - pl.col("seen") >= pl.col("prolonged_days") * _DAY_S)
        .filter(pl.col("back").is_null() | (pl.col("back") >= pl.col("hour") + HOUR_S))
        .with_columns(pl.col("hour").alias("at"), pl.col("closed").alias("length_s"))
    )
    since = pl.from_epoch(pl.col("seen"), "s").dt.strftime("%FT%TZ")
    return exceptions(series, rows, Finding.PROLONGED_ESTIMATION, pl.format("no reading since the interval of {}", since))


def _closed_hours(series: Series) -> pl.DataFrame:
    """The hours and how much of each has closed: hour, closed (Int64, s); those of which nothing has are left out."""
    hours = pl.DataFrame({"hour": range(series.start_s, series.end_s, HOUR_S)}, schema={"hour": pl.Int64})
    closed = (pl.lit(series.closed_s, pl.Int64) - pl.col("hour")).clip(0, HOUR_S)
    return hours.with_columns(closed.alias("closed")).filter(pl.col("closed") > 0)


def _gaps(series: Series, expected: pl.DataFrame) -> pl.DataFrame:
    """What no reading covers of the closed part of hours: meter, channel, hour, at, length_s.

    `expected`: meter, channel, hour, closed. An interval that has begun before the hour's closed part ends counts as there.
    """
    key = [*SERIES, "hour"]
    covered = series.judged.group_by(key).agg(pl.col("length_s").sum().alias("covered"), pl.col("length_s").max().alias("most"))
    hours = expected.join(covered, on=key, how="left").with_columns(pl.col("covered", "most").fill_null(0))
    # Where readings add up to the time, only overlaps could hide a gap; they are looked for among those of several lengths.
    several = series.judged.group_by(key).agg((pl.col("length_s").n_unique() > 1).alias("several")).filter("several")
    doubted = pl.concat([hours.filter(pl.col("covered") < pl.col("closed")), hours.join(several, on=key, how="semi")]).unique(key)
    if doubted.is_empty():
        return doubted.select(*key, pl.col("hour").alias("at"), pl.col("closed").alias("length_s"))
    rows = series.rows.join(doubted.select(SERIES).unique(), on=SERIES, how="semi")
    pieces = hourly(rows.select(*SERIES, pl.col("start_s").alias("at"), "length_s"))
    pieces = pieces.with_columns((pl.col("at") // HOUR_S * HOUR_S).alias("hour")).join(doubted.select(key), on=key, how="semi")
    bounds = doubted.select(*key, (pl.col("hour") + pl.col("closed")).alias("at"), pl.lit(0, pl.Int64).alias("length_s"))
    order = pl.concat([pieces.select(*key, "at", "length_s"), bounds]).sort(*key, "at", "length_s")
    reached = (pl.col("at") + pl.col("length_s")).cum_max().shift(1).over(key).fill_null(pl.col("hour"))
    order = order.with_columns(reached.alias("reached")).join(doubted.select(*key, "closed"), on=key)
    until = pl.min_horizontal("at", pl.col("hour") + pl.col("closed"))
    gaps = order.with_columns((until - pl.col("reached")).alias("length_s"), pl.col("reached").alias("at"))
    return gaps.filter(pl.col("length_s") > 0).select(*key, "at", "length_s")


def _told_once(gaps: pl.DataFrame, expected: pl.DataFrame) -> pl.DataFrame:
    """Gaps of all expected channels at once as one of the meter: meter, channel, at, length_s."""
    columns = [*SERIES, "at", "length_s"]
    if gaps.is_empty():
        return gaps.select(columns)
    key = ["meter", "hour"]
    number = expected.group_by(key).agg(pl.len().alias("expected"))
    # Between two neighbouring ends of any of the meter's gaps the same channels are missing throughout.
    ends = pl.concat([gaps.select(*key, "at"), gaps.select(*key, pl.col("at") + pl.col("length_s"))]).unique().sort(*key, "at")
    spans = ends.with_columns(pl.col("at").shift(-1).over(key).alias("until")).drop_nulls()
    pieces = spans.join(gaps.rename({"at": "gap"}), on=key).filter(
        pl.col("at") >= pl.col("gap"), pl.col("until") <= pl.col("gap") + pl.col("length_s")
    )
    pieces = pieces.with_columns(
        (pl.col("until") - pl.col("at")).alias("length_s"), pl.len().over(*key, "at").alias("missing")
    ).join(number, on=key)
    whole = pl.col("missing") == pl.col("expected")
    all_ = pieces.filter(whole).with_columns(pl.lit(WHOLE_METER, pl.Int64).alias("channel")).unique([*key, "at"])
    return stretches(pl.concat([all_, pieces.filter(~whole)])).select(columns)

"""How every meter did in each hour: core.meter_hours."""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.contracts.core import ENERGY_CHANNELS, METER_HOURS
from gridtokenx_pipeline.domain.channels import STATE_OF_CHARGE
from gridtokenx_pipeline.domain.effective import KEY, REGISTER_WINS, in_force
from gridtokenx_pipeline.domain.spread import GRID_S

from .clock import posts
from .evidence import Evidence
from .feeder import CONNECTION
from .series import FEEDER, HOUR_S, NUMBER, Series, numbered, prepare
from .siblings import MARKET

_KEY = ["meter", "hour"]
_CELL = [*_KEY, "start_s", "length_s"]


def meter_hours(evidence: Evidence, exceptions: pl.DataFrame, estimates: pl.DataFrame) -> pl.DataFrame:
    """Return core.meter_hours of every configured meter, for hours that have begun to close or have readings.

    `exceptions`: `examine`'s of the same evidence. `estimates`: core.estimates of the hours. Meter intervals are counted as in
    core.energy_*: those shorter than 15 s as they are, each 15 s of longer ones. The feeder's are those with import and export.
    """
    series = prepare(evidence)
    received = posts(series)
    told = [
        _present(series, estimates),
        _count(_in_hours(series, in_force(evidence.edits)), "readings_edited"),
        _late(series, received),
        _count(_in_hours(series, evidence.rejected), "readings_rejected", pl.col("parts").sum()),
        _count(_in_hours(series, exceptions), "exceptions"),
        received.group_by(_KEY).agg(
            (pl.col("delay_us").median() / 1000).round().cast(pl.Int64).alias("clock_offset_ms"),
            (pl.col("delay_us").min() / 1000).floor().cast(pl.Int64).alias("clock_offset_least_ms"),
        ),
    ]
    hours = pl.DataFrame({"hour": range(series.start_s, series.end_s, HOUR_S)}, schema={"hour": pl.Int64})
    rows = hours.join(series.meters.select("meter", "meter_id"), how="cross")
    for frame in told:
        rows = rows.join(frame, on=_KEY, how="left")
    closed = (pl.lit(series.closed_s, pl.Int64) - pl.col("hour")).clip(0, HOUR_S)
    counts = [column.name for column in METER_HOURS.columns if column.name.startswith("readings_")] + ["exceptions"]
    begun = (closed > 0) | pl.col("clock_offset_ms").is_not_null()
    rows = rows.filter(begun).with_columns(
        (closed // pl.col("unit_s").fill_null(GRID_S)).alias("readings_expected"),
        pl.lit(evidence.zone).alias("zone"),
        pl.from_epoch(pl.col("hour") * 1_000_000, "us").cast(pl.Datetime("us", "UTC")).alias("interval_start"),
    )
    rows = rows.with_columns(pl.col(counts).fill_null(0).cast(pl.Int32))
    return METER_HOURS.conform(rows.select(list(METER_HOURS.frame_schema())).sort(METER_HOURS.key))


def _present(series: Series, estimates: pl.DataFrame) -> pl.DataFrame:
    """Meter intervals with all channels: meter, hour, unit_s, readings_present, readings_estimated (of the closed part)."""
    feeders = series.meters.filter(pl.col("meter_type") == FEEDER).select("meter")
    measured = pl.concat([series.judged.select(*_CELL, "channel"), _cells(series, in_force(series.evidence.edits))]).unique()
    guessed = _cells(series, estimates.filter(pl.col("usable") & (pl.col("method") != REGISTER_WINS)))
    guessed = guessed.join(measured, on=[*_CELL, "channel"], how="anti")
    rows = pl.concat([measured.with_columns(pl.lit(True).alias("read")), guessed.with_columns(pl.lit(False).alias("read"))])
    rows = rows.filter(pl.col("start_s") + pl.col("length_s") <= series.closed_s)
    feeder = pl.col("meter").is_in(feeders["meter"].implode())
    wanted = (
        pl.when(feeder)
        .then(pl.col("channel").is_in([NUMBER[name] for name in CONNECTION]))
        .otherwise(pl.col("channel").is_in([NUMBER[name] for name in MARKET]))
    )
    needed = pl.when(feeder).then(len(CONNECTION)).otherwise(len(MARKET))
    unit = pl.min_horizontal(pl.col("length_s"), pl.lit(GRID_S, pl.Int64))
    lengths = (
        rows.filter(wanted).group_by(_KEY).agg(unit.min().alias("unit_s"), (pl.col("length_s").n_unique() > 1).alias("mixed"))
    )
    rows = rows.filter(wanted).with_columns(needed.alias("needed")).join(lengths, on=_KEY)
    cells = (
        rows.filter(~pl.col("mixed"))
        .group_by([*_CELL, "unit_s", "needed"])
        .agg(pl.len().alias("all"), pl.col("read").sum().alias("read"))
    )
    whole = cells.filter(pl.col("all") == pl.col("needed")).with_columns(
        (pl.col("length_s") // pl.col("unit_s")).alias("units"), (pl.col("read") == pl.col("needed")).alias("measured")
    )
    # Lengths that differ leave only the time that all channels are known of to compare.
    over = (
        rows.filter("mixed")
        .group_by([*_KEY, "channel", "unit_s", "needed"])
        .agg(pl.col("length_s").sum().alias("all"), pl.col("length_s").filter("read").sum().alias("read"))
    )
    over = over.group_by([*_KEY, "unit_s", "needed"]).agg(pl.col("all", "read").min(), pl.len().alias("n"))
    over = over.filter(pl.col("n") == pl.col("needed"))
    unit_s = pl.col("unit_s")
    counted = pl.concat(
        [
            whole.group_by(_KEY).agg(
                pl.col("units").filter("measured").sum().alias("readings_present"),
                pl.col("units").filter(~pl.col("measured")).sum().alias("readings_estimated"),
            ),
            over.select(
                *_KEY,
                (pl.col("read").clip(0, HOUR_S) // unit_s).alias("readings_present"),
                (pl.col("all").clip(0, HOUR_S) // unit_s - pl.col("read").clip(0, HOUR_S) // unit_s).alias("readings_estimated"),
            ),
        ]
    )
    return lengths.select(*_KEY, "unit_s").join(counted, on=_KEY, how="left")


def _cells(series: Series, frame: pl.DataFrame) -> pl.DataFrame:
    """Rows with the columns KEY as meter, hour, start_s, length_s, channel."""
    energy = frame.filter(pl.col("channel").is_in([*ENERGY_CHANNELS, STATE_OF_CHARGE])).select(KEY)
    start = pl.col("interval_start").dt.epoch("s")
    return energy.select(
        numbered(series.names),
        (start // HOUR_S * HOUR_S).alias("hour"),
        start.alias("start_s"),
        pl.col("duration_s").cast(pl.Int64).alias("length_s"),
        pl.col("channel").replace_strict(NUMBER, return_dtype=pl.Int64),
    ).drop_nulls()


def _in_hours(series: Series, frame: pl.DataFrame) -> pl.DataFrame:
    """Rows (meter_id, interval_start) of the hours, with meter and hour."""
    evidence = series.evidence
    within = frame.filter(pl.col("interval_start") >= evidence.start, pl.col("interval_start") < evidence.end)
    return within.with_columns(
        numbered(series.names), (pl.col("interval_start").dt.epoch("s") // HOUR_S * HOUR_S).alias("hour")
    ).drop_nulls("meter")


def _count(frame: pl.DataFrame, name: str, value: pl.Expr | None = None) -> pl.DataFrame:
    return frame.group_by(_KEY).agg((pl.len() if value is None else value).alias(name))


def _late(series: Series, received: pl.DataFrame) -> pl.DataFrame:
    beyond = received.filter(pl.col("delay_us") > series.evidence.watermark_s * 1_000_000)
    return beyond.group_by(_KEY).agg(pl.col("n").sum().alias("readings_late"))

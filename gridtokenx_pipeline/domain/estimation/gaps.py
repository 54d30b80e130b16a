"""Where readings of a meter's channel are missing: between two of its readings, or after its last one."""

from __future__ import annotations

from math import gcd

import polars as pl

from gridtokenx_pipeline.contracts.core import CHANNELS, ENERGY_CHANNELS

SERIES = ["zone", "meter_id", "channel"]
_ENDS = ("energy_milli_wh", "register_milli_wh", "duration_s", "interval_start", "findings")
_MANY_SECONDS = 1 << 40


def start_s() -> pl.Expr:
    """Start of the interval in epoch seconds."""
    return pl.col("interval_start").dt.epoch("s")


def find_gaps(readings: pl.DataFrame, first_s: int, last_s: int) -> pl.DataFrame:
    """Return the gaps that overlap [first_s, last_s) (epoch seconds), one row for each, in no order.

    `readings`: core.readings, one version each. Columns: zone, meter_id, channel (String); gap_start, gap_end (Int64, epoch s;
    gap_end is null after the last reading); slot_s (Int64), the length of the readings around, which is that of the missing ones;
    and energy_milli_wh, register_milli_wh, duration_s (Int64), interval_start and findings of the reading before, and of the one
    after with the suffix `_after`.
    """
    # Numbers sort many times faster than names, and all readings have to be sorted.
    meter = pl.col("meter_id").cast(pl.Categorical).to_physical().cast(pl.Int64)
    channel = pl.col("channel").cast(pl.Enum(CHANNELS)).to_physical().cast(pl.Int64)
    wanted = readings["channel"].is_in(ENERGY_CHANNELS)
    series = meter * len(CHANNELS) + channel
    rows = (
        readings.lazy()
        .with_row_index("row")
        .filter(wanted)
        .select("row", series.alias("series"), start_s().alias("at"), pl.col("duration_s").cast(pl.Int64))
        .with_columns((pl.col("series") * _MANY_SECONDS + pl.col("at")).alias("order"))
        .sort("order")
        .with_columns((pl.col("at") + pl.col("duration_s")).alias("end"))
        .collect()
    )
    if rows.select((pl.col("order") == pl.col("order").shift(1)).any()).item():
        rows = rows.sort("order", "duration_s")
    same = pl.col("series") == pl.col("series").shift(1)
    if rows.select(((pl.col("at") < pl.col("end").shift(1)) & same).any()).item():
        # What lies within an earlier reading is no end of a gap.
        reached = pl.col("end").cum_max().shift(1).over("series")
        rows = rows.filter(reached.is_null() | (pl.col("end") > reached))
    last = pl.col("series") != pl.col("series").shift(-1)
    following, after = pl.col("at").shift(-1), pl.col("row").shift(-1)
    found = (
        rows.lazy()
        .select(
            "row",
            pl.col("end").alias("gap_start"),
            pl.when(last.fill_null(True)).then(None).otherwise(following).alias("gap_end"),
            pl.when(last.fill_null(True)).then(None).otherwise(after).alias("row_after"),
        )
        .filter(
            (pl.col("gap_start") < last_s)
            & (pl.col("gap_end").is_null() | (pl.col("gap_end") > pl.max_horizontal("gap_start", first_s)))
        )
        .collect()
    )
    before = readings[found["row"]].select(*SERIES, *_ENDS)
    closed = found.filter(pl.col("row_after").is_not_null())
    afterwards = readings[closed["row_after"]].select(pl.col(name).alias(f"{name}_after") for name in _ENDS)
    both = pl.concat([found.select("row", "gap_start", "gap_end"), before], how="horizontal")
    both = both.join(pl.concat([closed.select("row"), afterwards], how="horizontal"), on="row", how="left").drop("row")
    return _with_slots(both.with_columns(pl.col("duration_s", "duration_s_after").cast(pl.Int64)))


def _with_slots(gaps: pl.DataFrame) -> pl.DataFrame:
    """Add slot_s: the length before the gap if it fits, else the one after, else what divides both."""
    length, before, after = pl.col("gap_end") - pl.col("gap_start"), pl.col("duration_s"), pl.col("duration_s_after")
    pairs = gaps.select("duration_s", "duration_s_after").unique().drop_nulls()
    common = [gcd(one, other) for one, other in pairs.iter_rows()]
    pairs = pairs.with_columns(pl.Series("common", common, dtype=pl.Int64))
    slot = (
        pl.when(length.is_null() | (length % before == 0))
        .then(before)
        .when(length % after == 0)
        .then(after)
        .otherwise("common")
        .alias("slot_s")
    )
    return gaps.join(pairs, on=["duration_s", "duration_s_after"], how="left").with_columns(slot).drop("common")

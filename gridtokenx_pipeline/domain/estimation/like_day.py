"""Gaps too long for a line: the mean of the last like days, generation scaled by what the neighbours do today."""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.contracts.core import ENERGY_CHANNELS
from gridtokenx_pipeline.domain.findings import QUESTIONABLE

from .gaps import start_s
from .register_exact import LEAST_NEIGHBOURS
from .slots import wide

_BLOCK_S = 300
_SLOT = ["zone", "meter_id", "channel", "block"]


def like_day(missing: pl.DataFrame, history: pl.DataFrame, panel: pl.DataFrame, timezone: str) -> pl.DataFrame:
    """Return those of `missing` (`slots`, with like_days and limit_w) that have enough like days, with energy_milli_wh added.

    `history`: zone, meter_id, interval_start and *_milli_wh of 5 minutes each, of earlier days. `panel`: core.readings of
    possible neighbours. A like day has the same kind of day, weekday or weekend, in `timezone`; the mean is of the last
    like_days of them with the same 5 minutes of local time. Where at least 3 neighbours have these days and today whole,
    generation is scaled by the ratio of their sums. A 5-minute energy is a whole number, shared out over its intervals; at most
    what the ratings allow.
    """
    # A slot has its energy from the 5-minute blocks it is in, or is the whole of.
    fitting = missing.filter((_BLOCK_S % pl.col("slot_s") == 0) | (pl.col("slot_s") % _BLOCK_S == 0))
    blocks = (
        fitting.with_columns(
            pl.int_ranges(pl.col("at") // _BLOCK_S * _BLOCK_S, pl.col("at") + pl.col("slot_s"), _BLOCK_S).alias("block")
        )
        .explode("block", empty_as_null=False)
        .with_columns(pl.min_horizontal(pl.lit(_BLOCK_S, pl.Int64), "slot_s").alias("step"))
    )
    wanted = blocks.select(*_SLOT, "like_days", "limit_w").unique()
    means = _means(wanted, _by_channel(history, wanted), panel, timezone)
    offset = pl.max_horizontal(pl.lit(0, pl.Int64), pl.col("at") - pl.col("block"))

    def given(seconds: pl.Expr) -> pl.Expr:
        return pl.col("energy") * seconds // _BLOCK_S

    parts = blocks.join(means, on=_SLOT).with_columns((given(offset + pl.col("step")) - given(offset)).alias("part"))
    key = ["zone", "meter_id", "channel", "at", "slot_s"]
    sums = parts.group_by(key).agg(pl.col("part").sum().alias("energy_milli_wh"), pl.len().alias("parts"))
    whole = pl.col("parts") == pl.max_horizontal(pl.lit(1, pl.Int64), pl.col("slot_s") // _BLOCK_S)
    return fitting.drop("energy_milli_wh").join(sums.filter(whole), on=key).drop("parts")


def _by_channel(history: pl.DataFrame, wanted: pl.DataFrame) -> pl.DataFrame:
    columns = [f"{channel}_milli_wh" for channel in ENERGY_CHANNELS]
    long = history.filter(pl.col("zone").is_in(wanted["zone"].unique().implode())).unpivot(
        columns, index=["zone", "meter_id", "interval_start"], variable_name="channel", value_name="energy"
    )
    return long.with_columns(pl.col("channel").str.strip_suffix("_milli_wh")).drop_nulls("energy")


def _local(block: pl.Expr, timezone: str) -> list[pl.Expr]:
    """date, time of day and whether it is a weekend, in local time."""
    moment = pl.from_epoch(block, "s").cast(pl.Datetime("us")).dt.replace_time_zone("UTC").dt.convert_time_zone(timezone)
    return [moment.dt.date().alias("date"), moment.dt.time().alias("time"), (moment.dt.weekday() > 5).alias("weekend")]


def _means(wanted: pl.DataFrame, history: pl.DataFrame, panel: pl.DataFrame, timezone: str) -> pl.DataFrame:
    """Energy (Int64, milli-Wh) of every block that can be told: the columns `_SLOT` and energy."""
    past = history.with_columns(start_s().alias("past")).with_columns(_local(pl.col("past"), timezone))
    # An hour that comes twice when clocks go back is told by its first.
    past = past.sort("past").unique(["meter_id", "channel", "date", "time"], keep="first", maintain_order=True)
    slots = wanted.with_columns(_local(pl.col("block"), timezone))
    matched = slots.join(
        past.drop("interval_start", "past"), on=["zone", "meter_id", "channel", "time", "weekend"], suffix="_past"
    )
    matched = matched.filter(pl.col("date_past") < pl.col("date"))
    recent = pl.col("date_past").rank("ordinal", descending=True).over(_SLOT) <= pl.col("like_days")
    days = matched.filter(recent).filter(pl.len().over(_SLOT) == pl.col("like_days"))
    own = days.group_by(*_SLOT, "like_days", "limit_w").agg(wide("energy").sum().alias("own"))
    scaled = own.join(_neighbours(days, past, panel), on=_SLOT, how="left")
    mean = pl.col("own") // pl.col("like_days")
    ratio = pl.col("own") * pl.col("today") // pl.col("then")
    energy = pl.when(pl.col("then") > 0).then(ratio).otherwise(mean).cast(pl.Int64)
    most = pl.col("limit_w") * _BLOCK_S * 1000 // 3600
    return scaled.select(*_SLOT, pl.min_horizontal(energy, most).clip(lower_bound=0).alias("energy"))


def _neighbours(days: pl.DataFrame, past: pl.DataFrame, panel: pl.DataFrame) -> pl.DataFrame:
    """Sums (Int128) of enough neighbours' generation in a block, `today`, and on its like days, `then`."""
    solar = days.filter(pl.col("channel") == "generation").select(*_SLOT, "like_days", "time", "date_past")
    good = panel.filter((pl.col("channel") == "generation") & (pl.col("quality_flags") & QUESTIONABLE == 0))
    today = (
        good.group_by("zone", pl.col("meter_id").alias("neighbour"), (start_s() // _BLOCK_S * _BLOCK_S).alias("block"))
        .agg(pl.col("duration_s").sum().alias("covered"), pl.max_horizontal("energy_milli_wh", 0).sum().alias("today"))
        .filter(pl.col("covered") == _BLOCK_S)
    )
    then = past.filter(pl.col("channel") == "generation").select(
        "zone", pl.col("meter_id").alias("neighbour"), "time", pl.col("date").alias("date_past"), pl.col("energy").alias("then")
    )
    key = [*_SLOT, "neighbour"]
    both = (
        solar.join(today, on=["zone", "block"])
        .filter(pl.col("neighbour") != pl.col("meter_id"))
        .join(then, on=["zone", "neighbour", "time", "date_past"])
        .group_by(*key, "like_days")
        .agg(pl.col("today").first(), pl.col("then").sum(), pl.len().alias("found"))
        .filter(pl.col("found") == pl.col("like_days"))
    )
    sums = both.group_by(_SLOT).agg(wide("today").sum(), wide("then").sum(), pl.len().alias("meters"))
    return sums.filter(pl.col("meters") >= LEAST_NEIGHBOURS).drop("meters")

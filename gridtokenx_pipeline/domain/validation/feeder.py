"""The meters together against the meter of the campus's connection: check 14."""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.domain.findings import Finding

from .found import exceptions, nothing
from .series import FEEDER, HOUR_S, NUMBER, Series
from .siblings import MARKET

CONNECTION = ("import", "export")
LEAST_PART = 2
"""An hour is judged if at least one in so many of its blocks is whole of all meters."""


def feeder_imbalance(series: Series) -> pl.DataFrame:
    """The meters' net import and the feeder's differ by more than feeder_pct in an hour and in the one before.

    The net import of a meter is import less export, or else load and charge less generation and discharge. Compared are those
    blocks (5 minutes, or the longest reading) that are whole of every meter and of the feeder. The percentage is of what flows,
    import and export together, on the side where more does: meters' errors grow with it.
    """
    feeders = series.meters.filter(pl.col("meter_type") == FEEDER)
    if feeders.height != 1:
        return nothing()
    nets = _nets(series)
    others = series.meters.height - 1
    feeder = pl.col("meter") == feeders["meter"].item()
    blocks = nets.group_by("at", "block_s").agg(
        *(pl.col(name).filter(~feeder).sum().alias(name) for name in ("net", "flow")),
        *(pl.col(name).filter(feeder).sum().alias(f"feeder_{name}") for name in ("net", "flow")),
        (((~feeder).sum() == others) & (feeder.sum() == 1)).alias("whole"),
    )
    hours = (
        blocks.filter("whole")
        .group_by((pl.col("at") // HOUR_S * HOUR_S).alias("at"))
        .agg(pl.col("net", "flow", "feeder_net", "feeder_flow", "block_s").sum())
        .filter(pl.col("block_s") * LEAST_PART >= HOUR_S)
    )
    difference = (pl.col("net") - pl.col("feeder_net")).abs()
    larger = pl.max_horizontal("flow", "feeder_flow")
    hours = hours.filter(difference > larger * feeders["feeder_pct"].item() / 100)
    twice = hours.join(hours.select(pl.col("at") + HOUR_S), on="at", how="semi").filter(pl.col("at") >= series.start_s)
    detail = pl.format("meters import {} mWh net, the feeder {} mWh, in this hour and the one before", "net", "feeder_net")
    rows = exceptions(
        series,
        twice.with_columns(pl.lit(0, pl.Int64).alias("meter"), pl.lit(HOUR_S, pl.Int64).alias("length_s")),
        Finding.FEEDER_IMBALANCE,
        detail,
    )
    return rows.with_columns(pl.lit(series.evidence.zone).alias("meter_id"))


def _nets(series: Series) -> pl.DataFrame:
    """Net import and flow of every meter in whole blocks: meter, at, block_s, net, flow (Int64, mWh)."""
    wanted = [NUMBER[name] for name in (*MARKET, *CONNECTION)]
    rows = series.blocks.filter(pl.col("channel").is_in(wanted) & (pl.col("covered_s") == pl.col("block_s")))
    longest = rows["block_s"].max()
    rows = rows.filter(pl.col("at") < series.closed_s).with_columns(pl.lit(longest, pl.Int64).alias("block_s"))
    summed = (
        rows.with_columns((pl.col("at") // pl.col("block_s") * pl.col("block_s")).alias("at"))
        .group_by("meter", "channel", "at", "block_s")
        .agg(pl.col("energy").sum(), pl.col("covered_s").sum())
        .filter(pl.col("covered_s") == pl.col("block_s"))
    )
    told = {
        name: pl.when((pl.col("channel") == NUMBER[name]).any()).then(
            pl.col("energy").filter(pl.col("channel") == NUMBER[name]).sum()
        )
        for name in (*MARKET, *CONNECTION)
    }
    wide = summed.group_by("meter", "at", "block_s").agg(*(value.alias(name) for name, value in told.items()))
    behind = pl.col("load") + pl.col("charge") - pl.col("generation") - pl.col("discharge")
    net = pl.coalesce(pl.col("import") - pl.col("export"), behind)
    flow = pl.coalesce(pl.col("import") + pl.col("export"), behind.abs())
    return wide.select("meter", "at", "block_s", net.alias("net"), flow.alias("flow")).drop_nulls()

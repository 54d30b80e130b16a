"""Channels of one meter against each other: check 11."""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.contracts.core import ENERGY_CHANNELS
from gridtokenx_pipeline.domain.findings import Finding

from .found import exceptions, nothing, stretches
from .series import NUMBER, Series

MARKET = ("generation", "load", "charge", "discharge")


def sibling_missing(series: Series) -> pl.DataFrame:
    """Some of generation, load, charge and discharge are there and some are not, in intervals that have closed.

    Where a meter's channels come in different lengths, they are compared over the longest of the hour.
    """
    rows = series.of(*MARKET).filter(pl.col("start_s") >= series.start_s, pl.col("end_s") <= series.closed_s)
    rows = rows.select("meter", "channel", "start_s", "length_s", "hour")
    lengths = rows.group_by("meter", "hour").agg(
        pl.col("length_s").max().alias("slot_s"), pl.col("length_s").min().alias("least")
    )
    if lengths.filter(pl.col("slot_s") != pl.col("least")).is_empty():
        rows = rows.with_columns(pl.col("length_s").alias("slot_s"), pl.col("start_s").alias("at"))
    else:
        rows = rows.join(lengths, on=["meter", "hour"])
        rows = rows.with_columns((pl.col("start_s") // pl.col("slot_s") * pl.col("slot_s")).alias("at"))
    bits = {name: 2 ** NUMBER[name] for name in MARKET}
    bit = pl.col("channel").replace_strict({NUMBER[name]: bits[name] for name in MARKET}, return_dtype=pl.Int64)
    present = rows.with_columns(bit.alias("bit")).group_by("meter", "at", "slot_s").agg(pl.col("bit").bitwise_or().alias("bits"))
    lacking = present.filter(pl.col("bits") != sum(bits.values())).rename({"slot_s": "length_s"})
    if lacking.is_empty():
        return nothing()
    missing = [
        pl.when(pl.col("bits") & bit == 0).then(pl.lit(name)).otherwise(pl.lit(None, pl.String)) for name, bit in bits.items()
    ]
    lacking = lacking.with_columns(pl.concat_str(missing, separator=", ", ignore_nulls=True).alias("missing"))
    joined = stretches(lacking, by=["meter", "missing"])
    # Several sets of channels may be missing in turns of one meter, never at once.
    detail = pl.format("without {}", "missing")
    return exceptions(series, joined, Finding.SIBLING_MISSING, detail)


def sibling_imbalance(series: Series) -> pl.DataFrame:
    """What comes in and what goes out of 5 minutes differ by more than max(sibling_wh, sibling_pct of the larger).

    In: generation, discharge, import. Out: load, charge, export. Judged are blocks of which all six are whole.
    """
    wanted = [NUMBER[name] for name in ENERGY_CHANNELS]
    whole = series.blocks.filter(
        pl.col("channel").is_in(wanted), pl.col("covered_s") == pl.col("block_s"), pl.col("at") >= series.start_s
    ).filter(pl.col("at") + pl.col("block_s") <= series.closed_s)
    side = {name: pl.col("energy").filter(pl.col("channel") == NUMBER[name]).sum() for name in ENERGY_CHANNELS}
    both = (
        whole.group_by("meter", "at", "block_s")
        .agg(
            (side["generation"] + side["discharge"] + side["import"]).alias("into"),
            (side["load"] + side["charge"] + side["export"]).alias("out"),
            pl.len().alias("n"),
        )
        .filter(pl.col("n") == len(ENERGY_CHANNELS))
        .join(series.threshold("sibling_wh", "sibling_pct"), on="meter")
    )
    larger = pl.max_horizontal(pl.col("into").abs(), pl.col("out").abs())
    tolerance = pl.max_horizontal(pl.col("sibling_wh") * 1000, larger * pl.col("sibling_pct") / 100)
    off = both.filter((pl.col("into") - pl.col("out")).abs() > tolerance).rename({"block_s": "length_s"})
    detail = pl.format("in {} mWh, out {} mWh", "into", "out")
    return exceptions(series, off, Finding.SIBLING_IMBALANCE, detail)

"""A meter's position in a market interval: what it has over, or lacks, in whole watt-hours."""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.contracts import core

from ..whole_wh import is_complete, whole_wh
from .model import MarketInputError

INCOMPLETE = "incomplete"
NO_REGISTER = "no_register"

NET_CHANNELS = ("generation", "load", "charge", "discharge")

POSITIONS: dict[str, pl.DataType | type[pl.DataType]] = {
    "zone": pl.String,
    "meter_id": pl.String,
    "interval_start": pl.Datetime("us", "UTC"),
    "duration_s": pl.Int32,
    **{f"{channel}_wh": pl.Int64 for channel in core.ENERGY_CHANNELS},
    "net_wh": pl.Int64,
    "complete": pl.Boolean,
    "reason": pl.String,
    "quality_flags": pl.Int32,
}


def positions(energy: pl.DataFrame, completeness_min_pct: int) -> pl.DataFrame:
    """Return the market position of every meter and interval of `energy`, sorted by zone, interval and meter.

    `energy` is a frame of `contracts.core.ENERGY_5MIN` (or of another market interval with the same columns). The result
    has the columns `POSITIONS`: energies in whole Wh by floor differences of the registers, null where a channel lacks its
    energy or register; `net_wh` = generation + discharge - load - charge, null where one of the four is; `complete`, whether
    at least `completeness_min_pct` percent of the readings are there; `reason`, why a meter does not trade (`no_register`
    before `incomplete`), null where it does.

    Raises `contracts.ContractViolation` for a frame of other columns, `MarketInputError` for a negative energy.
    """
    energy = core.ENERGY_5MIN.conform(energy)
    for channel in core.ENERGY_CHANNELS:
        negative = energy.filter(pl.col(f"{channel}_milli_wh") < 0)
        if not negative.is_empty():
            row = negative.select("zone", "meter_id", "interval_start", f"{channel}_milli_wh").row(0, named=True)
            raise MarketInputError(f"negative {channel}: {row}")
    # polars would call the sum of a null and a number a number in sum_horizontal; plain addition keeps the null
    net = pl.col("generation_wh") + pl.col("discharge_wh") - pl.col("load_wh") - pl.col("charge_wh")
    return (
        energy.with_columns(
            *(whole_wh(channel).alias(f"{channel}_wh") for channel in core.ENERGY_CHANNELS),
            is_complete(completeness_min_pct).alias("complete"),
        )
        .with_columns(net_wh=net)
        .with_columns(
            reason=pl.when(pl.col("net_wh").is_null())
            .then(pl.lit(NO_REGISTER))
            .when(~pl.col("complete"))
            .then(pl.lit(INCOMPLETE))
            .otherwise(pl.lit(None, dtype=pl.String))
        )
        .select(list(POSITIONS))
        .sort("zone", "interval_start", "meter_id")
    )

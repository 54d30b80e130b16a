"""Readings whose interval value disagrees with the registers around it: the register wins."""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.contracts.core import ENERGY_CHANNELS
from gridtokenx_pipeline.domain.effective import KEY, overlapping
from gridtokenx_pipeline.domain.findings import Finding

from .gaps import SERIES, start_s
from .limits import within_limit

ANEW = (Finding.REGISTER_ROLLOVER.value, Finding.METER_SWAP.value)


def began_anew(findings: str = "findings") -> pl.Expr:
    """Whether a reading's register is of another count than the one before: it rolled over, or the meter was swapped."""
    return pl.col(findings).fill_null("").str.contains_any(list(ANEW))


def register_wins(readings: pl.DataFrame, exceptions: pl.DataFrame, limits: pl.DataFrame) -> pl.DataFrame:
    """Return the readings within a `register_mismatch` that their registers correct, with energy_milli_wh corrected.

    `readings`: core.readings, one version each. A reading is corrected where a reading that ends when it begins has a register
    too, neither rolled over nor swapped, and the difference is believable by `limits` (`thresholds.meter_bounds`).
    """
    found = exceptions.filter(pl.col("code") == Finding.REGISTER_MISMATCH.value)
    energies = readings.filter(pl.col("channel").is_in(ENERGY_CHANNELS) & pl.col("register_milli_wh").is_not_null())
    if found.is_empty() or energies.is_empty():
        return readings.clear()
    energies = energies.join(found.select("meter_id").unique(), on="meter_id", how="semi")
    length = pl.col("duration_s").cast(pl.Int64)
    ends = (
        energies.sort("duration_s")
        .select(*SERIES, (start_s() + length).alias("at"), pl.col("register_milli_wh").alias("before"))
        .unique([*SERIES, "at"], keep="first", maintain_order=True)
    )
    within = energies.filter(overlapping(energies, found.select(KEY)))
    difference = pl.col("register_milli_wh") - pl.col("before")
    return (
        within.filter(~began_anew())
        .with_columns(start_s().alias("at"))
        .join(ends, on=[*SERIES, "at"])
        .join(limits, on=["meter_id", "channel"])
        .filter((difference != pl.col("energy_milli_wh")) & within_limit(difference, length))
        .with_columns(difference.alias("energy_milli_wh"))
        .select(readings.columns)
    )

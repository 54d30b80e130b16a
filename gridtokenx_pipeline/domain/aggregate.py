"""Readings to energy per meter and interval, at any interval length, from whole milli-watt-hours: sums agree bit for bit.

`energy_15s` puts the channels of a reading interval side by side; longer intervals come from it by `rollup`, so that the levels
cannot disagree. A reading longer than an interval says nothing about its parts: it appears only at levels of its own length and
above, to which `rollup` adds it from the readings themselves.
"""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.contracts.core import ENERGY_15S, ENERGY_CHANNELS
from gridtokenx_pipeline.domain.channels import STATE_OF_CHARGE
from gridtokenx_pipeline.domain.vee import VALID

MARKET_CHANNELS = ("generation", "load", "charge", "discharge")
_ENERGIES = [f"{channel}_milli_wh" for channel in ENERGY_CHANNELS]
_REGISTERS = [f"{channel}_register_milli_wh" for channel in ENERGY_CHANNELS]
_READING_KEY = ["meter_id", "channel", "interval_start", "duration_s"]
_DAY_S = 86_400
_FINEST_S = 15


def latest(readings: pl.DataFrame) -> pl.DataFrame:
    """The highest version of every reading in a core.readings frame."""
    return readings.filter(pl.col("version") == pl.col("version").max().over(_READING_KEY))


def energy_15s(readings: pl.DataFrame) -> pl.DataFrame:
    """A core.readings frame, any versions, as a core.energy_15s frame. Readings that do not fit into 15 s are left out."""
    return aggregate(readings, _FINEST_S)


def aggregate(readings: pl.DataFrame, interval_s: int) -> pl.DataFrame:
    """A core.readings frame, any versions, in intervals of `interval_s` (the frame of core.energy_*, any length).

    Takes the readings whose length divides `interval_s`. Raises `ValueError` if `interval_s` does not divide the day.
    """
    return _sum(_side_by_side(latest(readings)), _checked(interval_s))


def rollup(energy: pl.DataFrame, interval_s: int, readings: pl.DataFrame | None = None) -> pl.DataFrame:
    """Sum a core.energy_* frame to intervals of `interval_s`, a multiple of its own length.

    `readings` (core.readings frame, any versions) adds those longer than the intervals of `energy`, up to `interval_s`; without
    it they are not in the result. Where a meter reports one time at several lengths, the shortest counts. Raises `ValueError` if
    `interval_s` does not divide the day or is no multiple of the length in `energy`.
    """
    _checked(interval_s)
    lengths = energy["duration_s"].unique()
    if not (interval_s % lengths == 0).all():
        raise ValueError(f"intervals of {sorted(lengths)} s do not add up to {interval_s} s")
    if readings is not None:
        longer = pl.col("duration_s") > (lengths.max() or _FINEST_S)
        energy = pl.concat([energy, _side_by_side(latest(readings.filter(longer)))])
    return _sum(energy, interval_s)


def _checked(interval_s: int) -> int:
    if interval_s <= 0 or _DAY_S % interval_s:
        raise ValueError(f"an interval of {interval_s} s does not divide the day")
    return interval_s


def _side_by_side(readings: pl.DataFrame) -> pl.DataFrame:
    """One row for each meter, start and length, in the columns of core.energy_*."""

    def of(channel: str, column: str) -> pl.Expr:
        return pl.when(pl.col("channel") == channel).then(pl.col(column)).max()

    grouped = readings.group_by("meter_id", "interval_start", "duration_s").agg(
        pl.col("zone").min(),
        *(of(channel, "energy_milli_wh").alias(f"{channel}_milli_wh") for channel in ENERGY_CHANNELS),
        *(of(channel, "register_milli_wh").alias(f"{channel}_register_milli_wh") for channel in ENERGY_CHANNELS),
        of(STATE_OF_CHARGE, "state_of_charge_pct").alias("state_of_charge_pct"),
        _flags(),
        pl.col("version").max(),
    )
    complete = pl.all_horizontal(pl.col(f"{channel}_milli_wh").is_not_null() for channel in MARKET_CHANNELS)
    return grouped.with_columns(
        pl.lit(1, pl.Int32).alias("readings_expected"),
        complete.cast(pl.Int32).alias("readings_present"),
        pl.lit(0, pl.Int32).alias("readings_estimated"),
    ).select(list(ENERGY_15S.frame_schema()))


def _sum(energy: pl.DataFrame, interval_s: int) -> pl.DataFrame:
    """Sum rows of mixed lengths, each within an interval; rows whose length does not divide `interval_s` are left out."""
    seconds = pl.col("interval_start").dt.epoch("s")
    start = pl.from_epoch((seconds // interval_s * interval_s) * 1_000_000, "us").cast(pl.Datetime("us", "UTC"))
    rows = energy.filter(interval_s % pl.col("duration_s") == 0).with_columns(start.alias("target"))
    overlapping = pl.col("duration_s").sum().over("meter_id", "target") > interval_s
    shortest = pl.col("duration_s").min().over("meter_id", "target")
    rows = rows.filter(~overlapping | (pl.col("duration_s") == shortest))
    # Time without any row is expected to hold readings as dense as the densest row has.
    per_reading = (pl.col("duration_s") // pl.col("readings_expected")).min()
    missing = (interval_s - pl.col("duration_s").sum()) // per_reading
    # Ordered first: inside a group, last means latest.
    summed = (
        rows.sort("meter_id", "interval_start")
        .group_by("meter_id", "target", maintain_order=True)
        .agg(
            pl.col("zone").last(),
            *(pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()).alias(name) for name in _ENERGIES),
            *(pl.col(name).drop_nulls().last() for name in (*_REGISTERS, "state_of_charge_pct")),
            (pl.col("readings_expected").sum() + missing).cast(pl.Int32).alias("readings_expected"),
            pl.col("readings_present").sum().cast(pl.Int32),
            pl.col("readings_estimated").sum().cast(pl.Int32),
            _flags(),
            pl.col("version").max(),
        )
    )
    summed = summed.with_columns(pl.col("target").alias("interval_start"), pl.lit(interval_s, pl.Int32).alias("duration_s"))
    return ENERGY_15S.conform(summed.select(list(ENERGY_15S.frame_schema())).sort("meter_id", "interval_start"))


def _flags() -> pl.Expr:
    """Valid only if every part is; any other flag if one part has it (IEEE 2030.5 qualityFlags)."""
    flags = pl.col("quality_flags")
    return ((flags.bitwise_and() & VALID) | (flags.bitwise_or() & ~VALID)).cast(pl.Int32).alias("quality_flags")

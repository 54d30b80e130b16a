"""What counts of every meter to energy per interval, from whole milli-watt-hours: the levels agree bit for bit.

`energy_15s` puts the channels side by side on the 15-second grid; every longer interval is the sum of shorter ones, so that the
levels cannot disagree. Readings of other lengths are put on the grid by `domain.spread`.
"""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.contracts.core import (
    CHANNELS,
    ENERGY_1D,
    ENERGY_1H,
    ENERGY_5MIN,
    ENERGY_15MIN,
    ENERGY_15S,
    ENERGY_CHANNELS,
    LEVELS,
)
from gridtokenx_pipeline.contracts.table import Table
from gridtokenx_pipeline.domain import spread
from gridtokenx_pipeline.domain.channels import STATE_OF_CHARGE
from gridtokenx_pipeline.domain.effective import ESTIMATE, latest, measured
from gridtokenx_pipeline.domain.findings import VALID
from gridtokenx_pipeline.domain.spread import GRID_S, LONGEST_SPREAD_S

__all__ = ["MARKET_CHANNELS", "aggregate", "days", "energy_15s", "latest", "left_out", "levels", "rollup"]

MARKET_CHANNELS = ("generation", "load", "charge", "discharge")
_ENERGIES = [f"{channel}_milli_wh" for channel in ENERGY_CHANNELS]
_REGISTERS = [f"{channel}_register_milli_wh" for channel in ENERGY_CHANNELS]
_LAST = [*_REGISTERS, "state_of_charge_pct"]
_DAY_S = 86_400
_LENGTH_S = dict(LEVELS)
_MANY_SECONDS = 1 << 40


def levels(effective: pl.DataFrame, longest_spread_s: int = LONGEST_SPREAD_S) -> dict[Table, pl.DataFrame]:
    """Return core.energy_15s, _5min, _15min and _1h of an `effective.EFFECTIVE` frame of whole hours.

    Each is the sum of the one before; `days` makes core.energy_1d of the last.
    """
    frames = {ENERGY_15S: energy_15s(effective, longest_spread_s)}
    finer = ENERGY_15S
    for table in (ENERGY_5MIN, ENERGY_15MIN, ENERGY_1H):
        frames[table] = rollup(frames[finer], _LENGTH_S[table])
        finer = table
    return frames


def days(energy_1h: pl.DataFrame) -> pl.DataFrame:
    """Return core.energy_1d: the sums of core.energy_1h of whole days (UTC)."""
    return rollup(energy_1h, _LENGTH_S[ENERGY_1D])


def left_out(rows: pl.DataFrame, longest_spread_s: int = LONGEST_SPREAD_S) -> pl.DataFrame:
    """Return the rows (core.readings or `effective.EFFECTIVE`) that no level has.

    They are longer than `longest_spread_s`, or their length does not divide the hour.
    """
    return rows.filter(~spread.fits(longest_spread_s))


def aggregate(readings: pl.DataFrame, interval_s: int) -> pl.DataFrame:
    """Return core.readings or `effective.EFFECTIVE` rows in intervals of `interval_s`, with the columns of core.energy_*.

    Raises `ValueError` if `interval_s` does not divide the day or is no multiple of 15.
    """
    _checked(interval_s)
    return rollup(energy_15s(readings), interval_s)


def energy_15s(readings: pl.DataFrame, longest_spread_s: int = LONGEST_SPREAD_S) -> pl.DataFrame:
    """Return core.readings (any versions) or `effective.EFFECTIVE` rows as core.energy_15s, less what is `left_out`.

    `readings_expected` and `readings_present` count meter intervals: those shorter than 15 s as they are, of longer ones each
    15 s as one. Present are those with generation, load, charge and discharge measured; estimated those for which settlement may
    use the estimates of what was not.
    """
    rows = readings if "source" in readings.columns else measured(readings)
    equal = (rows["duration_s"] == GRID_S).all()
    if not equal:
        rows = rows.filter(spread.fits(longest_spread_s))
    if rows.is_empty():
        return ENERGY_15S.empty()
    energy = _of_equal_lengths(rows) if equal else _of_mixed_lengths(spread.on_grid(rows))
    energy = energy.with_columns(pl.lit(GRID_S, pl.Int32).alias("duration_s"))
    return ENERGY_15S.conform(energy.select(list(ENERGY_15S.frame_schema())).sort("meter_id", "interval_start"))


def rollup(energy: pl.DataFrame, interval_s: int) -> pl.DataFrame:
    """Sum a core.energy_* frame to intervals of `interval_s`, a multiple of its own length.

    Raises `ValueError` if `interval_s` does not divide the day or is no multiple of the length in `energy`.
    """
    _checked(interval_s)
    lengths = energy["duration_s"].unique()
    if not (interval_s % lengths == 0).all():
        raise ValueError(f"intervals of {sorted(lengths)} s do not add up to {interval_s} s")
    # Time without any row is expected to hold readings as dense as the densest row has.
    per_reading = (pl.col("duration_s") // pl.col("readings_expected")).min()
    missing = (interval_s - pl.col("duration_s").sum()) // per_reading
    # Ordered first: inside a group, last means latest.
    summed = (
        energy.with_columns((pl.col("interval_start").dt.epoch("s") // interval_s * interval_s).alias("target"))
        .sort("meter_id", "interval_start")
        .group_by("meter_id", "target", maintain_order=True)
        .agg(
            pl.col("zone").last(),
            *(pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()).alias(name) for name in _ENERGIES),
            *(pl.col(name).drop_nulls().last() for name in _LAST),
            (pl.col("readings_expected").sum() + missing).cast(pl.Int32).alias("readings_expected"),
            pl.col("readings_present").sum().cast(pl.Int32),
            pl.col("readings_estimated").sum().cast(pl.Int32),
            _flags(),
            pl.col("version").max(),
        )
    )
    summed = summed.with_columns(_moment("target"), pl.lit(interval_s, pl.Int32).alias("duration_s"))
    return ENERGY_15S.conform(summed.select(list(ENERGY_15S.frame_schema())))


def _checked(interval_s: int) -> int:
    if interval_s <= 0 or _DAY_S % interval_s:
        raise ValueError(f"an interval of {interval_s} s does not divide the day")
    return interval_s


def _of_equal_lengths(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows that are all as long as the grid: one row for each meter and start."""
    key = ["meter_id", "interval_start"]
    # Numbers instead of names make this several times as fast: it is what every reading goes through.
    meter, second = pl.col("meter_id").cast(pl.Categorical).to_physical().cast(pl.Int64), pl.col("interval_start").dt.epoch("s")
    numbered = rows.with_columns(
        meter.alias("meter"), second.alias("cell"), pl.col("channel").cast(pl.Enum(CHANNELS)).to_physical().alias("number")
    )
    names = numbered.select("meter", "meter_id", "zone").unique().group_by("meter", "meter_id").agg(pl.col("zone").min())
    energy = (
        numbered.lazy()
        .with_columns((pl.col("meter") * _MANY_SECONDS + pl.col("cell")).alias("id"))
        .group_by("id")
        .agg(*_side_by_side(), _flags(), pl.col("version").max())
        .with_columns((pl.col("id") // _MANY_SECONDS).alias("meter"), (pl.col("id") % _MANY_SECONDS).alias("cell"))
        .collect(engine="streaming")
        .join(names, on="meter")
        .with_columns(_moment("cell"))
    )
    complete = pl.all_horizontal(pl.col(f"{channel}_milli_wh").is_not_null() for channel in MARKET_CHANNELS)
    estimated, barred = pl.lit(False), pl.lit(False)
    guessed = rows.filter((pl.col("source") == ESTIMATE) & pl.col("channel").is_in(MARKET_CHANNELS))
    if not guessed.is_empty():
        barring = guessed.group_by(key).agg(pl.lit(True).alias("_estimated"), (~pl.col("usable")).any().alias("_barred"))
        energy = energy.join(barring, on=key, how="left")
        estimated, barred = (pl.col(name).fill_null(False) for name in ("_estimated", "_barred"))
    return energy.with_columns(
        pl.lit(1, pl.Int32).alias("readings_expected"),
        (complete & ~estimated).cast(pl.Int32).alias("readings_present"),
        (complete & estimated & ~barred).cast(pl.Int32).alias("readings_estimated"),
    )


def _of_mixed_lengths(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows within the grid (`spread.on_grid`): one row for each meter and 15-second interval."""
    cell = ["meter_id", "cell"]
    market = pl.col("channel").is_in(MARKET_CHANNELS)
    ordered = rows.sort("meter_id", "channel", "interval_start", "duration_s")
    by_channel = ordered.group_by("meter_id", "channel", "cell", maintain_order=True).agg(
        pl.col("zone").min(),
        # A sum of nothing measured is not 0 Wh.
        pl.when(pl.col("energy_milli_wh").count() > 0).then(pl.col("energy_milli_wh").sum()).alias("energy_milli_wh"),
        pl.col("register_milli_wh", "state_of_charge_pct").drop_nulls().last(),
        _flags(),
        pl.col("version").max(),
        pl.col("duration_s").min().alias("length_s"),
        (pl.col("duration_s").n_unique() > 1).alias("mixed"),
        pl.col("covered_s").filter("measured").sum().alias("measured_s"),
        pl.col("covered_s").filter("counted").sum().alias("counted_s"),
    )
    numbered = by_channel.with_columns(pl.col("channel").cast(pl.Enum(CHANNELS)).to_physical().alias("number"))
    told = numbered.group_by(cell).agg(
        pl.col("zone").min(),
        *_side_by_side(),
        _flags(),
        pl.col("version").max(),
        pl.coalesce(pl.col("length_s").filter(market).min(), pl.col("length_s").min()).cast(pl.Int64).alias("length_s"),
        ((pl.col("length_s").filter(market).n_unique() > 1) | pl.col("mixed").filter(market).any()).alias("mixed"),
        (market.sum() == len(MARKET_CHANNELS)).alias("complete"),
        pl.col("measured_s", "counted_s").filter(market).min(),
    )
    # Readings of one length are counted one by one; where lengths differ, the time that all four channels tell of is.
    slots = (
        rows.filter(market)
        .group_by(*cell, "interval_start")
        .agg((pl.len() == len(MARKET_CHANNELS)).alias("whole"), pl.col("measured", "counted").all())
        .filter("whole")
        .group_by(cell)
        .agg(pl.col("measured").sum().alias("measured_n"), pl.col("counted").sum().alias("counted_n"))
    )
    length = pl.col("length_s")
    one_by_one = (length != GRID_S) & ~pl.col("mixed")
    covered = {n: pl.when("complete").then(pl.col(f"{n}_s") // length).otherwise(0) for n in ("measured", "counted")}
    count = {
        name: pl.when(one_by_one).then(pl.col(f"{name}_n").fill_null(0)).otherwise(expr).fill_null(0).cast(pl.Int32)
        for name, expr in covered.items()
    }
    return told.join(slots, on=cell, how="left").with_columns(
        _moment("cell"),
        (GRID_S // length).cast(pl.Int32).alias("readings_expected"),
        count["measured"].alias("readings_present"),
        (count["counted"] - count["measured"]).alias("readings_estimated"),
    )


def _of(channel: str, value: pl.Expr) -> pl.Expr:
    return pl.when(pl.col("number") == CHANNELS.index(channel)).then(value).max()


def _side_by_side() -> list[pl.Expr]:
    """Every channel's columns, from rows in which `number` is the channel's place in CHANNELS."""
    return [
        *(_of(channel, pl.col("energy_milli_wh")).alias(f"{channel}_milli_wh") for channel in ENERGY_CHANNELS),
        *(_of(channel, pl.col("register_milli_wh")).alias(f"{channel}_register_milli_wh") for channel in ENERGY_CHANNELS),
        _of(STATE_OF_CHARGE, pl.col("state_of_charge_pct")).alias("state_of_charge_pct"),
    ]


def _moment(seconds: str) -> pl.Expr:
    return pl.from_epoch(pl.col(seconds) * 1_000_000, "us").cast(pl.Datetime("us", "UTC")).alias("interval_start")


def _flags() -> pl.Expr:
    """Valid only if every part is; any other flag if one part has it (IEEE 2030.5 qualityFlags)."""
    flags = pl.col("quality_flags")
    return ((flags.bitwise_and() & VALID) | (flags.bitwise_or() & ~VALID)).cast(pl.Int32).alias("quality_flags")

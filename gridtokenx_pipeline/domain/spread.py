"""Readings of any length on the 15-second grid: shorter ones stay as they are, longer ones are spread, to the milli-watt-hour.

A reading of energy E over [s, e) has given C(b) = floor(E x (b - s) / (e - s)) at each boundary b of the grid within it, and a
grid interval gets what C rises in it. So the parts add up to E exactly, whatever E is, and are as even as whole numbers can be.
"""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.domain.channels import STATE_OF_CHARGE
from gridtokenx_pipeline.domain.effective import ESTIMATE
from gridtokenx_pipeline.domain.findings import DERIVED, VALID

GRID_S = 15
LONGEST_SPREAD_S = 3600
_HOUR_S = 3600
_CELL = ["meter_id", "channel", "cell"]


def fits(longest_spread_s: int = LONGEST_SPREAD_S) -> pl.Expr:
    """Whether a row's duration_s can be put on the grid: it divides the hour, so that no part leaves it, and isn't too long."""
    length = pl.col("duration_s")
    return (_HOUR_S % length == 0) & (length <= max(longest_spread_s, GRID_S))


def on_grid(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows (`effective.EFFECTIVE`, all of which fit) as rows within the grid.

    The columns of `rows` less source and usable, and: `cell` (Int64), the epoch second of the 15-second interval; `covered_s`
    (Int64), how much of it the row tells, its length, or what a spread reading had of the interval; `measured` and `counted`
    (Boolean), whether it was measured, and whether it was or settlement may use its estimate. Spread rows are as long as the
    interval and derived (32). Where a meter's channel tells more than 15 s of an interval, its shortest rows count alone.
    """
    start, length = pl.col("interval_start").dt.epoch("s"), pl.col("duration_s").cast(pl.Int64)
    measured = pl.col("source") != ESTIMATE
    rows = rows.select(
        pl.exclude("source", "usable"),
        measured.alias("measured"),
        (measured | pl.col("usable")).alias("counted"),
        start.alias("at"),
        (start // GRID_S * GRID_S).alias("cell"),
        length.alias("covered_s"),
        length.alias("of_s"),
    )
    within = GRID_S % pl.col("duration_s") == 0
    parts = _parts(rows.filter(~within))
    grid = pl.concat([rows.filter(within), parts])
    over = pl.col("covered_s").sum().over(_CELL) > GRID_S
    grid = grid.filter(~over | (pl.col("of_s") == pl.col("of_s").min().over(_CELL)))
    return _joined(grid)


def _parts(long: pl.DataFrame) -> pl.DataFrame:
    """The parts of readings that are longer than the grid, or cross it; `of_s` is the length of the reading they are of."""
    end = pl.col("start") + pl.col("of_s")
    cells = pl.int_ranges("cell", end, GRID_S, dtype=pl.Int64)
    parts = long.with_columns(pl.col("at").alias("start")).with_columns(cells.alias("cell")).explode("cell")
    first = pl.max_horizontal("cell", "start") - pl.col("start")
    last = pl.min_horizontal(pl.col("cell") + GRID_S, end) - pl.col("start")
    given = _given(last)
    parts = parts.with_columns(
        (given - _given(first)).alias("part"),
        (pl.col("register_milli_wh") - pl.col("energy_milli_wh") + given).alias("register_milli_wh"),
        (last - first).alias("covered_s"),
        pl.max_horizontal("cell", "start").alias("at"),
        pl.when(last == pl.col("of_s")).then("state_of_charge_pct").alias("state_of_charge_pct"),
        (pl.col("quality_flags") | DERIVED).cast(pl.Int32).alias("quality_flags"),
        pl.from_epoch(pl.col("cell") * 1_000_000, "us").cast(pl.Datetime("us", "UTC")).alias("interval_start"),
        pl.lit(GRID_S, pl.Int32).alias("duration_s"),
    )
    told = (pl.col("channel") != STATE_OF_CHARGE) | pl.col("state_of_charge_pct").is_not_null()
    return parts.filter(told).with_columns(pl.col("part").alias("energy_milli_wh")).drop("start", "part")


def _given(seconds: pl.Expr) -> pl.Expr:
    """C after `seconds`; the division comes first, so that no energy is too large for the product."""
    energy, length = pl.col("energy_milli_wh"), pl.col("of_s")
    return energy // length * seconds + energy % length * seconds // length


def _joined(grid: pl.DataFrame) -> pl.DataFrame:
    """One row for each meter, channel, start and length: parts of two readings that share an interval become one."""
    key = ["meter_id", "channel", "interval_start", "duration_s"]
    shared = grid.select(key).is_duplicated()
    if not shared.any():
        return grid.drop("of_s", "at")
    flags = pl.col("quality_flags")
    both = (
        grid.filter(shared)
        .sort(*key, "at")
        .group_by(key, maintain_order=True)
        .agg(
            pl.col("zone").min(),
            pl.col("energy_milli_wh").sum(),
            pl.col("register_milli_wh", "state_of_charge_pct").drop_nulls().last(),
            ((flags.bitwise_and() & VALID) | (flags.bitwise_or() & ~VALID)).cast(pl.Int32).alias("quality_flags"),
            pl.col("version").max(),
            pl.col("measured", "counted").all(),
            pl.col("cell").first(),
            pl.col("covered_s").sum(),
        )
    )
    whole = grid.filter(~shared).drop("of_s", "at")
    return pl.concat([whole, both.select(whole.columns)])

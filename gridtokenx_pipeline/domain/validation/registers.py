"""Interval values against the registers around them: check 5, the sum check."""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.domain.findings import Finding

from .found import exceptions, nothing
from .series import HOUR_S, SERIES, Series

_POWERS = [10**n for n in range(1, 7)]


def register_mismatch(series: Series) -> pl.DataFrame:
    """Energy and register difference of 5 minutes, or of the hour, differ by more than max(sum_check_lsb, sum_check_pct).

    Summed are the readings that have a register and directly follow one; not those at which the register began anew. A block
    longer than 5 minutes is judged as it is. An hour is told only where none of its blocks was. sum_check_lsb counts steps of
    the meter: milli-watt-hours, or the power of ten that all its values in the evidence are multiples of.
    """
    blocks = series.blocks.filter((pl.col("known") > 0) & (pl.col("at") >= series.start_s)).join(
        series.threshold("sum_check_lsb", "sum_check_pct"), on="meter"
    )
    by_block = blocks.rename({"block_s": "length_s"}).filter(_off(pl.lit(1)))
    hours = (
        blocks.with_columns((pl.col("at") // HOUR_S * HOUR_S).alias("at"))
        .group_by("meter", "channel", "at", "sum_check_lsb", "sum_check_pct")
        .agg(pl.col("off", "moved").sum())
        .with_columns(pl.lit(HOUR_S, pl.Int64).alias("length_s"))
        .filter(_off(pl.lit(1)))
    )
    if by_block.is_empty() and hours.is_empty():
        return nothing()
    steps = resolution(series, pl.concat([by_block.select(SERIES), hours.select(SERIES)]).unique())
    by_block, hours = (frame.join(steps, on=SERIES).filter(_off(pl.col("step"))) for frame in (by_block, hours))
    told = by_block.select(*SERIES, (pl.col("at") // HOUR_S * HOUR_S).alias("at")).unique()
    columns = [*SERIES, "at", "length_s", "off", "moved"]
    both = pl.concat([by_block.select(columns), hours.join(told, on=[*SERIES, "at"], how="anti").select(columns)])
    detail = pl.format("interval values {} mWh, registers {} mWh", pl.col("moved") + pl.col("off"), "moved")
    return exceptions(series, both, Finding.REGISTER_MISMATCH, detail)


def confirmed() -> pl.Expr:
    """Whether a whole block (`Series.blocks` with sum_check_lsb and sum_check_pct) agrees with its registers."""
    return (pl.col("known") == pl.col("n")) & (pl.col("off").abs() <= tolerance(pl.lit(1)))


def tolerance(step: pl.Expr) -> pl.Expr:
    """What energy and registers may differ by (mWh)."""
    return pl.max_horizontal(pl.col("sum_check_lsb") * step, pl.col("moved").abs() * pl.col("sum_check_pct") / 100)


def resolution(series: Series, wanted: pl.DataFrame) -> pl.DataFrame:
    """The step of series of meter and channel: meter, channel, step (Int64, mWh), the power of ten that divides all values."""
    rows = series.rows.join(wanted, on=SERIES, how="semi")
    divides = [((pl.col("energy") % power == 0).all() & (pl.col("register") % power == 0).all()) for power in _POWERS]
    # 10 divides what 100 does, so the count of those that divide is the exponent.
    exponent = pl.sum_horizontal(test.cast(pl.Int64) for test in divides)
    step = pl.lit(10, pl.Int64).pow(exponent).cast(pl.Int64)
    return rows.group_by(SERIES).agg(step.alias("step"))


def _off(step: pl.Expr) -> pl.Expr:
    return pl.col("off").abs() > tolerance(step)

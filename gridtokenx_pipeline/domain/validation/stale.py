"""Values that do not move though they should: check 9."""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.domain.findings import Finding

from .found import exceptions, nothing, stretches
from .series import BLOCK_S, FEEDER, HOUR_S, LOOKBACK_S, NUMBER, SERIES, Series

LEAST_NEIGHBOURS = 2
AT_RATING = 0.98
FINE_STEPS = 100
_DAY_S = 86_400


def zero_generation(series: Series) -> pl.DataFrame:
    """No generation (0, or tare below it) for zero_generation_min in a row while the others' median is above neighbours_pct.

    The median, in percent of rated power, is of at least two others. It is judged by 5-minute energy. How long it has lasted
    counts up to the end of the hour, from at most an hour before: what an hour is told does not depend on later ones.
    """
    meters = series.meters.filter((pl.col("meter_type") != FEEDER) & (pl.col("rated_kw") > 0))
    slots = (
        series.slots.filter(pl.col("channel") == NUMBER["generation"], pl.col("at") >= series.start_s - LOOKBACK_S)
        .filter(pl.col("at") + BLOCK_S <= series.closed_s)
        .join(meters.select("meter", "rated_kw", "neighbours_pct", "zero_generation_min"), on="meter")
        .with_columns(
            (pl.col("energy").clip(0) * 0.36 / (pl.col("block_s") * pl.col("rated_kw"))).alias("part"),
        )
    )
    # A meter that is at 0 is the least of all: what is left without it is the same for all that are.
    others = slots.group_by("at").agg(
        pl.col("part").sort().slice(1).median().alias("median"), (pl.len() - 1).cast(pl.Int64).alias("others")
    )
    dark = slots.filter(pl.col("energy") <= 0).join(others.filter(pl.col("others") >= LEAST_NEIGHBOURS), on="at")
    dark = dark.filter(pl.col("median") > pl.col("neighbours_pct"))
    if dark.is_empty():
        return nothing()
    dark = dark.sort("meter", "at")
    follows = (pl.col("at") == pl.col("at").shift(1) + BLOCK_S) & (pl.col("meter") == pl.col("meter").shift(1))
    dark = dark.with_columns((~follows.fill_null(False)).cum_sum().alias("run"))
    lasting = _lasting(dark, LOOKBACK_S, pl.col("zero_generation_min") * 60)
    joined = stretches(lasting, pl.col("lasted").max(), pl.col("median").min().round(1))
    detail = pl.format("no generation for {} s, others' median at least {} % of rated power", "lasted", "median")
    return exceptions(series, joined.filter(pl.col("at") >= series.start_s), Finding.ZERO_GENERATION, detail)


def zero_load(series: Series) -> pl.DataFrame:
    """A load of exactly 0 for zero_load_h, by 5-minute energy of the readings and of history, which goes back a day.

    What is missing in between does not end it, but at least half of the time has to be known.
    """
    slots = series.slots.filter(pl.col("channel") == NUMBER["load"], pl.col("at") + BLOCK_S <= series.closed_s)
    now = slots.filter((pl.col("energy") == 0) & (pl.col("at") >= series.start_s)).select("meter").unique()
    if now.is_empty():
        return nothing()
    slots = slots.join(now, on="meter", how="semi").join(series.threshold("zero_load_h"), on="meter")
    slots = slots.with_columns((pl.col("energy") != 0).cum_sum().over("meter").alias("run"))
    zero = slots.filter(pl.col("energy") == 0).with_columns((pl.col("meter") * slots.height + pl.col("run")).alias("run"))
    needed = pl.col("zero_load_h") * HOUR_S
    known = pl.int_range(1, pl.len() + 1).over("run", order_by="at") * BLOCK_S
    zero = zero.with_columns(known.alias("known"), pl.col("at").min().over("run").alias("since"))
    hour = pl.col("at") // HOUR_S
    lasted = (pl.col("at").max().over("run", hour) + BLOCK_S - pl.col("since")).alias("lasted")
    zero = zero.with_columns(lasted, pl.col("known").max().over("run", hour).alias("known"))
    long = zero.filter(pl.col("at") >= series.start_s, pl.col("lasted") >= needed, pl.col("known") * 2 >= needed)
    if long.is_empty():
        return nothing()
    long = long.with_columns(pl.lit(BLOCK_S, pl.Int64).alias("length_s"))
    # How far back history goes is no matter of the meter's.
    joined = stretches(long, pl.col("zero_load_h").first())
    return exceptions(series, joined, Finding.ZERO_LOAD, pl.format("a load of exactly 0 for {} h and longer", "zero_load_h"))


def stuck(series: Series) -> pl.DataFrame:
    """stuck_readings equal values other than 0 in a row, of generation or load.

    A battery charges and discharges at its limit, and the connection sees what is behind it, so those are not judged. Nor is
    generation at the inverter's rating (98 % or more), nor values so coarse that a steady load looks like this: of less than 100
    steps, a step being the power of ten that divides all values of the series in the hour and before. The run counts up to the
    end of the hour; from an hour before, and for readings of 5 minutes and more from a day before, by history.
    """
    rows = series.of("generation", "load").filter(pl.col("energy").is_not_null())
    rows = rows.select(*SERIES, pl.col("start_s").alias("at"), "length_s", "energy")
    coarse = rows.filter((pl.col("length_s") >= BLOCK_S) & (HOUR_S % pl.col("length_s") == 0))
    rows = pl.concat([rows, _earlier(series, coarse)]).sort(*SERIES, "length_s", "at")
    same = pl.all_horizontal(pl.col(name) == pl.col(name).shift(1) for name in (*SERIES, "length_s", "energy"))
    rows = rows.with_columns((~same.fill_null(False)).cum_sum().alias("run"))
    runs = rows.filter(pl.col("energy") != 0).with_columns(pl.len().over("run").alias("n"))
    limits = series.threshold("stuck_readings", "rated_kw")
    runs = runs.join(limits, on="meter").filter(pl.col("n") >= pl.col("stuck_readings"))
    rated = pl.col("rated_kw") * 1_000_000 * pl.col("length_s") / HOUR_S
    runs = runs.filter((pl.col("channel") != NUMBER["generation"]) | (pl.col("energy") < AT_RATING * rated))
    if runs.is_empty():
        return nothing()
    back = pl.when(pl.col("length_s") >= BLOCK_S).then(_DAY_S).otherwise(LOOKBACK_S)
    counted = _counted(runs, back)
    counted = counted.filter((pl.col("in_a_row") >= pl.col("stuck_readings")) & (pl.col("at") >= series.start_s))
    counted = _fine(counted, rows)
    if counted.is_empty():
        return nothing()
    joined = stretches(counted, pl.col("in_a_row").max(), pl.col("energy").first(), by=[*SERIES, "run"])
    detail = pl.format("{} mWh in each of {} readings in a row", "energy", "in_a_row")
    return exceptions(series, joined, Finding.STUCK, detail)


def _lasting(rows: pl.DataFrame, back_s: int, needed: pl.Expr) -> pl.DataFrame:
    """Slots (run, at) whose run has lasted `needed` by their hour's end, from `back_s` before the hour; with lasted, length_s."""
    hour = pl.col("at") // HOUR_S * HOUR_S
    since = pl.max_horizontal(pl.col("at").min().over("run"), hour - back_s)
    until = pl.col("at").max().over("run", hour) + BLOCK_S
    lasted = rows.with_columns((until - since).alias("lasted"), pl.lit(BLOCK_S, pl.Int64).alias("length_s"))
    return lasted.filter(pl.col("lasted") >= needed)


def _counted(runs: pl.DataFrame, back_s: pl.Expr) -> pl.DataFrame:
    """Add in_a_row: readings of the run from `back_s` before the hour to the hour's last."""
    hour = pl.col("at") // HOUR_S * HOUR_S
    runs = runs.with_columns(
        hour.alias("hour"), (hour - back_s).alias("from"), pl.int_range(pl.len()).over("run", order_by="at").alias("place")
    )
    hours = runs.group_by("run", "hour", "from").agg((pl.col("place").max() + 1).alias("until"))
    first = runs.select("run", pl.col("at").alias("from"), "place").sort("from")
    hours = hours.sort("from").join_asof(first, on="from", by="run", strategy="forward", check_sortedness=False)
    return runs.drop("place").join(
        hours.select("run", "hour", (pl.col("until") - pl.col("place")).alias("in_a_row")), on=["run", "hour"]
    )


def _fine(counted: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Without values of fewer than FINE_STEPS steps."""
    hours = counted.select(*SERIES, "hour").unique()
    around = hours.join(rows, on=SERIES).filter(
        pl.col("at") >= pl.col("hour") - LOOKBACK_S, pl.col("at") < pl.col("hour") + HOUR_S
    )
    powers = [10**n for n in range(1, 10)]
    exponent = pl.sum_horizontal((pl.col("energy") % power == 0).all().cast(pl.Int64) for power in powers)
    # A series of one value only has no step: whether it is coarse cannot be told, and it is stuck.
    alone = pl.col("energy").n_unique() == 1
    step = pl.when(alone).then(1).otherwise(pl.lit(10, pl.Int64).pow(exponent)).cast(pl.Int64)
    steps = around.group_by(*SERIES, "hour").agg(step.alias("step"))
    return counted.join(steps, on=[*SERIES, "hour"]).filter(pl.col("energy").abs() >= FINE_STEPS * pl.col("step"))


def _earlier(series: Series, coarse: pl.DataFrame) -> pl.DataFrame:
    """Readings of 5 minutes and more as the day before the lookback had them, put together from history."""
    lengths = coarse.select(*SERIES, "length_s").unique()
    past = series.history.filter(pl.col("at") < series.start_s - LOOKBACK_S, pl.col("at") >= series.start_s - LOOKBACK_S - _DAY_S)
    joined = past.join(lengths, on=SERIES).with_columns((pl.col("at") // pl.col("length_s") * pl.col("length_s")).alias("at"))
    whole = joined.group_by(*SERIES, "at", "length_s").agg(pl.col("energy").sum(), (pl.len() * BLOCK_S).alias("covered"))
    return whole.filter(pl.col("covered") == pl.col("length_s")).select(*SERIES, "at", "length_s", "energy")

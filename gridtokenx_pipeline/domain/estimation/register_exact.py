"""Gaps between two registers: the energy is their difference, exactly; what is estimated is its shape."""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.domain.findings import QUESTIONABLE

from .gaps import start_s
from .slots import share, slots, wide

# The neighbours shape a gap up to so long: within an hour of any hour it touches, so that each hour's estimates are made from the
# same readings and add up. A longer gap gets the line between its neighbours in time.
SHAPE_S = 3600
LEAST_NEIGHBOURS = 3
# Neighbours are looked for among so many meters, the first by name: a fleet's shape needs no more, and ten thousand would cost.
PANEL = 64
_FOREVER = 1 << 60
_WEIGHTS = ("weight", "weight_after", "weights")


def register_exact(gaps: pl.DataFrame, panel: pl.DataFrame, first_s: int, last_s: int) -> pl.DataFrame:
    """Return the slots of `gaps` (`find_gaps`, with `gap`, a number, and `difference`) within [first_s, last_s).

    Adds energy_milli_wh and register_milli_wh (Int64) at the end of each. The shape is the sum of the neighbours' energies in the
    same intervals where at least 3 of them have them all, else the line between the readings around the gap; all slots of a gap
    add up to `difference`. `panel`: core.readings of possible neighbours, one version each.
    """
    short = gaps.filter(pl.col("gap_end") - pl.col("gap_start") <= SHAPE_S)
    shaped = _by_neighbours(short, panel)
    rest = gaps.join(shaped, on="gap", how="anti")
    close = slots(short, first_s, last_s).join(shaped, on=["gap", "k"])
    return pl.concat([_filled(close), _filled(_on_a_line(slots(rest, first_s, last_s)))])


def _by_neighbours(gaps: pl.DataFrame, panel: pl.DataFrame) -> pl.DataFrame:
    """Cumulative weights (`_WEIGHTS`, Int128) of every k of the gaps that have enough neighbours."""
    missing = slots(gaps, 0, _FOREVER).select("gap", "k", "at", "slot_s", "zone", "channel")
    good = panel.filter(pl.col("quality_flags") & QUESTIONABLE == 0).select(
        "zone",
        "channel",
        pl.col("meter_id").alias("neighbour"),
        start_s().alias("at"),
        pl.col("duration_s").cast(pl.Int64).alias("slot_s"),
        pl.max_horizontal("energy_milli_wh", 0).alias("energy"),
    )
    told = missing.join(good, on=["zone", "channel", "at", "slot_s"])
    whole = pl.len().over("gap", "neighbour") == pl.col("n")
    told = told.join(missing.group_by("gap").agg(pl.len().alias("n")), on="gap").filter(whole)
    enough = told.group_by("gap").agg(pl.col("neighbour").n_unique().alias("meters"), pl.col("energy").sum().alias("total"))
    enough = enough.filter((pl.col("meters") >= LEAST_NEIGHBOURS) & (pl.col("total") > 0))
    shape = told.join(enough, on="gap", how="semi").group_by("gap", "k").agg(wide("energy").sum().alias("own")).sort("gap", "k")
    return shape.select(
        "gap",
        "k",
        (pl.col("own").cum_sum().over("gap") - pl.col("own")).alias("weight"),
        pl.col("own").cum_sum().over("gap").alias("weight_after"),
        pl.col("own").sum().over("gap").alias("weights"),
    )


def _on_a_line(missing: pl.DataFrame) -> pl.DataFrame:
    """Add `_WEIGHTS`: the power goes in a line from the reading before to the one after; evenly where both are 0."""
    count = (wide("gap_end") - pl.col("gap_start")) // pl.col("slot_s")
    power = pl.max_horizontal(wide("energy_milli_wh"), 0) * pl.col("duration_s_after")
    power_after = pl.max_horizontal(wide("energy_milli_wh_after"), 0) * pl.col("duration_s")
    flat = (power + power_after == 0).cast(pl.Int128)

    def reached(k: pl.Expr) -> pl.Expr:
        """Sum of the weights power x (2n - 2j - 1) + power_after x (2j + 1) of all j below k."""
        return (power + flat) * (2 * count * k - k * k) + (power_after + flat) * k * k

    k = wide("k")
    return missing.with_columns(reached(k).alias("weight"), reached(k + 1).alias("weight_after"), reached(count).alias("weights"))


def _filled(missing: pl.DataFrame) -> pl.DataFrame:
    until = share(wide("difference"), pl.col("weight_after"), pl.col("weights"))
    energy = until - share(wide("difference"), pl.col("weight"), pl.col("weights"))
    return missing.with_columns(
        energy.alias("energy_milli_wh"), (pl.col("register_milli_wh") + until).alias("register_milli_wh")
    ).drop(*_WEIGHTS)

"""The evidence as numbers: readings in order, and their sums over blocks of at least 5 minutes.

Names are numbers here (places in the sorted list of meters and in CHANNELS), times are epoch seconds and energies
milli-watt-hours, all Int64: a million readings are sorted and grouped several times as fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import polars as pl

from gridtokenx_pipeline.contracts.core import CHANNELS
from gridtokenx_pipeline.domain.effective import latest

from .evidence import LOOKBACK, Evidence

HOUR_S = 3600
BLOCK_S = 300
FEEDER = "feeder"
NUMBER = {name: number for number, name in enumerate(CHANNELS)}
SERIES = ["meter", "channel"]
LOOKBACK_S = int(LOOKBACK.total_seconds())


@dataclass(frozen=True)
class Series:
    """Evidence prepared for the checks.

    `rows`: the latest version of each reading within [start_s - LOOKBACK_S, end_s), sorted by meter, channel, start_s, length_s:
    meter, channel, start_s, length_s, end_s, hour (its hour's start), energy, register (Int64, null where there is none) and
    findings (String). `readings`: all versions that begin before end_s. `meters`: the ratings with `meter`, sorted by it.
    """

    evidence: Evidence
    readings: pl.DataFrame
    rows: pl.DataFrame
    meters: pl.DataFrame
    start_s: int
    end_s: int
    closed_s: int

    @property
    def names(self) -> list[str]:
        """Meters' ids by number."""
        return self.meters["meter_id"].to_list()

    def threshold(self, *columns: str) -> pl.DataFrame:
        """Return meter and `columns` of the ratings."""
        return self.meters.select("meter", *columns)

    def of(self, *channels: str) -> pl.DataFrame:
        """Return the rows of channels."""
        return self.rows.filter(pl.col("channel").is_in([NUMBER[name] for name in channels]))

    @cached_property
    def judged(self) -> pl.DataFrame:
        """The rows of the hours themselves."""
        return self.rows.filter(pl.col("start_s") >= self.start_s)

    @cached_property
    def blocks(self) -> pl.DataFrame:
        """Sums of readings: meter, channel, at, block_s, energy, covered_s, n, and `off`, `moved` and `known`.

        A block is 300 s; of a longer reading it is the reading; where readings fit into neither but into the hour, it is the
        hour. What fits nowhere is in no block. `off` is energy less register difference (tare counts as 0, since no register
        tells it), `moved` the register difference, both summed over the `known` readings: those with a register that directly
        follow one.
        """
        length = pl.col("length_s")
        block = (
            pl.when(BLOCK_S % length == 0)
            .then(BLOCK_S)
            .when((length > BLOCK_S) & (HOUR_S % length == 0))
            .then(length)
            .when(HOUR_S % length == 0)
            .then(HOUR_S)
            .cast(pl.Int64)
        )
        rows = self.rows.filter(pl.col("energy").is_not_null()).with_columns(block.alias("block_s")).drop_nulls("block_s")
        rows = rows.with_columns(
            (pl.col("start_s") // pl.col("block_s") * pl.col("block_s")).alias("at"), _moved().alias("moved")
        )
        return (
            rows.lazy()
            .group_by("meter", "channel", "at", "block_s")
            .agg(
                pl.col("energy").sum(),
                pl.col("length_s").sum().alias("covered_s"),
                pl.len().cast(pl.Int64).alias("n"),
                (pl.col("energy").clip(0) - pl.col("moved")).sum().alias("off"),
                pl.col("moved").sum(),
                pl.col("moved").count().cast(pl.Int64).alias("known"),
            )
            .sort("meter", "channel", "block_s", "at")
            .collect()
        )

    @cached_property
    def slots(self) -> pl.DataFrame:
        """Generation and load on the grid of 5 minutes, older ones from history: meter, channel, at, energy, block_s, sorted.

        `energy` is of the block_s seconds that the slot is part of. Blocks that overlap others are left out, and so are blocks
        that are not whole.
        """
        wanted = [NUMBER["generation"], NUMBER["load"]]
        whole = self.blocks.filter((pl.col("covered_s") == pl.col("block_s")) & pl.col("channel").is_in(wanted))
        fine, coarse = whole.filter(pl.col("block_s") == BLOCK_S), whole.filter(pl.col("block_s") > BLOCK_S)
        columns = ["meter", "channel", "at", "energy", "block_s"]
        pieces = coarse.with_columns(pl.int_ranges("at", pl.col("at") + pl.col("block_s"), BLOCK_S).alias("at")).explode("at")
        history = self.history.filter(pl.col("at") < self.start_s - LOOKBACK_S)
        found = pl.concat([frame.select(columns) for frame in (history, fine, pieces)])
        return found.unique(["meter", "channel", "at"], keep="first", maintain_order=True).sort("meter", "channel", "at")

    @cached_property
    def history(self) -> pl.DataFrame:
        """The 5-minute energy of earlier days: meter, channel, at, energy, block_s."""
        told = self.evidence.history.with_columns(numbered(self.names)).drop_nulls("meter")
        parts = [
            told.select(
                "meter",
                pl.lit(NUMBER[name], pl.Int64).alias("channel"),
                pl.col("interval_start").dt.epoch("s").alias("at"),
                pl.col(f"{name}_milli_wh").alias("energy"),
                pl.lit(BLOCK_S, pl.Int64).alias("block_s"),
            )
            for name in ("generation", "load")
        ]
        return pl.concat(parts).filter(pl.col("energy").is_not_null(), pl.col("at") < self.start_s)


def prepare(evidence: Evidence) -> Series:
    """Return the evidence as numbers."""
    meters = evidence.meters.sort("meter_id").with_row_index("meter").with_columns(pl.col("meter").cast(pl.Int64))
    first, last = (int(moment.timestamp()) for moment in (evidence.start, evidence.end))
    readings = evidence.readings.filter(pl.col("interval_start") < evidence.end)
    rows = (
        latest(readings)
        .select(
            numbered(meters["meter_id"].to_list()),
            pl.col("channel").cast(pl.Enum(CHANNELS)).to_physical().cast(pl.Int64),
            pl.col("interval_start").dt.epoch("s").alias("start_s"),
            pl.col("duration_s").cast(pl.Int64).alias("length_s"),
            pl.col("energy_milli_wh").alias("energy"),
            pl.col("register_milli_wh").alias("register"),
            "findings",
        )
        .with_columns(
            (pl.col("start_s") + pl.col("length_s")).alias("end_s"), (pl.col("start_s") // HOUR_S * HOUR_S).alias("hour")
        )
        .filter(pl.col("meter").is_not_null(), pl.col("end_s") > first - LOOKBACK_S)
        .sort("meter", "channel", "start_s", "length_s")
    )
    return Series(evidence, readings, rows, meters, first, last, min(last, int(evidence.closed_before.timestamp())))


def numbered(names: list[str]) -> pl.Expr:
    """The meter's number; null for a meter that has no ratings."""
    return pl.col("meter_id").cast(pl.Enum(names), strict=False).to_physical().cast(pl.Int64).alias("meter")


def _moved() -> pl.Expr:
    """The register's difference over a row; null where it does not directly follow a register of the same count."""
    before = (pl.col(name).shift(1) for name in ("meter", "channel", "end_s", "register"))
    meter, channel, end, register = before
    follows = (meter == pl.col("meter")) & (channel == pl.col("channel")) & (end == pl.col("start_s"))
    anew = pl.col("findings").fill_null("").str.contains_any(["register_rollover", "meter_swap"])
    return pl.when(follows & ~anew).then(pl.col("register") - register)

"""What energy was known to be before: every state of an interval that changed after it had closed.

What the pipeline knows changes with what it receives and what people edit, at five-minute marks: at a mark it knows what was
received and edited until then. A state is the energy of an interval as it follows from what was known at a mark, and the first
one from what was known at the interval's close.
"""

from __future__ import annotations

import datetime as dt
from typing import Protocol

import polars as pl

from gridtokenx_pipeline.contracts.core import ENERGY_CHANNELS, REVISIONS

MARK_S = 300
_ENERGIES = [f"{channel}_milli_wh" for channel in ENERGY_CHANNELS]
_KEY = ["meter_id", "interval_start"]
_SERIES = ["meter_id", "channel"]
_GAP = ("gap_start", "gap_end")
_REACH = pl.duration(hours=1)
_STATE = [*_ENERGIES, "readings_expected", "readings_present", "readings_estimated", "quality_flags"]


class EnergyOf(Protocol):
    """How energy follows from readings and edits: estimates, what counts, and levels."""

    def __call__(
        self, readings: pl.DataFrame, edits: pl.DataFrame, at: dt.datetime, start: dt.datetime, end: dt.datetime
    ) -> pl.DataFrame:
        """Return core.energy_5min of the event hours [start, end) from what was known at `at`.

        `readings` and `edits` are already those of then, an hour around the hours and further, where they were given. Intervals
        that end later than `at` less the watermark have not closed.
        """


def known_at(readings: pl.DataFrame, edits: pl.DataFrame, at: dt.datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows of core.readings and core.edits that had been received and made by `at`."""
    return readings.filter(pl.col("received_at") <= at), edits.filter(pl.col("edited_at") <= at)


def revisions(
    readings: pl.DataFrame,
    edits: pl.DataFrame,
    estimates: pl.DataFrame,
    energy: pl.DataFrame,
    energy_of: EnergyOf,
    *,
    start: dt.datetime,
    end: dt.datetime,
    watermark_s: int,
) -> pl.DataFrame:
    """Return core.energy_revisions of the 5-minute intervals that begin in the event hours [start, end), sorted by key.

    `readings`: core.readings, any versions, of the hours and as far around as estimates look. `edits`, `estimates` and `energy`
    (core.energy_5min): of the hours, as they are now; `energy` is the last state. An interval is looked at if a reading of it was
    received, or an edit of it made, after it had closed, or if an estimate in it rests on a reading that came later. It has rows
    if its states differ. Late data of a neighbour, which can move energy within another meter's gap, is no reason to look.
    """
    changes = _changes(readings, edits, estimates, start, end, watermark_s)
    if changes.is_empty():
        return REVISIONS.empty()
    # The last change of an interval made it what it is now; the states before it have to be worked out.
    last = pl.col("known_from") == pl.col("known_from").max().over(_KEY)
    now = changes.filter(last).join(energy.select(*_KEY, "zone", *_STATE), on=_KEY, how="left")
    before = changes.filter(~last)
    names = pl.concat([readings.select("meter_id", "zone"), edits.select("meter_id", "zone")]).unique("meter_id", keep="any")
    states = [now.drop("zone"), *(_states(some, readings, edits, energy_of) for some in _together(before))]
    rows = pl.concat([frame.select(*_KEY, "known_from", *_STATE) for frame in states]).join(names, on="meter_id")
    return REVISIONS.conform(_numbered(rows))


def as_known(
    energy_5min: pl.DataFrame, revisions: pl.DataFrame, at: dt.datetime | pl.Series, *, watermark_s: int = 60
) -> pl.DataFrame:
    """Return core.energy_5min rows as they were known at a moment, or each at its own (Datetime, UTC, as many as rows).

    Intervals that had not closed by then, `watermark_s` after their end, are left out. Registers and state of charge are null
    where the state is not the present one. Rows stay in order.
    """
    moments = at if isinstance(at, pl.Series) else pl.repeat(at, energy_5min.height, dtype=pl.Datetime("us", "UTC"), eager=True)
    rows = energy_5min.with_columns(moments.cast(pl.Datetime("us", "UTC")).alias("_at")).with_row_index("_row")
    closed = pl.col("interval_start") + pl.duration(seconds=pl.col("duration_s") + watermark_s) <= pl.col("_at")
    revised = revisions.select(
        *_KEY,
        "known_from",
        (pl.col("revision") == pl.col("revision").max().over(_KEY)).alias("_last"),
        *(pl.col(name).alias(f"_{name}") for name in _STATE),
    )
    states = rows.select("_row", "_at", *_KEY).join(revised, on=_KEY).filter(pl.col("known_from") <= pl.col("_at"))
    states = states.filter(pl.col("known_from") == pl.col("known_from").max().over("_row"))
    earlier = pl.col("_last").is_not_null() & ~pl.col("_last")
    found = rows.filter(closed).join(states.drop("_at", *_KEY), on="_row", how="left", maintain_order="left")
    gone = [*(f"{channel}_register_milli_wh" for channel in ENERGY_CHANNELS), "state_of_charge_pct"]
    return found.with_columns(
        *(pl.when(earlier).then(f"_{name}").otherwise(name).alias(name) for name in _STATE),
        *(pl.when(~earlier).then(name).alias(name) for name in gone),
    ).select(energy_5min.columns)


def _mark(moment: pl.Expr) -> pl.Expr:
    """The five-minute mark at or after a moment."""
    micros = pl.lit(MARK_S * 1_000_000, pl.Int64)
    return ((moment.dt.epoch("us") + micros - 1) // micros * micros).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _changes(
    readings: pl.DataFrame, edits: pl.DataFrame, estimates: pl.DataFrame, start: dt.datetime, end: dt.datetime, watermark_s: int
) -> pl.DataFrame:
    """meter_id, interval_start of the intervals to look at, and known_from of each of their states, the close first."""
    read = readings.select(*_KEY, "duration_s", pl.col("received_at").alias("moment"))
    edited = edits.select(*_KEY, "duration_s", pl.col("edited_at").alias("moment"))
    causes = pl.concat([read, edited, _behind_estimates(readings, estimates, watermark_s)])
    seconds = pl.col("interval_start").dt.epoch("s")
    # Most readings come before even the first interval they are of has closed; only the others are looked at closer.
    late = causes.filter(pl.col("moment").dt.epoch("us") > (seconds // MARK_S * MARK_S + MARK_S + watermark_s) * 1_000_000)
    intervals = pl.int_ranges(seconds // MARK_S * MARK_S, seconds + pl.col("duration_s"), MARK_S)
    close = pl.col("interval_start") + pl.duration(seconds=MARK_S + watermark_s)
    marks = (
        late.with_columns(intervals.alias("interval_start"))
        .explode("interval_start")
        .with_columns((pl.col("interval_start") * 1_000_000).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))
        .filter(pl.col("interval_start").is_between(start, end, closed="left") & (pl.col("moment") > close))
        .select(*_KEY, _mark(pl.col("moment")).alias("known_from"))
        .unique()
    )
    # What comes late for one interval may change what is estimated in those around, once they changed at all.
    changed = marks.select(_KEY).unique()
    near = changed.join(marks.rename({"interval_start": "cause"}), on="meter_id")
    near = near.filter((pl.col("interval_start") - pl.col("cause")).abs() <= _REACH).filter(pl.col("known_from") > close)
    return pl.concat([marks, near.select(marks.columns), changed.with_columns(close.alias("known_from"))]).unique()


def _behind_estimates(readings: pl.DataFrame, estimates: pl.DataFrame, watermark_s: int) -> pl.DataFrame:
    """When each estimate became possible: when the readings around its gap were there, else when the gap's end had closed."""
    gaps = estimates.filter(pl.col("method") != "register_wins").select(*_SERIES, "interval_start", "duration_s", *_GAP)
    if gaps.is_empty():
        return gaps.select(*_KEY, "duration_s", pl.col("gap_end").alias("moment"))
    of_gaps = readings.join(gaps.select(_SERIES).unique(), on=_SERIES, how="semi")
    end = pl.col("interval_start") + pl.duration(seconds="duration_s")
    after = of_gaps.group_by(*_SERIES, pl.col("interval_start").alias("gap_end")).agg(pl.col("received_at").min().alias("ended"))
    before = of_gaps.group_by(*_SERIES, end.alias("gap_start")).agg(pl.col("received_at").min().alias("began"))
    both = gaps.join(after, on=[*_SERIES, "gap_end"], how="left").join(before, on=[*_SERIES, "gap_start"], how="left")
    closed = pl.col("gap_end") + pl.duration(seconds=watermark_s)
    causes = [both.select(*_KEY, "duration_s", pl.coalesce(name, closed).alias("moment")) for name in ("ended", "began")]
    return pl.concat(causes).unique()


def _together(before: pl.DataFrame) -> list[pl.DataFrame]:
    """The states that are worked out at once: those of one moment and day."""
    day = before.with_columns(pl.col("interval_start").dt.truncate("1d").alias("day"))
    return day.sort("known_from", "day").partition_by("known_from", "day", maintain_order=True)


def _states(some: pl.DataFrame, readings: pl.DataFrame, edits: pl.DataFrame, energy_of: EnergyOf) -> pl.DataFrame:
    at: dt.datetime = some["known_from"][0]
    hours = some["interval_start"].dt.truncate("1h")
    first, last = hours.min(), hours.max()
    assert isinstance(first, dt.datetime)
    assert isinstance(last, dt.datetime)
    known, edited = known_at(readings, edits, at)
    energy = energy_of(known, edited, at, first, last + dt.timedelta(hours=1))
    return some.join(energy.select(*_KEY, *_STATE), on=_KEY, how="left")


def _numbered(rows: pl.DataFrame) -> pl.DataFrame:
    """States in order, those that say what the one before said left out, with their numbers and differences."""
    fewest = pl.col("readings_expected").max().over(_KEY)
    rows = rows.sort(*_KEY, "known_from").with_columns(
        pl.col("readings_expected").fill_null(fewest).fill_null(0),
        pl.col("readings_present", "readings_estimated", "quality_flags").fill_null(0),
    )
    shown = [*_ENERGIES, "readings_present", "readings_estimated", "quality_flags", "readings_expected"]
    first = pl.col("known_from") == pl.col("known_from").min().over(_KEY)
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(1).over(_KEY)) for name in shown)
    rows = rows.filter(first | differs).filter(pl.len().over(_KEY) > 1)
    deltas = (
        pl.when(pl.int_range(pl.len()).over(_KEY) > 0)
        .then(pl.col(name).fill_null(0) - pl.col(name).shift(1).over(_KEY).fill_null(0))
        .alias(name.replace("_milli_wh", "_delta_milli_wh"))
        for name in _ENERGIES
    )
    return rows.with_columns(
        *deltas,
        pl.lit(MARK_S, pl.Int32).alias("duration_s"),
        (pl.int_range(pl.len(), dtype=pl.Int32).over(_KEY) + 1).alias("revision"),
    )

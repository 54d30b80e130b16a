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
_HOUR = dt.timedelta(hours=1)
_STATE = [*_ENERGIES, "readings_expected", "readings_present", "readings_estimated", "quality_flags"]


class EnergyOf(Protocol):
    """How energy follows from readings and edits: estimates, what counts, and levels."""

    def __call__(
        self, readings: pl.DataFrame, edits: pl.DataFrame, at: dt.datetime, start: dt.datetime, end: dt.datetime
    ) -> pl.DataFrame:
        """Return core.energy_5min of the event hours [start, end) from what was known at `at`.

        `readings` and `edits` are already those of then. Intervals that end later than `at` less the watermark have not closed.
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
    now = changes.filter(last).join(energy.select(*_KEY, *_STATE), on=_KEY, how="left")
    before = changes.filter(~last)
    silent = _silent(before, readings, edits, watermark_s)
    before = before.join(silent, on=[*_KEY, "known_from"], how="anti")
    before = pl.concat([before, _at_hours_end(silent, now, watermark_s)]).unique()
    nothing = silent.with_columns(pl.lit(None, kind).alias(name) for name, kind in energy.select(_STATE).schema.items())
    names = pl.concat([readings.select("meter_id", "zone"), edits.select("meter_id", "zone")]).unique("meter_id", keep="any")
    states = [now, nothing, *(_states(some, readings, edits, energy_of) for some in _together(before))]
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
    near = near.filter((pl.col("interval_start") - pl.col("cause")).abs() <= _HOUR).filter(pl.col("known_from") > close)
    again = _heard_again(changed, readings).filter(pl.col("known_from") > close)
    first = changed.with_columns(close.alias("known_from"))
    return pl.concat([marks, near.select(marks.columns), again.select(marks.columns), first]).unique()


def _heard_again(changed: pl.DataFrame, readings: pl.DataFrame) -> pl.DataFrame:
    """When each channel of the meters first told of a time after the intervals: a gap in them has an end from then on."""
    told = readings.join(changed, on="meter_id", how="semi").select(
        *_SERIES, (pl.col("interval_start") + pl.duration(seconds="duration_s")).alias("reached"), "received_at"
    )
    told = told.sort("received_at", "reached").with_columns(pl.col("reached").cum_max().over(_SERIES))
    told = told.unique([*_SERIES, "reached"], keep="first", maintain_order=True).sort("reached")
    after = (pl.col("interval_start") + pl.duration(seconds=MARK_S, microseconds=1)).alias("reached")
    wanted = changed.join(told.select(_SERIES).unique(), on="meter_id").with_columns(after).sort("reached")
    heard = wanted.join_asof(told, on="reached", by=_SERIES, strategy="forward", check_sortedness=False).drop_nulls("received_at")
    return heard.select(*_KEY, _mark(pl.col("received_at")).alias("known_from")).unique()


def _behind_estimates(readings: pl.DataFrame, estimates: pl.DataFrame, watermark_s: int) -> pl.DataFrame:
    """When each estimate became what it is: when a reading around its gap came, else when the gap's end had closed."""
    gaps = estimates.filter(pl.col("method") != "register_wins").select(*_SERIES, "interval_start", "duration_s", *_GAP)
    if gaps.is_empty():
        return gaps.select(*_KEY, "duration_s", pl.col("gap_end").alias("moment"))
    of_gaps = readings.join(gaps.select(_SERIES).unique(), on=_SERIES, how="semi")
    end = pl.col("interval_start") + pl.duration(seconds="duration_s")
    # A later version of either end changes the estimate again.
    after = of_gaps.select(*_SERIES, pl.col("interval_start").alias("gap_end"), pl.col("received_at").alias("ended"))
    before = of_gaps.select(*_SERIES, end.alias("gap_start"), pl.col("received_at").alias("began"))
    both = gaps.join(after, on=[*_SERIES, "gap_end"], how="left").join(before, on=[*_SERIES, "gap_start"], how="left")
    closed = pl.col("gap_end") + pl.duration(seconds=watermark_s)
    causes = [both.select(*_KEY, "duration_s", pl.coalesce(name, closed).alias("moment")) for name in ("ended", "began")]
    return pl.concat(causes).unique()


def _silent(states: pl.DataFrame, readings: pl.DataFrame, edits: pl.DataFrame, watermark_s: int) -> pl.DataFrame:
    """States at the close of intervals when nothing was known of the meter from the interval's start on: no need to derive them.

    At the close of an hour's last interval the hour may be estimated by like days, so that state is not among them.
    """
    start = pl.col("interval_start")
    closes = states.filter(pl.col("known_from") == start + pl.duration(seconds=MARK_S + watermark_s))
    closes = closes.filter(start.dt.truncate("1h") == (start + pl.duration(seconds=MARK_S)).dt.truncate("1h")).sort("known_from")
    end = (start + pl.duration(seconds="duration_s")).alias("reached")
    told = pl.concat(
        [
            readings.join(closes, on="meter_id", how="semi").select("meter_id", pl.col("received_at").alias("known_from"), end),
            edits.join(closes, on="meter_id", how="semi").select("meter_id", pl.col("edited_at").alias("known_from"), end),
        ]
    ).sort("known_from", "reached")
    told = told.with_columns(pl.col("reached").cum_max().over("meter_id"))
    joined = closes.join_asof(told, on="known_from", by="meter_id", strategy="backward", check_sortedness=False)
    return joined.filter(pl.col("reached").is_null() | (pl.col("reached") <= start)).select(states.columns)


def _at_hours_end(silent: pl.DataFrame, now: pl.DataFrame, watermark_s: int) -> pl.DataFrame:
    """States of silent intervals when their hour has closed, and a long silence is estimated, unless they changed before."""
    closed = pl.col("interval_start").dt.truncate("1h") + pl.duration(seconds=3600 + watermark_s)
    ends = silent.select(*_KEY, _mark(closed).alias("known_from"))
    changed = now.select(*_KEY, pl.col("known_from").alias("_last"))
    return ends.join(changed, on=_KEY).filter(pl.col("known_from") < pl.col("_last")).select(silent.columns)


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
    energy = energy_of(known, edited, at, first, last + _HOUR)
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

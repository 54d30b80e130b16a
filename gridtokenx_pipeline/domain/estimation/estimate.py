"""The estimates of event hours."""

from __future__ import annotations

import datetime as dt

import polars as pl

from gridtokenx_pipeline.contracts.core import ESTIMATES
from gridtokenx_pipeline.domain.effective import KEY, in_force, latest, overlapping
from gridtokenx_pipeline.domain.findings import DERIVED, INTERPOLATED, QUESTIONABLE, REFERENCE_DAY, VALID
from gridtokenx_pipeline.domain.thresholds import meter_bounds

from .gaps import find_gaps, start_s
from .like_day import like_day
from .limits import within_limit
from .line import on_a_line
from .register_exact import PANEL, SHAPE_S, register_exact
from .register_wins import began_anew, register_wins
from .slots import slots

LOOKBACK = LOOKAHEAD = dt.timedelta(seconds=SHAPE_S)
FEEDER = "feeder"
_HOUR_S = 3600
_THRESHOLDS = ("linear_s", "like_days", "settlement_gap_s")


def estimate(
    readings: pl.DataFrame,
    edits: pl.DataFrame,
    exceptions: pl.DataFrame,
    meters: pl.DataFrame,
    *,
    start: dt.datetime,
    end: dt.datetime,
    closed_before: dt.datetime,
    history: pl.DataFrame,
    timezone: str,
    market_interval_s: int = 300,
) -> pl.DataFrame:
    """Return core.estimates of the intervals that begin in the event hours [start, end), sorted by key.

    `readings`: core.readings, any versions, from `LOOKBACK` before to `LOOKAHEAD` after the hours, and of a series that has
    none in there its last one before and first one after. `edits`, `exceptions`: core.edits and core.vee_exceptions of the
    hours; an edit of a reading at either end of a gap counts too. `meters`: `domain.thresholds.ratings_frame`. `history`: zone,
    meter_id, interval_start and *_milli_wh of 5 minutes, of the 14 days before, as known when the hour closed. `closed_before`:
    intervals that end later have not closed, nothing is missing of them yet.

    The gap is where readings are missing, whatever was edited; an edited interval has no estimate. A gap that no reading has
    ended is estimated by like days alone, once the hour has closed and if the gap is longer than linear_s by its end: so what an
    hour gets does not depend on when it is looked at. Flags: a register-exact gap within one market interval is valid and
    derived, since its energy there is exact; otherwise derived and interpolated.
    """
    first_s, last_s = int(start.timestamp()), int(min(end, closed_before).timestamp())
    now = latest(readings)
    limits = meter_bounds(meters)
    found = [_corrected(register_wins(now, exceptions, limits), first_s, last_s)]
    gaps = find_gaps(now, first_s, last_s).filter(_HOUR_S % pl.col("slot_s") == 0)
    if not gaps.is_empty():
        gaps = gaps.join(limits, on=["meter_id", "channel"]).join(meters.select("meter_id", *_THRESHOLDS), on="meter_id")
        panel = _panel(now, meters)
        exact, lines, likely = _sorted_out(gaps)
        found += [
            _exact(register_exact(exact, panel, first_s, last_s), market_interval_s),
            _rows(on_a_line(lines, now, edits, exceptions, first_s, last_s), "interpolated", pl.lit(INTERPOLATED), _short()),
            _rows(
                like_day(_long_slots(likely, first_s, last_s), history, panel, timezone),
                "like_day",
                pl.lit(REFERENCE_DAY),
                pl.lit(False),
            ),
        ]
    rows = pl.concat(found)
    rows = rows.filter(~overlapping(rows, in_force(edits).select(KEY)))
    return ESTIMATES.conform(rows.sort(ESTIMATES.key))


def _sorted_out(gaps: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Gaps for registers, for a line and for like days; what registers contradict is for none of them."""
    length = pl.col("gap_end") - pl.col("gap_start")
    difference = pl.col("register_milli_wh_after") - pl.col("energy_milli_wh_after") - pl.col("register_milli_wh")
    bounded = (difference.is_not_null() & ~began_anew("findings_after")).fill_null(False)
    gaps = gaps.with_columns(difference.alias("difference")).with_row_index("gap")
    exact = gaps.filter(bounded & within_limit(pl.col("difference"), length))
    rest = gaps.filter(~bounded)
    short = (length <= pl.col("linear_s")).fill_null(False)
    return exact, rest.filter(short), rest.filter(~short)


def _long_slots(gaps: pl.DataFrame, first_s: int, last_s: int) -> pl.DataFrame:
    """The missing intervals of gaps longer than linear_s; one that no reading has ended is as long as it is at the hour's end."""
    ended = slots(gaps.filter(pl.col("gap_end").is_not_null()), first_s, last_s)
    hours = pl.int_ranges(pl.max_horizontal(pl.col("gap_start") // _HOUR_S * _HOUR_S, pl.lit(first_s)), last_s, _HOUR_S)
    pieces = (
        gaps.filter(pl.col("gap_end").is_null())
        .with_columns(hours.alias("hour"))
        .explode("hour", empty_as_null=False)
        .with_columns((pl.col("hour") + _HOUR_S).alias("gap_end"))
        .filter((pl.col("gap_end") <= last_s) & (pl.col("gap_end") - pl.col("gap_start") > pl.col("linear_s")))
    )
    return pl.concat([ended, slots(pieces, pl.col("hour"), pl.col("gap_end")).drop("hour")])


def _panel(now: pl.DataFrame, meters: pl.DataFrame) -> pl.DataFrame:
    """Readings of the meters whose energy may shape a neighbour's."""
    names = meters.filter(pl.col("meter_type") != FEEDER)["meter_id"].sort().head(PANEL)
    return now.filter(pl.col("meter_id").is_in(names.implode()))


def _short() -> pl.Expr:
    return pl.col("gap_end") - pl.col("gap_start") <= pl.col("settlement_gap_s")


def _exact(missing: pl.DataFrame, market_interval_s: int) -> pl.DataFrame:
    """A gap within one market interval leaves that interval's energy exact: it is valid, if derived."""
    one = pl.col("gap_start") // market_interval_s == (pl.col("gap_end") - 1) // market_interval_s
    flags = pl.when(one).then(VALID | DERIVED).otherwise(DERIVED | INTERPOLATED)
    return _rows(missing, "register_exact", flags, _short(), pl.col("register_milli_wh"))


def _corrected(readings: pl.DataFrame, first_s: int, last_s: int) -> pl.DataFrame:
    length = pl.col("duration_s").cast(pl.Int64)
    rows = readings.filter(start_s() >= first_s, start_s() + length <= last_s).with_columns(
        start_s().alias("at"), length.alias("slot_s"), start_s().alias("gap_start"), (start_s() + length).alias("gap_end")
    )
    return _rows(rows, "register_wins", pl.lit(QUESTIONABLE | DERIVED), pl.lit(False), pl.col("register_milli_wh"))


def _rows(slots_: pl.DataFrame, method: str, flags: pl.Expr, usable: pl.Expr, register: pl.Expr | None = None) -> pl.DataFrame:
    def moment(column: str) -> pl.Expr:
        return pl.from_epoch(pl.col(column) * 1_000_000, "us").cast(pl.Datetime("us", "UTC"))

    return slots_.select(
        "zone",
        "meter_id",
        "channel",
        moment("at").alias("interval_start"),
        pl.col("slot_s").cast(pl.Int32).alias("duration_s"),
        "energy_milli_wh",
        (pl.lit(None, pl.Int64) if register is None else register).alias("register_milli_wh"),
        pl.lit(method).alias("method"),
        flags.cast(pl.Int32).alias("quality_flags"),
        usable.alias("usable"),
        moment("gap_start").alias("gap_start"),
        moment("gap_end").alias("gap_end"),
    )

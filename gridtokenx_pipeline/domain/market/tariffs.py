"""Prices of the grid by time of use: plans of the week and the year in local time, and the prices of each market interval.

A price belongs to a wall-clock time, so a repeated hour has its prices twice and a skipped one never. An interval has the prices
of the moment that it starts at. Days that no plan holds have the flat tariff.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from zoneinfo import ZoneInfo

import polars as pl

from .model import MarketInputError, Tariff

FLAT = "flat"
DAY_MIN = 24 * 60
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_TIME = pl.Datetime("us", "UTC")
TARIFFS: dict[str, pl.DataType | type[pl.DataType]] = {
    "interval_start": _TIME,
    "feed_in_micro_per_kwh": pl.Int64,
    "retail_micro_per_kwh": pl.Int64,
    "seller_compensation_micro_per_kwh": pl.Int64,
    "currency": pl.String,
    "tariff": pl.String,
}
BANDS: dict[str, pl.DataType | type[pl.DataType]] = {
    "valid_from": _TIME,
    "valid_until": _TIME,
    "feed_in_micro_per_kwh": pl.Int64,
    "retail_micro_per_kwh": pl.Int64,
}
"""Spans of time (null: without end) and prices that hold somewhere within, as `bands` gives them."""


@dataclass(frozen=True)
class Period:
    """Prices in micro-currency per kWh of the local minutes [`start_min`, `end_min`) of `weekdays` (Monday is 1) in `months`."""

    name: str
    feed_in_micro_per_kwh: int
    retail_micro_per_kwh: int
    weekdays: tuple[int, ...] = tuple(range(1, 8))
    months: tuple[int, ...] = tuple(range(1, 13))
    start_min: int = 0
    end_min: int = DAY_MIN


@dataclass(frozen=True)
class Plan:
    """Periods that hold from the local day `valid_from` until before `valid_until` (None: for ever).

    Currency and compensation of sellers are those of the flat tariff where the plan has none of its own: one of each for a plan.
    """

    name: str
    valid_from: dt.date
    valid_until: dt.date | None
    periods: tuple[Period, ...]
    currency: str | None = None
    seller_compensation_micro_per_kwh: int | None = None


def tariff_frame(starts: pl.Series, plans: Sequence[Plan], default: Tariff, timezone: str, interval_s: int) -> pl.DataFrame:
    """Return the prices of each distinct interval start (Datetime us UTC), ascending, with the columns `TARIFFS`.

    `timezone` is the site's, `interval_s` the length of a market interval, `default` the flat tariff. `tariff` is `flat`, or the
    names of plan and period. Raises `MarketInputError` as `check_plans` does.
    """
    check_plans(plans, default, interval_s)
    rows = [
        (default, FLAT),
        *((_tariff(plan, period, default), f"{plan.name}/{period.name}") for plan, period in _periods(plans)),
    ]
    local = starts.cast(_TIME).unique().sort().alias("interval_start").to_frame()
    moment = pl.col("interval_start").dt.convert_time_zone(timezone)
    local = local.with_columns(
        day=moment.dt.date(),
        month=moment.dt.month(),
        weekday=moment.dt.weekday(),
        minute=moment.dt.hour().cast(pl.Int32) * 60 + moment.dt.minute(),
    )
    held = [pl.when(_holds(plan, period)).then(pl.lit(row)) for row, (plan, period) in enumerate(_periods(plans), 1)]
    which = local.select(pl.coalesce(*held, pl.lit(0)).alias("row"))["row"] if held else pl.repeat(0, local.height, eager=True)
    prices = pl.DataFrame(
        [
            pl.Series("feed_in_micro_per_kwh", [tariff.feed_in_micro_per_kwh for tariff, _ in rows], pl.Int64),
            pl.Series("retail_micro_per_kwh", [tariff.retail_micro_per_kwh for tariff, _ in rows], pl.Int64),
            pl.Series("seller_compensation_micro_per_kwh", [t.seller_compensation_micro_per_kwh for t, _ in rows], pl.Int64),
            pl.Series("currency", [tariff.currency for tariff, _ in rows], pl.String),
            pl.Series("tariff", [name for _, name in rows], pl.String),
        ]
    )
    return pl.DataFrame([local["interval_start"], *prices[which].get_columns()])


def bands(plans: Sequence[Plan], default: Tariff, timezone: str) -> pl.DataFrame:
    """Return which prices hold when, with the columns `BANDS`: each period's in its plan's days, the flat ones on all other days.

    The times of day are left out: what a price is compared with here is whether any interval of its validity could have it.
    """
    zone = ZoneInfo(timezone)

    def moment(day: dt.date | None) -> dt.datetime | None:
        return None if day is None else dt.datetime.combine(day, dt.time(), zone).astimezone(dt.UTC)

    rows = [
        (moment(plan.valid_from), moment(plan.valid_until), period.feed_in_micro_per_kwh, period.retail_micro_per_kwh)
        for plan, period in _periods(plans)
    ]
    free: dt.date | None = dt.date.min
    flat = (default.feed_in_micro_per_kwh, default.retail_micro_per_kwh)
    for plan in sorted(plans, key=lambda plan: plan.valid_from):
        if free is not None and free < plan.valid_from:
            rows.append((None if free == dt.date.min else moment(free), moment(plan.valid_from), *flat))
        free = plan.valid_until
    if free is not None:
        rows.append((None if free == dt.date.min else moment(free), None, *flat))
    return pl.DataFrame(rows, schema=BANDS, orient="row")


def check_plans(plans: Sequence[Plan], default: Tariff, interval_s: int) -> None:
    """Raise `MarketInputError` for the first thing wrong with `plans`.

    That is: a period that ends before it starts or not at the bound of a market interval, or whose prices are no tariff; two
    periods of one name with different prices; a minute of a week and month in none of the periods or in two; a plan that ends
    before it begins, or two plans that hold on the same day.
    """
    for plan in plans:
        if plan.valid_until is not None and plan.valid_until <= plan.valid_from:
            raise MarketInputError(f'tariff plan "{plan.name}" ends on {plan.valid_until}, before it begins on {plan.valid_from}')
        for period in plan.periods:
            _check_period(plan, period, default, interval_s)
        _check_names(plan)
        _check_week(plan)
    for earlier, later in pairwise(sorted(plans, key=lambda plan: plan.valid_from)):
        if earlier.valid_until is None or later.valid_from < earlier.valid_until:
            raise MarketInputError(f'tariff plans "{earlier.name}" and "{later.name}" both hold on {later.valid_from}')


def _check_period(plan: Plan, period: Period, default: Tariff, interval_s: int) -> None:
    where = f'tariff plan "{plan.name}", period "{period.name}"'
    if not 0 <= period.start_min < period.end_min <= DAY_MIN:
        raise MarketInputError(
            f"{where}: {_clock(period.start_min)} to {_clock(period.end_min)} is no part of a day; "
            "a period over midnight is two, one until 24:00 and one from 00:00"
        )
    for minute in (period.start_min, period.end_min):
        if minute * 60 % interval_s:
            raise MarketInputError(f"{where}: {_clock(minute)} is within a market interval of {interval_s} s")
    if not set(period.weekdays) <= set(range(1, 8)) or not set(period.months) <= set(range(1, 13)):
        raise MarketInputError(f"{where}: weekdays are 1 to 7 and months 1 to 12")
    try:
        _tariff(plan, period, default)
    except MarketInputError as problem:
        raise MarketInputError(f"{where}: {problem}") from None


def _check_names(plan: Plan) -> None:
    """What a name stands for in a bill must be one price."""
    for one, other in combinations(plan.periods, 2):
        if one.name == other.name and (one.feed_in_micro_per_kwh, one.retail_micro_per_kwh) != (
            other.feed_in_micro_per_kwh,
            other.retail_micro_per_kwh,
        ):
            raise MarketInputError(f'tariff plan "{plan.name}": two periods "{one.name}" have different prices')


def _check_week(plan: Plan) -> None:
    """Every minute of every weekday and month is in one period."""
    for month in range(1, 13):
        for weekday in range(1, 8):
            held = sorted(
                (period for period in plan.periods if month in period.months and weekday in period.weekdays),
                key=lambda period: (period.start_min, period.end_min),
            )
            on = f"on {WEEKDAYS[weekday - 1]} in month {month} at"
            reached, last = 0, ""
            for period in held:
                if period.start_min > reached:
                    gap = f'{on} {_clock(reached)}, before period "{period.name}"'
                    raise MarketInputError(f'tariff plan "{plan.name}": no period {gap}')
                if period.start_min < reached:
                    both = f'"{last}" and "{period.name}" overlap {on} {_clock(period.start_min)}'
                    raise MarketInputError(f'tariff plan "{plan.name}": periods {both}')
                reached, last = period.end_min, period.name
            if reached < DAY_MIN:
                gap = f"{on} {_clock(reached)}" + (f', after period "{last}"' if last else "")
                raise MarketInputError(f'tariff plan "{plan.name}": no period {gap}')


def _periods(plans: Sequence[Plan]) -> Iterator[tuple[Plan, Period]]:
    return ((plan, period) for plan in plans for period in plan.periods)


def _tariff(plan: Plan, period: Period, default: Tariff) -> Tariff:
    """The tariff of a period. Raises `MarketInputError` where its prices are none."""
    compensation = plan.seller_compensation_micro_per_kwh
    return Tariff(
        period.feed_in_micro_per_kwh,
        period.retail_micro_per_kwh,
        default.seller_compensation_micro_per_kwh if compensation is None else compensation,
        plan.currency or default.currency,
    )


def _holds(plan: Plan, period: Period) -> pl.Expr:
    holds = (
        (pl.col("day") >= plan.valid_from)
        & pl.col("month").is_in(list(period.months))
        & pl.col("weekday").is_in(list(period.weekdays))
        & (pl.col("minute") >= period.start_min)
        & (pl.col("minute") < period.end_min)
    )
    return holds if plan.valid_until is None else holds & (pl.col("day") < plan.valid_until)


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def fits(bands: pl.DataFrame, price: pl.Expr, start: pl.Expr, end: pl.Expr) -> pl.Expr:
    """Return whether `price` is within the prices of some row of `bands` that holds in [`start`, `end`) (null: without bound)."""
    within = [
        price.is_between(feed_in, retail)
        & (pl.lit(True) if valid_until is None else (start < valid_until).fill_null(True))
        & (pl.lit(True) if valid_from is None else (end > valid_from).fill_null(True))
        for valid_from, valid_until, feed_in, retail in bands.select(list(BANDS)).iter_rows()
    ]
    return pl.any_horizontal(within)

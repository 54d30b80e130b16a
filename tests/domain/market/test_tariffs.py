"""Prices by time of use: every local minute has one, on days of 23, 24 and 25 hours; plans that contradict are refused by name."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtokenx_pipeline.domain.market.model import MarketInputError, Tariff
from gridtokenx_pipeline.domain.market.tariffs import TARIFFS, Period, Plan, bands, check_plans, tariff_frame

FLAT = Tariff(80_000, 280_000)
LOS_ANGELES = "America/Los_Angeles"
WORK, WEEKEND = (1, 2, 3, 4, 5), (6, 7)
SUMMER = (6, 7, 8, 9)
WINTER = tuple(sorted(set(range(1, 13)) - set(SUMMER)))
TOU = Plan(
    "tou",
    dt.date(2026, 1, 1),
    dt.date(2027, 1, 1),
    (
        Period("night", 60_000, 200_000, end_min=300),
        Period("day", 80_000, 280_000, WORK, start_min=300, end_min=960),
        Period("peak", 120_000, 420_000, WORK, SUMMER, 960, 1260),
        Period("evening", 90_000, 310_000, WORK, WINTER, 960, 1260),
        Period("day", 80_000, 280_000, WORK, start_min=1260),
        Period("weekend", 70_000, 240_000, WEEKEND, start_min=300),
    ),
)


def starts(first: str, hours: float = 24, interval_s: int = 300) -> pl.Series:
    begin = dt.datetime.fromisoformat(first).replace(tzinfo=dt.UTC)
    return pl.Series(
        [begin + dt.timedelta(seconds=n) for n in range(0, int(hours * 3600), interval_s)], dtype=pl.Datetime("us", "UTC")
    )


def named(first: str, hours: float = 24, plans=(TOU,), timezone: str = LOS_ANGELES) -> dict[str, str]:
    """The tariff of each interval, by local time, of the changes alone."""
    frame = tariff_frame(starts(first, hours), plans, FLAT, timezone, 300)
    local = frame["interval_start"].dt.convert_time_zone(timezone).dt.strftime("%a %H:%M")
    changed = (frame["tariff"] != frame["tariff"].shift()).fill_null(True)
    return dict(zip(local.filter(changed), frame["tariff"].filter(changed), strict=True))


def test_without_plans_all_is_flat():
    frame = tariff_frame(starts("2026-06-01", 1), (), Tariff(1, 5, 2, "THB"), "UTC", 300)
    assert frame.schema == pl.Schema(TARIFFS)
    assert frame.height == 12
    assert frame.select(pl.exclude("interval_start")).unique().rows() == [(1, 5, 2, "THB", "flat")]


def test_a_start_given_twice_and_out_of_order_is_one_row():
    given_ = pl.concat([starts("2026-06-01", 1).reverse(), starts("2026-06-01", 2)])
    assert tariff_frame(given_, (TOU,), FLAT, "UTC", 300)["interval_start"].to_list() == starts("2026-06-01", 2).to_list()


def test_no_start_is_no_row():
    assert tariff_frame(starts("2026-06-01", 0), (TOU,), FLAT, "UTC", 300).schema == pl.Schema(TARIFFS)


def test_a_working_day_in_summer_and_one_in_winter():
    assert named("2026-07-06T07:00") == {
        "Mon 00:00": "tou/night", "Mon 05:00": "tou/day", "Mon 16:00": "tou/peak", "Mon 21:00": "tou/day",
    }  # fmt: skip
    assert named("2026-12-07T08:00") == {
        "Mon 00:00": "tou/night", "Mon 05:00": "tou/day", "Mon 16:00": "tou/evening", "Mon 21:00": "tou/day",
    }  # fmt: skip
    assert named("2026-07-04T07:00") == {"Sat 00:00": "tou/night", "Sat 05:00": "tou/weekend"}


@pytest.mark.parametrize(
    ("first", "hours", "night"), [("2026-03-08T08:00", 23, 4), ("2026-11-01T07:00", 25, 6), ("2026-11-02T08:00", 24, 5)]
)
def test_days_of_23_and_25_hours(first, hours, night):
    frame = tariff_frame(starts(first, hours), (TOU,), FLAT, LOS_ANGELES, 300)
    assert frame.filter(pl.col("tariff") == "tou/night").height == night * 12
    assert frame["tariff"][0] == "tou/night"
    assert frame["interval_start"].dt.convert_time_zone(LOS_ANGELES).dt.date().n_unique() == 1


def test_a_period_in_the_hour_that_comes_twice_holds_twice_and_in_the_skipped_hour_never():
    plan = Plan("p", dt.date(2026, 1, 1), None, (Period("a", 1, 9, end_min=60), Period("b", 2, 8, start_min=60, end_min=120), Period("c", 3, 7, start_min=120, end_min=180), Period("d", 4, 6, start_min=180)))  # fmt: skip
    counted = {
        first: dict(tariff_frame(starts(first, hours), (plan,), FLAT, LOS_ANGELES, 300)["tariff"].value_counts().rows())
        for first, hours in (("2026-03-08T08:00", 23), ("2026-11-01T07:00", 25))
    }
    assert counted["2026-03-08T08:00"] == {"p/a": 12, "p/b": 12, "p/d": 21 * 12}
    assert counted["2026-11-01T07:00"] == {"p/a": 12, "p/b": 24, "p/c": 12, "p/d": 21 * 12}


def test_plans_begin_and_end_at_local_midnight_and_flat_prices_hold_around_them():
    assert list(named("2026-01-01T07:00", 2).items()) == [("Wed 23:00", "flat"), ("Thu 00:00", "tou/night")]
    assert list(named("2027-01-01T07:00", 2).items()) == [("Thu 23:00", "tou/day"), ("Fri 00:00", "flat")]
    after = Plan("later", dt.date(2027, 1, 1), None, (Period("all", 5, 6),), currency="THB", seller_compensation_micro_per_kwh=1)
    frame = tariff_frame(starts("2027-06-01", 1), (after, TOU), FLAT, LOS_ANGELES, 300)
    assert frame.row(0)[1:] == (5, 6, 1, "THB", "later/all")


def without(*names: str) -> tuple[Period, ...]:
    return tuple(period for period in TOU.periods if period.name not in names)


def changed(*periods: Period, **fields) -> Plan:
    return Plan(**{"name": "tou", "valid_from": TOU.valid_from, "valid_until": TOU.valid_until, "periods": periods, **fields})


@pytest.mark.parametrize(
    ("plans", "told"),
    [
        ([changed(*without("evening"))], 'plan "tou": no period on mon in month 1 at 16:00, before period "day"'),
        ([changed(*without("weekend"))], 'plan "tou": no period on sat in month 1 at 05:00, after period "night"'),
        ([changed()], 'plan "tou": no period on mon in month 1 at 00:00'),
        ([changed(*TOU.periods, Period("extra", 1, 2, (3,), (7,), 900, 1000))], 'periods "day" and "extra" overlap on wed in month 7 at 15:00'),
        ([changed(Period("a", 1, 2), Period("b", 1, 2))], 'periods "a" and "b" overlap on mon in month 1 at 00:00'),
        ([changed(Period("a", 1, 2, start_min=1320, end_min=360))], 'period "a": 22:00 to 06:00 is no part of a day'),
        ([changed(Period("a", 1, 2, end_min=723), Period("b", 1, 2, start_min=723))], 'period "a": 12:03 is within a market interval of 300 s'),
        ([changed(Period("a", 3, 2))], 'plan "tou", period "a": .*exceeds the retail tariff'),
        ([changed(Period("a", 1, 2), seller_compensation_micro_per_kwh=2)], 'plan "tou", period "a": .*exceeds the retail tariff'),
        ([changed(Period("a", -1, 2))], 'plan "tou", period "a": .*negative'),
        ([changed(Period("a", 1, 2, end_min=60), Period("a", 1, 3, start_min=60))], 'two periods "a" have different prices'),
        ([changed(Period("a", 1, 2, (0,)))], 'period "a": weekdays are 1 to 7'),
        ([TOU, changed(Period("a", 1, 2), name="two", valid_from=dt.date(2026, 12, 31), valid_until=None)], 'plans "tou" and "two" both hold on 2026-12-31'),
        ([changed(Period("a", 1, 2), valid_until=None), changed(Period("a", 1, 2), name="two", valid_from=dt.date(2030, 1, 1), valid_until=None)], 'plans "tou" and "two" both hold on 2030-01-01'),
        ([changed(Period("a", 1, 2), valid_until=TOU.valid_from)], 'plan "tou" ends on 2026-01-01, before it begins on 2026-01-01'),
    ],
)  # fmt: skip
def test_plans_that_contradict_are_refused_by_name(plans, told):
    with pytest.raises(MarketInputError, match=told):
        tariff_frame(starts("2026-06-01", 1), plans, FLAT, LOS_ANGELES, 300)


@st.composite
def plan_of_the_week(draw) -> Plan:
    """A plan that holds every minute once: for each group of days and each half of the year a day cut at whole quarters."""
    periods = []
    for days in (WORK, WEEKEND):
        for months in (SUMMER, WINTER):
            cuts = sorted({0, 96, *draw(st.lists(st.integers(1, 95), max_size=4))})
            for first, last in pairwise(cuts):
                feed_in = draw(st.integers(0, 100))
                periods.append(
                    Period(f"p{len(periods)}", feed_in, feed_in + draw(st.integers(0, 9)), days, months, first * 15, last * 15)
                )
    return Plan("drawn", dt.date(2026, 1, 1), None, tuple(draw(st.permutations(periods))))


@settings(deadline=None, max_examples=40)
@given(
    plan_of_the_week(),
    st.sampled_from(
        ["America/Los_Angeles", "Asia/Bangkok", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Santiago"]
    ),
    st.sampled_from(
        ["2026-03-07", "2026-03-28", "2026-04-04", "2026-09-05", "2026-10-03", "2026-10-24", "2026-10-31", "2026-12-31"]
    ),
)
def test_every_minute_is_in_the_one_period_of_its_wall_clock_time(plan, timezone, first):
    frame = tariff_frame(starts(first, 48, 900), (plan,), FLAT, timezone, 900)
    assert frame.height == 192
    for start, feed_in, retail, _, _, name in frame.iter_rows():
        local = start.astimezone(ZoneInfo(timezone))
        minute = local.hour * 60 + local.minute
        (period,) = (
            p for p in plan.periods
            if local.month in p.months and local.isoweekday() in p.weekdays and p.start_min <= minute < p.end_min
        )  # fmt: skip
        assert (feed_in, retail, name) == (period.feed_in_micro_per_kwh, period.retail_micro_per_kwh, f"drawn/{period.name}")


@settings(deadline=None, max_examples=60)
@given(plan_of_the_week(), st.data())
def test_a_plan_with_a_period_less_or_twice_is_refused(plan, data):
    period = data.draw(st.sampled_from(plan.periods))
    less = tuple(p for p in plan.periods if p is not period)
    with pytest.raises(MarketInputError, match="no period"):
        check_plans([Plan("x", plan.valid_from, None, less)], FLAT, 900)
    with pytest.raises(MarketInputError, match="overlap"):
        check_plans([Plan("x", plan.valid_from, None, (*plan.periods, period))], FLAT, 900)
    check_plans([plan], FLAT, 900)


def test_bands_hold_each_periods_prices_in_its_plans_days_and_flat_ones_around():
    later = Plan("later", dt.date(2028, 1, 1), None, (Period("all", 5, 6),))
    rows = bands((later, TOU), FLAT, LOS_ANGELES).rows()
    begin, end, again = (dt.datetime(year, 1, 1, 8, tzinfo=dt.UTC) for year in (2026, 2027, 2028))
    flat = (80_000, 280_000)
    assert set(rows) == {
        (None, begin, *flat), (end, again, *flat), (again, None, 5, 6),
        *((begin, end, p.feed_in_micro_per_kwh, p.retail_micro_per_kwh) for p in TOU.periods),
    }  # fmt: skip
    assert bands((), FLAT, "UTC").rows() == [(None, None, *flat)]

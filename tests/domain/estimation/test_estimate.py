from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.domain.aggregate import levels
from gridtokenx_pipeline.domain.effective import effective
from gridtokenx_pipeline.domain.estimation import LOOKAHEAD, LOOKBACK, estimate

sys.path.insert(0, str(Path(__file__).parents[1]))

from series import MIDNIGHT, at, edit, edits, exception, exceptions, meters, reading, readings, run

HISTORY = {
    "zone": pl.String,
    "meter_id": pl.String,
    "interval_start": pl.Datetime("us", "UTC"),
    **{f"{c}_milli_wh": pl.Int64 for c in core.ENERGY_CHANNELS},
}
NO_HISTORY = pl.DataFrame(schema=HISTORY)
FAR = at(10**6)


def of(read, start=0, end=3600, edited=(), found=(), known=None, history=NO_HISTORY, closed=FAR, timezone="UTC", **more):
    return estimate(
        read if isinstance(read, pl.DataFrame) else readings(*read),
        edits(*edited),
        exceptions(*found),
        meters() if known is None else known,
        start=at(start),
        end=at(end),
        closed_before=closed,
        history=history,
        timezone=timezone,
        **more,
    )


def energies(frame, channel="load", meter="M1"):
    return frame.filter(channel=channel, meter_id=meter)["energy_milli_wh"].to_list()


def only(frame, column):
    return frame[column].unique().to_list()


def test_nothing_is_missing():
    assert of(run([10] * 240)).is_empty()
    assert_frame_equal(of([]), core.ESTIMATES.empty())


def test_registers_tell_the_energy_of_a_gap():
    """Readings of 10 and 40 around three missing ones that had 100 together."""
    result = of(run([10, 30, 33, 37, 40], missing=(1, 2, 3)))
    assert sum(energies(result)) == 100
    assert energies(result) == sorted(energies(result))
    assert result["register_milli_wh"].to_list()[-1] == 110
    assert result["register_milli_wh"].diff().to_list()[1:] == energies(result)[1:]
    assert (only(result, "method"), only(result, "quality_flags"), only(result, "usable")) == (["register_exact"], [33], [True])
    assert (only(result, "gap_start"), only(result, "gap_end")) == ([at(15)], [at(60)])


@pytest.mark.parametrize(
    ("missing", "flags", "usable"),
    [
        (range(5, 15), 33, True),
        (range(15, 25), 40, True),
        (range(20, 40), 33, True),
        (range(5, 65), 40, True),
        (range(5, 66), 40, False),
    ],
)
def test_a_gap_is_valid_within_a_market_interval_and_usable_if_short(missing, flags, usable):
    result = of(run([10] * 240, missing=missing))
    assert result.height == len(missing)
    assert (only(result, "quality_flags"), only(result, "usable")) == ([flags], [usable])
    assert set(energies(result)) == {10}


def test_neighbours_give_the_shape():
    shape = [5, 10, 80, 0, 5]
    neighbours = [row for name in ("M2", "M3", "M4") for row in run(shape, meter=name)]
    own = run(shape, missing=(1, 2, 3))
    known = meters("M1", "M2", "M3", "M4", "M5")
    assert energies(of(own + neighbours, known=known)) == [10, 80, 0]
    # One of three lacks an interval, or is doubted: the line counts.
    lacking = [row for row in neighbours if row["meter_id"] != "M4" or row["interval_start"] != at(30)]
    assert energies(of(own + lacking, known=known)) == [30, 30, 30]
    doubted = [{**row, "quality_flags": 16} if row["meter_id"] == "M4" else row for row in neighbours]
    assert energies(of(own + doubted, known=known)) == [30, 30, 30]
    elsewhere = [{**row, "zone": "other"} if row["meter_id"] == "M4" else row for row in neighbours]
    assert energies(of(own + elsewhere, known=known)) == [30, 30, 30]


@pytest.mark.parametrize("after", ["register_rollover", "clock_snapped,meter_swap"])
def test_not_across_a_register_that_began_anew(after):
    rows = run([10, 10, 10], missing=(1,))
    rows[1]["findings"] = after
    expected = [] if "swap" in after else ["interpolated"]
    assert only(of(rows), "method") == expected


@pytest.mark.parametrize("register", [0, 10**9])
def test_registers_that_cannot_be_leave_the_gap_open(register):
    rows = run([10, 10, 10], missing=(1,))
    rows[1]["register_milli_wh"] = register
    assert of(rows).is_empty()


def test_a_line_without_registers():
    result = of(run([10, 0, 0, 0, 50], missing=(1, 2, 3), registers=False))
    assert energies(result) == [20, 30, 40]
    assert (only(result, "method"), only(result, "quality_flags"), only(result, "usable")) == (["interpolated"], [8], [True])
    assert result["register_milli_wh"].null_count() == 3


def test_remainders_of_a_line_are_carried():
    result = of(run([10, 0, 0, 11], missing=(1, 2), registers=False))
    assert sum(energies(result)) == 21


@pytest.mark.parametrize("end", [0, 1])
@pytest.mark.parametrize(
    "change", [{"quality_flags": 16}, {"device_quality_flags": 8}, {"device_quality_flags": 16}, {"findings": "meter_swap"}]
)
def test_bad_end_points_carry_no_line(end, change):
    rows = run([10, 0, 20], missing=(1,), registers=False)
    rows[end] |= change
    assert of(rows).is_empty()
    assert energies(of(rows, edited=[edit(30 * end, "replace", 30)])) == [[25], [20]][end]


def test_a_doubted_end_point_counts_in_its_own_hour_only():
    rows = run([10] * 480, missing=range(230, 250), registers=False)
    found = [exception(15 * 229)]
    assert of(rows, end=7200, found=found)["interval_start"].min() == at(3600)
    assert energies(of(rows, end=7200, found=found)) == [10] * 10
    assert of(rows, end=7200, found=[exception(15 * 229), exception(15 * 250)]).is_empty()
    accepted = edit(15 * 229, "accept", 10)
    assert len(energies(of(rows, end=7200, found=found, edited=[accepted]))) == 20


def test_edited_intervals_have_no_estimate():
    rows = run([10] * 5, missing=(1, 2, 3))
    assert energies(of(rows, edited=[edit(30, "replace", 3)])) == [10, 10]
    assert len(energies(of(rows, edited=[edit(30, "replace", 3, edited_at=1), edit(30, "revert", edited_at=2)]))) == 3


def test_open_intervals_are_not_missing_yet():
    rows = run([10] * 20, missing=(4, 5, 6, 7))
    assert len(energies(of(rows, closed=at(90)))) == 2
    assert of(rows, closed=at(60)).is_empty()


def test_a_gap_that_nothing_ended_is_left_alone():
    assert of(run([10] * 20)).is_empty()
    assert of(run([10] * 20, start=600), end=600).is_empty()


def test_only_energy_of_known_meters():
    charge = [reading(channel="state_of_charge", energy=None, start=s) for s in (0, 60)]
    assert of(charge).is_empty()
    assert of(run([10] * 3, meter="M9", missing=(1,))).is_empty()


def test_the_register_wins():
    rows = run([10, 10, 10, 10])
    rows[1]["energy_milli_wh"], rows[2]["energy_milli_wh"] = 99, 0
    found = [exception(0, 300, code="register_mismatch")]
    result = of(rows, found=found)
    assert result.select("interval_start", "energy_milli_wh", "method", "quality_flags", "usable").rows() == [
        (at(15), 10, "register_wins", 48, False),
        (at(30), 10, "register_wins", 48, False),
    ]
    assert of(rows, found=[exception(0, 300, code="spike")]).is_empty()
    assert of(rows, found=found, edited=[edit(15, "accept", 99)])["interval_start"].to_list() == [at(30)]
    rows[1]["findings"] = "register_rollover"
    assert of(rows, found=found)["interval_start"].to_list() == [at(30)]
    rows[2]["register_milli_wh"] = 10**9
    assert of(rows, found=found).is_empty()


def test_slots_are_as_long_as_the_readings_around():
    mixed = [*run([60], duration=60), reading(start=300, energy=5, duration=5, register=170)]
    result = of(mixed)
    assert (only(result, "duration_s"), sum(energies(result))) == ([60], 105)
    mixed = [*run([5] * 13, duration=5), reading(start=120, energy=60, duration=60, register=65 + 55 + 60)]
    assert (only(of(mixed), "duration_s"), sum(energies(of(mixed)))) == ([5], 55)


def history_of(days, channel="load", meter="M1", zone="stanford", slots=288):
    """5-minute energies by days before MIDNIGHT: {days before: energy}."""
    rows = [
        {
            "zone": zone,
            "meter_id": meter,
            "interval_start": MIDNIGHT - dt.timedelta(days=d) + dt.timedelta(minutes=5 * n),
            f"{channel}_milli_wh": energy,
        }
        for d, energy in days.items()
        for n in range(slots)
    ]
    return pl.DataFrame(rows, schema=HISTORY)


# MIDNIGHT is a Wednesday: 1 and 2 days before are weekdays, 3 and 4 a weekend, 5 to 9 weekdays again.
WEEK = {1: 100, 2: 201, 3: 9000, 4: 9000, 5: 302, 6: 5000}


def test_a_long_gap_is_the_mean_of_like_days():
    rows = [*run([10] * 4, registers=False), *run([10] * 4, start=7320, registers=False)]
    result = of(rows, end=10800, history=history_of(WEEK))
    assert (only(result, "method"), only(result, "quality_flags"), only(result, "usable")) == (["like_day"], [4], [False])
    assert result.height == (7320 - 60) // 15
    whole = result.filter(pl.col("interval_start").is_between(at(300), at(600), closed="left"))
    assert whole["energy_milli_wh"].sum() == (100 + 201 + 302) // 3
    assert energies(whole)[0] == 10
    assert of(rows, end=10800, history=history_of({1: 100, 2: 201, 3: 9000})).is_empty()
    short = [*rows[:4], *run([10] * 4, start=7260, registers=False)]
    assert only(of(short, end=10800, history=history_of(WEEK)), "method") == ["interpolated"]


def test_days_are_local():
    """At 02:00 UTC it is the evening before in California: a Tuesday, whose like days are not those of the Wednesday."""
    rows = [*run([10] * 4, registers=False), *run([10] * 4, start=7320, registers=False)]
    local = of(rows, end=3600, history=history_of({1: 90, 2: 9000, 3: 9000, 4: 60, 5: 30}), timezone="America/Los_Angeles")
    assert local.filter(pl.col("interval_start").is_between(at(300), at(600), closed="left"))["energy_milli_wh"].sum() == 60


def test_a_dead_meter_gets_like_days_from_where_the_gap_is_long():
    rows = run([10] * 4)
    hours = [of(rows, 3600 * n, 3600 * (n + 1), history=history_of(WEEK)) for n in range(4)]
    assert [hour.height for hour in hours] == [0, 0, 240, 240]
    assert only(hours[2], "gap_end") == [at(3 * 3600)]
    assert of(rows, 2 * 3600, 3 * 3600, history=history_of(WEEK), closed=at(3 * 3600 - 1)).is_empty()
    assert_frame_equal(of(rows, 0, 4 * 3600, history=history_of(WEEK)), pl.concat(hours))


def test_the_sun_of_today_scales_generation():
    rows = [
        *run([10] * 4, channel="generation", registers=False),
        *run([10] * 4, channel="generation", start=7320, registers=False),
    ]
    names = ("M2", "M3", "M4")
    today = [row for name in names for row in run([5] * 520, meter=name, channel="generation", registers=False)]
    past = pl.concat([history_of(dict.fromkeys(WEEK, 200), "generation", name) for name in ("M1", *names)])
    known = meters("M1", *names)

    def block(result):
        return result.filter(pl.col("interval_start").is_between(at(300), at(600), closed="left"))["energy_milli_wh"].sum()

    assert block(of(rows + today, end=3600, history=past, known=known)) == 100
    assert block(of(rows + [r for r in today if r["meter_id"] != "M4"], end=3600, history=past, known=known)) == 200
    weak = meters("M1", *names, rated_kw=0.001)
    assert block(of(rows + today, end=3600, history=past, known=weak)) == 300 * 1000 // 3600


gaps = st.lists(st.tuples(st.integers(0, 470), st.integers(1, 120)), max_size=4)


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.integers(0, 5000), min_size=1, max_size=12),
    st.dictionaries(st.sampled_from(("M1", "M2", "M3", "M4", "M5")), gaps, min_size=1),
    st.sampled_from(("load", "generation")),
    st.integers(0, 99),
)
def test_readings_and_estimates_add_up_to_the_register(values, missing, channel, seed):
    """Two hours, any gaps but at the ends, any shape: to the milli-Wh, at every level, hour by hour as at once, in any order."""
    rows, total = [], {}
    for meter in ("M1", "M2", "M3", "M4", "M5"):
        energy = [values[(n + ord(meter[1]) * 7) % len(values)] for n in range(480)]
        gone = {n for first, length in missing.get(meter, ()) for n in range(max(first, 1), min(first + length, 479))}
        rows += run(energy, meter, channel, missing=gone)
        total[meter] = sum(energy)
    known = meters("M1", "M2", "M3", "M4", "M5")
    read = readings(*rows)
    result = of(read, end=7200, known=known)
    shuffled = [frame.sample(fraction=1, shuffle=True, seed=seed) for frame in (read, known)]
    assert_frame_equal(of(shuffled[0], end=7200, known=shuffled[1]), result)

    def around(start, end):
        moment = pl.col("interval_start")
        near = moment.is_between(at(start) - LOOKBACK, at(end) + LOOKAHEAD, closed="left")
        last = moment == moment.filter(moment < at(start)).max().over("meter_id")
        first = moment == moment.filter(moment >= at(end)).min().over("meter_id")
        near = read.filter(near | last | first)
        return of(near, start, end, known=known)

    assert_frame_equal(pl.concat([around(0, 3600), around(3600, 7200)]).sort(core.ESTIMATES.key), result)
    counted = effective(read, edits(), exceptions(), result)
    for level in levels(counted).values():
        sums = level.group_by("meter_id").agg(pl.col(f"{channel}_milli_wh").sum())
        assert dict(sums.iter_rows()) == total
    assert (result["energy_milli_wh"] >= 0).all()
    exact = result.join(read, on=["meter_id", "channel", "interval_start"], how="anti")
    assert exact.height == result.height == 5 * 480 - read.height

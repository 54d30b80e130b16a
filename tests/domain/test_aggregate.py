from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from gridtokenx_pipeline.contracts.core import ENERGY_1H, ENERGY_5MIN, ENERGY_15MIN, ENERGY_15S, ENERGY_CHANNELS, READINGS
from gridtokenx_pipeline.domain.aggregate import aggregate, days, energy_15s, latest, left_out, levels, rollup
from gridtokenx_pipeline.domain.effective import EFFECTIVE, measured
from gridtokenx_pipeline.domain.invariants import energy_violations

MIDNIGHT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
MARKET = ("generation", "load", "charge", "discharge")


def at(seconds: int) -> dt.datetime:
    return MIDNIGHT + dt.timedelta(seconds=seconds)


def row(channel, start, energy=None, duration=15, meter="M1", **more):
    values = {
        "zone": "stanford", "meter_id": meter, "device_lfdi": "A" * 40, "channel": channel, "interval_start": at(start), "duration_s": duration,
        "energy_milli_wh": energy, "register_milli_wh": None, "state_of_charge_pct": None, "quality_flags": 1, "device_quality_flags": None,
        "version": 1, "parts": 1, "message_id": "m", "received_at": at(start + duration),
    }  # fmt: skip
    return {**values, **more}


def frame(*rows) -> pl.DataFrame:
    return READINGS.conform(pl.DataFrame(list(rows), schema=READINGS.frame_schema()))


def complete(start, energy=10, **more):
    return [row(channel, start, energy, **more) for channel in MARKET]


def test_channels_side_by_side():
    readings = frame(
        row("generation", 0, 10, register_milli_wh=100),
        row("load", 0, 20),
        row("state_of_charge", 0, state_of_charge_pct=Decimal("12.34")),
        row("import", 15, 5),
    )
    result = energy_15s(readings)
    assert_frame_equal(result, ENERGY_15S.conform(result))
    first, second = result.to_dicts()
    assert (first["generation_milli_wh"], first["generation_register_milli_wh"], first["load_milli_wh"]) == (10, 100, 20)
    assert (first["charge_milli_wh"], first["state_of_charge_pct"], first["duration_s"]) == (None, Decimal("12.34"), 15)
    assert (first["readings_expected"], first["readings_present"]) == (1, 0)
    assert (second["interval_start"], second["import_milli_wh"], second["load_milli_wh"]) == (at(15), 5, None)


def test_the_highest_version_counts():
    readings = frame(row("load", 0, 10), row("load", 0, 30, version=2, quality_flags=16), row("load", 15, 7))
    assert latest(readings)["energy_milli_wh"].sort().to_list() == [7, 30]
    assert energy_15s(readings).select("load_milli_wh", "version", "quality_flags").rows() == [(30, 2, 16), (7, 1, 1)]


def test_shorter_readings_are_summed():
    result = aggregate(frame(*complete(0, 1, duration=5), *complete(5, 2, duration=5)), 15).row(0, named=True)
    assert (result["load_milli_wh"], result["readings_expected"], result["readings_present"]) == (3, 3, 2)


def test_five_minutes_from_fifteen_seconds():
    rows = [
        reading
        for number in range(20)
        for reading in (
            *complete(15 * number, number, register_milli_wh=1000 + number),
            row("state_of_charge", 15 * number, state_of_charge_pct=Decimal(number)),
        )
    ]
    result = rollup(energy_15s(frame(*rows)), 300)
    assert result.height == 1
    only = result.row(0, named=True)
    assert (only["interval_start"], only["duration_s"], only["load_milli_wh"], only["load_register_milli_wh"]) == (
        at(0),
        300,
        190,
        1019,
    )
    assert (only["state_of_charge_pct"], only["readings_expected"], only["readings_present"]) == (Decimal("19.00"), 20, 20)
    assert (only["import_milli_wh"], only["import_register_milli_wh"], only["quality_flags"]) == (None, None, 1)


def test_what_is_missing_shows():
    result = rollup(energy_15s(frame(*complete(0), *complete(30), row("load", 45, 3))), 300).row(0, named=True)
    assert (result["readings_expected"], result["readings_present"], result["load_milli_wh"]) == (20, 2, 23)


@pytest.mark.parametrize(
    ("flags", "joined"), [((1, 1), 1), ((1, 17), 17), ((1, 16), 16), ((33, 1), 33), ((33, 16), 48), ((0, 1), 0), ((4, 72), 76)]
)
def test_flags_of_a_sum(flags, joined):
    readings = frame(*(row("load", 15 * number, 1, quality_flags=flag) for number, flag in enumerate(flags)))
    assert rollup(energy_15s(readings), 300)["quality_flags"].to_list() == [joined]


def test_longer_readings_are_spread():
    """100 mWh in a minute: a quarter each; with a register, which runs through."""
    fine = energy_15s(frame(*complete(60, 103, duration=60, register_milli_wh=1103)))
    assert fine["interval_start"].to_list() == [at(60), at(75), at(90), at(105)]
    assert fine["load_milli_wh"].to_list() == [25, 26, 26, 26]
    assert fine["load_register_milli_wh"].to_list() == [1025, 1051, 1077, 1103]
    assert fine["quality_flags"].to_list() == [33] * 4
    assert fine["readings_expected"].to_list() == fine["readings_present"].to_list() == [1] * 4


def test_ten_seconds_cross_the_grid():
    fine = energy_15s(
        frame(*complete(0, 11, duration=10, register_milli_wh=11), *complete(10, 10, duration=10, register_milli_wh=21))
    )
    assert fine.select("load_milli_wh", "load_register_milli_wh", "readings_expected", "readings_present").rows() == [
        (16, 16, 1, 1),
        (5, 21, 1, 0),
    ]


def test_too_long_is_left_out_and_countable():
    readings = frame(*complete(0, 10, duration=7200), *complete(0, 10, duration=2700), *complete(0, 7, duration=900))
    assert left_out(readings)["duration_s"].unique().sort().to_list() == [2700, 7200]
    assert left_out(readings, 300)["duration_s"].unique().sort().to_list() == [900, 2700, 7200]
    assert energy_15s(readings)["load_milli_wh"].sum() == 7
    assert energy_15s(readings, 300).is_empty()


def test_a_meter_that_changes_its_interval_is_complete():
    readings = frame(
        *(part for number in range(4) for part in complete(15 * number)),
        *(part for minute in range(1, 5) for part in complete(60 * minute, 40, duration=60)),
    )
    five = rollup(energy_15s(readings), 300).row(0, named=True)
    assert (five["load_milli_wh"], five["readings_expected"], five["readings_present"]) == (200, 20, 20)


def test_channels_of_different_lengths_are_complete_together():
    readings = frame(
        *(row(channel, 5 * n, 1, duration=5) for channel in MARKET[:3] for n in range(3)), row("discharge", 0, 9, duration=60)
    )
    first = energy_15s(readings).row(0, named=True)
    assert (first["load_milli_wh"], first["discharge_milli_wh"]) == (3, 2)
    assert (first["readings_expected"], first["readings_present"]) == (3, 3)


def test_short_readings_are_counted_one_by_one():
    """Each of two of the three slots lacks one channel: only one slot is present."""
    readings = frame(
        *(r for n in range(3) for r in complete(5 * n, 1, duration=5) if (n, r["channel"]) not in ((0, "load"), (1, "charge")))
    )
    only = energy_15s(readings).row(0, named=True)
    assert (only["readings_expected"], only["readings_present"], only["load_milli_wh"]) == (3, 1, 2)


def test_the_same_time_twice_counts_once():
    readings = frame(*(part for number in range(20) for part in complete(15 * number)), *complete(0, 9999, duration=60))
    assert rollup(energy_15s(readings), 300)["load_milli_wh"].to_list() == [200]


def test_state_of_charge_is_that_of_the_end():
    rows = [row("state_of_charge", start, state_of_charge_pct=Decimal(pct), duration=length) for start, length, pct in ((0, 60, 40), (60, 5, 41), (65, 5, 42))]  # fmt: skip
    fine = energy_15s(frame(*rows))
    assert fine.select("interval_start", "state_of_charge_pct").rows() == [(at(45), Decimal(40)), (at(60), Decimal(42))]
    assert rollup(fine, 300)["state_of_charge_pct"].to_list() == [Decimal(42)]


def test_usable_estimates_complete_an_interval():
    """Of twenty: one measured, one edited, one estimated usably, one for too long a gap, the others missing."""
    sources = (("reading", False), ("edit", False), ("estimate", True), ("estimate", False))
    rows = [{**one, "source": s, "usable": u} for n, (s, u) in enumerate(sources) for one in complete(15 * n)]
    kept = pl.DataFrame(rows, schema={**READINGS.frame_schema(), "source": pl.String, "usable": pl.Boolean}).select(
        list(EFFECTIVE)
    )
    mixed = kept.with_columns(pl.when((pl.col("source") == "estimate") & (pl.col("channel") != "load")).then(pl.lit("reading")).otherwise("source").alias("source"))  # fmt: skip
    for effective in (kept, mixed, pl.concat([mixed, kept.with_columns(pl.lit("M2").alias("meter_id"), pl.lit(5, pl.Int32).alias("duration_s"))])):  # fmt: skip
        five = levels(effective)[ENERGY_5MIN].filter(meter_id="M1")
        assert five.select("readings_expected", "readings_present", "readings_estimated").rows() == [(20, 2, 1)]


@pytest.mark.parametrize("length", [0, -15, 7, 90_000])
def test_intervals_divide_the_day(length):
    with pytest.raises(ValueError, match="divide the day"):
        aggregate(frame(), length)


def test_a_level_is_a_multiple_of_the_one_below():
    with pytest.raises(ValueError, match="do not add up"):
        rollup(energy_15s(frame(*complete(0))), 20)


def test_nothing():
    assert_frame_equal(energy_15s(frame()), ENERGY_15S.empty())
    assert_frame_equal(rollup(ENERGY_15S.empty(), 300), ENERGY_15S.empty())


wire = st.tuples(
    st.sampled_from(("M1", "M2")),
    st.sampled_from(ENERGY_CHANNELS),
    st.integers(0, 250),
    st.integers(0, 10**12),
    st.integers(0, 127),
    st.integers(1, 3),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(wire, max_size=60, unique_by=lambda item: (item[0], item[1], item[2], item[5])), st.randoms())
def test_levels_agree_bit_for_bit_whatever_the_order(items, random):
    rows = [
        row(channel, 15 * slot, energy, meter=meter, quality_flags=flags, version=version, register_milli_wh=energy)
        for meter, channel, slot, energy, flags, version in items
    ]
    fine = energy_15s(frame(*rows))
    random.shuffle(rows)
    assert_frame_equal(energy_15s(frame(*rows)), fine)
    five, quarter = rollup(fine, 300), rollup(fine, 900)
    assert_frame_equal(rollup(five, 900), quarter)
    assert_frame_equal(aggregate(frame(*rows), 300), five)
    expected = latest(frame(*rows)).group_by("meter_id", "channel").agg(pl.col("energy_milli_wh").sum())
    for meter, channel, total in expected.iter_rows():
        for level in (fine, five, quarter):
            assert level.filter(meter_id=meter)[f"{channel}_milli_wh"].sum() == total
    assert (quarter["readings_expected"] == 60).all()


lengths = st.sampled_from((1, 5, 10, 15, 20, 60, 300, 900, 3600))
runs = st.lists(st.tuples(lengths, st.integers(-(10**6), 10**12), st.booleans()), min_size=1, max_size=40)


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(st.tuples(st.sampled_from(("M1", "M2")), st.sampled_from(ENERGY_CHANNELS)), runs, min_size=1), st.randoms()
)
def test_energy_of_mixed_lengths_is_conserved(series, random):
    """Readings one after the other, of any lengths, with gaps between: every level has the same energy, to the milli-Wh."""
    rows, total = [], {}
    for (meter, channel), items in series.items():
        start = register = 0
        for length, energy, kept in items:
            # Generation below 0 is booked elsewhere; here nothing is.
            energy = max(energy, 0) if channel == "generation" else energy
            start += -start % length
            register += energy
            if kept:
                rows.append(row(channel, start, energy, length, meter, register_milli_wh=register))
                total[meter, channel] = total.get((meter, channel), 0) + energy
            start += length
    random.shuffle(rows)
    frames = levels(measured(frame(*rows)))
    day = days(frames[ENERGY_1H])
    for level in (*frames.values(), day):
        for (meter, channel), expected in total.items():
            assert level.filter(meter_id=meter)[f"{channel}_milli_wh"].sum() == expected
    assert set(energy_violations(*frames.values(), day)["name"]) <= {"energy_negative"}
    random.shuffle(rows)
    assert_frame_equal(levels(measured(frame(*rows)))[ENERGY_15MIN], frames[ENERGY_15MIN])


@settings(max_examples=40, deadline=None)
@given(lengths, st.integers(-(10**15), 10**15), st.integers(0, 10**15))
def test_parts_run_along_the_register(length, energy, before):
    fine = energy_15s(frame(row("load", 3600, energy, length, register_milli_wh=before + energy)))
    parts, registers = fine["load_milli_wh"].to_list(), fine["load_register_milli_wh"].to_list()
    assert sum(parts) == energy
    assert [r - p for r, p in zip(registers, parts, strict=True)] == [before, *registers[:-1]]
    assert registers[-1] == before + energy
    assert max(parts) - min(parts) <= 1 or length in (10, 20)

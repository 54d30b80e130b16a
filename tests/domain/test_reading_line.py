"""Messages to energy: what must hold for any sequence of messages."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from gridtokenx_pipeline.benchmarks.parse import run
from gridtokenx_pipeline.domain.aggregate import energy_15s, rollup
from gridtokenx_pipeline.domain.parse import parse_messages

sys.path.insert(0, str(Path(__file__).parent))

from reading_documents import at, full_mup, full_post, interval, line, listed, messages, mmr, mrid, reading, register

parts = st.one_of(
    st.builds(
        interval, st.sampled_from(("load", "generation")), st.integers(-1, 3), st.sampled_from((0, 15, 30, 7)), st.just(15)
    ),
    st.builds(register, st.sampled_from(("load", "generation")), st.integers(995, 1010), st.sampled_from((0, 15, 30, 45))),
    st.builds(
        lambda value, start: mmr(mrid("state_of_charge"), reading(value, start, 0)),
        st.sampled_from((50, 5000, 10_001)),
        st.sampled_from((15, 30)),
    ),
    st.builds(lambda value: mmr("77", reading(value, 0)), st.sampled_from((1, "x"))),
)
bodies = st.one_of(
    st.lists(parts, max_size=5).map(lambda items: listed(*items)),
    st.sampled_from(
        (full_mup(), full_post(0, 1, 1000), full_post(15, 2, 1002), b"<broken", b'<LogEvent xmlns="urn:ieee:std:2030.5:ns"/>')
    ),
)
posts = st.lists(st.tuples(st.integers(0, 90), bodies, st.sampled_from(("M1", "M2", "STRAY"))), max_size=10)
DECLARED = ((0, full_mup(), "M1"), (0, full_mup(), "M2"))


def frames(result):
    return (result.readings, result.rejected, result.telemetry, result.outcomes)


@settings(max_examples=30, deadline=None)
@given(posts, st.randoms())
def test_row_order_does_not_matter_and_all_is_accounted_for(items, random):
    frame = messages(*DECLARED, *items)
    order = list(range(frame.height))
    random.shuffle(order)
    _, result = line(frame)
    _, shuffled = line(frame[order])
    for one, other in zip(frames(result), frames(shuffled), strict=True):
        assert_frame_equal(one, other)
    assert not (set(result.readings["message_id"]) - set(frame["message_id"]))


@settings(max_examples=30, deadline=None)
@given(posts, st.randoms())
def test_the_same_messages_again_bring_nothing_new(items, random):
    frame = messages(*DECLARED, *items)
    parsed, first = line(frame)
    order = list(range(first.readings.height))
    random.shuffle(order)
    _, again = line(frame, known=parsed.reading_types, prior=first.readings[order])
    assert again.readings.is_empty()
    accepted = first.readings["parts"].sum() or 0
    duplicates = (again.rejected.filter(reason="duplicate")["parts"].sum() or 0) - (
        first.rejected.filter(reason="duplicate")["parts"].sum() or 0
    )
    assert duplicates == accepted
    assert_frame_equal(again.telemetry, first.telemetry)


@settings(max_examples=30, deadline=None)
@given(posts)
def test_resent_messages_bring_nothing_new(items):
    parsed, first = line(messages(*DECLARED, *items))
    copies = messages(*((when + 100, body, meter) for when, body, meter in items), first=500)
    _, again = line(copies, known=parsed.reading_types, prior=first.readings)
    values = [
        "meter_id",
        "channel",
        "interval_start",
        "duration_s",
        "energy_milli_wh",
        "register_milli_wh",
        "state_of_charge_pct",
    ]
    before = first.readings.select(values)
    assert again.readings.select(values).join(before, on=values, how="semi", nulls_equal=True).is_empty()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 250_000), min_size=1, max_size=80), st.data())
def test_energy_is_conserved_from_wire_to_quarter_hour(energies, data):
    total, posts_ = 0, []
    for number, energy in enumerate(energies):
        total += energy
        posts_.append((15 * number + 16, full_post(15 * number, energy, total)))
    kept = data.draw(st.sets(st.sampled_from(range(len(posts_)))))
    _, result = line(messages(DECLARED[0], *(posts_[number] for number in sorted(kept))))
    assert result.rejected.is_empty()
    fine = energy_15s(result.readings)
    expected = sum(energies[number] for number in kept)
    for level in (fine, rollup(fine, 300), rollup(fine, 900)):
        assert level["generation_milli_wh"].sum() == expected
        assert level["readings_present"].sum() == len(kept)
    if kept:
        last = max(kept)
        assert fine["generation_register_milli_wh"].max() == sum(energies[: last + 1])


@pytest.mark.parametrize("cut", range(1, 6))
def test_receipts_may_be_cut_anywhere(cut):
    """Validating two batches one after the other accepts what validating them at once does."""
    items = [
        DECLARED[0],
        (20, full_post(0, 5, 1000)),
        (35, listed(register("load", 1010, 30))),
        (40, listed(interval("load", 12, 15))),
        (50, full_post(30, 7, 1017)),
        (60, full_post(0, 6, 1000)),
    ]
    frame = messages(*items)
    _, whole = line(frame)
    known, first = line(frame[:cut])
    _, second = line(frame[cut:], known=known.reading_types, prior=first.readings)
    joined = pl.concat([first.readings, second.readings]).sort("meter_id", "channel", "interval_start", "duration_s", "version")
    assert_frame_equal(joined, whole.readings)
    assert whole.readings.filter(channel="load")["quality_flags"].to_list() == [1, 16, 33, 16, 1]


def test_an_hour_of_a_campus_meter_is_complete():
    frame = messages(DECLARED[0], *((15 * n + 16, full_post(15 * n, 1000, 1000 * (n + 1))) for n in range(240)))
    _, result = line(frame)
    quarter = rollup(energy_15s(result.readings), 900)
    assert quarter["interval_start"].to_list() == [at(0), at(900), at(1800), at(2700)]
    assert quarter["readings_present"].to_list() == quarter["readings_expected"].to_list() == [60] * 4
    assert quarter["load_milli_wh"].to_list() == [60_000] * 4
    assert quarter["export_register_milli_wh"].to_list() == [60_000, 120_000, 180_000, 240_000]
    assert quarter["quality_flags"].to_list() == [1] * 4


def test_parsing_is_pure():
    frame = messages(*DECLARED, (20, full_post(0)))
    assert_frame_equal(parse_messages(frame).wire, parse_messages(frame).wire)


def test_the_benchmark_measures_what_it_says():
    figures = run(messages=50)
    assert figures["messages"] == 50
    assert figures["readings"] == 650
    assert figures["ratio"] > 0
    assert figures["messages_per_s"] > 0
    assert figures["lxml_messages_per_s"] > 0

"""What holds for whatever meters send."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

sys.path.insert(0, str(Path(__file__).parent))

from vee_cases import HOUR, NOON, Ratings, at, codes, evidence, examine, meter, meters, ratings_frame, reading, readings

from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.domain.findings import Finding
from gridtokenx_pipeline.domain.validation import meter_hours

TWO = meters("M1", "M2")
# Shrinking lists of readings takes minutes and tells no more than the frame that fails.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
rows = st.builds(
    lambda name, channel, duration, slot, energy, register, late, findings: reading(
        name,
        channel,
        NOON - HOUR + slot * duration,
        energy,
        register,
        duration,
        received_at=at(NOON - HOUR + (slot + 1) * duration + late),
        findings=findings,
    ),
    st.sampled_from(("M1", "M2", "M3")),
    st.sampled_from(core.ENERGY_CHANNELS),
    st.sampled_from((5, 7, 15, 300, 900, 3600, 7200)),
    st.integers(0, 40),
    st.sampled_from((-5, 0, 1000, 1000, 30_000, 999_999)),
    st.sampled_from((None, 10, 5000)),
    st.sampled_from((-20, 1, 1, 100, 10_000)),
    st.sampled_from((None, None, "tare", "conflict,register_rollover")),
)


def unique(items):
    return readings(*{tuple(item[name] for name in core.READINGS.key): item for item in items}.values())


@settings(max_examples=10, deadline=None, phases=PHASES)
@given(st.lists(rows, max_size=60).map(unique), st.integers(0, 3 * HOUR), st.randoms())
def test_order_does_not_matter_and_rows_stay_within_their_hours(frame, closed, shuffler):
    order = list(range(frame.height))
    shuffler.shuffle(order)
    one, other = (evidence(f, start=NOON, end=NOON + 2 * HOUR, ratings=TWO, closed=NOON + closed) for f in (frame, frame[order]))
    found = examine(one)
    assert_frame_equal(found, examine(other))
    estimates = core.ESTIMATES.empty()
    assert_frame_equal(meter_hours(one, found, estimates), meter_hours(other, found, estimates))
    start, length = found["interval_start"].dt.epoch("s"), found["duration_s"]
    assert (length > 0).all()
    assert ((start // HOUR) == (start + length - 1) // HOUR).all()
    assert found["interval_start"].is_between(at(NOON), at(NOON + 2 * HOUR), closed="left").all()
    assert set(found["code"]) <= {finding.value for finding in Finding}


@settings(max_examples=8, deadline=None, phases=PHASES)
@given(st.lists(rows, max_size=60).map(unique))
def test_hours_one_by_one_are_told_the_same_as_together(frame):
    both = examine(evidence(frame, start=NOON, end=NOON + 2 * HOUR, ratings=TWO))
    each = [examine(evidence(frame, start=NOON + h * HOUR, ratings=TWO)) for h in range(2)]
    # What reaches back further than the hour before needs history, which is not given here.
    short = pl.col("code") != Finding.STUCK.value
    assert_frame_equal(both.filter(short), pl.concat(each).sort(core.VEE_EXCEPTIONS.key).filter(short))


@pytest.mark.parametrize("duration", [10, 15, 60, 900])
def test_clean_hours_have_no_findings(duration):
    pcc = ratings_frame([Ratings(name, "academic", 50, 30, 40) for name in ("M1", "M2", "M3")])
    n = 2 * HOUR // duration
    clean = [row for name in ("M1", "M2", "M3") for row in meter(name, NOON, n, duration)]
    random.Random(1).shuffle(clean)
    assert codes(evidence(*clean, end=NOON + 2 * HOUR, ratings=pcc)) == []


def test_nothing_at_all_is_evidence_too():
    assert codes(evidence(closed=0)) == []


def test_the_same_time_at_fault_in_two_lengths_is_one_finding():
    rows = [reading(start=NOON + 15 * n, energy=20_837) for n in range(80)]
    rows += [reading(start=NOON + 60 * n, energy=83_348, duration=60) for n in range(20)]
    assert examine(evidence(*rows)).filter(code="stuck").height == 1


def test_a_campus_without_meters():
    data = evidence(reading(start=NOON), ratings=meters("M1").clear())
    assert examine(data).is_empty()
    assert meter_hours(data, examine(data), core.ESTIMATES.empty()).is_empty()

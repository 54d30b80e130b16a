from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import polars as pl
from vee_cases import NOON, evidence, found, history, meters, run, wobbling

# Wednesday 7 January: like days are 1, 2, 5, 6, 7 and 8 days before, not the weekend 3 and 4 days before.
WEEK = (1, 2, 5, 6, 7, 8)


def jump(factor, registers=False, confirmed=False):
    values = wobbling(40)
    values[20:40] = [int(v * factor) for v in values[20:40]]
    rows = run(values, start=NOON, registers=registers)
    if registers and not confirmed:
        for row in rows:
            row["register_milli_wh"] = 20_000 * (row["interval_start"].minute * 4 + row["interval_start"].second // 15)
    return rows


def usual(day, slot):
    return 400_000 + day * 1000


def spikes(rows, days=WEEK, **more):
    return found(evidence(*rows, history=history(days, load=usual, **more)), "spike")


def test_far_above_like_days_without_a_register():
    assert spikes(jump(4)) == [("M1", "load", NOON + 300, 300)]
    assert spikes(jump(2)) == []


def test_a_register_that_agrees_confirms_it_and_one_that_does_not_does_not():
    assert spikes(jump(4, registers=True, confirmed=True)) == []
    rows = jump(4, registers=True)
    assert spikes(rows) == [("M1", "load", NOON + 300, 300)]


@pytest.mark.parametrize(("days", "told"), [((1, 2), 0), ((1, 2, 3, 4), 0), ((1, 2, 5), 1)])
def test_three_like_days_are_needed_and_weekends_are_not_like_weekdays(days, told):
    assert len(spikes(jump(4), days=days)) == told


def test_only_the_last_spike_days_count():
    def once_higher(day, slot):
        return 400_000 if day < 9 else 4_000_000

    data = history((1, 2, 5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 19, 20, 21), load=once_higher)
    assert found(evidence(*jump(4), history=data), "spike") == [("M1", "load", NOON + 300, 300)]


def test_days_that_differ_widen_the_bound():
    def wide(day, slot):
        return 100_000 + day * 120_000

    assert found(evidence(*jump(4), history=history(WEEK, load=wide)), "spike") == []


def test_a_clear_day_that_the_neighbours_have_too_is_no_spike():
    own = run(wobbling(20, 100_000), channel="generation", start=NOON, registers=False)
    dull = history(WEEK, generation=200_000)
    assert found(evidence(*own, history=dull), "spike") == [("M1", "generation", NOON, 300)]
    others = [row for name in ("M2", "M3") for row in run(wobbling(20, 90_000), name, "generation", NOON)]
    ratings = meters("M1", "M2", "M3")
    assert found(evidence(*own, *others, history=dull, ratings=ratings), "spike") == []
    small = [row for name in ("M2", "M3") for row in run(wobbling(20, 9_000), name, "generation", NOON)]
    assert len(found(evidence(*own, *small, history=dull, ratings=ratings), "spike")) == 1


def test_quarter_hours_are_compared_by_their_mean():
    rows = run([1_200_000, 4_800_000], start=NOON, duration=900, registers=False)
    assert spikes(rows) == [("M1", "load", NOON + 900 + 300 * n, 300) for n in range(3)]


def test_the_same_local_time_counts_when_clocks_have_changed():
    """On 8 March 2026 clocks went forward: 10:00 on the 11th is an hour earlier in UTC than on the 4th to the 6th."""
    wednesday = 63 * 86_400 + 17 * 3600
    rows = run([v * 4 for v in wobbling(20)], start=wednesday, registers=False)
    before = pl.concat([history((day,), load=400_000, start=wednesday + 3600, n=1) for day in (5, 6, 7)])
    assert found(evidence(*rows, start=wednesday, history=before), "spike") == [("M1", "load", wednesday, 300)]
    same_utc = history((5, 6, 7), load=400_000, start=wednesday, n=1)
    assert found(evidence(*rows, start=wednesday, history=same_utc), "spike") == []

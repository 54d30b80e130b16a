from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from vee_cases import HOUR, NOON, evidence, found, run, wobbling


@pytest.mark.parametrize(("refused", "told"), [(47, False), (48, True), (240, True)])
def test_a_fifth_of_an_hour_out_of_range_casts_doubt_on_the_rest(refused, told):
    rows = run(wobbling(240), start=NOON)[refused:]
    rejected = [("load", NOON + 15 * i, "out_of_range") for i in range(refused)]
    expected = [("M1", "load", NOON, HOUR)] if told else []
    assert found(evidence(*rows, refused=rejected), "overcounting") == expected


def test_other_reasons_other_channels_and_repetitions_do_not_count():
    rows = run(wobbling(240), start=NOON)
    rejected = [("load", NOON + 15 * i, "duplicate") for i in range(100)]
    rejected += [("state_of_charge", NOON + 15 * i, "out_of_range") for i in range(100)]
    rejected += [("load", NOON, "out_of_range")] * 100
    assert found(evidence(*rows, refused=rejected), "overcounting") == []


@pytest.mark.parametrize(("factor", "told"), [(1.0, False), (1.04, False), (1.06, True), (0.9, True)])
def test_a_reading_and_the_shorter_ones_within_it_have_to_agree(factor, told):
    rows = run(wobbling(240), start=NOON)
    total = sum(row["energy_milli_wh"] for row in rows[60:120])
    rows += run([int(total * factor)], start=NOON + 900, duration=900)
    expected = [("M1", "load", NOON + 900, 900)] if told else []
    assert found(evidence(*rows), "overcounting") == expected


def test_a_reading_across_hours_is_told_in_each():
    rows = run(wobbling(480), start=NOON) + run([1], start=NOON, duration=7200)
    assert found(evidence(*rows, end=NOON + 7200), "overcounting") == [
        ("M1", "load", NOON, HOUR),
        ("M1", "load", NOON + HOUR, HOUR),
    ]


def test_what_is_covered_in_part_is_not_compared():
    rows = run(wobbling(30), start=NOON) + run([1], start=NOON, duration=900)
    assert found(evidence(*rows), "overcounting") == []

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from vee_cases import HOUR, NOON, Thresholds, evidence, found, meters, run, wobbling


def test_energy_that_the_registers_contradict_is_told_of_its_five_minutes():
    rows = run(wobbling(240), start=NOON)
    rows[25]["energy_milli_wh"] += 1000
    assert found(evidence(*rows), "register_mismatch") == [("M1", "load", NOON + 300, 300)]


def test_the_first_reading_of_an_hour_is_compared_with_the_register_before_it():
    rows = run(wobbling(260), start=NOON - 300)
    rows[20]["energy_milli_wh"] += 1000
    assert found(evidence(*rows), "register_mismatch") == [("M1", "load", NOON, 300)]
    assert found(evidence(*rows[20:]), "register_mismatch") == []


@pytest.mark.parametrize(("off", "told"), [(2, 0), (3, 1)])
def test_two_steps_of_the_meter_are_no_difference(off, told):
    rows = run([10] * 19 + [11], start=NOON)
    rows[5]["energy_milli_wh"] += off
    assert len(found(evidence(*rows), "register_mismatch")) == told


def test_a_coarse_meter_has_larger_steps():
    rows = run([1000 * (10 + i % 2) for i in range(20)], start=NOON)
    rows[5]["energy_milli_wh"] += 1000
    ratings = meters(thresholds=Thresholds(sum_check_pct=0.0))
    assert found(evidence(*rows, ratings=ratings), "register_mismatch") == []
    rows[6]["energy_milli_wh"] += 2000
    assert len(found(evidence(*rows, ratings=ratings), "register_mismatch")) == 1


def test_differences_too_small_for_five_minutes_add_up_over_the_hour():
    rows = run([100] * 240, start=NOON)
    for number in range(0, 240, 20):
        rows[number + 1]["energy_milli_wh"] += 3
    ratings = meters(thresholds=Thresholds(sum_check_pct=0.1, sum_check_lsb=3))
    assert found(evidence(*rows, ratings=ratings), "register_mismatch") == [("M1", "load", NOON, HOUR)]


@pytest.mark.parametrize("code", ["register_rollover", "meter_swap"])
def test_not_across_a_register_that_began_anew(code):
    rows = run(wobbling(20), start=NOON)
    for row in rows[10:]:
        row["register_milli_wh"] -= rows[9]["register_milli_wh"]
    assert len(found(evidence(*rows), "register_mismatch")) == 1
    rows[10]["findings"] = code
    assert found(evidence(*rows), "register_mismatch") == []


def test_not_across_a_gap_and_not_without_registers():
    rows = run(wobbling(40), start=NOON, missing=range(10, 20))
    assert found(evidence(*rows), "register_mismatch") == []
    rows = run(wobbling(40), start=NOON, registers=False)
    rows[3]["energy_milli_wh"] *= 3
    assert found(evidence(*rows), "register_mismatch") == []


@pytest.mark.parametrize(("duration", "span"), [(1, 300), (10, 300), (60, 300), (900, 900)])
def test_intervals_of_any_length(duration, span):
    rows = run(wobbling(4 * 900 // duration, 50_000), start=NOON, duration=duration)
    rows[1]["energy_milli_wh"] += 50_000
    assert found(evidence(*rows), "register_mismatch") == [("M1", "load", NOON + span * (duration // span), span)]


def test_the_latest_version_is_judged():
    rows = run(wobbling(20), start=NOON)
    wrong = {**rows[4], "energy_milli_wh": 99_000}
    rows[4]["version"] = 2
    assert found(evidence(wrong, *rows), "register_mismatch") == []

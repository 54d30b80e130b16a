from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from vee_cases import HOUR, NOON, Thresholds, evidence, found, history, meters, run, wobbling

SUNNY = 100_000  # mWh in 15 s: 24 kW of 50
TRIO = ("M1", "M2", "M3")


def campus(own, others=(SUNNY, SUNNY), start=NOON, **more):
    rows = run(own, "M1", "generation", start, **more)
    for name, base in zip(TRIO[1:], others, strict=False):
        rows += run(wobbling(len(own), base), name, "generation", start)
    return rows


def dark(first, last, n=240):
    return [0 if first <= i < last else v for i, v in enumerate(wobbling(n, SUNNY))]


def zeros(rows, **more):
    return found(evidence(*rows, ratings=meters(*TRIO), **more), "zero_generation")


def test_half_an_hour_without_generation_while_others_generate():
    assert zeros(campus(dark(60, 180))) == [("M1", "generation", NOON + 900, 1800)]
    assert zeros(campus(dark(60, 160))) == []


def test_the_inverters_own_use_is_no_generation():
    assert len(zeros(campus([-v // 1000 for v in dark(0, 0)]))) == 1


@pytest.mark.parametrize("others", [(0, 0), (1000, 1000), (SUNNY,)])
def test_others_have_to_generate_and_be_two(others):
    assert zeros(campus(dark(0, 240), [0 if v == 0 else v for v in others])) == []


def test_it_lasts_from_the_hour_before_and_each_hour_tells_its_part():
    rows = campus(dark(200, 340, 480), start=NOON - HOUR)
    assert zeros(rows) == [("M1", "generation", NOON, 1500)]
    # At the end of the hour before it had lasted 10 minutes.
    assert zeros(rows, start=NOON - HOUR, end=NOON) == []
    both = zeros(rows, start=NOON - HOUR, end=NOON + HOUR)
    assert both == [("M1", "generation", NOON, 1500)]


def test_what_has_not_closed_is_not_judged():
    assert zeros(campus(dark(0, 240)), closed=NOON + 1799) == []
    assert zeros(campus(dark(0, 240)), closed=NOON + 1800) == [("M1", "generation", NOON, 1800)]


def test_quarter_hours_of_a_meter_among_others():
    rows = run([0, 0, 6_000_000, 6_000_000], "M1", "generation", NOON, 900) + campus(wobbling(240, SUNNY))[240:]
    assert zeros(rows) == [("M1", "generation", NOON, 1800)]


def test_a_load_of_exactly_nothing_for_a_day():
    rows = run([0] * 480, start=NOON - HOUR)
    whole = history((1,), load=0, n=276)  # a day before noon to an hour before noon
    assert found(evidence(*rows, history=whole), "zero_load") == [("M1", "load", NOON, HOUR)]
    half = history((1,), load=lambda day, slot: int(slot == 100), n=276)
    assert found(evidence(*rows, history=half), "zero_load") == []
    assert found(evidence(*rows), "zero_load") == []


def test_a_load_that_is_back_is_not_zero_and_gaps_do_not_end_it():
    rows = run([0] * 280 + [100] + [0] * 199, start=NOON - HOUR)
    whole = history((1,), load=0, n=276)
    assert found(evidence(*rows, history=whole), "zero_load") == [("M1", "load", NOON, 600)]
    gappy = whole[::2]
    assert found(evidence(*run([0] * 480, start=NOON - HOUR), history=gappy), "zero_load") == [("M1", "load", NOON, HOUR)]
    sparse = whole[::12]
    assert found(evidence(*run([0] * 480, start=NOON - HOUR), history=sparse), "zero_load") == []


def flat(first, last, n=240, channel="load", value=20_837, start=NOON, **more):
    return run([value if first <= i < last else v for i, v in enumerate(wobbling(n))], "M1", channel, start, **more)


@pytest.mark.parametrize(("length", "told"), [(19, 0), (20, 1), (21, 1)])
@pytest.mark.parametrize("channel", ["generation", "load"])
def test_twenty_equal_values_in_a_row(length, told, channel):
    rows = found(evidence(*flat(50, 50 + length, channel=channel)), "stuck")
    assert rows == [("M1", channel, NOON + 750, 15 * length)] * told


@pytest.mark.parametrize("channel", ["charge", "discharge", "import", "export"])
def test_a_battery_at_its_limit_is_not_stuck(channel):
    assert found(evidence(*flat(0, 240, channel=channel)), "stuck") == []


def test_nothing_is_not_stuck_and_neither_is_an_inverter_at_its_rating():
    assert found(evidence(*flat(0, 240, value=0)), "stuck") == []
    assert found(evidence(*flat(0, 240, channel="generation", value=208_333)), "stuck") == []
    assert len(found(evidence(*flat(0, 240, channel="generation", value=200_333)), "stuck")) == 1


def test_coarse_values_are_not_stuck_for_being_equal():
    def coarse(step):
        return run([step * (17 + (i < 10)) for i in range(240)], start=NOON)

    assert found(evidence(*coarse(10_000)), "stuck") == []
    assert len(found(evidence(*flat(20, 240, value=17_017)), "stuck")) == 1


def test_a_run_counts_from_the_hour_before_to_the_hours_end():
    rows = flat(230, 252, n=480, start=NOON - HOUR)
    assert found(evidence(*rows), "stuck") == [("M1", "load", NOON, 180)]
    assert found(evidence(*rows, start=NOON - HOUR, end=NOON), "stuck") == []
    assert found(evidence(*rows, start=NOON - HOUR, end=NOON + HOUR), "stuck") == [("M1", "load", NOON, 180)]


def test_quarter_hours_are_stuck_for_hours_which_history_tells():
    rows = run([3_000_001] * 8, start=NOON - HOUR, duration=900)
    assert found(evidence(*rows), "stuck") == []

    def thirds(day, slot):
        return 1_000_000 + (slot % 3 == 2)

    back = history((1,), load=thirds, n=276)
    assert found(evidence(*rows, history=back), "stuck") == [("M1", "load", NOON, HOUR)]


def test_each_meter_has_its_own_thresholds():
    ratings = meters(thresholds=Thresholds(stuck_readings=40))
    assert found(evidence(*flat(0, 39), ratings=ratings), "stuck") == []
    assert len(found(evidence(*flat(0, 40), ratings=ratings), "stuck")) == 1

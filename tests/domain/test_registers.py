"""Registers that fall: rollovers, meter swaps, the inverter's own use, and faults."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from reading_documents import (
    WH,
    at,
    full_mup,
    interval,
    line,
    lines,
    listed,
    messages,
    mmr,
    mup,
    reading,
    reasons,
    register,
    rtype,
)

OTHER = "D4" * 20
KILO = 10**8  # 10^5 Wh in milli-watt-hours: a register of five digits of kWh less two, the smallest
MUP = (0, full_mup())


def pair(start, energy, total, channel="load"):
    return listed(interval(channel, energy, start), register(channel, total, start + 15))


def rows(result):
    return result.readings.select("register_milli_wh", "energy_milli_wh", "quality_flags", "findings").rows()


@pytest.mark.parametrize("digits", range(5, 16))
def test_a_register_of_any_number_of_digits_rolls_over(digits):
    end = 10**digits * 1000
    unit = 10 ** max(digits - 11, 0)  # a wire value is an Int48
    power = -3 + max(digits - 11, 0)
    type_ = f"<accumulationBehaviour>9</accumulationBehaviour>{WH.replace('-3', str(power))}"
    declared = mup(mmr("77", rtype(type_), description="load"), mmr("78", rtype(INTERVAL), description="load"))
    before, after = end - 3 * unit, 2 * unit

    def post(start, energy, total):
        return listed(mmr("78", reading(energy, start)), mmr("77", reading(total // unit, start + 15, 0)))

    _, result = line(messages((0, declared), (20, post(0, 5, before)), (35, post(15, 5, after))))
    assert rows(result) == [(before, 5, 1, None), (after, 5, 33, "register_rollover")]


INTERVAL = f"<accumulationBehaviour>4</accumulationBehaviour><intervalLength>15</intervalLength>{WH}"


@pytest.mark.parametrize(
    ("power", "bits", "rolls"), [(-3, 32, True), (-2, 32, True), (0, 32, True), (-3, 47, True), (-6, 32, False), (-3, 40, False)]
)
def test_a_binary_register_rolls_over_in_its_own_unit(power, bits, rolls):
    type_ = f"<accumulationBehaviour>9</accumulationBehaviour>{WH.replace('-3', str(power))}"
    declared = mup(mmr("77", rtype(type_), description="load"), mmr("78", rtype(INTERVAL), description="load"))
    least = 1 if power >= -3 else 1000

    def post(start, total):
        return listed(mmr("78", reading(5, start)), mmr("77", reading(total, start + 15, 0)))

    before = (2**bits - 1) // least * least
    _, result = line(messages((0, declared), (20, post(0, before)), (35, post(15, least))))
    found = result.readings["findings"].to_list()
    assert found == ([None, "register_rollover"] if rolls else [None])
    assert reasons(result) == ([] if rolls else ["register_decreased"])


def test_what_is_missing_to_the_end_must_be_plausible_in_the_time_between():
    most = 160_000 * 15 * 1000 // 3600  # M1's load in 15 s
    _, good = line(messages(MUP, (20, pair(0, 5, KILO - 10)), (35, pair(15, 5, most - 10))))
    assert good.readings["findings"].to_list() == [None, "register_rollover"]
    _, bad = line(messages(MUP, (20, pair(0, 5, KILO - 10)), (35, pair(15, 5, most - 9))))
    assert reasons(bad) == ["register_decreased"]
    _, later = line(messages(MUP, (20, pair(0, 5, KILO - 10)), (50, pair(30, 5, most - 9))))
    assert later.rejected.is_empty()


def test_a_register_alone_has_the_energy_over_its_end():
    totals = [(20, KILO - 1000), (35, KILO - 300), (50, 450), (65, 1000)]
    _, result = line(messages(MUP, *((when, listed(register("load", total, when - 5))) for when, total in totals)))
    assert rows(result) == [
        (KILO - 300, 700, 33, None),
        (450, 750, 33, "register_rollover"),
        (1000, 550, 33, None),
    ]


@pytest.mark.parametrize("cut", range(1, 6))
def test_a_register_alone_begins_at_one_that_was_refused_wherever_receipts_are_cut(cut):
    spike = [(20, 1000), (35, 1700), (50, 90_000_000), (65, 3100), (80, 3800), (95, 4000)]
    frame = messages(MUP, *((when, listed(register("load", total, when - 5))) for when, total in spike))
    whole, parts = lines([frame]), lines([frame[:cut], frame[cut:]])
    assert whole.readings["energy_milli_wh"].to_list() == [700, 700, 200]
    assert parts.readings.equals(whole.readings)
    assert parts.rejected.equals(whole.rejected)


@pytest.mark.parametrize("cut", range(1, 7))
def test_a_register_counts_anew_after_rollover_and_swap_wherever_receipts_are_cut(cut):
    frame = messages(
        MUP,
        (20, pair(0, 5, KILO - 10)),
        (35, pair(15, 5, 3)),
        (50, pair(30, 5, 8)),
        (51, pair(30, 5, 2)),
        (65, pair(45, 5, 1)),
        (80, pair(60, 5, 13)),
    )
    whole = lines([frame])
    assert whole.readings["register_milli_wh"].to_list() == [KILO - 10, 3, 8, 13]
    assert whole.readings["findings"].to_list() == [None, "register_rollover", None, None]
    assert reasons(whole) == ["register_decreased", "register_decreased"]
    parts = lines([frame[:cut], frame[cut:]])
    assert parts.readings.equals(whole.readings)
    assert parts.rejected.equals(whole.rejected)


def test_late_data_around_a_rollover_is_compared_with_its_own_past():
    result = line(
        messages(MUP, (20, pair(0, 5, KILO - 20)), (65, pair(45, 5, 30)), (70, pair(15, 5, KILO - 5)), (75, pair(30, 5, 10)))
    )[1]
    assert result.readings.select("register_milli_wh", "findings").rows() == [
        (KILO - 20, None),
        (KILO - 5, None),
        (10, "register_rollover"),
        (30, "register_rollover"),
    ]


def swapped(*posts, device=OTHER, since=2):
    """Posts of the meter, from the `since`-th by another device, whose types are declared with it."""
    numbers = dict.fromkeys(range(since + 1, len(posts) + 1), device)
    return pl.concat([messages(MUP, first=900, devices={900: device}), messages(MUP, *posts, devices=numbers)])


def test_another_device_counts_from_its_own_register_on():
    posts = (
        (20, pair(0, 5, 1000)),
        (35, pair(15, 5, 1005)),
        (50, pair(30, 5, 700)),
        (65, pair(45, 5, 710)),
        (80, pair(60, 5, 690)),
    )
    _, result = line(swapped(*posts))
    assert rows(result) == [(1000, 5, 1, None), (1005, 5, 1, None), (700, 5, 16, "meter_swap"), (710, 5, 1, None)]
    assert reasons(result) == ["register_decreased"]


def test_registers_alone_of_another_device_have_no_difference_to_the_first_one():
    totals = [(20, 1000), (35, 1700), (50, 300), (65, 800), (80, 1200)]
    posts = [(when, listed(register("load", total, when - 5))) for when, total in totals]
    _, result = line(swapped(*posts))
    assert rows(result) == [(1700, 700, 33, None), (800, 500, 48, "meter_swap"), (1200, 400, 33, None)]
    assert reasons(result) == ["unpaired_register", "unpaired_register"]


def test_a_register_that_begins_at_zero_with_its_interval_is_a_new_one():
    _, result = line(messages(MUP, (20, pair(0, 5, 1000)), (35, pair(15, 7, 7)), (50, pair(30, 5, 12)), (65, pair(45, 0, 0))))
    assert rows(result) == [(1000, 5, 1, None), (7, 7, 16, "meter_swap"), (12, 5, 1, None)]
    assert reasons(result) == ["register_decreased"]


TARE = 50_000 * 15 * 1000 // 3600 * 5 // 1000  # half a percent of M1's rated power in 15 s


def test_the_own_use_of_an_inverter_is_kept_as_it_is():
    _, result = line(messages(MUP, (20, pair(0, 0, 5000, "generation")), (35, pair(15, -TARE, 5000 - TARE, "generation"))))
    assert rows(result) == [(5000, 0, 1, None), (5000 - TARE, -TARE, 33, "tare")]


@pytest.mark.parametrize(
    "part", [interval("generation", -TARE - 1, 0), *(interval(c, -1, 0) for c in ("load", "charge", "import"))]
)
def test_more_than_that_is_a_wrong_sign(part):
    _, result = line(messages(MUP, (20, listed(part))))
    assert reasons(result) == ["negative"]
    assert "wrong sign or CT" in result.rejected["detail"][0]


def test_a_generation_register_falls_by_no_more_than_the_own_use():
    _, result = line(messages(MUP, (20, pair(0, 0, 5000, "generation")), (35, pair(15, -5, 5000 - TARE - 1, "generation"))))
    assert reasons(result) == ["register_decreased"]


def flagged(value, flags):
    return listed(interval("load", value, 0).replace("<Reading>", f"<Reading><qualityFlags>{flags}</qualityFlags>"))


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize(
    ("posts", "accepted", "refused"),
    [
        ([(5, "01"), (6, "04")], [(1, 5, 1)], ["lower_quality"]),
        ([(5, "10"), (6, "04")], [(1, 5, 16), (2, 6, 20)], []),
        ([(5, "04"), (6, "01"), (7, "10"), (5, "04")], [(1, 5, 4), (2, 6, 16)], ["lower_quality", "duplicate"]),
        ([(5, "04"), (5, "01"), (5, "04")], [(1, 5, 4), (2, 5, 1)], ["duplicate"]),
        ([(5, "01"), (6, "04"), (7, "01")], [(1, 5, 1), (2, 7, 16)], ["lower_quality"]),
    ],
)
def test_a_value_of_lower_quality_does_not_become_the_latest(posts, accepted, refused, split):
    frame = messages(MUP, *((20 + n, flagged(value, flags)) for n, (value, flags) in enumerate(posts)))
    result = lines([frame[:2], frame[2:]] if split else [frame])
    assert result.readings.select("version", "energy_milli_wh", "quality_flags").rows() == accepted
    assert reasons(result) == refused


@pytest.mark.parametrize(("start", "taken"), [(1, 0), (2, 0), (13, 15), (14, 15), (3, None), (12, None), (8, None)])
def test_a_clock_that_is_a_little_off_is_set_right(start, taken):
    _, result = line(messages(MUP, (40, listed(interval("load", 5, start), register("load", 100, start + 15)))))
    if taken is None:
        assert reasons(result) == ["bad_interval"]
    else:
        row = result.readings.row(0, named=True)
        assert (row["interval_start"], row["findings"], row["quality_flags"], row["parts"]) == (at(taken), "clock_snapped", 33, 2)


def test_types_that_come_late_count_where_none_came_before():
    late = messages((20, listed(interval("load", 5, 0))), (90, full_mup()), (95, listed(interval("load", 6, 0))))
    result = lines([late])
    assert result.readings.select("version", "energy_milli_wh", "message_id").rows() == [
        (1, 5, "seg:000000"),
        (2, 6, "seg:000002"),
    ]
    again = lines([late[:1], late[1:]])
    assert again.readings.equals(result.readings)


def test_the_first_type_after_a_reading_counts_for_it_and_not_the_last():
    kilo = full_mup().replace(b"<powerOfTenMultiplier>-3<", b"<powerOfTenMultiplier>0<")
    result = lines(
        [messages((20, listed(interval("load", 5, 0))), (90, full_mup()), (95, kilo), (99, listed(interval("load", 6, 15))))]
    )
    assert result.readings["energy_milli_wh"].to_list() == [5, 6000]

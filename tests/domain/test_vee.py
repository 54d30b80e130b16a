from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from gridtokenx_pipeline.domain.reasons import Reason
from gridtokenx_pipeline.domain.thresholds import meter_bounds
from gridtokenx_pipeline.domain.vee import Rules

sys.path.insert(0, str(Path(__file__).parent))

from reading_documents import (
    INTERVAL_TYPE,
    METERS,
    WH,
    at,
    full_mup,
    full_post,
    interval,
    line,
    listed,
    messages,
    mmr,
    mup,
    reading,
    reasons,
    register,
    rooted,
    rtype,
)

MUP = (0, full_mup())


def accepted(*bodies, **options):
    return line(messages(MUP, *bodies), **options)[1]


def only(result, frame="readings"):
    rows = getattr(result, frame).to_dicts()
    assert len(rows) == 1, rows
    return rows[0]


def test_interval_and_register_become_one_row_named_by_its_start():
    result = accepted((20, full_post(0, energies=1234, registers=99_000, state=5025)))
    assert result.readings.height == 7
    assert result.rejected.is_empty()
    row = result.readings.filter(channel="generation").row(0, named=True)
    assert (row["interval_start"], row["duration_s"]) == (at(0), 15)
    assert (row["energy_milli_wh"], row["register_milli_wh"], row["state_of_charge_pct"]) == (1234, 99_000, None)
    assert (row["quality_flags"], row["version"], row["parts"], row["message_id"]) == (1, 1, 2, "seg:000001")
    state = result.readings.filter(channel="state_of_charge").row(0, named=True)
    assert (state["interval_start"], state["duration_s"], state["parts"]) == (at(0), 15, 1)
    assert (state["energy_milli_wh"], state["state_of_charge_pct"]) == (None, Decimal("50.25"))


def test_types_declared_earlier_or_in_the_same_message_count_but_not_later_ones():
    parsed, _ = line(messages(MUP))
    _, result = line(messages((20, full_post(0)), first=5), known=parsed.reading_types)
    assert result.readings.height == 7
    same = mmr("01", rtype(INTERVAL_TYPE), reading(5, 0), description="load")
    assert only(line(messages((20, listed(same))))[1])["energy_milli_wh"] == 5
    _, late = line(messages((20, full_post(0)), (30, full_mup())), rules=Rules(late_type_s=9))
    assert set(reasons(late)) == {"reading_type_unknown"}
    assert late.rejected.height == 13


def test_types_first_then_only_readings():
    """The shape of stock clients: a usage point without content, then types, then values."""
    declared = rooted(mmr("1", rtype("<accumulationBehaviour>12</accumulationBehaviour><kind>37</kind><uom>38</uom>")))
    _, result = line(messages((0, mup(role="09")), (5, declared), (20, rooted(mmr("0001", reading(2500, 15, 0))))))
    row = only(result, "telemetry")
    assert (row["uom"], row["kind"], row["value"], row["power_of_ten"], row["measured_at"], row["duration_s"]) == (
        38,
        37,
        2500,
        0,
        at(15),
        0,
    )
    assert result.outcomes["document"].to_list() == ["MirrorUsagePoint", "MirrorMeterReading", "MirrorMeterReading"]


def test_a_changed_type_holds_from_its_message_on():
    kilo = INTERVAL_TYPE.replace("-3", "0")
    _, result = line(
        messages(
            (0, mup(mmr("01", rtype(INTERVAL_TYPE), description="load"))),
            (20, listed(mmr("01", reading(7, 0)))),
            (30, mup(mmr("01", rtype(kilo), description="load"))),
            (35, listed(mmr("01", reading(7, 15)))),
        )
    )
    assert result.readings["energy_milli_wh"].to_list() == [7, 7000]


def test_devices_with_equal_mrids_keep_their_own_types():
    load = mup(mmr("01", rtype(INTERVAL_TYPE), description="load"))
    generation = mup(mmr("01", rtype(INTERVAL_TYPE), description="generation"))
    post = listed(mmr("01", reading(7, 0)))
    _, result = line(messages((0, load, "M1"), (1, generation, "M2"), (20, post, "M1"), (20, post, "M2")))
    assert result.readings.select("meter_id", "channel").rows() == [("M1", "load"), ("M2", "generation")]


@pytest.mark.parametrize(
    ("codes", "reason"),
    [
        ("<uom>199</uom>", "unknown_unit"),
        ("<kind>12</kind>", "unknown_unit"),
        (INTERVAL_TYPE.replace("-3", "-10"), "unknown_unit"),
        (INTERVAL_TYPE.replace("<uom>72", "<uom>38").replace("-3", "12"), "unknown_unit"),
        (INTERVAL_TYPE, "unknown_channel"),
    ],
)
def test_types_that_say_too_little(codes, reason):
    _, result = line(messages((20, listed(mmr("01", rtype(codes), reading(5, 0), description="mystery")))))
    assert only(result, "rejected")["reason"] == reason


@pytest.mark.parametrize(
    ("power", "value", "milli"),
    [
        (-3, 5, 5),
        (0, 5, 5000),
        (3, 0, 0),
        (-6, 7000, 7),
        (-6, 7001, None),
        (-9, 3_000_000, 3),
        (-4, -5, None),
        (9, 140737488355327, None),
    ],
)
def test_values_scale_exactly_or_not_at_all(power, value, milli):
    body = listed(mmr("01", rtype(INTERVAL_TYPE.replace("-3", str(power))), reading(value, 0), description="load"))
    _, result = line(messages((20, body)))
    if milli is None:
        row = only(result, "rejected")
        assert row["reason"] == "bad_value"
        assert f"{value} x 10^{power}" in row["detail"]
    else:
        assert only(result)["energy_milli_wh"] == milli


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (interval("load", 5, 7), "bad_interval"),
        (interval("load", 5, 0, 172_800), "bad_interval"),
        (interval("load", 5, 45), "future"),
        (interval("load", -1, 0), "negative"),
        (interval("generation", 250_001, 0), "out_of_range"),
        (interval("load", 666_667, 0), "out_of_range"),
        (interval("charge", 250_001, 0), "out_of_range"),
        (interval("import", 916_667, 0), "out_of_range"),
        (interval("export", 500_001, 0), "out_of_range"),
        (mmr("99", reading(1, 0)), "reading_type_unknown"),
        (f"<MirrorMeterReading>{reading(1, 0)}</MirrorMeterReading>", "reading_type_unknown"),
        (interval("load", "many", 0), "bad_value"),
        (register("load", 5, 15), "unpaired_register"),
    ],
)
def test_reasons_of_single_readings(part, reason):
    result = accepted((20, listed(part)))
    row = only(result, "rejected")
    assert (row["reason"], row["message_id"], row["position"], row["parts"]) == (reason, "seg:000001", 0, 1)
    assert row["detail"]
    assert result.readings.is_empty()


@pytest.mark.parametrize(
    "part",
    [
        interval("generation", 250_000, 0),
        interval("load", 666_666, 0),
        interval("import", 916_666, 0),
        interval("export", 500_000, 0),
        interval("load", 0, 0),
        interval("load", 5, 30),
        interval("load", 5, -900, 900),
    ],
)
def test_bounds_are_inclusive(part):
    assert accepted((20, listed(part))).rejected.is_empty()


def test_bounds_follow_ratings():
    limits = {(meter, channel): watts for meter, channel, watts in meter_bounds(METERS).iter_rows()}
    assert limits["M1", "charge"] == limits["M1", "discharge"] == 60_000
    assert limits["M2", "charge"] == 120_000
    assert limits["M2", "generation"] == 96_000
    assert limits["M2", "load"] == 280_000
    assert limits["M2", "import"] == 400_000
    assert limits["M2", "export"] == 216_000


def test_a_rejected_pair_counts_two():
    result = accepted((20, listed(register("load", 500, 15), interval("load", -1, 0))))
    row = only(result, "rejected")
    assert (row["reason"], row["parts"], row["position"], row["interval_start"]) == ("negative", 2, 0, at(0))


def test_meters_without_ratings_are_not_believed():
    body = listed(mmr("01", rtype(INTERVAL_TYPE), reading(5, 0), description="load"))
    assert reasons(line(messages((20, body, "STRAY")))[1]) == ["unknown_meter"]


@pytest.mark.parametrize(("state", "good"), [(0, True), (10_000, True), (10_001, False), (-1, False)])
def test_state_of_charge_is_a_percentage(state, good):
    result = accepted((20, listed(mmr_state(state))))
    assert result.readings.height == good
    assert reasons(result) == ([] if good else ["out_of_range"])


def mmr_state(value):
    from reading_documents import mrid

    return mmr(mrid("state_of_charge"), reading(value, 15, 0))


def test_state_of_charge_of_a_meter_with_other_intervals():
    minute = INTERVAL_TYPE.replace(">15<", ">60<")
    body = mup(mmr("01", rtype(minute), description="load"), mmr("02", rtype("<uom>0</uom>"), description="state_of_charge"))
    _, result = line(messages((0, body), (70, listed(mmr("02", reading(50, 60, 0))))))
    row = only(result)
    assert (row["interval_start"], row["duration_s"], row["state_of_charge_pct"]) == (at(0), 60, Decimal("50.00"))


def test_unreadable_messages_are_rejected_as_messages():
    result = accepted((20, b"<broken"), (30, b"<html/>"), (40, b'<LogEvent xmlns="urn:ieee:std:2030.5:ns"/>'))
    assert reasons(result) == ["malformed_document", "unknown_document"]
    assert result.rejected["parts"].to_list() == [0, 0]
    assert result.outcomes["document"].to_list() == ["MirrorUsagePoint", None, None, "LogEvent"]
    assert result.outcomes["readings_total"].to_list() == [0, 0, 0, 0]


def test_a_message_sent_twice_changes_nothing():
    result = accepted((20, full_post(0)), (25, full_post(0)))
    assert result.readings.height == 7
    assert set(result.readings["message_id"]) == {"seg:000001"}
    assert set(reasons(result)) == {"duplicate"}
    assert result.outcomes["rejected"].to_list() == [0, 0, 13]


def test_another_value_is_a_questionable_version():
    result = accepted(
        (20, listed(interval("load", 5, 0))), (25, listed(interval("load", 6, 0))), (30, listed(interval("load", 5, 0)))
    )
    assert result.readings.select("version", "energy_milli_wh", "quality_flags").rows() == [(1, 5, 1), (2, 6, 16)]
    assert reasons(result) == ["duplicate"]


def test_versions_go_on_from_what_was_accepted_before():
    parsed, before = line(messages(MUP, (20, listed(interval("load", 5, 0)))))
    _, result = line(messages((25, listed(interval("load", 6, 0))), first=9), known=parsed.reading_types, prior=before.readings)
    row = only(result)
    assert (row["version"], row["quality_flags"]) == (2, 16)


def test_two_values_of_an_interval_in_one_message():
    result = accepted(
        (20, listed(interval("load", 5, 0), register("load", 100, 15), interval("load", 6, 0), register("load", 101, 15)))
    )
    assert result.readings.select("version", "energy_milli_wh", "register_milli_wh", "quality_flags").rows() == [
        (1, 5, 100, 1),
        (2, 6, 101, 16),
    ]


@pytest.mark.parametrize("split", [False, True])
def test_a_register_completes_the_interval_received_before(split):
    first, second = (20, listed(interval("load", 5, 0))), (25, listed(register("load", 100, 15)))
    if split:
        parsed, before = line(messages(MUP, first))
        _, result = line(messages(second, first=9), known=parsed.reading_types, prior=before.readings)
        rows = [*before.readings.to_dicts(), *result.readings.to_dicts()]
    else:
        rows = accepted(first, second).readings.to_dicts()
    assert [(r["version"], r["energy_milli_wh"], r["register_milli_wh"], r["quality_flags"], r["parts"]) for r in rows] == [
        (1, 5, None, 1, 1),
        (2, 5, 100, 1, 1),
    ]


def test_lone_registers_give_derived_energy():
    result = accepted(
        (20, listed(register("load", 1000, 15))),
        (35, listed(register("load", 1700, 30))),
        (65, listed(register("load", 3000, 60))),
    )
    row = only(result)
    assert (row["interval_start"], row["energy_milli_wh"], row["register_milli_wh"], row["quality_flags"]) == (
        at(15),
        700,
        1700,
        33,
    )
    assert reasons(result) == ["unpaired_register", "unpaired_register"]


def test_a_lone_register_derives_from_the_accepted_one_before_it():
    parsed, before = line(messages(MUP, (20, listed(interval("load", 5, 0), register("load", 1000, 15)))))
    _, result = line(
        messages((35, listed(register("load", 1010, 30))), first=9), known=parsed.reading_types, prior=before.readings
    )
    assert only(result)["energy_milli_wh"] == 10


def pair(start, energy, total):
    return listed(interval("load", energy, start), register("load", total, start + 15))


def test_registers_do_not_fall():
    result = accepted((20, pair(0, 5, 1000)), (35, pair(15, 5, 900)), (50, pair(30, 5, 950)), (65, pair(45, 5, 1010)))
    assert result.readings["register_milli_wh"].to_list() == [1000, 1010]
    assert result.rejected["detail"].to_list() == ["register 900 mWh, before 1000 mWh", "register 950 mWh, before 1000 mWh"]
    assert set(reasons(result)) == {"register_decreased"}


def test_registers_do_not_fall_below_earlier_receipts():
    parsed, before = line(messages(MUP, (20, pair(0, 5, 1000))))
    _, result = line(messages((35, pair(15, 5, 999)), first=9), known=parsed.reading_types, prior=before.readings)
    assert reasons(result) == ["register_decreased"]


def test_late_data_is_compared_with_its_own_past():
    result = accepted((20, pair(0, 5, 1000)), (50, pair(30, 5, 1010)), (65, pair(15, 5, 1005)))
    assert result.readings["register_milli_wh"].to_list() == [1000, 1005, 1010]
    assert result.rejected.is_empty()


def test_an_implausible_register_does_not_block_what_follows():
    spike = [(20, 1000), (35, 1700), (50, 90_000_000), (65, 3100), (80, 3800)]
    result = accepted(*((when, listed(register("load", total, when - 5))) for when, total in spike))
    assert sorted(reasons(result)) == ["out_of_range", "register_decreased", "unpaired_register"]
    assert result.readings["energy_milli_wh"].to_list() == [700, 700]


def test_sets_without_periods_take_the_declared_length():
    period = f"<timePeriod><duration>30</duration><start>{at(0).timestamp():.0f}</start></timePeriod>"
    values = "".join(f"<Reading><value>{value}</value></Reading>" for value in (5, 6))
    body = mup(mmr("01", rtype(INTERVAL_TYPE), f"<MirrorReadingSet>{period}{values}</MirrorReadingSet>", description="load"))
    _, result = line(messages((40, body)))
    assert result.readings.select("interval_start", "energy_milli_wh").rows() == [(at(0), 5), (at(15), 6)]
    unplaced = body.replace(b"<intervalLength>15</intervalLength>", b"")
    assert reasons(line(messages((40, unplaced)))[1]) == ["bad_interval", "bad_interval"]


@pytest.mark.parametrize(("sent", "quality"), [("10", 16), ("04", 4), ("01", 1), ("02", 1), ("61", 64), ("0A", 8)])
def test_device_flags_stay_apart_but_what_a_device_doubts_is_not_valid(sent, quality):
    flagged = reading(5, 0).replace("<Reading>", f"<Reading><qualityFlags>{sent}</qualityFlags>")
    body = listed(mmr("01", rtype(f"<accumulationBehaviour>4</accumulationBehaviour>{WH}"), flagged, description="load"))
    row = only(line(messages((20, body)))[1])
    assert (row["quality_flags"], row["device_quality_flags"]) == (quality, int(sent, 16))


def test_nothing_in_nothing_out():
    _, result = line(messages())
    assert all(frame.is_empty() for frame in (result.readings, result.rejected, result.telemetry, result.outcomes))


def test_every_reason_has_a_meaning():
    assert all(reason.meaning and reason.value == str(reason) for reason in Reason)
    assert pl.Series([reason.value for reason in Reason]).is_unique().all()

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from vee_cases import HOUR, MIDNIGHT, NOON, at, evidence, found, meter, meters, run, wobbling

DAY = 86_400
MINUTE = 60


def silent(rows, first, last, *channels):
    """Without what begins from `first` to `last` seconds after noon."""

    def gone(row):
        return at(NOON + first) <= row["interval_start"] < at(NOON + last) and (not channels or row["channel"] in channels)

    return [row for row in rows if not gone(row)]


def test_a_complete_hour_misses_nothing():
    assert found(evidence(*meter()), "missing") == []


def test_a_gap_of_the_whole_meter_is_one_row():
    assert found(evidence(*silent(meter(), 600, 900)), "missing") == [("M1", "all", NOON + 600, 300)]


def test_a_gap_of_some_channels_is_a_row_of_each():
    rows = silent(meter(), 600, 900, "load", "import")
    assert found(evidence(*rows), "missing") == [("M1", "import", NOON + 600, 300), ("M1", "load", NOON + 600, 300)]


def test_where_channels_come_back_one_after_the_other_the_time_is_cut():
    rows = silent(silent(meter(), 600, 900), 900, 1200, "load")
    assert found(evidence(*rows), "missing") == [("M1", "all", NOON + 600, 300), ("M1", "load", NOON + 900, 300)]


def test_gaps_at_both_ends_and_across_hours():
    rows = silent(meter(start=NOON - HOUR, n=720), -60, 60)
    assert found(evidence(*rows), "missing") == [("M1", "all", NOON, 60)]
    rows = silent(meter(n=480), HOUR - 60, HOUR + 60)
    both = [("M1", "all", NOON + HOUR - 60, 60), ("M1", "all", NOON + HOUR, 60)]
    assert found(evidence(*rows, end=NOON + 2 * HOUR), "missing") == both


def test_a_configured_meter_that_never_reported_is_missing_for_every_hour():
    data = evidence(*meter(n=480), end=NOON + 2 * HOUR, ratings=meters("M1", "M2"))
    assert found(data, "missing") == [("M2", "all", NOON, HOUR), ("M2", "all", NOON + HOUR, HOUR)]


@pytest.mark.parametrize(("closed", "length"), [(0, None), (1, 1), (100, 100), (HOUR, HOUR), (9 * HOUR, HOUR)])
def test_only_closed_time_can_be_missing(closed, length):
    expected = [] if length is None else [("M1", "all", NOON, length)]
    assert found(evidence(closed=NOON + closed), "missing") == expected


def test_a_channel_that_a_meter_never_had_is_not_missing_but_the_market_needs_four():
    rows = meter(without=("import", "export"))
    assert found(evidence(*rows), "missing") == []
    rows = meter(without=("generation", "load", "charge", "discharge"))
    assert found(evidence(*rows), "missing") == []
    rows = meter(without=("import", "export", "charge"))
    assert found(evidence(*rows), "missing") == [("M1", "charge", NOON, HOUR)]


@pytest.mark.parametrize("duration", [5, 60, 900, 3600])
def test_length_is_data(duration):
    n = 2 * HOUR // duration
    rows = meter(n=n, duration=duration)
    assert found(evidence(*rows, end=NOON + 2 * HOUR), "missing") == []
    gone = [row for row in rows if row["interval_start"] != at(NOON)]
    assert found(evidence(*gone, end=NOON + 2 * HOUR), "missing") == [("M1", "all", NOON, duration)]


def test_a_reading_of_hours_covers_them():
    rows = run([1], start=NOON - 2 * HOUR, duration=4 * HOUR)
    assert not [row for row in found(evidence(*rows), "missing") if row[1] in ("all", "load")]


def test_shorter_readings_within_a_longer_one_hide_no_gap():
    rows = silent(meter(), 600, 1500) + run(wobbling(1, 10**6), start=NOON, duration=900)
    assert ("M1", "all", NOON + 900, 600) in found(evidence(*rows), "missing")


def seen(days, hours=0):
    moment = MIDNIGHT + dt.timedelta(seconds=NOON + HOUR) - dt.timedelta(days=days, hours=hours)
    return pl.DataFrame({"meter_id": ["M1"], "last_seen_at": [moment]}, schema={"meter_id": pl.String, "last_seen_at": pl.Datetime("us", "UTC")})  # fmt: skip


@pytest.mark.parametrize(("days", "told"), [(6.99, 0), (7, 1), (30, 1)])
def test_a_week_without_readings_needs_somebody(days, told):
    assert found(evidence(last_seen=seen(days)), "prolonged_estimation") == [("M1", "all", NOON, HOUR)] * told


def test_the_last_reading_may_be_in_the_readings_and_a_meter_that_is_back_is_back():
    old = run([5], start=NOON - 8 * DAY)
    assert len(found(evidence(*old), "prolonged_estimation")) == 1
    assert found(evidence(*old, *run([5], start=NOON + 30 * MINUTE)), "prolonged_estimation") == []
    assert found(evidence(), "prolonged_estimation") == []

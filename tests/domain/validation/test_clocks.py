from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from vee_cases import HOUR, NOON, at, evidence, found, hours, reading

from gridtokenx_pipeline.domain.validation import examine

SECOND = dt.timedelta(seconds=1)


def received(delay, n=240, message=str):
    """Readings of an hour; `delay` and `message` of the interval's number."""
    return [
        reading(
            start=NOON + 15 * i, energy=1000 + i, message_id=message(i), received_at=at(NOON + 15 * i + 15) + delay(i) * SECOND
        )
        for i in range(n)
    ]


@pytest.mark.parametrize("delay", [-20, 20, 45])
def test_a_steady_delay_beyond_the_bound_is_the_clocks(delay):
    rows = received(lambda i: delay + i % 3)
    assert found(evidence(*rows), "clock_drift") == [("M1", "all", NOON, HOUR)]


@pytest.mark.parametrize(
    ("what", "delay", "message"),
    [
        ("in time", lambda i: 14, str),
        ("kept while offline, sent one by one", lambda i: 15 * (240 - i), str),
        ("batches of 20, sent 40 s after their last", lambda i: 40 + 15 * (19 - i % 20), lambda i: str(i // 20)),
        ("irregular transport", lambda i: 5 + i * 7919 % 60, str),
    ],
)
def test_late_and_batched_posts_are_no_drift(what, delay, message):
    assert found(evidence(*received(delay, message=message)), "clock_drift") == []


def test_late_readings_are_counted_once_an_hour_with_the_most_that_they_were_late():
    rows = received(lambda i: 3600 if i < 7 else 60)
    data = evidence(*rows)
    assert found(data, "late") == [("M1", "all", NOON, HOUR)]
    (hour,) = hours(data)
    assert (hour["readings_late"], hour["exceptions"]) == (7, examine(data).height)
    assert (hour["clock_offset_ms"], hour["clock_offset_least_ms"]) == (60_000, 60_000)


def test_a_later_version_is_not_late():
    rows = received(lambda i: 1)
    rows.append(reading(start=NOON, energy=5, version=2, received_at=at(NOON + 40_000), message_id="again"))
    assert found(evidence(*rows), "late") == []

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_server.limits import Limits, shared_file

A, B = "A" * 40, "B" * 40


class Hands:
    """A clock that is set by hand."""

    def __init__(self, at: float = 1000.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def test_the_request_after_the_last_of_a_minute_is_told_when_to_come_back() -> None:
    clock = Hands()
    limits = Limits(requests_per_minute=5, clock=clock)
    assert [limits.request(A) for _ in range(5)] == [0] * 5
    wait = limits.request(A)
    assert wait > 0
    assert limits.request(B) == 0
    clock.at += wait
    assert limits.request(A) == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 20), st.lists(st.floats(0, 40), min_size=1, max_size=120))
def test_no_calendar_minute_holds_more_than_the_limit_and_waits_are_honest(limit: int, pauses: list[float]) -> None:
    clock = Hands()
    limits = Limits(requests_per_minute=limit, clock=clock)
    served: list[float] = []
    for pause in pauses:
        clock.at += pause
        wait = limits.request(A)
        if wait:
            # Whoever waits as told is served, unless others of the same device came before.
            clock.at += wait
            assert limits.request(A) == 0
        served.append(clock.at)
    # Two sliding minutes weighted by overlap never let more than two limits through in any one minute.
    for at in served:
        assert sum(at <= other < at + 60 for other in served) <= 2 * limit
    windows = [s for s in served if s < served[0] + 60]
    assert len(windows) <= limit


def test_workers_count_together() -> None:
    clock = Hands()
    descriptor = shared_file()
    try:
        one, other = (Limits(requests_per_minute=4, failures=3, clock=clock, shared=descriptor) for _ in range(2))
    finally:
        os.close(descriptor)
    assert [one.request(A), other.request(A), one.request(A), other.request(A)] == [0] * 4
    assert one.request(A) > 0
    assert other.request(A) > 0
    assert [one.failed(B), other.failed(B), one.failed(B)] == [False, False, True]
    assert other.cooling(B) == 60
    assert other.cooling(A) == 0


def test_failures_count_within_a_minute_and_the_cool_down_ends() -> None:
    clock = Hands()
    limits = Limits(failures=3, cool_down_s=30, clock=clock)
    assert [limits.failed(A), limits.failed(A)] == [False, False]
    clock.at += 61
    assert [limits.failed(A), limits.failed(A)] == [False, False]
    assert limits.cooling(A) == 0
    assert limits.failed(A) is True
    assert limits.cooling(A) == 30
    # Already in it: no second event, and no longer wait.
    assert limits.failed(A) is False
    clock.at += 29.5
    assert limits.cooling(A) == 1
    clock.at += 0.5
    assert limits.cooling(A) == 0
    assert [limits.failed(A), limits.failed(A), limits.failed(A)] == [False, False, True]


def test_more_devices_than_slots_share_no_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest_server.limits._SLOTS", 16)
    clock = Hands()
    limits = Limits(requests_per_minute=3, clock=clock)
    for n in range(200):
        clock.at += 0.1
        assert limits.request(f"device-{n}") == 0


def test_limits_of_zero_are_off() -> None:
    limits = Limits()
    assert {limits.request(A) for _ in range(5000)} == {0}
    assert not any(limits.failed(A) for _ in range(10))
    assert limits.cooling(A) == 0

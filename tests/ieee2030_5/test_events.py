from __future__ import annotations

from itertools import combinations, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ieee2030_5.enums import ResponseStatus as Status
from ieee2030_5.events import Candidate, Schedule, effective_period, randomized, schedule
from ieee2030_5.resources import DateTimeInterval, DERControl, EventStatus

SEED = "3E4F45AB31EDFE5B67E343E5E4562E31984E23E5"


def candidate(
    number: int,
    start: int,
    duration: int,
    *,
    primacy: int = 1,
    created: int = 0,
    status: int = 0,
    at: int | None = None,
    targets: str = "a",
    required: int = 3,
    program: str | None = None,
    applies: bool = True,
    **fields: object,
) -> Candidate:
    event = DERControl(
        mrid=f"{number:032X}", creation_time=created, reply_to="/rsp", response_required=required,
        interval=DateTimeInterval(start=start, duration=duration), event_status=EventStatus(current_status=status, date_time=at),
        **fields,
    )  # fmt: skip
    return Candidate(event, program or f"/derp/{primacy}", primacy, frozenset(targets), applies)


def spans(found: Schedule, target: str = "a") -> list[tuple[int, int, int]]:
    return [(int(s.candidate.mrid, 16), s.start, s.end) for s in found.spans if s.target == target]


def outcomes(found: Schedule) -> dict[int, Status]:
    return {int(mrid, 16): course.outcome for mrid, course in found.courses.items()}


def due(found: Schedule, now: int, seen: int = 0, sent: dict | None = None) -> list[tuple[int, int, int]]:
    times = dict.fromkeys(found.courses, seen)
    return [(int(d.candidate.mrid, 16), d.status, d.at) for d in found.due(now, times, sent or {})]


def test_lower_primacy_takes_over_for_good() -> None:
    found = schedule([candidate(1, 0, 100, primacy=5), candidate(2, 40, 20, primacy=1)], seed=SEED)
    assert spans(found) == [(1, 0, 40), (2, 40, 60)]
    assert outcomes(found) == {1: Status.ABORTED_BY_OTHER_PROGRAM, 2: Status.COMPLETED}


def test_a_weaker_event_does_not_start_under_a_stronger() -> None:
    found = schedule([candidate(1, 0, 100, primacy=1), candidate(2, 40, 200, primacy=5)], seed=SEED)
    assert spans(found) == [(1, 0, 100)]
    assert due(found, 300) == [(1, 1, 0), (2, 1, 0), (1, 2, 0), (2, 14, 40), (1, 3, 100)]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_of_one_program_the_newer_wins(order: tuple[int, ...]) -> None:
    events = [candidate(1, 0, 100, created=1), candidate(2, 0, 100, created=2), candidate(3, 50, 10, created=3)]
    found = schedule([events[i] for i in order], seed=SEED)
    assert spans(found) == [(2, 0, 50), (3, 50, 60)]
    assert outcomes(found) == {1: Status.SUPERSEDED, 2: Status.SUPERSEDED, 3: Status.COMPLETED}


def test_different_modes_run_side_by_side() -> None:
    found = schedule([candidate(1, 0, 100, targets="ab", primacy=5), candidate(2, 20, 20, targets="b", primacy=1)], seed=SEED)
    assert spans(found, "a") == [(1, 0, 100)]
    assert spans(found, "b") == [(1, 0, 20), (2, 20, 40)]
    assert outcomes(found)[1] == Status.COMPLETED
    assert set(found.targets_at(25)) == {"a", "b"}
    assert found.at(25, "b").candidate.primacy == 1
    assert found.changes(0, 100) == [20, 40]


def test_a_winner_that_was_called_off_in_time_takes_nothing() -> None:
    found = schedule([candidate(1, 0, 100, primacy=5), candidate(2, 40, 20, primacy=1, status=2, at=10)], seed=SEED)
    assert spans(found) == [(1, 0, 100)]
    assert (2, 6, 0) in due(found, 5), "what the server called off is answered at once"


def test_cancellation_stops_a_running_event() -> None:
    found = schedule([candidate(1, 0, 100, status=2, at=30)], seed=SEED)
    assert spans(found) == [(1, 0, 30)]
    assert due(found, 30) == [(1, 1, 0), (1, 2, 0), (1, 6, 30)]
    spread = schedule([candidate(1, 0, 1000, status=3, at=30, randomize_duration=-60, randomize_start=0)], seed=SEED)
    [(_, _, end)] = spans(spread)
    assert 30 <= end <= 90
    assert spans(schedule([candidate(1, 50, 100, status=3, at=30, randomize_duration=60)], seed=SEED)) == []


def test_responses_as_asked() -> None:
    for required, expected in ((0, []), (1, [1]), (2, [2, 3]), (3, [1, 2, 3])):
        found = schedule([candidate(1, 10, 10, required=required)], seed=SEED)
        assert [status for _, status, _ in due(found, 30)] == expected
        assert [status for _, status, _ in due(found, 15)] == [s for s in expected if s < 3]
    found = schedule([candidate(1, 10, 10)], seed=SEED)
    assert due(found, 15, sent={f"{1:032X}": {1}}) == [(1, 2, 10)]
    assert due(found, 40, seen=12) == [(1, 1, 12), (1, 2, 12), (1, 3, 20)]
    assert due(found, 40, seen=25) == [(1, 254, 25)]


def test_events_for_others_and_bad_ones() -> None:
    others = schedule([candidate(1, 0, 100, applies=False, targets="")], seed=SEED)
    assert (others.spans, due(others, 500)) == ((), [])
    unknown = schedule([candidate(1, 0, 100, targets="")], seed=SEED)
    assert due(unknown, 5) == [(1, 252, 0)]
    timeless = schedule([candidate(1, 0, 0)], seed=SEED)
    assert due(timeless, 5) == [(1, 253, 0)]


def test_the_latest_status_of_an_event_counts() -> None:
    both = [candidate(1, 0, 100, at=0), candidate(1, 0, 100, status=2, at=30)]
    assert spans(schedule(both, seed=SEED)) == spans(schedule(both[::-1], seed=SEED)) == [(1, 0, 30)]


@given(st.integers(-5000, 5000), st.integers(0, 2**64))
def test_randomisation_stays_within_its_bound(bound: int, number: int) -> None:
    part = randomized(bound, SEED, str(number), "start")
    limit = max(-3600, min(bound, 3600))
    assert min(0, limit) <= part <= max(0, limit)
    assert part == randomized(bound, SEED, str(number), "start")


def test_devices_choose_apart() -> None:
    assert len({randomized(3600, f"device {n}", "M", "start") for n in range(50)}) > 40


EVENTS = st.lists(
    st.builds(
        lambda n, s, d, p, c, status, at, t, rs, rd: candidate(
            n, s, d, primacy=p, created=c, status=status, at=at, targets=t, randomize_start=rs, randomize_duration=rd
        ),
        st.integers(1, 12), st.integers(0, 500), st.integers(1, 300), st.integers(0, 3), st.integers(0, 5),
        st.sampled_from([0, 0, 1, 2, 3, 4]), st.integers(0, 600), st.sampled_from(["a", "b", "ab"]),
        st.integers(-60, 60), st.integers(-60, 60),
    ),
    max_size=10,
    unique_by=lambda c: c.mrid,
)  # fmt: skip


def strength(one: Candidate) -> tuple[int, int, str]:
    return one.primacy, -one.event.creation_time, one.mrid


@given(EVENTS, st.randoms())
def test_a_schedule_is_one_event_a_time_the_strongest_there_is(events: list[Candidate], random) -> None:
    found = schedule(events, seed=SEED)
    shuffled = list(events)
    random.shuffle(shuffled)
    assert schedule(shuffled, seed=SEED).spans == found.spans
    assert set(found.courses) == {e.mrid for e in events}
    for one, other in combinations(found.spans, 2):
        assert one.target != other.target or one.end <= other.start or other.end <= one.start
    periods = {e.mrid: effective_period(e.event, SEED) for e in events}
    for span in found.spans:
        start, end = periods[span.candidate.mrid]
        assert start == span.start < span.end <= end
        # Whoever holds a target when a stronger event starts gives it up to the strongest that starts then.
        for rival in events:
            begin, finish = periods[rival.mrid]
            if span.target in rival.targets and strength(rival) < strength(span.candidate) and finish > begin:
                holder = found.at(begin, span.target)
                assert not span.start <= begin < span.end or (holder is not None and strength(holder.candidate) < strength(rival))
    for mrid, course in found.courses.items():
        own = [s for s in found.spans if s.candidate.mrid == mrid]
        assert course.runs == bool(own)
        assert not own or course.end == max(s.end for s in own)


@given(EVENTS, st.lists(st.integers(0, 1000), min_size=1, max_size=6))
def test_every_response_is_owed_once_whenever_the_device_looks(events: list[Candidate], looks: list[int]) -> None:
    found = schedule(events, seed=SEED)
    seen = dict.fromkeys(found.courses, 0)
    whole = {(d.candidate.mrid, d.status) for d in found.due(2000, seen, {})}
    sent: dict[str, set[int]] = {}
    posted = []
    for now in [*sorted(looks), 2000]:
        for response in found.due(now, seen, sent):
            assert response.at <= now
            posted.append((response.candidate.mrid, response.status))
            sent.setdefault(response.candidate.mrid, set()).add(response.status)
    assert sorted(posted) == sorted(whole)

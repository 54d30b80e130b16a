"""Events on a device: which are in force from when to when, and what the device owes their server (IEEE 2030.5-2018, 12.1.3).

Pure rules: the same events give the same schedule, and a device's random choices come from its seed. Times are UTC epoch
seconds of the server's clock. The rules, in short:

- an event runs from its start to the end of its interval, both moved by a random part of `randomizeStart` and
  `randomizeDuration` (10.2.3.3, RandomizableEvent; a negative bound moves them back);
- cancelled ones stop at the time of cancellation, with randomisation within the larger of the two bounds after it;
- where two events control the same thing, the one of the program with the lower primacy wins, of the same primacy the one
  created later. It takes over when it starts; what it took over from does not come back, and an event that would start
  under a stronger one does not start;
- events that control different things (modes of a DER) run side by side, so each thing has a schedule of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ieee2030_5.enums import EventStatusCode, ResponseRequired, ResponseStatus

if TYPE_CHECKING:
    from ieee2030_5.resources import Event

LOAD = "load"
"""What an EndDeviceControl controls."""
PRICE = "price"
"""What a TimeTariffInterval sets, of its rate component."""
WEAKEST = 255
"""Primacy of a program that states none (PrimacyType)."""
_LIMIT_S = 3600
"""randomizeStart and randomizeDuration stay within an hour (OneHourRangeType)."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """An event as the device found it.

    `program` names the one it is of; `targets` are the things that it controls here: none if it asks for nothing that the
    device can do. `applies` is False where its device category is not the device's. `shared` events take nothing from each
    other (messages).
    """

    event: Event
    program: str
    primacy: int = WEAKEST
    targets: frozenset[str] = frozenset()
    applies: bool = True
    shared: bool = False

    @property
    def mrid(self) -> str:
        """Identifier of the event, empty where it has none."""
        return self.event.mrid or ""


@dataclass(frozen=True, slots=True)
class Span:
    """`target` is controlled by `event` in [start, end)."""

    target: str
    start: int
    end: int
    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Course:
    """How an event goes on this device.

    [start, end) is when any of its targets is under its control; both are equal where it never is. `outcome` is how it ends: the
    response that is due at `end`.
    """

    candidate: Candidate
    start: int
    end: int
    outcome: ResponseStatus

    @property
    def runs(self) -> bool:
        """Whether it is ever in force."""
        return self.end > self.start


@dataclass(frozen=True, slots=True)
class Due:
    """A response that a device owes: `status` of the event of `candidate`, which came about at time `at`."""

    candidate: Candidate
    status: ResponseStatus
    at: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is in force when. `spans` are ordered by start and do not overlap for one target, messages apart."""

    spans: tuple[Span, ...] = ()
    courses: Mapping[str, Course] = field(default_factory=dict)
    """By mRID of the event."""

    def at(self, moment: float, target: str) -> Span | None:
        """The span that controls `target` at a moment, None where nothing does."""
        return next((s for s in self.spans if s.target == target and s.start <= moment < s.end), None)

    def targets_at(self, moment: float) -> dict[str, Span]:
        """What is controlled at a moment, by target."""
        return {span.target: span for span in self.spans if span.start <= moment < span.end}

    def changes(self, start: int, end: int) -> list[int]:
        """Moments in (start, end) at which something comes into or goes out of force, ascending."""
        return sorted({t for span in self.spans for t in (span.start, span.end) if start < t < end})

    def due(self, now: float, seen: Mapping[str, int], sent: Mapping[str, Collection[int]]) -> list[Due]:
        """Responses owed at `now` and not in `sent` (statuses by mRID), in the order they came about.

        `seen` says when the device first saw each event, now where it does not say. An event asks by the bits of its
        `responseRequired`, and only devices of its category answer. One that was over when first seen is rejected as expired.
        """
        owed: list[Due] = []
        for mrid, course in self.courses.items():
            event = course.candidate.event
            if course.candidate.applies and event.reply_to and event.response_required:
                before = sent.get(mrid, ())
                due = _milestones(course, int(now), seen.get(mrid, int(now)), event.response_required)
                owed += [response for response in due if response.status not in before]
        return sorted(owed, key=lambda due: (due.at, due.status, due.candidate.mrid))


def _milestones(course: Course, now: int, seen: int, wanted: int) -> list[Due]:
    candidate = course.candidate
    rejected = course.outcome if course.outcome >= ResponseStatus.REJECTED_NOT_APPLICABLE else None
    if course.runs and course.end <= seen:
        rejected = ResponseStatus.REJECTED_EXPIRED
    if rejected is not None:
        return [Due(candidate, rejected, seen)] if wanted & ResponseRequired.SPECIFIC else []
    found = [Due(candidate, ResponseStatus.RECEIVED, seen)] if wanted & ResponseRequired.RECEIVED else []
    if wanted & ResponseRequired.SPECIFIC:
        if course.runs and course.start <= now:
            found.append(Due(candidate, ResponseStatus.STARTED, max(course.start, seen)))
        # What the server called off is known at once; what another event will push aside may still come back before it starts.
        end = seen if not course.runs and _stopped(candidate) else max(course.end, seen)
        if end <= now:
            found.append(Due(candidate, course.outcome, end))
    return found


def randomized(bound: int | None, seed: str, mrid: str, what: str) -> int:
    """A device's random part of `bound` seconds: 0 to bound, towards its sign, always the same for (seed, mRID, what)."""
    limit = max(-_LIMIT_S, min(bound or 0, _LIMIT_S))
    if not limit:
        return 0
    digest = hashlib.sha256(f"{seed}|{mrid}|{what}".encode()).digest()
    part = int.from_bytes(digest[:8], "big") % (abs(limit) + 1)
    return part if limit > 0 else -part


def effective_period(event: Any, seed: str) -> tuple[int, int]:
    """[start, end) of a valid event on the device with this seed, randomised, and cut where it was cancelled or superseded."""
    mrid = event.mrid or ""
    start_bound = getattr(event, "randomize_start", None)
    duration_bound = getattr(event, "randomize_duration", None)
    start = event.interval.start + randomized(start_bound, seed, mrid, "start")
    duration = event.interval.duration + randomized(duration_bound, seed, mrid, "duration")
    end = start + max(duration, 0)
    status = event.event_status.current_status if event.event_status is not None else None
    if status in (EventStatusCode.CANCELLED, EventStatusCode.SUPERSEDED):
        end = min(end, _status_time(event, start))
    elif status == EventStatusCode.CANCELLED_WITH_RANDOMIZATION:
        reach = max(abs(start_bound or 0), abs(duration_bound or 0))
        stopped = _status_time(event, start)
        # What had not begun does not begin; the randomisation spreads the return of what was running.
        end = start if stopped <= start else min(end, stopped + randomized(reach, seed, mrid, "cancellation"))
    return start, max(start, end)


def _status_time(event: Any, default: int) -> int:
    at = event.event_status.date_time
    return default if at is None else int(at)


def schedule(candidates: Iterable[Candidate], *, seed: str) -> Schedule:
    """Resolve events into what is in force when, on the device with this `seed` (its LFDI, for one).

    The order of `candidates` does not matter; the same mRID given twice counts in the version with the latest status.
    """
    latest: dict[str, Candidate] = {}
    for candidate in candidates:
        known = latest.get(candidate.mrid)
        if known is None or _version(candidate) > _version(known):
            latest[candidate.mrid] = candidate
    courses: dict[str, Course] = {}
    periods: list[tuple[int, int, Candidate]] = []
    for candidate in latest.values():
        fault = _fault(candidate)
        if fault is not None:
            courses[candidate.mrid] = Course(candidate, 0, 0, fault)
            continue
        start, end = effective_period(candidate.event, seed)
        if not candidate.applies:
            courses[candidate.mrid] = Course(candidate, start, start, ResponseStatus.COMPLETED_WITHOUT_PARTICIPATION)
        elif end <= start:
            courses[candidate.mrid] = Course(candidate, start, start, _stopped(candidate) or ResponseStatus.COMPLETED)
        else:
            periods.append((start, end, candidate))
    resolution = _Resolution()
    for start, end, candidate in sorted(periods, key=lambda p: (p[0], _weakness(p[2]))):
        resolution.begin(start, end, candidate)
    courses.update(resolution.courses())
    spans = sorted(resolution.spans(), key=lambda s: (s.start, s.target, s.end, s.candidate.mrid))
    return Schedule(tuple(spans), courses)


def _version(candidate: Candidate) -> tuple[int, int, int, str]:
    event = candidate.event
    status = event.event_status
    return (
        (status.date_time or 0) if status is not None else 0,
        (status.current_status or 0) if status is not None else 0,
        -candidate.primacy,
        candidate.program,
    )


def _fault(candidate: Candidate) -> ResponseStatus | None:
    event = candidate.event
    interval = event.interval
    if not event.mrid or interval is None or interval.start is None or not interval.duration or event.creation_time is None:
        return ResponseStatus.REJECTED_INVALID
    if candidate.applies and not candidate.targets:
        return ResponseStatus.REJECTED_NOT_APPLICABLE
    return None


def _stopped(candidate: Candidate) -> ResponseStatus | None:
    status = candidate.event.event_status
    code = status.current_status if status is not None else None
    if code in (EventStatusCode.CANCELLED, EventStatusCode.CANCELLED_WITH_RANDOMIZATION):
        return ResponseStatus.CANCELLED
    return ResponseStatus.SUPERSEDED if code == EventStatusCode.SUPERSEDED else None


def _weakness(candidate: Candidate) -> tuple[int, int, str]:
    """Ascending: the strongest first. Where all is equal the mRID decides, so that devices agree."""
    return candidate.primacy, -(candidate.event.creation_time or 0), candidate.mrid


@dataclass(slots=True)
class _Run:
    """An event on its way; `lost_to` says to whom it lost its last target, `spans` are what it had, by target."""

    candidate: Candidate
    start: int
    end: int
    spans: dict[str, list[int]]
    lost_to: Candidate | None = None


class _Resolution:
    """Events begin in the order of their starts; each takes what no stronger one holds."""

    def __init__(self) -> None:
        self._runs: list[_Run] = []
        self._holders: dict[str, _Run] = {}

    def begin(self, start: int, end: int, candidate: Candidate) -> None:
        run = _Run(candidate, start, end, {})
        self._runs.append(run)
        for target in sorted(candidate.targets):
            holder = None if candidate.shared else self._holders.get(target)
            if holder is not None and start < holder.spans[target][1]:
                if _weakness(holder.candidate) < _weakness(candidate):
                    run.lost_to = holder.candidate
                    continue
                holder.spans[target][1] = start
                holder.lost_to = candidate
            run.spans[target] = [start, end]
            if not candidate.shared:
                self._holders[target] = run

    def spans(self) -> list[Span]:
        return [
            Span(target, start, end, run.candidate)
            for run in self._runs
            for target, (start, end) in run.spans.items()
            if end > start
        ]

    def courses(self) -> dict[str, Course]:
        found = {}
        for run in self._runs:
            held = [span for span in run.spans.values() if span[1] > span[0]]
            end = max((span[1] for span in held), default=run.start)
            # An event that lost some of its targets and kept others to its end has completed.
            if end < run.end and run.lost_to is not None:
                same = run.lost_to.program == run.candidate.program
                outcome = ResponseStatus.SUPERSEDED if same else ResponseStatus.ABORTED_BY_OTHER_PROGRAM
            else:
                outcome = _stopped(run.candidate) or ResponseStatus.COMPLETED
            found[run.candidate.mrid] = Course(run.candidate, run.start, end, outcome)
        return found

"""What running a suite gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .suite import CRITICAL

SHOWN = 20


@dataclass(frozen=True)
class Failure:
    """An expectation that was not met: how many values broke it, and the first rows by their key.

    `rows` are the unexpected rows, at most `SHOWN`, as key column to text; none where it is about the whole table. `error` says
    why an expectation could not be evaluated, which counts as not met.
    """

    expectation: str
    columns: str
    unexpected: int
    severity: str = CRITICAL
    rows: tuple[dict[str, str], ...] = ()
    error: str = ""


@dataclass(frozen=True)
class SuiteOutcome:
    """What running a suite gave. `validation` is Great Expectations' own result, where it was run, for a page of Data Docs."""

    suite: str
    rows: int
    expectations: int
    failures: tuple[Failure, ...]
    validation: Any = field(default=None, repr=False, compare=False)

    @property
    def success(self) -> bool:
        """Whether every expectation was met."""
        return not self.failures

    @property
    def critical(self) -> bool:
        """Whether an expectation was not met that blocks."""
        return any(failure.severity == CRITICAL for failure in self.failures)


def merged(outcomes: Sequence[SuiteOutcome]) -> SuiteOutcome:
    """Return the outcomes of one suite on parts of a table as one: rows and unexpected values added up.

    The validation is that of the first part that failed, or of the last part. Raises `ValueError` for no outcomes.
    """
    if not outcomes:
        raise ValueError("no outcomes to merge")
    failures: dict[tuple[str, str, str], Failure] = {}
    for failure in (failure for outcome in outcomes for failure in outcome.failures):
        same = (failure.expectation, failure.columns, failure.severity)
        before = failures.get(same)
        failures[same] = (
            failure
            if before is None
            else Failure(
                failure.expectation,
                failure.columns,
                before.unexpected + failure.unexpected,
                failure.severity,
                (before.rows + failure.rows)[:SHOWN],
                before.error or failure.error,
            )
        )
    shown = next((outcome for outcome in outcomes if outcome.failures), outcomes[-1])
    return SuiteOutcome(
        outcomes[0].suite,
        sum(outcome.rows for outcome in outcomes),
        max(outcome.expectations for outcome in outcomes),
        tuple(failures.values()),
        shown.validation,
    )

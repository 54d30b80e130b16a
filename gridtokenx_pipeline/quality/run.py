"""Run a suite on a frame, the fast way.

The first pass asks Great Expectations only whether each expectation is met, on a pandas frame of the columns that are named;
expectations that are not met are evaluated again for counts and rows. An hour without rows does not import it at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import engine
from .convert import to_pandas
from .outcome import SHOWN, Failure, SuiteOutcome
from .suite import CRITICAL, ROW_COUNT, Suite, columns_of

if TYPE_CHECKING:
    import polars as pl

COLUMNS_AND_TYPES = "columns_and_types"
_MANY, _COLUMNS = 100_000, 4


def warm_up() -> None:
    """Import Great Expectations now, where the seconds it takes are not in anybody's way."""
    engine.great_expectations()


def run(suite: Suite, frame: pl.DataFrame) -> SuiteOutcome:
    """Run `suite` on `frame`, a frame of its table.

    The columns and their types are compared with the suite's first; where they differ that is the only failure, since no
    expectation means anything then. An empty frame meets every expectation but one on the number of rows.
    """
    count = len(suite.expectations) + 1
    wrong = _wrong_types(suite, frame)
    if wrong:
        return SuiteOutcome(suite.name, len(frame), count, (Failure(COLUMNS_AND_TYPES, ", ".join(wrong), len(wrong)),))
    if frame.is_empty():
        return SuiteOutcome(suite.name, 0, count, _too_few(suite))
    results: dict[int, Any] = {}
    for positions in _groups(suite, len(frame)):
        columns = dict.fromkeys(column for position in positions for column in columns_of(suite.expectations[position]))
        validation = engine.validate(suite, to_pandas(suite, frame, columns or suite.key), positions, rows=False)
        results |= {engine.position_of(result): result for result in validation.results}
    failed = sorted(position for position, result in results.items() if not result.success)
    if failed:
        wanted = dict.fromkeys((*suite.key, *(c for position in failed for c in columns_of(suite.expectations[position]))))
        again = engine.validate(suite, to_pandas(suite, frame, wanted), failed, rows=True)
        results |= {engine.position_of(result): result for result in again.results}
    for position, result in results.items():
        if result.success:
            result.result = _met(suite.expectations[position], len(frame))
    failures = tuple(_failure(suite, suite.expectations[position], results[position]) for position in failed)
    return SuiteOutcome(suite.name, len(frame), count, failures, engine.joined(suite, results))


def _groups(suite: Suite, rows: int) -> list[list[int]]:
    """The positions of the expectations, in one group or, for many rows, in groups of few columns.

    Great Expectations copies all columns of a frame to leave the nulls of one out.
    """
    if rows <= _MANY:
        return [list(range(len(suite.expectations)))]
    groups: list[tuple[set[str], list[int]]] = []
    for position in sorted(range(len(suite.expectations)), key=lambda n: columns_of(suite.expectations[n])):
        columns = set(columns_of(suite.expectations[position]))
        if not groups or (len(groups[-1][0] | columns) > _COLUMNS and not columns <= groups[-1][0]):
            groups.append((set(), []))
        groups[-1][0].update(columns)
        groups[-1][1].append(position)
    return [positions for _, positions in groups]


def _met(expectation: dict[str, Any], rows: int) -> dict[str, Any]:
    """What Great Expectations would have counted, had it been asked to."""
    met: dict[str, Any] = {"element_count": rows, "unexpected_count": 0, "unexpected_percent": 0.0}
    return met if columns_of(expectation) else met | {"observed_value": rows}


def _wrong_types(suite: Suite, frame: pl.DataFrame) -> list[str]:
    found = {name: str(type_) for name, type_ in frame.schema.items()}
    names = dict.fromkeys((*suite.types, *found))
    return [
        f"{name}: {found.get(name, 'missing')}, not {suite.types.get(name, 'expected')}"
        for name in names
        if found.get(name) != suite.types.get(name)
    ]


def _too_few(suite: Suite) -> tuple[Failure, ...]:
    return tuple(
        Failure(ROW_COUNT, "", 0, expectation["severity"])
        for expectation in suite.expectations
        if expectation["type"] == ROW_COUNT and expectation["kwargs"].get("min_value", 0) > 0
    )


def _failure(suite: Suite, expectation: dict[str, Any], result: Any) -> Failure:
    found = result.result or {}
    rows = found.get("partial_unexpected_index_list") or found.get("unexpected_index_list") or []
    raised = result.exception_info or {}
    # One exception, or one for each metric that raised.
    exceptions = [raised] if "raised_exception" in raised else [e for e in raised.values() if isinstance(e, dict)]
    return Failure(
        expectation["type"],
        ", ".join(columns_of(expectation)),
        int(found.get("unexpected_count") or 0),
        expectation.get("severity", CRITICAL),
        tuple({name: str(row.get(name)) for name in suite.key} for row in rows[:SHOWN] if isinstance(row, dict)),
        next((str(e["exception_message"]) for e in exceptions if e.get("raised_exception")), ""),
    )

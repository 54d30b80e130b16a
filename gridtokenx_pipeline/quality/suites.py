"""Run a Great Expectations suite on a frame.

`import great_expectations` costs seconds of CPU, so it happens inside `run`, in the process that runs a suite.
The pandas engine is used because GX has none for Polars; columns are selected before the conversion.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

Expectations = Callable[[Any], list[Any]]


@dataclass(frozen=True)
class Failure:
    """An expectation that was not met, with how many values broke it."""

    expectation: str
    columns: str
    unexpected: int


@dataclass(frozen=True)
class SuiteOutcome:
    """What running a suite gave."""

    suite: str
    rows: int
    expectations: int
    failures: tuple[Failure, ...]

    @property
    def success(self) -> bool:
        """Whether every expectation was met."""
        return not self.failures


@dataclass(frozen=True)
class Suite:
    """A named list of expectations on named columns. `expectations` receives `great_expectations.expectations`."""

    name: str
    columns: tuple[str, ...]
    expectations: Expectations


def warm_up() -> None:
    """Import Great Expectations now, where the seconds it takes are not in anybody's way."""
    _great_expectations()


def run(suite: Suite, frame: pl.DataFrame) -> SuiteOutcome:
    """Run `suite` on `frame`, which has at least its columns. An empty frame meets every expectation."""
    if frame.is_empty():
        return SuiteOutcome(suite.name, 0, 0, ())
    gx = _great_expectations()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas(name="frames")
    batch = source.add_dataframe_asset(name=suite.name).add_batch_definition_whole_dataframe("whole")
    expectations = suite.expectations(gx.expectations)
    built = gx.ExpectationSuite(name=suite.name, expectations=expectations)
    data = frame.select(suite.columns).to_pandas()
    outcome = batch.get_batch(batch_parameters={"dataframe": data}).validate(built, result_format="SUMMARY")
    failures = tuple(
        Failure(
            result.expectation_config.type,
            ", ".join(
                str(v)
                for k, v in result.expectation_config.kwargs.items()
                if k in ("column", "column_A", "column_B", "column_list")
            ),
            int(result.result.get("unexpected_count", 0) or 0),
        )
        for result in outcome.results
        if not result.success
    )
    return SuiteOutcome(suite.name, len(frame), len(expectations), failures)


def _great_expectations() -> Any:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    import great_expectations as gx
    import great_expectations.expectations

    return gx

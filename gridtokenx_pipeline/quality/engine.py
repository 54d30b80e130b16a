"""Great Expectations, set up once for a process. Importing it costs seconds: it happens in the process that runs a suite."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Sequence
from typing import Any

from .outcome import SHOWN
from .suite import Suite, load

_POSITION = "position"


def position_of(result: Any) -> int:
    """Return which expectation of its suite a result is of: results come in another order than expectations."""
    return int(result.expectation_config.meta[_POSITION])


def validate(suite: Suite, data: Any, expectations: Sequence[int], rows: bool) -> Any:
    """Return Great Expectations' validation of a pandas frame by the expectations at these positions of the suite.

    With `rows`, it holds counts and the first unexpected rows by the suite's key, which `data` then has the columns of; without,
    it says only whether each is met, in half the time.
    """
    gx = great_expectations()
    batch = _frames(gx).get_batch(batch_parameters={"dataframe": data})
    detail: dict[str, Any] = {"result_format": "BOOLEAN_ONLY"}
    if rows:
        detail = {
            "result_format": "SUMMARY",
            "partial_unexpected_count": SHOWN,
            "unexpected_index_column_names": list(suite.key),
            "return_unexpected_index_query": False,
        }
    return batch.validate(_chosen(suite.name, tuple(expectations)), result_format=detail)


def joined(suite: Suite, results: dict[int, Any]) -> Any:
    """Return the results of all expectations of a suite, by their position, as one validation."""
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult

    met = sum(bool(result.success) for result in results.values())
    return ExpectationSuiteValidationResult(
        suite_name=suite.name,
        success=met == len(results),
        results=[results[position] for position in sorted(results)],
        statistics={
            "evaluated_expectations": len(results),
            "successful_expectations": met,
            "unsuccessful_expectations": len(results) - met,
            "success_percent": 100 * met / len(results),
        },
        meta={},
    )


@functools.cache
def great_expectations() -> Any:
    """Import Great Expectations and return it: no calls home, no progress bars, and its slow parts replaced."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    logger = logging.getLogger("great_expectations")
    logger.setLevel(logging.ERROR)
    import great_expectations as gx
    import great_expectations.execution_engine.pandas_execution_engine as pandas_engine
    import great_expectations.expectations

    # A fingerprint of the frame that nothing here reads, in as long as all the expectations together.
    pandas_engine.HASH_THRESHOLD = 0
    _match_categories()
    logger.setLevel(logging.WARNING)
    return gx


@functools.cache
def _frames(gx: Any) -> Any:
    """The batch definition that takes a frame, in the one context of this process."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas(name="warehouse")
    return source.add_dataframe_asset(name="table").add_batch_definition_whole_dataframe("window")


@functools.lru_cache(maxsize=256)
def _chosen(name: str, positions: tuple[int, ...]) -> Any:
    suite = load(name)
    chosen = [suite.expectations[n] | {"meta": {**suite.expectations[n]["meta"], _POSITION: n}} for n in positions]
    return great_expectations().ExpectationSuite(name=name, expectations=chosen)


def _match_categories() -> None:
    """Let the pattern expectation look at each category once. The original makes a text of every row."""
    import pandas as pd
    from great_expectations.execution_engine import PandasExecutionEngine
    from great_expectations.expectations.metrics.map_metric_provider import ColumnMapMetricProvider, column_condition_partial

    class ColumnValuesMatchRegexByCategory(ColumnMapMetricProvider):
        condition_metric_name = "column_values.match_regex"
        condition_value_keys = ("regex",)

        @column_condition_partial(engine=PandasExecutionEngine)
        def _pandas(cls, column: Any, regex: str, **_: Any) -> Any:  # noqa: N805
            if not isinstance(column.dtype, pd.CategoricalDtype):
                return column.astype(str).str.contains(regex)
            matches = column.cat.categories.astype(str).str.contains(regex)
            return pd.Series(matches[column.cat.codes], index=column.index, dtype=bool)

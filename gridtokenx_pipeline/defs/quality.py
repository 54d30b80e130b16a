"""Great Expectations suites as asset checks: one line for each table that has a suite."""

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg

from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.contracts import Table

from .checks import from_suite, hourly_check
from .partitions import hour_key
from .resources import Stores

if TYPE_CHECKING:
    from gridtokenx_pipeline.quality.outcome import SuiteOutcome

# A day of the campus's readings is a million rows; a month of them would not fit in memory as pandas has it.
_PART = dt.timedelta(days=1)
_HOUR = dt.timedelta(hours=1)


def gx_check(table: Table, *, blocking: bool = False, documented: bool = True) -> dg.AssetChecksDefinition:
    """Return the check `gx_<table>` that runs the suite of `table` on the rows of a run's hours.

    Expectations of severity `critical` fail it, and with `blocking` stop what comes after; `warning` ones make it warn. With
    `documented` a page of Data Docs is written and named in the metadata.
    """

    def body(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
        from gridtokenx_pipeline.quality.outcome import merged
        from gridtokenx_pipeline.quality.run import run
        from gridtokenx_pipeline.quality.suite import load

        suite = load(table.full_name)
        outcome = merged([run(suite, stores.warehouse.read_window(table, *part)) for part in _parts(start, end)])
        last = end - _HOUR
        partition = hour_key(start) if last <= start else f"{hour_key(start)}..{hour_key(last)}"
        return from_suite(outcome, **(_documented(stores.settings, outcome, partition) if documented else {}))

    body.__name__ = f"gx_{table.name}"
    return hourly_check(table, blocking=blocking, description=f"Great Expectations suite of {table.full_name}.")(body)


def _parts(start: dt.datetime, end: dt.datetime) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    while start < end:
        yield start, min(start + _PART, end)
        start += _PART


def _documented(settings: Settings, outcome: "SuiteOutcome", partition: str) -> dict[str, dg.MetadataValue | str]:
    """Write the page. What goes wrong with it is said and logged, and fails no check: the data are as good without a page."""
    from gridtokenx_pipeline.quality import docs

    try:
        page = docs.build(settings.data / "quality" / "docs", outcome, partition)
    except Exception as error:
        dg.get_dagster_logger().warning("no Data Docs of %s %s: %r", outcome.suite, partition, error)
        return {"data_docs_error": repr(error)}
    return {"data_docs": dg.MetadataValue.path(page)}

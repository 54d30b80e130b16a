"""How a check is made for hours, and how it reports: violations as a table, a suite as counts by expectation."""

import datetime as dt
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import dagster as dg

from gridtokenx_pipeline.contracts import Table

from .partitions import HOURS, hour_key, hours, window
from .resources import Stores
from .specs import key

if TYPE_CHECKING:
    import polars as pl

    from gridtokenx_pipeline.quality.outcome import SuiteOutcome

SHOWN = 20

CheckBody = Callable[[Stores, dt.datetime, dt.datetime], dg.AssetCheckResult]


def hourly_check(
    table: Table | dg.AssetKey, *, description: str, also: Iterable[Table] = (), blocking: bool = False
) -> Callable[[CheckBody], dg.AssetChecksDefinition]:
    """Make an asset check of a function of the stores and a window (start, end; whole hours).

    It is evaluated once for a run's whole window. In a run of several hours every hour gets its evaluation, because Dagster
    keeps the state of a partitioned check by partition; only when the whole fails is each hour looked at by itself.
    `table` is the key of an asset that fills no table.
    """
    asset = table if isinstance(table, dg.AssetKey) else key(table)

    def decorate(body: CheckBody) -> dg.AssetChecksDefinition:
        name = body.__name__

        @dg.asset_check(
            asset=asset,
            name=name,
            description=description,
            additional_deps=[key(other) for other in also],
            blocking=blocking,
            partitions_def=HOURS,
        )
        def check(context: dg.AssetCheckExecutionContext, stores: Stores) -> dg.AssetCheckResult:
            start, end = window(context)
            spans = list(hours(start, end))
            whole = body(stores, start, end)
            if not context.op_execution_context.has_partition_key:
                for first, last in spans:
                    hour = whole if whole.passed else body(stores, first, last)
                    evaluation = dg.AssetCheckEvaluation(
                        asset_key=asset,
                        check_name=name,
                        passed=hour.passed,
                        severity=hour.severity,
                        metadata=hour.metadata,
                        partition=hour_key(first),
                    )
                    context.op_execution_context.log_event(evaluation)  # type: ignore[arg-type]  # taken, but not in its signature
            return whole

        return check

    return decorate


def from_violations(
    violations: "pl.DataFrame", severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR, **metadata: int | str
) -> dg.AssetCheckResult:
    """Return a check that passes when there are no violations; the first ones are shown."""
    counts = dict(violations.group_by("name").len().sort("name").iter_rows())
    shown = "\n".join(
        ["| name | zone | interval | detail |", "|---|---|---|---|"]
        + [
            f"| {r['name']} | {r['zone']} | {r['interval_start']} | {r['detail']} |"
            for r in violations.head(SHOWN).iter_rows(named=True)
        ]
    )
    return dg.AssetCheckResult(
        passed=violations.is_empty(),
        severity=severity,
        metadata={
            "violations": len(violations),
            **{f"violations/{name}": count for name, count in counts.items()},
            **({"first": dg.MetadataValue.md(shown)} if len(violations) else {}),
            **metadata,
        },
    )


def from_suite(outcome: "SuiteOutcome", **metadata: dg.MetadataValue | str) -> dg.AssetCheckResult:
    """Return a check that passes when every expectation of a suite does; where only warnings fail, it warns and blocks nothing."""
    table = "\n".join(
        ["| severity | expectation | columns | unexpected | error |", "|---|---|---|---|---|"]
        + [f"| {f.severity} | {f.expectation} | {f.columns} | {f.unexpected} | {_cell(f.error)} |" for f in outcome.failures]
    )
    rows = [
        f"| {f.columns} | {_cell(', '.join(f'{name} {value}' for name, value in row.items()))} |"
        for f in outcome.failures
        for row in f.rows[:SHOWN]
    ]
    failed: dict[str, dg.MetadataValue] = {"failures": dg.MetadataValue.md(table)} if outcome.failures else {}
    if rows:
        failed["unexpected_rows"] = dg.MetadataValue.md("\n".join(["| columns | row |", "|---|---|", *rows]))
    return dg.AssetCheckResult(
        passed=outcome.success,
        severity=dg.AssetCheckSeverity.ERROR if outcome.critical or outcome.success else dg.AssetCheckSeverity.WARN,
        metadata={
            "suite": outcome.suite,
            "rows": outcome.rows,
            "expectations": outcome.expectations,
            "failed": len(outcome.failures),
            **failed,
            **metadata,
        },
    )


def _cell(text: str) -> str:
    """Text of the data in a Markdown table: no end of a cell or row in it."""
    return " ".join(text.split()).replace("|", "\\|")

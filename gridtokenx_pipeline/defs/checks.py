"""How a check reports: violations as a table, a Great Expectations suite as counts by expectation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    import polars as pl

    from gridtokenx_pipeline.quality.suites import SuiteOutcome

SHOWN = 20


def from_violations(violations: pl.DataFrame, **metadata: int | str) -> dg.AssetCheckResult:
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
        metadata={
            "violations": len(violations),
            **{f"violations/{name}": count for name, count in counts.items()},
            **({"first": dg.MetadataValue.md(shown)} if len(violations) else {}),
            **metadata,
        },
    )


def from_suite(outcome: SuiteOutcome) -> dg.AssetCheckResult:
    """Return a check that passes when every expectation of a suite does."""
    table = "\n".join(
        ["| expectation | columns | unexpected |", "|---|---|---|"]
        + [f"| {e.expectation} | {e.columns} | {e.unexpected} |" for e in outcome.failures]
    )
    return dg.AssetCheckResult(
        passed=outcome.success,
        metadata={
            "suite": outcome.suite,
            "rows": outcome.rows,
            "expectations": outcome.expectations,
            "failed": len(outcome.failures),
            **({"failures": dg.MetadataValue.md(table)} if outcome.failures else {}),
        },
    )

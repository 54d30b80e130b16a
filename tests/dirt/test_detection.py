"""Every defect is found, nothing else is, and nobody's energy suffers from another's defects."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from dirt_scores import Score, markdown, score, told

from gridtokenx_pipeline.domain.findings import Finding

# No dirt for an edit; it takes a person.
NOT_HERE = {Finding.EDIT_CONTRADICTED}
REFUSALS = {"malformed_document", "unknown_document", "duplicate", "out_of_range", "negative"}
# What a statistic decides may err; everything else is exact. A spike has to be 2.8 times the median of days that differ by 10 %,
# and those put in begin at 2.5 times: some cannot be told from a busy day.
LEAST_RECALL = {"spike": 0.85}
LEAST_PRECISION = {"spike": 0.95}


@pytest.fixture(scope="module")
def scores(results: list[Any]) -> dict[str, Score]:
    labels = [label for scenario, _ in results for label in scenario.labels]
    rows = [row for _, result in results for row in told(result.exceptions, result.validated.rejected)]
    return score(labels, rows)


def test_precision_and_recall_of_every_check(scores, record_property, tmp_path_factory):
    table = markdown(scores)
    record_property("detection", table)
    (tmp_path_factory.getbasetemp() / "detection.md").write_text(table, encoding="utf-8")
    assert set(scores) == {*(f.value for f in Finding if f not in NOT_HERE), *REFUSALS}
    for code, got in scores.items():
        assert got.labels > 0, f"{code} was found, but never put in"
        assert got.recall >= LEAST_RECALL.get(code, 1.0), f"{code}: {got}"
        assert got.precision >= LEAST_PRECISION.get(code, 1.0), f"{code}: {got}"


def test_energy_is_exact_where_defects_lose_none(results):
    for scenario, result in results:
        assert scenario.truth
        for meter, truth in scenario.truth.items():
            assert result.sums(meter) == truth, meter


def test_every_reading_of_the_others_is_there(results):
    """A meter without defects is complete and valid, however bad the others are."""
    for scenario, result in results:
        spoilt = {label.meter for label in scenario.labels}
        clean = [feed for feed in scenario.feeds if feed.meter not in spoilt]
        assert clean
        for feed in clean:
            own = result.validated.readings.filter(pl.col("meter_id") == feed.meter)
            assert own.filter(pl.col("channel") == next(iter(feed.posts[0].values))).height == len(feed.posts)
            assert set(own["quality_flags"]) == {1}
            assert result.exceptions.filter(pl.col("meter_id") == feed.meter).is_empty()
            assert result.validated.rejected.filter(pl.col("meter_id") == feed.meter).is_empty()


def test_every_wire_reading_is_accounted_for(results):
    for _, result in results:
        outcomes = result.validated.outcomes
        assert outcomes.height == result.messages.height
        assert outcomes.filter(
            pl.col("readings_total") != pl.col("accepted") + pl.col("rejected") + pl.col("telemetry")
        ).is_empty()
        assert outcomes["accepted"].sum() == result.validated.readings["parts"].sum()

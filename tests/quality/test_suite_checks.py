"""A suite as an asset check: severities, rows and Data Docs in its metadata."""

from __future__ import annotations

import datetime as dt

import dagster as dg
import polars as pl
import pytest
from quality_rows import START, good

from gridtokenx_pipeline.contracts import TABLES, core, market
from gridtokenx_pipeline.defs.quality import gx_check
from gridtokenx_pipeline.defs.resources import Stores
from gridtokenx_pipeline.defs.specs import key
from gridtokenx_pipeline.quality import docs
from gridtokenx_pipeline.quality.suite import names
from gridtokenx_pipeline.warehouse import Replace

HOUR = "2026-01-15-18:00"
END = START + dt.timedelta(hours=1)


@pytest.fixture
def stores(tmp_path):
    return Stores(data=str(tmp_path))


def evaluated(stores: Stores, table, check: dg.AssetChecksDefinition) -> dg.AssetCheckEvaluation:
    asset = dg.AssetSpec(key(table), partitions_def=dg.HourlyPartitionsDefinition("2026-01-01-00:00", end_offset=1))
    job = dg.define_asset_job("checked", dg.AssetSelection.checks(check))
    definitions = dg.Definitions(assets=[asset], asset_checks=[check], jobs=[job], resources={"stores": stores})
    run = definitions.resolve_job_def("checked").execute_in_process(
        tags={"dagster/asset_partition_range_start": HOUR, "dagster/asset_partition_range_end": HOUR}, raise_on_error=False
    )
    return run.get_asset_check_evaluations()[-1]


def test_a_critical_failure_fails_and_shows_the_rows_and_the_page(stores, tmp_path):
    frame = good("market.trades").with_columns(energy_wh=pl.lit(0, pl.Int64), amount_micro=pl.lit(0, pl.Int64))
    stores.warehouse.commit(Replace(market.TRADES, frame, START, END))
    check = evaluated(stores, market.TRADES, gx_check(market.TRADES, blocking=True))
    assert (check.check_name, check.passed, check.severity) == ("gx_trades", False, dg.AssetCheckSeverity.ERROR)
    metadata = {name: value.value for name, value in check.metadata.items()}
    assert (metadata["suite"], metadata["rows"], metadata["failed"]) == ("market.trades", 8, 1)
    assert "| critical | expect_column_values_to_be_between | energy_wh | 8 |" in metadata["failures"]
    assert frame["trade_id"][7] in metadata["unexpected_rows"]
    assert metadata["data_docs"] == str(tmp_path / "quality" / "docs" / "market.trades" / "2026-01-15-18_00.html")
    assert "8 rows" in (tmp_path / "quality" / "docs" / "market.trades" / "2026-01-15-18_00.html").read_text(encoding="utf-8")


def test_a_warning_warns(stores):
    frame = good("core.rejected_readings").with_columns(detail=pl.lit(""))
    stores.warehouse.commit(Replace(core.REJECTED_READINGS, frame, START, END))
    check = evaluated(stores, core.REJECTED_READINGS, gx_check(core.REJECTED_READINGS, documented=False))
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "data_docs" not in check.metadata


def test_a_page_that_cannot_be_written_fails_nothing(stores, monkeypatch):
    def refuse(*_):
        raise OSError("no room")

    monkeypatch.setattr(docs, "build", refuse)
    stores.warehouse.commit(Replace(market.TRADES, good("market.trades"), START, END))
    check = evaluated(stores, market.TRADES, gx_check(market.TRADES))
    assert check.passed
    assert check.metadata["data_docs_error"].value == "OSError('no room')"


def test_tables_with_a_suite_have_a_window():
    by_name = {table.full_name: table for table in TABLES}
    assert all(by_name[name].window for name in names())

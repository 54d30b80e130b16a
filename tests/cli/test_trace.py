"""`gridtokenx trace` as its users meet it: the tree, JSON, exit codes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "tracing"))

from traced_campus import BUYER, SELLER, SIGNATURE, TracedCampus

from gridtokenx_pipeline.cli import trace
from gridtokenx_pipeline.contracts import market
from gridtokenx_pipeline.warehouse import Replace, Warehouse

app = typer.Typer()
app.command("trace")(trace.trace)


@pytest.fixture(scope="module")
def campus():
    return TracedCampus()


@pytest.fixture(scope="module")
def data(campus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("traced")
    campus.write(directory / "warehouse")
    return directory


def run(data, *arguments):
    return CliRunner().invoke(app, [*arguments, "--data", str(data)])


def test_help_has_an_example():
    answer = CliRunner().invoke(app, ["--help"])
    assert answer.exit_code == 0
    assert "Example: gridtokenx trace" in answer.output


def test_a_tree_with_marks_and_how_many_checks_hold(campus, data):
    answer = run(data, campus.bundle_id[:8], "--limit", "2")
    assert answer.exit_code == 0, answer.output
    assert answer.output.startswith(f"bundle {campus.bundle_id} {SELLER} 2026-11-25T18:05:00Z: 3,001 Wh")
    assert "✓ 20 readings sum to the interval: 3000.740 = 3000.740 Wh" in answer.output
    assert "… 18 more steps like these" in answer.output
    assert f"transaction {SIGNATURE} confirmed in slot 4,711" in answer.output
    assert answer.output.rstrip().endswith("checks hold")


def test_json_is_nested_and_says_the_same(campus, data):
    answer = run(data, campus.trade, "--json", "--depth", "1")
    found = json.loads(answer.output)
    assert (found["failed"], found["tree"]["kind"], found["tree"]["facts"]["amount_micro"]) == ([], "trade", 149_192)
    assert [child["kind"] for child in found["tree"]["children"]] == ["check", "check", "behind", "in front"]
    assert [child["kind"] for child in found["tree"]["children"][2]["children"]] == ["more"]


def test_unknown_and_ambiguous_ids_end_with_one_line_and_a_list(data):
    unknown = run(data, "deadbeef")
    assert (unknown.exit_code, unknown.stdout) == (1, "")
    assert unknown.stderr.startswith("gridtokenx: nothing begins with 'deadbeef' in certificates.bundles,")
    assert unknown.stderr.count("\n") == 1
    several = run(data, "2026112518")
    assert several.exit_code == 1
    assert "stands for 20 or more things" in several.stderr
    assert "  message 2026112518-a000-000000001 of 2026-11-25T18:05:16" in several.stderr


def test_what_does_not_add_up_ends_with_four_and_is_named_last(campus, tmp_path):
    campus.write(tmp_path / "warehouse")
    with Warehouse(tmp_path / "warehouse") as warehouse:
        rows = warehouse.read(market.GRID_SETTLEMENTS)
        warehouse.commit(Replace(market.GRID_SETTLEMENTS, rows.with_columns(net_wh=rows["net_wh"] + 1)))
    answer = run(tmp_path, campus.grid[BUYER, 2])
    assert answer.exit_code == 4
    assert "✗ traded and settled with the grid are the net: -5 is not -4 Wh" in answer.output.split("checks fail:")[1]

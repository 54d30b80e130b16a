"""`gridtokenx settle --dry-run` as its users meet it: the table, JSON, the plot, exit codes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "comparison"))

from past_energy import write

from gridtokenx_pipeline.cli import settle

WINDOW = ("--from", "2026-11-21T20:00Z", "--to", "2026-11-21T20:05Z")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("past")
    write(directory / "warehouse")
    return directory


def run(*arguments):
    return CliRunner().invoke(settle.app, [str(argument) for argument in arguments])


def test_help_has_an_example():
    answer = run("--help")
    assert answer.exit_code == 0
    assert "Example: gridtokenx settle --dry-run --mechanism mmr" in answer.output


def test_settling_itself_is_refused_with_the_job_that_does_it():
    answer = run(*WINDOW)
    assert answer.exit_code == 2
    assert "the job `settle`" in answer.stderr
    assert "--dry-run" in answer.stderr


def test_a_table_and_a_chart_beside_what_is_in_force(data):
    answer = run("--dry-run", "--mechanism", "mmr", *WINDOW, "--by-meter", "--data", data)
    assert answer.exit_code == 0, answer.output
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in answer.output.splitlines() if "│" in line]
    table = {row[0]: row[1:] for row in rows}
    assert table["price, mean by energy"] == ["0.093245 USD/kWh", "0.180000 USD/kWh"]
    assert table["sellers' extra income against feed-in"] == ["0.031801 USD", "0.240100 USD"]
    assert table["meters better off than in force"] == ["0", "3"]
    assert table["gains most"] == ["-", "M1 +0.130132 USD"]
    assert table["M3"] == ["0", "1,951", "-0.254382", "-0.389980 (-0.135598)"]
    assert "mmr: price of trades, USD per kWh" in answer.output


def test_json_and_a_picture(data, tmp_path):
    plot = tmp_path / "prices.png"
    answer = run("--dry-run", "--all", *WINDOW, "--retail", 300_000, "--plot", plot, "--by-meter", "--json", "--data", data)
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.output)
    assert (found["in_force"], found["currency"]) == ("sdr_bilateral (in force)", "USD")
    assert [one["mechanism"] for one in found["outcomes"]] == [
        "sdr_bilateral (in force)",
        "sdr_bilateral",
        "mmr",
        "double_auction",
    ]
    assert [one["price_mean_micro_per_kwh"] for one in found["outcomes"][:3]] == [93_245, 93_658, 190_000]
    assert [meter["meter_id"] for meter in found["outcomes"][0]["meters"]] == ["M1", "M2", "M3", "M4", "M5"]
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("--from", "2026-11-21"), 2, "--from and --to"),
        (("--from", "2026-11-22", "--to", "2026-11-21"), 2, "before"),
        (("--from", "yesterday", "--to", "2026-11-21"), 2, "no moment"),
        ((*WINDOW, "--mechanism", "lottery"), 2, "lottery"),
        ((*WINDOW, "--feed-in", 300_000), 2, "exceeds the retail"),
        (("--from", "2020-01-01", "--to", "2020-01-02"), 1, "no closed interval"),
    ],
)
def test_what_cannot_be_compared_says_why(arguments, code, why, data):
    answer = run("--dry-run", *arguments, "--data", data)
    assert answer.exit_code == code
    assert why in answer.stderr

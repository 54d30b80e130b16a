"""The command line as its users meet it."""

from __future__ import annotations

import datetime as dt
import json
import stat
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from gridtokenx_pipeline.cli import app
from gridtokenx_pipeline.contracts import market, ops
from gridtokenx_pipeline.warehouse import Append, Replace, Warehouse

COMMANDS = [
    ["demo"],
    ["up"],
    ["status"],
    ["certs", "init"],
    ["certs", "list"],
    ["certs", "issue"],
    ["ingest", "serve"],
    ["simulate", "window"],
    ["simulate", "live"],
    ["devnet"],
    ["devnet", "deploy"],
    ["events", "der"],
    ["events", "load"],
    ["events", "price"],
    ["events", "message"],
    ["events", "list"],
    ["events", "cancel"],
    ["sql"],
    ["shell"],
    ["dictionary"],
    ["bench"],
]
METER = "AMI_METER_STANFORD_ENG_001"
NOON = dt.datetime(2026, 6, 21, 12, tzinfo=dt.UTC)


def run(*arguments: str | Path, stdin: str | None = None):
    return CliRunner().invoke(app, [str(a) for a in arguments], input=stdin)


def process(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    code = "from gridtokenx_pipeline.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("filled")
    trade = {
        "trade_id": "t1",
        "zone": "stanford",
        "interval_start": NOON,
        "seller_meter_id": "a",
        "buyer_meter_id": "b",
        "energy_wh": 1500,
        "price_micro_per_kwh": 93_245,
        "amount_micro": 139_868,
        "kind": "pool",
        "mechanism": "sdr_bilateral/1",
        "version": 1,
        "quality_flags": 1,
        "loss_wh": 0,
        "wheeling_micro": 0,
    }
    mark = {"zone": "stanford", "stage": "readings", "complete_until": NOON}
    with Warehouse(data / "warehouse") as warehouse:
        warehouse.commit(
            Append(market.TRADES, pl.DataFrame([trade], schema=market.TRADES.frame_schema())),
            Replace(ops.WATERMARKS, pl.DataFrame([mark], schema=ops.WATERMARKS.frame_schema())),
        )
    return data


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_with_an_example(command: list[str]) -> None:
    answer = run(*command, "--help")
    assert answer.exit_code == 0
    assert "Example: gridtokenx" in answer.output


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from gridtokenx_pipeline.cli import app\n"
        "heavy = {'dagster', 'polars', 'duckdb', 'pvlib', 'pandas', 'solana', 'aiohttp', 'great_expectations', 'dbt'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_sql_prints_a_table_json_or_csv(filled: Path) -> None:
    query = "select trade_id, energy_wh, interval_start from market.trades"
    table = run("sql", "--data", filled, query)
    assert table.exit_code == 0
    assert "t1" in table.output
    assert "1500" in table.output
    rows = json.loads(run("sql", "--data", filled, "--json", query).output)
    assert rows == [{"trade_id": "t1", "energy_wh": 1500, "interval_start": "2026-06-21 12:00:00+00:00"}]
    csv = run("sql", "--data", filled, "--csv", query).output.splitlines()
    assert csv[0] == "trade_id,energy_wh,interval_start"
    assert csv[1].startswith("t1,1500,2026-06-21T12:00:00")


def test_sql_refuses_what_it_cannot_do(filled: Path, tmp_path: Path) -> None:
    bad = run("sql", "--data", filled, "select nothing_there from market.trades")
    assert bad.exit_code == 2
    assert "nothing_there" in bad.output
    writing = run("sql", "--data", filled, "delete from market.trades")
    assert writing.exit_code == 2
    assert "read-only" in writing.output
    both = run("sql", "--data", filled, "--json", "--csv", "select 1")
    assert both.exit_code == 2
    nothing = process("sql", "--data", tmp_path, "select 1")
    assert nothing.returncode == 1
    assert "no warehouse" in nothing.stderr
    assert "Traceback" not in nothing.stderr


def test_shell_answers_and_survives_a_mistake(filled: Path) -> None:
    answer = process_with_input(f"shell --data {filled}", "select wrong;\nselect energy_wh\nfrom market.trades;\n")
    assert answer.returncode == 0
    assert "wrong" in answer.stderr
    assert "1500" in answer.stdout


def process_with_input(arguments: str, text: str) -> subprocess.CompletedProcess[str]:
    code = "from gridtokenx_pipeline.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments.split()], input=text, capture_output=True, text=True, timeout=120, check=False
    )


def test_status_of_an_empty_and_of_a_filled_directory(filled: Path, tmp_path: Path) -> None:
    empty = run("status", "--data", tmp_path, "--json")
    assert empty.exit_code == 0
    assert json.loads(empty.output)["warehouse"] == "none yet"
    status = json.loads(run("status", "--data", filled, "--json").output)
    assert status["counts"]["trades"] == 1
    assert status["complete_until"] == {"readings": "2026-06-21 12:00:00+00:00"}
    assert "trades: 1" in run("status", "--data", filled).output


def test_status_says_when_a_service_of_the_stack_is_down(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "stack.json").write_text(json.dumps({"services": {"dagster": gone.pid}}))
    answer = run("status", "--data", tmp_path, "--json")
    assert answer.exit_code == 3
    assert json.loads(answer.output)["services"] == {"dagster": False}


def test_certs_are_made_once_listed_and_handed_out(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    first = run("certs", "init", "--data", data, "--name", "ami.example.edu")
    assert first.exit_code == 0
    assert "25 meters, 26 certificates issued now" in first.output
    again = run("certs", "init", "--data", data, "--name", "ami.example.edu")
    assert "25 meters, 0 certificates issued now" in again.output
    devices = json.loads(run("certs", "list", "--data", data, "--json").output)
    assert len(devices) == 25
    assert {d["status"] for d in devices} == {"active"}
    assert all(len(d["lfdi"]) == 40 and len(d["pin"]) == 6 for d in devices)
    issued = run("certs", "issue", METER, "--data", data, "--out", out)
    assert issued.exit_code == 0
    assert next(d["lfdi"] for d in devices if d["meter_id"] == METER) in issued.output
    assert stat.S_IMODE((out / "device.key").stat().st_mode) == 0o600
    for key in (*(data / "certs").rglob("*.key"), data / "certs" / "registration.secret"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    unknown = run("certs", "issue", "NOBODY", "--data", data, "--out", out)
    assert unknown.exit_code == 2
    assert "NOBODY" in unknown.output


def test_a_bad_setting_ends_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDTOKENX_MARKET__MAX_PARTNERS", "0")
    answer = process("status", "--data", tmp_path)
    assert answer.returncode == 1
    assert "max_partners" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_the_dictionary_is_up_to_date() -> None:
    assert run("dictionary", "--check").exit_code == 0


def test_an_unknown_benchmark_is_named() -> None:
    answer = run("bench", "nonsense")
    assert answer.exit_code == 2
    assert "nonsense" in answer.output


def test_an_event_is_published_listed_and_called_off(tmp_path):
    data = ["--data", tmp_path / "data"]
    published = run("events", "load", "--shed-percent", "20", "--minutes", "30", *data)
    assert published.exit_code == 0, published.output
    path = published.output.split()[1]
    [event] = json.loads(run("events", "list", "--json", *data).output)
    assert (event["path"], event["kind"], event["status"]) == (path, "load", "active")
    assert run("events", "cancel", path, *data).exit_code == 0
    [event] = json.loads(run("events", "list", "--json", *data).output)
    assert event["status"] == "cancelled"
    assert run("events", "der", *data).exit_code == 2
    assert run("events", "cancel", "/derp/campus", *data).exit_code == 2

"""The whole line through real processes: certificates, TLS, landing, Dagster, chain, marts; killed on the way; run twice."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from gridtokenx_pipeline.contracts import certificates, core, market, settlement
from gridtokenx_pipeline.warehouse import Warehouse

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SETTLED_TABLES = (
    core.READINGS,
    core.ENERGY_15S,
    core.ENERGY_5MIN,
    core.ENERGY_15MIN,
    *market.TABLES,
    *certificates.TABLES,
    *settlement.TABLES,
)


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def demo_command(data: Path, ports: list[int], *more: str) -> list[str]:
    ingest, rpc, dagster = map(str, ports)
    options = ["--once", "--data", str(data), "--port", ingest, "--rpc-port", rpc, "--dagster-port", dagster]
    return [sys.executable, "-c", "from gridtokenx_pipeline.cli import main; main()", "demo", *options, *more]


def landed(data: Path) -> int:
    import sqlite3

    total = 0
    for segment in (data / "landing").glob("*.sqlite"):
        with closing(sqlite3.connect(f"file:{segment}?mode=ro", uri=True)) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in tables:
                if table.startswith("sqlite_"):
                    continue
                total += connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]
    return total


def table_hashes(data: Path) -> dict[str, str]:
    with Warehouse(data / "warehouse", read_only=True) as warehouse:
        return {
            table.full_name: hashlib.sha256(warehouse.read(table).write_csv().encode()).hexdigest() for table in SETTLED_TABLES
        }


def merkle_root(payloads: list[str]) -> str:
    level = [hashlib.sha256(b"\0" + payload.encode()).digest() for payload in payloads]
    while len(level) > 1:
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        level = [hashlib.sha256(b"\1" + p[0] + p[1]).digest() if len(p) == 2 else p[0] for p in pairs]
    return level[0].hex()


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int], str]:
    """A demo whose ingest server and Solana node are killed with SIGKILL while meters post."""
    data, ports = tmp_path_factory.mktemp("line"), free_ports(3)
    output = data / "output.txt"
    with output.open("w") as sink:
        process = subprocess.Popen(demo_command(data, ports), stdout=sink, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 240
    while not (data / "landing").exists() or landed(data) < 200:
        assert process.poll() is None, output.read_text()
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.05)
    services = json.loads((data / "run" / "stack.json").read_text())["services"]
    os.kill(services["ingest-server"], signal.SIGKILL)
    os.kill(services["solana-node"], signal.SIGKILL)
    at_the_kill = landed(data)
    assert process.wait(400) == 0, output.read_text()
    assert at_the_kill < 3000, "the server was killed too late to prove anything"
    return data, ports, output.read_text()


def test_killed_services_were_started_again(first_run: tuple[Path, list[int], str]) -> None:
    _, _, output = first_run
    assert "ingest-server died and was started again" in output
    assert "solana-node died and was started again" in output


def test_every_meter_interval_and_channel_arrived_once(first_run: tuple[Path, list[int], str]) -> None:
    data, _, _ = first_run
    with Warehouse(data / "warehouse", read_only=True) as warehouse:
        channels = dict(
            warehouse.query("SELECT channel, count(*) FROM core.readings WHERE version = 1 GROUP BY channel").iter_rows()
        )
        assert channels == dict.fromkeys(core.CHANNELS, 25 * 120)
        versions = warehouse.query("SELECT max(version) FROM core.readings").item()
        assert versions == 1
        reasons = warehouse.query("SELECT DISTINCT reason FROM core.rejected_readings")["reason"].to_list()
        assert set(reasons) <= {"duplicate"}, "a repeated post after the kill may only be a duplicate"
        wide = warehouse.query(
            "SELECT count(DISTINCT meter_id), count(DISTINCT interval_start), count(*), min(readings_present) FROM core.energy_15s"
        ).row(0)
        assert wide == (25, 120, 3000, 1)


def test_sums_are_equal_from_15_s_to_the_marts(first_run: tuple[Path, list[int], str]) -> None:
    data, _, _ = first_run
    sums = ", ".join(f"sum({channel}_wh)" for channel in core.ENERGY_CHANNELS)
    with Warehouse(data / "warehouse", read_only=True) as warehouse:
        levels = [
            warehouse.query(f"SELECT {sums} FROM {table}").row(0)
            for table in ("core.energy_15s", "core.energy_5min", "core.energy_15min", "marts.fct_energy_5min")
        ]
        readings = warehouse.query(
            "SELECT "
            + ", ".join(f"sum(energy_wh) FILTER (channel = '{c}')" for c in core.ENERGY_CHANNELS)
            + " FROM core.readings"
        ).row(0)
    assert all(level == readings for level in levels)
    assert all(total > 0 for total in readings)


def test_every_interval_balances_in_wh_and_money(first_run: tuple[Path, list[int], str]) -> None:
    data, _, _ = first_run
    with Warehouse(data / "warehouse", read_only=True) as warehouse:
        intervals = warehouse.read(market.INTERVALS)
        grid = warehouse.read(market.GRID_SETTLEMENTS)
        trades = warehouse.read(market.TRADES)
    assert intervals["state"].to_list() == ["settled"] * 6
    assert len(trades) > 6
    for start in intervals["interval_start"]:
        rows = grid.filter(grid["interval_start"] == start)
        of_window = trades.filter(trades["interval_start"] == start)
        sold = dict.fromkeys(rows["meter_id"], 0)
        money = dict.fromkeys(rows["meter_id"], 0)
        for trade in of_window.iter_rows(named=True):
            assert trade["amount_micro"] == (trade["energy_wh"] * trade["price_micro_per_kwh"] + 500) // 1000
            assert 80_000 <= trade["price_micro_per_kwh"] <= 280_000
            sold[trade["seller_meter_id"]] += trade["energy_wh"]
            sold[trade["buyer_meter_id"]] -= trade["energy_wh"]
            money[trade["seller_meter_id"]] += trade["amount_micro"]
            money[trade["buyer_meter_id"]] -= trade["amount_micro"]
        assert sum(sold.values()) == 0
        assert sum(money.values()) == 0
        assert len(rows) == 25
        for row in rows.iter_rows(named=True):
            assert sold[row["meter_id"]] + row["energy_wh"] == row["net_wh"]


def test_certificates_equal_the_generation_registers(first_run: tuple[Path, list[int], str]) -> None:
    data, _, _ = first_run
    with Warehouse(data / "warehouse", read_only=True) as warehouse:
        certified = dict(
            warehouse.query(
                "SELECT meter_id, sum(energy_wh)::BIGINT FROM certificates.bundles WHERE state = 'issued' GROUP BY 1"
            ).iter_rows()
        )
        registers = dict(
            warehouse.query(
                "SELECT meter_id, (floor(max(register_wh)) - floor(min(register_wh - energy_wh)))::BIGINT "
                "FROM core.readings WHERE channel = 'generation' GROUP BY 1"
            ).iter_rows()
        )
    assert certified == registers
    assert len(certified) == 25


def test_the_memo_on_chain_is_the_root_recomputed_from_the_warehouse(first_run: tuple[Path, list[int], str]) -> None:
    data, _, _ = first_run
    with Warehouse(data / "warehouse", read_only=True) as warehouse:
        batches = warehouse.read(settlement.BATCHES)
        transactions = warehouse.read(settlement.TRANSACTIONS)
        items = warehouse.read(settlement.ITEMS).sort("batch_id", "leaf_index")
        actions = warehouse.read(settlement.ACTIONS)
    assert set(transactions["state"]) == {"confirmed"}
    assert set(actions["state"]) == {"done"}
    assert 6 * 4 <= len(transactions) <= 6 * 8
    assert dict(transactions.select("signature", "actions").iter_rows()) == dict(actions.group_by("signature").len().iter_rows())
    transactions = transactions.filter(transactions["kind"].str.contains("record_batch"))
    assert len(transactions) == 6
    port = free_ports(1)[0]
    node = [sys.executable, "-m", "gridtokenx_pipeline.solana.node", "--dir", str(data / "solana" / "node"), "--port", str(port)]
    process = subprocess.Popen(node, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready")
        from gridtokenx_pipeline.solana.receipts import read_receipts

        receipts = read_receipts([f"http://127.0.0.1:{port}"], transactions["signature"].to_list())
    finally:
        process.terminate()
        process.wait(20)
    for row in transactions.iter_rows(named=True):
        receipt = receipts[row["signature"]]
        assert receipt is not None
        assert receipt.error is None
        root = merkle_root(items.filter(items["batch_id"] == row["batch_id"])["payload"].to_list())
        assert receipt.memo is not None
        assert receipt.memo.endswith(f":{root}")
        assert batches.filter(batches["batch_id"] == row["batch_id"])["merkle_root"].item() == root


def test_a_second_run_changes_nothing_that_was_settled(first_run: tuple[Path, list[int], str]) -> None:
    data, ports, _ = first_run
    before = table_hashes(data)
    done = subprocess.run(demo_command(data, ports), capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert table_hashes(data) == before
    with Warehouse(data / "warehouse", read_only=True) as warehouse:
        accounted = warehouse.query(
            "SELECT sum(readings_total) = sum(accepted) + sum(rejected) + sum(telemetry), count(*) = (SELECT count(*) FROM raw.messages) "
            "FROM core.message_outcomes"
        ).row(0)
    assert accounted == (True, True)


def test_a_taken_port_is_named_with_its_option(tmp_path: Path) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = [taken.getsockname()[1], *free_ports(2)]
        done = subprocess.run(demo_command(tmp_path, ports), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert f"port {ports[0]} is taken" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr

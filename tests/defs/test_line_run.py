"""What an undisturbed run leaves in the warehouse and on the chain."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import defaultdict

import polars as pl
import pytest
from line_campus import INTERVALS, SILENCE, START
from solana.rpc.commitment import Confirmed
from solders.signature import Signature

from gridtokenx_pipeline.contracts import TABLES, certificates, core, market, settlement
from gridtokenx_pipeline.defs.partitions import hour_key
from gridtokenx_pipeline.solana.receipts import read_receipts

NETTING = (settlement.NETS, settlement.NETTED)
ENERGIES = ("generation", "load", "charge", "discharge", "import", "export")
SUMS = ", ".join(f"sum({name}_wh) AS {name}" for name in ENERGIES)


@pytest.mark.parametrize("job", ["intake", "settle", "marts"])
def test_the_run_succeeds_and_every_check_passes(with_marts, job):
    run = with_marts.runs[job]
    assert run.success, run.failed_steps
    assert run.failed_checks() == (SILENCE if job == "settle" else set())
    assert len(run.checks) >= {"intake": 3, "settle": 10, "marts": 10}[job]


def test_every_table_was_filled_but_those_of_faults_and_of_other_documents(with_marts):
    empty = {table.full_name for table in TABLES if with_marts.read(table).is_empty()}
    faults = {core.REJECTED_READINGS, core.ESTIMATES, core.EDITS, core.REVISIONS}
    assert empty == {table.full_name for table in (*faults, core.TELEMETRY, *core.documents.TABLES, *market.INPUTS, *NETTING)}


def test_every_meter_interval_and_channel_is_one_reading(settled):
    rows = settled.query(
        "SELECT meter_id, channel, count(*) AS n, count(DISTINCT interval_start) AS intervals, sum(parts)::INT AS parts FROM core.readings GROUP BY ALL"
    )
    assert len(rows) == len(settled.meters) * len(core.CHANNELS)
    assert set(rows["n"]) == set(rows["intervals"]) == {INTERVALS}
    assert settled.query("SELECT sum(readings_total)::INT, sum(accepted)::INT FROM core.message_outcomes").row(0) == (
        4 * INTERVALS * 13,
        4 * INTERVALS * 13,
    )


def test_energy_is_what_the_meters_measured_at_every_level(with_marts):
    measured = {m.id: tuple(int(m.series.energy[name].sum()) for name in ENERGIES) for m in with_marts.meters}
    for relation in (*(f"core.{table.name}" for table, _ in core.LEVELS), "marts.fct_energy_5min", "marts.fct_energy_hourly"):
        rows = with_marts.query(f"SELECT meter_id, {SUMS} FROM {relation} GROUP BY meter_id")
        assert {row[0]: tuple(int(value * 1000) for value in row[1:]) for row in rows.iter_rows()} == measured, relation
    whole = with_marts.query(f"SELECT {SUMS} FROM core.energy_15s").row(0)
    day = with_marts.query(f"SELECT {', '.join(f'{n}_wh' for n in ENERGIES)} FROM marts.fct_campus_daily").row(0)
    assert day == whole


def test_every_interval_balances_in_wh_and_money(settled):
    intervals, trades, grid = (settled.read(t) for t in (market.INTERVALS, market.TRADES, market.GRID_SETTLEMENTS))
    assert intervals["state"].to_list() == ["settled", "settled"]
    registers = {(m.id, i): _net(m, i) for m in settled.meters for i in (0, 1)}
    for number, interval in enumerate(intervals.sort("interval_start").iter_rows(named=True)):
        start = interval["interval_start"]
        net: dict[str, int] = {}
        booked: defaultdict[str, int] = defaultdict(int)
        money: defaultdict[str, int] = defaultdict(int)
        for trade in trades.filter(pl.col("interval_start") == start).iter_rows(named=True):
            assert trade["amount_micro"] == (trade["energy_wh"] * trade["price_micro_per_kwh"] + 500) // 1000
            for meter, sign in ((trade["seller_meter_id"], 1), (trade["buyer_meter_id"], -1)):
                booked[meter] += sign * trade["energy_wh"]
                money[meter] += sign * trade["amount_micro"]
        for row in grid.filter(pl.col("interval_start") == start).iter_rows(named=True):
            net[row["meter_id"]] = row["net_wh"]
            assert row["net_wh"] == booked[row["meter_id"]] + row["energy_wh"]
        assert net == {meter: wh for (meter, i), wh in registers.items() if i == number}
        assert sum(booked.values()) == sum(money.values()) == 0
        supply, demand = (sum(max(sign * wh, 0) for wh in net.values()) for sign in (1, -1))
        assert (interval["supply_wh"], interval["demand_wh"]) == (supply, demand)
        assert interval["traded_wh"] == min(supply, demand) == sum(wh for wh in booked.values() if wh > 0) > 0


def _net(meter, interval: int) -> int:
    """Whole Wh of a market interval by floor differences, from the registers the meter showed."""
    signs = {"generation": 1, "discharge": 1, "load": -1, "charge": -1}
    return sum(sign * _floor_difference(meter, name, interval) for name, sign in signs.items())


def _floor_difference(meter, channel: str, interval: int) -> int:
    registers, energy = meter.series.registers[channel], meter.series.energy[channel]
    first, last = interval * 20, interval * 20 + 19
    return int(registers[last]) // 1000 - int(registers[first] - energy[first]) // 1000


def test_bundles_are_the_floor_differences_of_the_generation_register(settled):
    bundles = settled.read(certificates.BUNDLES).sort("meter_id", "interval_start")
    starts = sorted(set(settled.read(market.INTERVALS)["interval_start"]))
    expected = {(m.id, start): _floor_difference(m, "generation", i) for m in settled.meters for i, start in enumerate(starts)}
    found = {(row["meter_id"], row["interval_start"]): row["energy_wh"] for row in bundles.iter_rows(named=True)}
    assert found == {place: wh for place, wh in expected.items() if wh}
    for meter in settled.meters:
        own = bundles.filter(pl.col("meter_id") == meter.id)
        if len(own) == 2:
            assert own["first_wh"][1] == own["last_wh"][0] + 1
        first = int(meter.series.registers["generation"][0] - meter.series.energy["generation"][0]) // 1000
        assert own["first_wh"][0] == first
    assert set(bundles["state"]) == {"issued"}


def test_the_chain_holds_the_root_that_the_items_make(settled):
    """The tree is built here again from the payloads alone, as an auditor would."""
    items = settled.read(settlement.ITEMS).sort("leaf_index")
    batches = settled.read(settlement.BATCHES)
    transactions = settled.read(settlement.TRANSACTIONS)
    receipts = read_receipts(settled.settings.rpc_urls, transactions["signature"].to_list())
    assert len(batches) == 2
    for batch in batches.iter_rows(named=True):
        level = [
            hashlib.sha256(b"\0" + text.encode()).digest()
            for text in items.filter(pl.col("batch_id") == batch["batch_id"])["payload"]
        ]
        assert len(level) == batch["items"] == 4 + 4 + 4 + 3
        while len(level) > 1:
            pairs = [hashlib.sha256(b"\1" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=False)]
            level = pairs + level[len(pairs) * 2 :]
        of_batch = transactions.filter(pl.col("batch_id") == batch["batch_id"])
        (signature,) = of_batch.filter(pl.col("kind").str.contains("record_batch"))["signature"]
        memo = receipts[signature].memo
        assert memo.split(":")[-1] == level[0].hex()
        assert f":{batch['window_start']:%Y-%m-%dT%H:%M:%SZ}:v1:15:{batch['traded_wh']}:{batch['amount_micro']}:" in memo
        assert receipts[signature].error is None


def test_every_action_was_carried_once_and_nothing_else_was_settled(settled):
    actions, transactions = settled.read(settlement.ACTIONS), settled.read(settlement.TRANSACTIONS)
    assert dict(actions.group_by("kind").len().iter_rows()) == {
        "submit_energy_reading": 8,
        "record_batch": 2,
        "mint_grid": 4,
        "execute_trade": len(settled.read(market.TRADES)),
        "mint_rec": 4,
    }
    assert set(actions["state"]) == {"done"}
    assert set(transactions["state"]) == {"confirmed"}
    carried = actions.group_by("signature").len()
    assert dict(transactions.select("signature", "actions").iter_rows()) == dict(carried.iter_rows())
    assert {s for s in settled.signed if _memo_lines(settled, s)} == set(
        transactions.filter(pl.col("kind").str.contains("record_batch"))["signature"]
    )


def _memo_lines(campus, signature: str) -> list[str]:
    found = campus.rpc("get_transaction", Signature.from_string(signature), "base64", Confirmed, 0)
    return [line for line in found.transaction.meta.log_messages if "gtx1:" in line]


def test_every_hour_of_a_range_has_its_own_evaluation_of_each_check(settled, copied):
    """Dagster keeps a partitioned check's state by partition; an hour without an evaluation would show as skipped."""
    first = START - dt.timedelta(hours=1)
    campus = copied(settled)
    run = campus.run("tick", first, START)
    assert run.success, run.failed_steps
    seen: defaultdict[str, set[str | None]] = defaultdict(set)
    for evaluation in run.evaluations:
        seen[evaluation.check_name].add(evaluation.partition)
    hours = {hour_key(first), hour_key(START)}
    assert seen
    assert all(hours <= partitions for partitions in seen.values())
    single = campus.run("settle", START, START)
    assert {evaluation.partition for evaluation in single.evaluations} == {hour_key(START)}

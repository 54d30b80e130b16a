"""What comes when all is settled: a version of its own, with exact differences, confirmed on the chain like the first."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from line_campus import GENERATION, SILENCE, START, STEP, Message, with_values

from gridtokenx_pipeline.contracts import core, market, settlement
from gridtokenx_pipeline.domain.invariants import market_violations, settlement_violations
from gridtokenx_pipeline.domain.market import positions
from gridtokenx_pipeline.solana.receipts import read_receipts
from gridtokenx_pipeline.warehouse import Append
from ieee2030_5.xml import encode

RECEIVED_LATE = START.replace(hour=22, minute=0)
NOW = RECEIVED_LATE + dt.timedelta(minutes=5)
SETTLED = ("market", "certificates", "settlement")
GRID_COLUMNS = ("meter_id", "version", "net_wh", "traded_wh", "energy_wh", "reason")


@pytest.fixture(scope="module")
def corrected(settled, tmp_path_factory):
    """Hours after settlement a meter corrects a reading of the first interval; the hour runs again."""
    campus = settled.copy(tmp_path_factory.mktemp("corrected") / "data")
    meter = campus.meters[0]
    value = int(meter.series.energy["generation"][3]) + 1_500
    document = with_values(meter.documents()[3], {GENERATION: value})
    campus.before = {table: campus.read(table) for table in (*market.SETTLEMENTS, settlement.BATCHES, settlement.ITEMS)}
    campus.sent_before = campus.transactions_on_chain()
    campus.land([Message(meter, RECEIVED_LATE, encode(document))])
    campus.runs["intake"] = campus.run("intake", RECEIVED_LATE, NOW, NOW)
    campus.runs["settle"] = campus.run("settle", START, START, NOW)
    return campus


def first_versions(campus, table):
    frame = campus.read(table)
    return frame.filter(pl.col("version") == 1) if "version" in frame.columns else frame


def positions_now(campus):
    return positions(campus.read(core.ENERGY_5MIN), 100)


def test_late_energy_makes_a_second_version_of_its_interval_alone(corrected):
    run = corrected.runs["settle"]
    assert run.success, run.failed_steps
    # Of the certificates, what was not measured as the registers say waits, and is told; the market has nothing to tell.
    assert run.failed_checks() <= {"certificates_match_generation", *SILENCE}
    intervals = corrected.read(market.INTERVALS)
    assert intervals.select("interval_start", "version", "state").rows() == [
        (START, 1, "settled"), (START, 2, "settled"), (START + 20 * STEP, 1, "settled"),
    ]  # fmt: skip
    before = {row["meter_id"]: row for row in corrected.before[market.GRID_SETTLEMENTS].filter(interval_start=START).to_dicts()}
    (delta,) = corrected.read(market.GRID_SETTLEMENTS).filter(version=2).to_dicts()
    meter = corrected.meters[0].id
    energy = corrected.read(core.ENERGY_5MIN).filter(meter_id=meter, interval_start=START)
    now = positions(energy, 100)["net_wh"][0]
    assert now - before[meter]["net_wh"] == delta["net_wh"] in (1, 2)
    assert tuple(delta[name] for name in GRID_COLUMNS) == (meter, 2, delta["net_wh"], 0, delta["net_wh"], "correction")
    assert before[meter]["energy_wh"] >= 0
    feed_in = intervals["feed_in_micro_per_kwh"][0]
    rest = before[meter]["energy_wh"]
    assert delta["amount_micro"] == ((rest + delta["net_wh"]) * feed_in + 500) // 1000 - (rest * feed_in + 500) // 1000


def test_what_was_settled_stays_byte_for_byte(corrected):
    for table in (*market.SETTLEMENTS, settlement.BATCHES):
        assert first_versions(corrected, table).equals(corrected.before[table]), table.full_name
    before = corrected.before[settlement.ITEMS]
    assert corrected.read(settlement.ITEMS).join(before, on="item_id", how="semi").sort("item_id").equals(before.sort("item_id"))


def test_the_correction_is_a_batch_of_its_own_on_the_chain(corrected):
    batches = corrected.read(settlement.BATCHES)
    (second,) = batches.filter(version=2).to_dicts()
    assert (second["state"], second["traded_wh"], second["amount_micro"]) == ("confirmed", 0, 0)
    items = corrected.read(settlement.ITEMS).filter(batch_id=second["batch_id"]).sort("leaf_index")
    kinds = items.filter(pl.col("kind") != "certificate").select("kind", "natural_key").rows()
    (grid,) = corrected.read(market.GRID_SETTLEMENTS).filter(version=2)["grid_settlement_id"]
    assert kinds == [("energy_reading", corrected.meters[0].id), ("grid_settlement", grid)]
    assert settlement_violations(corrected.read(settlement.ITEMS), batches).is_empty()
    sent = [signature for signature in corrected.transactions_on_chain() if signature not in corrected.sent_before]
    receipts = read_receipts(corrected.settings.rpc_urls, sent).values()
    assert [receipt.memo for receipt in receipts] == [second["memo"]]


def test_the_versions_sum_to_what_is_known(corrected):
    frames = [corrected.read(table) for table in market.SETTLEMENTS]
    found = market_violations(*frames[:3], max_partners=25, positions=positions_now(corrected), balances=frames[3])
    assert found.is_empty(), found.to_dicts()
    said = corrected.runs["settle"].metadata("settled_energy_unchanged")
    assert (said["positions_differing"], said["corrections"]) == (0, 1)
    balances = frames[3].filter(version=2)
    (delta,) = corrected.read(market.GRID_SETTLEMENTS).filter(version=2)["net_wh"]
    assert balances.select("meters", "net_wh", "export_wh", "feeder_net_wh").rows() == [(1, delta, delta, None)]


def test_a_second_run_writes_nothing(corrected):
    before, snapshot, sent = corrected.hashes(*SETTLED), corrected.last_snapshot(), corrected.transactions_on_chain()
    run = corrected.run("settle", START, START, NOW)
    assert run.success, run.failed_steps
    assert corrected.hashes(*SETTLED) == before
    assert corrected.last_snapshot() == snapshot
    assert corrected.transactions_on_chain() == sent


def test_an_edit_is_the_next_version_and_its_reversal_the_one_after(corrected, copied):
    campus = copied(corrected)
    meter, moment = campus.meters[3].id, START + 25 * STEP
    earlier = campus.read(market.GRID_SETTLEMENTS)
    for number, (action, energy) in enumerate((("replace", 200_000), ("revert", None)), 2):
        edit = {
            "edit_id": f"edit-{number}", "zone": "stanford", "meter_id": meter, "channel": "load", "interval_start": moment,
            "duration_s": 15, "action": action, "energy_milli_wh": energy, "edited_by": "ana", "reason": "tested",
            "edited_at": NOW + number * STEP,
        }  # fmt: skip
        frame = pl.DataFrame([{n: edit.get(n) for n in core.EDITS.frame_schema()}], schema=core.EDITS.frame_schema())
        with campus.writer() as warehouse:
            warehouse.commit(Append(core.EDITS, frame))
        run = campus.run("settle_unchecked", START, START, NOW + dt.timedelta(minutes=5 * number))
        assert run.success, run.failed_steps
    rows = campus.read(market.GRID_SETTLEMENTS).filter(meter_id=meter, interval_start=START + 20 * STEP).sort("version")
    assert rows["version"].to_list() == [1, 2, 3]
    assert rows["net_wh"][1] < 0
    assert rows["net_wh"][1:].sum() == rows["amount_micro"][1:].sum() == 0
    assert campus.read(market.GRID_SETTLEMENTS).join(earlier, on="grid_settlement_id", how="semi").equals(earlier)
    assert set(campus.read(settlement.BATCHES)["state"]) == {"confirmed"}

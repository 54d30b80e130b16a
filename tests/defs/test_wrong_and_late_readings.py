"""Readings that are not believed, meters that lack some, and readings that come when all is settled."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from line_campus import GENERATION, SILENCE, START, STEP, Message, with_values

from gridtokenx_pipeline.contracts import certificates, core, market, settlement
from gridtokenx_pipeline.defs.energy.derive import known_energy
from gridtokenx_pipeline.domain.market import positions
from ieee2030_5.xml import encode

FAULTS = ("out_of_range", "register_decreased", "negative", "unknown_unit", "reading_type_unknown", "future")
RECEIVED_LATE = START.replace(hour=22, minute=0)


@pytest.fixture(scope="module")
def late(disturbed, tmp_path_factory):
    """Hours later one meter sends what was missing, and another a corrected generation for an interval it had sent."""
    campus = disturbed.copy(tmp_path_factory.mktemp("late") / "data")
    incomplete, corrected = campus.meters[1], campus.meters[0]
    documents = [(incomplete, incomplete.documents()[i]) for i in (5, 8, 12, 39)]
    value = int(corrected.series.energy["generation"][3]) + 1_500
    documents.append((corrected, with_values(corrected.documents()[3], {GENERATION: value})))
    campus.land([Message(m, RECEIVED_LATE + dt.timedelta(seconds=i), encode(d)) for i, (m, d) in enumerate(documents)])
    now = RECEIVED_LATE + dt.timedelta(minutes=5)
    campus.settled_before = {
        table: campus.read(table) for table in (*market.SETTLEMENTS, settlement.BATCHES, certificates.BUNDLES)
    }
    campus.energy_before = campus.read(core.ENERGY_5MIN)
    campus.sent_before = campus.transactions_on_chain()
    campus.runs["intake"] = campus.run("intake", RECEIVED_LATE, now, now)
    campus.runs["settle"] = campus.run("settle", START, START, now)
    return campus


def test_each_wrong_reading_is_rejected_with_its_reason_and_message(disturbed):
    assert disturbed.runs["tick"].success, disturbed.runs["tick"].failed_steps
    rejected = disturbed.read(core.REJECTED_READINGS)
    assert set(rejected["meter_id"]) == {disturbed.meters[1].id}
    by_reason = {
        reason: (set(rows["message_id"]), rows["parts"].sum())
        for (reason,), rows in rejected.partition_by("reason", as_dict=True).items()
    }
    # A document of the future is refused whole: 13 readings; a pair of interval and register counts two.
    parts = {
        "out_of_range": 2,
        "register_decreased": 2,
        "negative": 2,
        "unknown_unit": 1,
        "reading_type_unknown": 1,
        "future": 13,
    }
    assert by_reason == {reason: ({disturbed.labels[reason]}, parts[reason]) for reason in FAULTS}
    placed = {row["reason"]: (row["channel"], row["interval_start"]) for row in rejected.iter_rows(named=True)}
    assert placed["out_of_range"] == ("generation", START + 5 * STEP)
    assert placed["register_decreased"] == ("generation", START + 8 * STEP)
    assert placed["negative"] == ("load", START + 12 * STEP)


def test_the_other_meters_flow_on(disturbed):
    others = [m.id for m in disturbed.meters if m.id != disturbed.meters[1].id]
    counts = disturbed.query("SELECT meter_id, count(*) AS n FROM core.readings GROUP BY meter_id")
    expected = dict.fromkeys(others, 40 * 7) | {disturbed.meters[1].id: 39 * 7 - 3}
    assert dict(counts.iter_rows()) == expected
    assert disturbed.read(market.INTERVALS)["state"].to_list() == ["settled", "settled"]
    assert disturbed.read(settlement.BATCHES)["state"].to_list() == ["confirmed", "confirmed"]


def test_what_registers_bound_is_estimated_exactly_and_trades(disturbed):
    faulty = disturbed.meters[1]
    estimates = disturbed.read(core.ESTIMATES)
    gaps = {("generation", 5), ("generation", 8), ("load", 12)}
    assert set(estimates.select("channel", "interval_start").iter_rows()) == {(name, START + i * STEP) for name, i in gaps}
    assert set(estimates.select("meter_id", "method", "usable").iter_rows()) == {(faulty.id, "register_exact", True)}
    for row in estimates.iter_rows(named=True):
        i = (row["interval_start"] - START) // STEP
        assert row["energy_milli_wh"] == faulty.series.energy[row["channel"]][i]
        assert row["register_milli_wh"] == faulty.series.registers[row["channel"]][i]
    energy = disturbed.read(core.ENERGY_5MIN).filter(meter_id=faulty.id, interval_start=START).row(0, named=True)
    assert (energy["readings_present"], energy["readings_estimated"], energy["quality_flags"]) == (17, 3, 33)
    assert energy["generation_milli_wh"] == faulty.series.energy["generation"][:20].sum()
    grid = disturbed.read(market.GRID_SETTLEMENTS).filter(meter_id=faulty.id).sort("interval_start")
    assert grid["reason"].to_list()[0] == "residual"
    bundle = disturbed.read(certificates.BUNDLES).filter(meter_id=faulty.id, interval_start=START)
    assert bundle["state"].to_list() == ["issued"]


def test_an_incomplete_meter_settles_with_the_grid_alone_and_its_certificates_wait(disturbed):
    faulty, second = disturbed.meters[1].id, START + 20 * STEP
    grid = disturbed.read(market.GRID_SETTLEMENTS).filter(pl.col("meter_id") == faulty).sort("interval_start")
    assert grid["reason"].to_list() == ["residual", "incomplete"]
    assert grid["traded_wh"][1] == 0
    assert grid["energy_wh"][1] == grid["net_wh"][1] != 0
    trades = disturbed.read(market.TRADES)
    takes_part = pl.any_horizontal(pl.col("seller_meter_id", "buyer_meter_id") == faulty)
    assert set(trades.filter(takes_part)["interval_start"]) == {START}
    assert set(trades.filter(~takes_part)["interval_start"]) == {START, second}
    bundles = disturbed.read(certificates.BUNDLES)
    waiting = bundles.filter(pl.col("state") == "pending")
    assert waiting.select("meter_id", "interval_start").rows() == [(faulty, second)]
    assert len(bundles) == 8
    on_chain = disturbed.read(settlement.ITEMS).filter(pl.col("kind") == "certificate")["natural_key"]
    assert waiting["bundle_id"][0] not in set(on_chain)
    held = disturbed.read(certificates.EVENTS).filter(pl.col("kind") == "held")
    assert held["bundle_id"].to_list() == waiting["bundle_id"].to_list()
    assert disturbed.runs["tick"].failed_checks() == {"energy_is_complete", *SILENCE}
    assert disturbed.runs["tick"].metadata("energy_is_complete")["incomplete_meters"] == [faulty]


def test_late_readings_reach_the_energy_tables(late):
    assert late.runs["intake"].success, late.runs["intake"].failed_steps
    assert late.runs["settle"].success, late.runs["settle"].failed_steps
    before, after = (
        {(r["meter_id"], r["interval_start"]): r for r in frame.iter_rows(named=True)}
        for frame in (late.energy_before, late.read(core.ENERGY_5MIN))
    )
    incomplete, estimated, corrected = ((late.meters[n].id, START + i * STEP) for n, i in ((1, 20), (1, 0), (0, 0)))
    assert {place for place in after if after[place] != before[place]} == {incomplete, estimated, corrected}
    assert (before[incomplete]["readings_present"], after[incomplete]["readings_present"]) == (19, 20)
    assert after[incomplete]["generation_milli_wh"] == late.meters[1].series.energy["generation"][20:].sum()
    # What was estimated between registers was exact: measured now, it is the same.
    assert (before[estimated]["readings_present"], after[estimated]["readings_present"]) == (17, 20)
    assert after[estimated]["generation_milli_wh"] == before[estimated]["generation_milli_wh"]
    assert (before[corrected]["version"], after[corrected]["version"]) == (1, 2)
    assert after[corrected]["generation_milli_wh"] - before[corrected]["generation_milli_wh"] == 1_500
    assert after[corrected]["quality_flags"] & 16


def test_late_readings_become_versions_and_leave_what_is_settled_untouched(late):
    waiting = late.settled_before.pop(certificates.BUNDLES).filter(state="pending")["bundle_id"]
    bundles = late.read(certificates.BUNDLES)
    # What was held is issued by the correction that completes it; it was in no batch.
    assert bundles.filter(pl.col("bundle_id").is_in(waiting.implode())).select("state", "version").rows() == [("issued", 2)]
    for table, before in late.settled_before.items():
        now = late.read(table).filter(version=1)
        assert now.equals(before), (table.full_name, now.join(before, on=now.columns, how="anti", nulls_equal=True).to_dicts())
    run = late.runs["settle"]
    assert run.metadata("settled_energy_unchanged")["positions_differing"] == 0
    grid = late.read(market.GRID_SETTLEMENTS)
    second = grid.filter(version=2).sort("interval_start", "meter_id")
    corrected, incomplete = late.meters[0].id, late.meters[1].id
    places = {(row["meter_id"], row["interval_start"]): row for row in second.iter_rows(named=True)}
    # The second interval of the incomplete meter, the corrected reading, and what was estimated exactly and is measured now.
    assert set(places) == {(incomplete, START + 20 * STEP), (corrected, START), (incomplete, START)}
    assert set(second["reason"]) == {"correction"}
    assert places[incomplete, START]["net_wh"] == places[incomplete, START]["amount_micro"] == 0
    assert places[incomplete, START]["quality_flags"] == 1
    place = ["meter_id", "interval_start"]
    sums = grid.group_by(place).agg(pl.col("net_wh").sum()).sort(place)
    assert sums.equals(positions(late.read(core.ENERGY_5MIN), 100).select(*place, "net_wh").sort(place))
    assert late.read(market.TRADES)["version"].unique().to_list() == [1]
    batches = late.read(settlement.BATCHES)
    assert batches.sort("window_start", "version").select("version", "state").rows() == [(1, "confirmed"), (2, "confirmed")] * 2
    actions = late.read(settlement.ACTIONS)
    assert set(actions["state"]) == {"done"}
    roots = actions.filter(pl.col("kind") == "record_batch")
    assert sorted(roots["natural_key"]) == sorted(batches["batch_id"])
    assert set(roots["signature"]) - set(late.sent_before) == set(
        roots.join(batches.filter(pl.col("version") == 2), on="batch_id")["signature"]
    )


def test_what_was_known_before_stays_known(late):
    revised = late.read(core.REVISIONS)
    incomplete, corrected = late.meters[1].id, late.meters[0].id
    places = {(row["meter_id"], row["interval_start"]) for row in revised.iter_rows(named=True)}
    assert places == {(incomplete, START), (incomplete, START + 20 * STEP), (corrected, START)}
    first, second = revised.filter(meter_id=corrected).sort("revision").iter_rows(named=True)
    assert first["known_from"] == START + dt.timedelta(minutes=6)
    assert second["known_from"] == RECEIVED_LATE + dt.timedelta(minutes=5)
    assert second["generation_delta_milli_wh"] == 1_500
    before = late.energy_before.filter(meter_id=corrected, interval_start=START)
    assert first["generation_milli_wh"] == before["generation_milli_wh"][0]
    with late.writer() as warehouse:
        then = known_energy(
            warehouse, late.settings, START.replace(minute=0), START.replace(hour=19, minute=0), RECEIVED_LATE - STEP
        )
    columns = ["meter_id", "interval_start", "generation_milli_wh", "load_milli_wh", "readings_present", "quality_flags"]
    assert then[core.ENERGY_5MIN].select(columns).equals(late.energy_before.select(columns))


def test_a_revision_is_data_that_sums_to_the_present(late):
    sums = late.query(
        "SELECT bool_and(first + deltas = last) AS adds_up FROM (SELECT meter_id, interval_start, "
        "min_by(coalesce(generation_wh, 0), revision) AS first, max_by(coalesce(generation_wh, 0), revision) AS last, "
        "sum(coalesce(generation_delta_wh, 0)) AS deltas FROM core.energy_revisions GROUP BY ALL)"
    )
    assert sums.item()

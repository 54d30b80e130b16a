"""Checks that see what is wrong, and stop what comes after."""

from __future__ import annotations

from dataclasses import replace

import dagster as dg
import polars as pl
import pytest
from line_campus import SILENCE, START
from solders.signature import Signature

from gridtokenx_pipeline.contracts import core, market, settlement
from gridtokenx_pipeline.defs.certificates import assets as certificates_assets
from gridtokenx_pipeline.defs.energy import derive as energy_derivation
from gridtokenx_pipeline.defs.market import assets as market_assets

FIRST = f"TIMESTAMPTZ '{START.isoformat()}'"


def _tampered(settled, directory, *changes: str):
    """A copy of the settled campus that was changed behind the pipeline's back, and its audit."""
    campus = settled.copy(directory / "data")
    campus.tamper(*changes)
    campus.runs["audit"] = campus.run("audit")
    return campus


# What blocks in an audit also stops the checks after it, so the faults are told apart in two.
@pytest.fixture(scope="module")
def audited(settled, tmp_path_factory):
    """One row of readings, energy, market and batches each is wrong."""
    meter = settled.meters[2].id
    return _tampered(
        settled,
        tmp_path_factory.mktemp("tampered"),
        f"DELETE FROM core.readings WHERE meter_id = '{meter}' AND channel = 'load' AND interval_start = {FIRST}",
        f"UPDATE core.energy_15min SET export_wh = export_wh + 0.001 WHERE meter_id = '{meter}'",
        f"UPDATE market.grid_settlements SET energy_wh = energy_wh + 1 WHERE meter_id = '{meter}' AND interval_start = {FIRST}",
        f"UPDATE settlement.batches SET amount_micro = amount_micro + 1, memo = memo || '!' WHERE window_start = {FIRST}",
    )


@pytest.fixture(scope="module")
def audited_ends(settled, tmp_path_factory):
    """One bundle and one transaction are wrong."""
    stranger = str(Signature.new_unique())
    campus = _tampered(
        settled,
        tmp_path_factory.mktemp("tampered_ends"),
        f"UPDATE certificates.bundles SET energy_wh = energy_wh + 1, last_wh = last_wh + 1 WHERE meter_id = '{settled.meters[2].id}' AND interval_start = {FIRST}",
        f"UPDATE settlement.transactions SET signature = '{stranger}' WHERE kind LIKE '%record_batch%' AND window_start = {FIRST}",
    )
    campus.labels["stranger"] = stranger
    return campus


def test_accounting_misses_a_reading_that_was_removed(audited):
    found = audited.runs["audit"].metadata("every_reading_accounted_for")
    assert not audited.runs["audit"].checks["every_reading_accounted_for"].passed
    assert (found["messages_not_adding_up"], found["messages_without_outcome"], found["outcomes_without_message"]) == (1, 0, 0)


def test_a_thousandth_of_a_watt_hour_between_levels_is_seen(audited):
    assert not audited.runs["audit"].checks["energy_levels_agree"].passed
    found = audited.runs["audit"].metadata("energy_levels_agree")
    assert found["violations"] == 3  # against 15 s, against 5 min, and in the hour
    assert audited.meters[2].id in found["first"]


def test_a_watt_hour_settled_twice_is_seen(audited):
    assert not audited.runs["audit"].checks["market_balances"].passed
    found = audited.runs["audit"].metadata("market_balances")
    assert {name: n for name, n in found.items() if name.startswith("violations/")} == {
        "violations/meter_balance": 1,
        "violations/amount": 1,
        "violations/campus_balance": 1,
    }


def test_a_certificate_beyond_the_register_is_seen(audited_ends):
    check = audited_ends.runs["audit"].checks["certificates_match_generation"]
    assert not check.passed
    # The Wh it has too many is the first one of the next bundle: that is no late reading.
    assert check.severity == dg.AssetCheckSeverity.ERROR
    found = audited_ends.runs["audit"].metadata("certificates_match_generation")
    assert (found["violations/bundle_overlap"], found["violations/bundle_energy"]) == (1, 1)


def test_a_batch_that_does_not_recompute_is_seen(audited):
    assert not audited.runs["audit"].checks["batches_recompute"].passed
    found = audited.runs["audit"].metadata("batches_recompute")
    assert {name: n for name, n in found.items() if name.startswith("violations/")} == {
        "violations/batch_totals": 1,
        "violations/memo": 1,
    }
    (batch,) = audited.read(settlement.BATCHES).filter(pl.col("window_start") == START)["batch_id"]
    assert batch in found["first"]


def test_receipts_are_compared_with_the_chain(audited_ends):
    assert not audited_ends.runs["audit"].checks["receipts_match_chain"].passed
    assert audited_ends.runs["audit"].metadata("receipts_match_chain")["problems"] == [
        f"transaction {audited_ends.labels['stranger']}: the node does not know it"
    ]


def test_a_memo_that_is_not_the_batchs_is_seen(settled, copied):
    campus = copied(settled)
    roots = campus.read(settlement.TRANSACTIONS).filter(pl.col("kind").str.contains("record_batch"))
    (other,) = roots.filter(pl.col("window_start") != START)["signature"]
    (own,) = roots.filter(pl.col("window_start") == START)["signature"]
    campus.tamper(
        f"UPDATE settlement.actions SET signature = '{other}' WHERE kind = 'record_batch' AND window_start = {FIRST}",
        f"DELETE FROM settlement.transactions WHERE signature = '{own}'",
    )
    problems = campus.run("audit").metadata("receipts_match_chain")["problems"]
    assert any(problem.startswith("batch ") and "gtx1:" in problem for problem in problems), problems


def test_the_checks_that_have_no_part_in_it_still_pass(audited, audited_ends):
    passed, passed_ends = ({n for n, check in c.runs["audit"].checks.items() if check.passed} for c in (audited, audited_ends))
    # What compares estimates with readings does not run where those are not accounted for.
    apart = {"landing_is_readable", "no_serious_exceptions", "energy_matches_registers"}
    on_chain = {
        "balance_above_floor",
        "chain_state_matches_warehouse",
        "finalized_in_time",
        "nothing_refused_or_parked",
        "supply_equals_ledger",
    }
    assert passed == {"messages_match_landing", "energy_is_complete", *apart, *on_chain}
    failed = {"certificates_match_generation", "receipts_match_chain", *SILENCE}
    assert passed_ends == set(audited_ends.runs["audit"].checks) - failed
    assert len(passed_ends) == 17


def _energy(patch):
    true = energy_derivation.aggregate.rollup

    def wrong(frame, seconds):
        made = true(frame, seconds)
        return made.with_columns(pl.col("load_milli_wh") + 1) if seconds == 900 else made

    patch.setattr(energy_derivation.aggregate, "rollup", wrong)


def _market(patch):
    true = market_assets.clear

    def wrong(*arguments, **options):
        made = true(*arguments, **options)
        return replace(made, trades=made.trades.with_columns(pl.col("amount_micro") + 1))

    patch.setattr(market_assets, "clear", wrong)


def _certificates(patch):
    true = certificates_assets.certify

    def wrong(energy, *arguments):
        more = [pl.col(f"generation_{name}milli_wh") + 1000 for name in ("", "register_")]
        return true(energy.with_columns(more), *arguments)

    patch.setattr(certificates_assets, "certify", wrong)


@pytest.mark.parametrize(
    ("fault", "check", "made_last"),
    [
        (_energy, "energy_levels_agree", "core/energy_15min"),
        (_market, "market_balances", "market/trades"),
        (_certificates, "certificates_match_generation", "certificates/bundles"),
    ],
)
def test_a_blocking_check_stops_settlement(taken_in, settled, copied, monkeypatch, fault, check, made_last):
    campus = copied(taken_in)
    with monkeypatch.context() as patch:
        fault(patch)
        run = campus.run("settle")
    assert not run.success
    assert check in run.failed_checks()
    assert made_last in run.materialized
    assert not run.materialized & {f"settlement/{table.name}" for table in settlement.TABLES}
    for table in settlement.TABLES:
        assert campus.read(table).is_empty()
    assert "settled" not in set(campus.read(market.INTERVALS)["state"])
    assert not campus.settings.payer_key.exists()
    if fault is _market:
        # The next run without the fault replaces what was refused, and settles it.
        assert campus.run("settle").success
        assert campus.hashes(chain=False) == settled.hashes(chain=False)


def test_a_body_that_changed_after_landing_is_not_parsed(taken_in, copied):
    campus = copied(taken_in)
    (victim,) = campus.query("SELECT min(message_id) AS id FROM raw.messages WHERE path = '/mup/1'")["id"]
    campus.tamper(f"UPDATE raw.messages SET body = '\\x3Ca/\\x3E'::BLOB WHERE message_id = '{victim}'")
    readings = campus.read(core.READINGS)
    run = campus.run("intake")
    assert not run.success
    assert run.failed_checks() == {"messages_match_landing"}
    assert run.metadata("messages_match_landing")["altered"] == 1
    assert "core/readings" not in run.materialized
    assert campus.read(core.READINGS).equals(readings)

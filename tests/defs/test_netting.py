"""With netting, an hour's trades and mints go on chain as one position and one mint for each meter; readings and roots as ever."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter

import polars as pl
import pytest
from line_campus import AFTERWARDS, SILENCE

from gridtokenx_pipeline.contracts import certificates, market, settlement


@pytest.fixture(scope="module")
def netted(taken_in, tmp_path_factory):
    campus = taken_in.copy(tmp_path_factory.mktemp("netted") / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRIDTOKENX_SETTLEMENT__NETTING_HOURS", "1")
        campus.runs["early"] = campus.run("settle")
        campus.runs["kinds"] = set(campus.read(settlement.ACTIONS)["kind"])
        # The hour is over, and nobody waits for more of it.
        campus.runs["late"] = campus.run("settle", now=AFTERWARDS + dt.timedelta(hours=2))
        before = campus.hashes("settlement")
        campus.runs["again"] = campus.run("settle", now=AFTERWARDS + dt.timedelta(hours=3))
        campus.runs["unchanged"] = campus.hashes("settlement") == before
    return campus


def test_readings_and_roots_do_not_wait_for_the_period(netted):
    assert netted.runs["early"].success, netted.runs["early"].failed_steps
    assert netted.runs["kinds"] == {"submit_energy_reading", "record_batch"}


def test_the_period_is_netted_once_and_every_check_passes(netted):
    assert netted.runs["late"].success, netted.runs["late"].failed_steps
    assert netted.runs["late"].failed_checks() == SILENCE
    assert netted.runs["again"].success
    assert netted.runs["unchanged"]
    assert len(netted.read(settlement.NETTED)) == len(netted.read(settlement.BATCHES)) == 2
    assert set(netted.read(settlement.ACTIONS)["state"]) == {"done"}


def test_positions_are_the_trades_by_meter_and_certificates_those_left(netted):
    nets = netted.read(settlement.NETS)
    energy, money = Counter[str](), Counter[str]()
    for trade in netted.read(market.TRADES).iter_rows(named=True):
        energy[trade["buyer_meter_id"]] += trade["energy_wh"]
        energy[trade["seller_meter_id"]] -= trade["energy_wh"]
        money[trade["seller_meter_id"]] += trade["amount_micro"]
        money[trade["buyer_meter_id"]] -= trade["amount_micro"]
    rows = {row["meter_id"]: row for row in nets.iter_rows(named=True)}
    assert {meter: row["energy_wh"] for meter, row in rows.items() if row["energy_wh"]} == dict(energy)
    assert {meter: row["amount_micro"] for meter, row in rows.items() if row["amount_micro"]} == dict(money)
    actions = netted.read(settlement.ACTIONS)
    positions = [json.loads(text) for text in actions.filter(pl.col("kind") == "settle_position")["arguments"]]
    assert {p["meter_id"]: (p["energy_wh"], p["amount_micro"]) for p in positions} == {
        meter: (energy[meter], money[meter]) for meter in energy
    }
    held = netted.read(certificates.HOLDINGS).filter(pl.col("state").is_in(["active", "locked"]))
    assert nets["certified_wh"].sum() == held["energy_wh"].sum()

"""What the chain has to show once actions are done."""

from __future__ import annotations

import polars as pl
import pytest
from certificate_registry import START, STEP, energy_rows
from settled_registry import ZONE, Settled

from gridtokenx_pipeline.contracts import settlement
from gridtokenx_pipeline.domain.certificates import Selection, withdraw
from gridtokenx_pipeline.domain.settlement import METER_TOTALS, ROOTS, Supply, batch_id, meter_totals, net, roots, supply


def done(*actions):
    return pl.concat(actions).with_columns(state=pl.lit("done"))


@pytest.fixture(scope="module")
def campus() -> Settled:
    def meter(name, number, **energies):
        return name, number, {channel: (1000 * number, wh) for channel, wh in energies.items()}, {}

    rows = [
        meter("M1", 0, generation=90, load=10), meter("M2", 0, load=50),
        meter("M1", 1, load=20), meter("M2", 1, generation=60, load=5),
    ]  # fmt: skip
    made = Settled()
    made.settle(energy_rows(rows), range(2))
    ana = {"actor": "ana", "reason": "fraud", "at": START + 5 * STEP, "market_interval_s": 300}
    made.decide(withdraw(made.registry.holdings, Selection(owner="M2"), energy_wh=7, **ana))
    return made


def test_totals_of_meters(campus):
    amounts = campus.trades.sort("interval_start")["amount_micro"].to_list()
    assert campus.trades.sort("interval_start")["energy_wh"].to_list() == [50, 20]
    found = meter_totals(done(campus.actions, campus.late))
    assert found.schema == pl.Schema(METER_TOTALS)
    assert found.rows() == [
        ("M1", 2, 90, 30, 50, -50 + 50 + 20, amounts[0] - amounts[1], 80, 0),
        ("M2", 2, 60, 55, 20, 50, amounts[1] - amounts[0], 55, 7),
    ]
    assert supply(done(campus.actions, campus.late)) == Supply(70, 128) == Supply(70, sum(campus.live.values()))


def test_only_what_is_done_counts(campus):
    assert meter_totals(campus.actions).is_empty()
    assert supply(campus.actions) == Supply(0, 0)
    assert supply(settlement.ACTIONS.empty()) == Supply(0, 0)
    assert roots(campus.actions).schema == pl.Schema(ROOTS)
    parked = done(campus.actions).with_columns(
        state=pl.when(pl.col("kind") == "mint_rec").then(pl.lit("parked")).otherwise("state")
    )
    assert supply(parked) == Supply(70, 0)


def test_netted_meters_have_the_same_in_the_end(campus):
    netted = net(campus.batches, campus.actions, zone=ZONE, period_start=START, period_end=START + 12 * STEP, number=1).actions
    kept = campus.actions.filter(pl.col("kind").is_in(["submit_energy_reading", "record_batch"]))
    one_by_one, at_once = meter_totals(done(campus.actions)), meter_totals(done(kept, netted))
    assert one_by_one.drop("grid_minted_wh", "grid_balance_wh").equals(at_once.drop("grid_minted_wh", "grid_balance_wh"))
    # What M1 bought back need not be minted.
    assert at_once.select("grid_minted_wh", "grid_balance_wh").rows() == [(30, 0), (0, 30)]


def test_the_highest_version_of_an_interval_has_its_root(campus):
    corrected = Settled(**vars(campus))
    corrected.correct(energy_rows([("M1", 0, {"generation": (0, 95), "load": (0, 10)}, {})]), range(1), 2)
    found = roots(done(corrected.actions).reverse())
    second = corrected.batches.filter(version=2).row(0, named=True)
    assert found.select("window_start", "batch_id", "version").rows() == [
        (START, batch_id(ZONE, START, 2), 2),
        (START + STEP, batch_id(ZONE, START + STEP, 1), 1),
    ]
    assert found.row(0)[-2:] == (second["items"], second["merkle_root"])

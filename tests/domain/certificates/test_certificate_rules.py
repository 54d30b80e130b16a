"""Who gets certificates, what stores count as green, and which ranges move with which trade."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from certificate_registry import START, STEP, Registry, energy_rows, series, trade_rows

from gridtokenx_pipeline.domain.certificates import CertificateError, Rules, issue
from gridtokenx_pipeline.domain.certificates.allocate import cancellations
from gridtokenx_pipeline.domain.certificates.storage import account

HOUR = dt.timedelta(hours=1)


@pytest.mark.parametrize(
    ("moments", "state"), [(None, "issued"), ({"M1": START}, "issued"), ({"M1": START + STEP}, "pending"), ({}, "pending")]
)
def test_a_device_has_certificates_from_its_commissioning_on(moments, state):
    issued = issue(series({"M1": [{"generation": 5}]}), commissioned_at=moments)
    assert issued.bundles["state"].to_list() == [state]
    assert issued.events["reason"].to_list() == [None if state == "issued" else "not_commissioned"]


def flow(number: int, charge: int = 0, discharge: int = 0, surplus: int = 0, late: bool = False, meter: str = "M1"):
    values = {"zone": "z", "meter_id": meter, "interval_start": START + number * STEP, "duration_s": 300}
    return values | {"charge_wh": charge, "discharge_wh": discharge, "surplus_wh": surplus, "late": late}


def accounted(*flows, green: int = 0, grey: int = 0, efficiency_ppm: int = 800_000):
    schema = {"interval_start": pl.Datetime("us", "UTC"), "duration_s": pl.Int32}
    before = pl.DataFrame({"zone": ["z"], "meter_id": ["M1"], "green_wh": [green], "grey_wh": [grey]})
    return account(pl.DataFrame(flows).cast(schema), before, efficiency_ppm).to_dicts()


def test_a_store_gives_what_it_had_before_the_interval():
    first, second = accounted(flow(1, discharge=40), flow(0, charge=100, discharge=40, surplus=60))
    assert (first["used_wh"], first["green_out_wh"], first["green_wh"], first["grey_wh"]) == (0, 0, 60, 40)
    assert (second["used_wh"], second["green_used_wh"], second["green_out_wh"]) == (50, 30, 24)
    assert (second["green_wh"], second["grey_wh"]) == (30, 20)


def test_more_than_the_store_held_is_nobodys():
    (row,) = accounted(flow(0, discharge=1000), green=10, grey=5)
    assert (row["used_wh"], row["green_used_wh"], row["green_out_wh"]) == (15, 10, 8)
    assert (row["green_wh"], row["grey_wh"]) == (0, 0)
    (row,) = accounted(flow(0, discharge=7), green=10, efficiency_ppm=1_000_000)
    assert (row["used_wh"], row["green_out_wh"], row["green_wh"]) == (7, 7, 3)


def test_a_late_row_changes_nothing():
    (row,) = accounted(flow(0, charge=50, discharge=20, surplus=50, late=True), green=10, grey=5)
    assert (row["green_in_wh"], row["grey_in_wh"], row["used_wh"], row["green_out_wh"]) == (0, 50, 0, 0)
    assert (row["green_wh"], row["grey_wh"]) == (10, 5)


def test_an_interval_of_before_the_last_settled_one_is_late():
    registry = Registry()
    energy = series({"M1": [{"generation": 20, "charge": 20}, {"charge": 5}, {"discharge": 8, "load": 8}]})
    registry.run(energy.filter(pl.col("interval_start") != START + STEP), range(3))
    settled = registry.storage
    registry.run(energy, range(3), version=2)
    late = registry.storage.join(settled, on="interval_start", how="anti").row(0, named=True)
    assert (late["interval_start"], late["late"], late["green_in_wh"], late["grey_in_wh"]) == (START + STEP, True, 0, 5)
    assert registry.storage.join(settled, on="interval_start", how="semi").equals(settled)


def test_without_a_store_charge_is_load_that_claims_nothing():
    registry = Registry(rules=Rules(batteries=frozenset({"M2"})))
    registry.run(
        series({"M1": [{"generation": 100, "load": 30, "charge": 50}]}), range(1), trade_rows([(0, "M1", "M2", 20, 0, "pool")])
    )
    assert registry.storage.is_empty()
    assert registry.sums("owner", "state") == {("M1", "claimed"): 30, ("M2", "active"): 20, ("M1", "active"): 50}


def test_energy_that_issues_nothing_charges_grey():
    registry = Registry()
    energy = series({"M1": [{"generation": 100, "charge": 50}]}).with_columns(quality_flags=pl.lit(9, dtype=pl.Int32))
    registry.run(energy, range(1))
    assert registry.storage.select("green_in_wh", "grey_in_wh").rows() == [(0, 50)]
    assert registry.sums("state") == {"pending": 100}


def test_trades_are_served_in_order_of_agreement_and_buyer_and_losses_are_retired():
    registry = Registry()
    trades = trade_rows(
        [
            (0, "M1", "M4", 30, 3, "pool"),
            (0, "M1", "M2", 20, 0, "pool"),
            (0, "M1", "M3", 40, 7, "agreement"),
            (0, "M2", "M3", 9, 0, "pool"),
        ]
    )
    energy = energy_rows([("M1", 0, {"generation": (1000, 80), "discharge": (0, 10)}, {}), ("M2", 0, {"discharge": (0, 9)}, {})])
    registry.run(energy, range(1), trades.reverse())
    own = registry.holdings.filter(meter_id="M1").select("first_wh", "last_wh", "owner", "state")
    assert own.rows() == [
        (1000, 1032, "M3", "active"),
        (1033, 1039, "M1", "retired"),
        (1040, 1059, "M2", "active"),
        # 20 of 30 Wh are certified, and so are 2 of the 3 lost ones, rounded in the loss's favour
        (1060, 1077, "M4", "active"),
        (1078, 1079, "M1", "retired"),
    ]
    lost = registry.events.filter(kind="retired").select("energy_wh", "purpose", "beneficiary")
    assert sorted(lost.rows()) == [(2, "grid loss", "grid"), (7, "grid loss", "grid")]


def test_the_first_in_the_store_are_the_first_out():
    registry = Registry()
    energy = series({"M1": [{"generation": 30, "charge": 30}] * 2 + [{"discharge": 40, "load": 40}, {"discharge": 8}, {}]})
    registry.run(energy, range(5))
    out = registry.events.filter(kind="cancelled").sort("interval_start", "bundle_interval_start")
    assert [(start - START) // STEP for start in out["bundle_interval_start"]] == [0, 1, 1]
    assert out["energy_wh"].to_list() == [30, 20, 10]
    assert out["counter_bundle_id"].n_unique() == 2
    # nobody used or bought the second discharge: it went to the grid, and its certificates stay
    released = registry.holdings.filter(pl.col("interval_start") > START + STEP).sort("interval_start")
    assert released.select("energy_wh", "owner", "state").rows() == [(40, "M1", "claimed"), (8, "M1", "active")]


def test_more_than_was_locked_is_refused():
    locked = pl.DataFrame(
        {"zone": "z", "meter_id": "M1", "bundle_id": "b", "bundle_interval_start": [START], "first_wh": 0, "last_wh": 9}
    )
    taken = pl.DataFrame({"zone": "z", "meter_id": "M1", "interval_start": [START + STEP], "version": 1, "green_used_wh": 11})
    taken = taken.with_columns(counter_bundle_id=pl.lit("c"))
    with pytest.raises(CertificateError, match=r"gave 11 green Wh.*10 were locked before"):
        cancellations(locked, taken)
    with pytest.raises(CertificateError, match="M1 gave 5"):
        cancellations(locked, taken.with_columns(interval_start=START, green_used_wh=pl.lit(5)))
    assert cancellations(locked, taken.with_columns(green_used_wh=pl.lit(10)))["energy_wh"].to_list() == [10]

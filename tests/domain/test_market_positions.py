from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_pipeline.contracts import ContractViolation
from gridtokenx_pipeline.domain.market import POSITIONS, MarketInputError, positions

START = dt.datetime(2026, 11, 22, 20, tzinfo=dt.UTC)


def test_net_is_made_of_whole_watt_hours_on_the_registers(energy_frame):
    energy = energy_frame(
        {
            "generation_milli_wh": 1_400,
            "generation_register_milli_wh": 10_900,  # 9.5 -> 10.9: 1 Wh
            "load_milli_wh": 1_400,
            "load_register_milli_wh": 11_100,  # 9.7 -> 11.1: 2 Wh
            "discharge_milli_wh": 999,
            "discharge_register_milli_wh": 5_999,
            "export_milli_wh": 2_000,
            "export_register_milli_wh": 7_500,
        }
    )
    (row,) = positions(energy, 100).to_dicts()
    assert {name: row[name] for name in ("generation_wh", "load_wh", "charge_wh", "discharge_wh", "export_wh", "net_wh")} == {
        "generation_wh": 1, "load_wh": 2, "charge_wh": 0, "discharge_wh": 0, "export_wh": 2, "net_wh": -1,
    }  # fmt: skip
    assert row["complete"]
    assert row["reason"] is None


@given(st.lists(st.integers(0, 5_000), min_size=1, max_size=40), st.integers(0, 10**12))
def test_no_remainder_is_lost_or_counted_twice(energy_frame, energies, register):
    first, rows = register, []
    for number, energy in enumerate(energies):
        register += energy
        start = START + dt.timedelta(seconds=300 * number)
        rows.append({"interval_start": start, "generation_milli_wh": energy, "generation_register_milli_wh": register})
    made = positions(energy_frame(*rows), 100)["generation_wh"]
    assert made.sum() == register // 1000 - first // 1000
    assert made.min() >= 0


@pytest.mark.parametrize(
    ("present", "minimum", "complete"), [(20, 100, True), (19, 100, False), (19, 95, True), (18, 95, False), (0, 0, True)]
)
def test_completeness_rule(energy_frame, present, minimum, complete):
    made = positions(energy_frame({"readings_present": present}), minimum)
    assert made["complete"].to_list() == [complete]
    assert made["reason"].to_list() == [None if complete else "incomplete"]


@pytest.mark.parametrize("missing", ["generation_milli_wh", "charge_register_milli_wh"])
def test_a_channel_without_energy_or_register_leaves_no_net(energy_frame, missing):
    (row,) = positions(energy_frame({"load_milli_wh": 7_000} | {missing: None}), 100).to_dicts()
    assert row["net_wh"] is None
    assert row["reason"] == "no_register"
    assert row["load_wh"] == 7


def test_import_and_export_are_not_needed(energy_frame):
    (row,) = positions(energy_frame({"import_milli_wh": None}), 100).to_dicts()
    assert (row["import_wh"], row["net_wh"], row["reason"]) == (None, 0, None)


def test_negative_energy_is_refused_by_name(energy_frame):
    with pytest.raises(MarketInputError, match=r"negative load.*'M1'.*-5"):
        positions(energy_frame({"load_milli_wh": -5}), 100)


def test_columns_are_those_promised_for_any_number_of_rows(energy_frame):
    assert positions(energy_frame(), 100).schema == pl.Schema(POSITIONS)
    assert positions(energy_frame({}), 100).schema == pl.Schema(POSITIONS)
    with pytest.raises(ContractViolation):
        positions(pl.DataFrame({"zone": ["a"]}), 100)


def test_usable_estimates_make_an_interval_complete(energy_frame):
    energy = energy_frame({}, {"meter_id": "M2"}, {"meter_id": "M3"}, readings_present=15)
    energy = energy.with_columns(readings_estimated=pl.Series([5, 4, 0], dtype=pl.Int32))
    assert positions(energy, 100)["complete"].to_list() == [True, False, False]
    assert positions(energy, 95)["complete"].to_list() == [True, True, False]

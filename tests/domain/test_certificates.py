from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_pipeline.domain.certificates import issue
from gridtokenx_pipeline.domain.invariants import certificate_violations

START = dt.datetime(2026, 11, 22, 20, tzinfo=dt.UTC)


def test_a_bundle_is_numbered_by_the_register(energy_frame):
    energy = energy_frame({"generation_milli_wh": 1_400, "generation_register_milli_wh": 10_900, "discharge_milli_wh": 9_000})
    issued = issue(energy)
    (bundle,) = issued.bundles.to_dicts()
    assert (bundle["energy_wh"], bundle["first_wh"], bundle["last_wh"]) == (1, 9, 9)
    assert bundle["interval_end"] - bundle["interval_start"] == dt.timedelta(seconds=300)
    assert (bundle["carrier"], bundle["source"], bundle["state"], bundle["owner"]) == ("electricity", "solar", "issued", "M1")
    (event,) = issued.events.to_dicts()
    assert (event["number"], event["kind"], event["energy_wh"], event["owner"], event["reason"]) == (1, "issued", 1, "M1", None)
    assert event["bundle_id"] == bundle["bundle_id"]


@given(st.lists(st.integers(0, 3_000), min_size=1, max_size=40), st.integers(0, 10**12))
def test_ids_are_gapless_and_sum_to_the_register_difference(energy_frame, energies, register):
    first, rows = register, []
    for number, energy in enumerate(energies):
        register += energy
        start = START + dt.timedelta(seconds=300 * number)
        rows.append({"interval_start": start, "generation_milli_wh": energy, "generation_register_milli_wh": register})
    energy = energy_frame(*rows)
    bundles = issue(energy).bundles
    ids = [i for low, high in bundles.select("first_wh", "last_wh").iter_rows() for i in range(low, high + 1)]
    assert ids == list(range(first // 1000, register // 1000))
    assert certificate_violations(bundles, energy).is_empty()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"quality_flags": 1}, None),
        ({"quality_flags": 1 | 2}, None),
        ({"quality_flags": 1 | 32}, None),
        ({"quality_flags": 0}, "not_validated"),
        ({"quality_flags": 1 | 4}, "estimated"),
        ({"quality_flags": 1 | 8}, "interpolated"),
        ({"quality_flags": 16}, "not_validated,questionable"),
        ({"quality_flags": 1 | 64}, "projected"),
        ({"readings_present": 19}, "incomplete"),
        ({"readings_present": 19, "quality_flags": 9}, "incomplete,interpolated"),
        ({"generation_register_milli_wh": 500}, "register_reset"),
    ],
)
def test_only_measured_complete_energy_is_issued(energy_frame, row, reason):
    issued = issue(energy_frame({"generation_milli_wh": 5_000} | row))
    assert issued.bundles["state"].to_list() == ["issued" if reason is None else "pending"]
    assert issued.events["kind"].to_list() == ["issued" if reason is None else "held"]
    assert issued.events["reason"].to_list() == [reason]


@pytest.mark.parametrize(
    "row",
    [
        {"generation_milli_wh": 0},
        {"generation_milli_wh": 999, "generation_register_milli_wh": 5_999},
        {"generation_milli_wh": 9_000, "generation_register_milli_wh": None},
        {"generation_milli_wh": None},
        {"discharge_milli_wh": 9_000},
    ],
)
def test_nothing_generated_or_nothing_known_makes_no_bundle(energy_frame, row):
    issued = issue(energy_frame(row))
    assert issued.bundles.is_empty()
    assert issued.events.is_empty()
    assert issue(energy_frame()).bundles.is_empty()


def test_completeness_is_a_rule_of_the_caller(energy_frame):
    energy = energy_frame({"generation_milli_wh": 5_000, "readings_present": 19})
    assert issue(energy, completeness_min_pct=95).bundles["state"].to_list() == ["issued"]


def test_ids_never_change(energy_frame):
    """A changed id would issue a second time."""
    issued = issue(energy_frame({"generation_milli_wh": 5_000}))
    assert issued.bundles["bundle_id"].to_list() == ["12750e05-e0fc-50ab-a35f-4014718e8974"]
    assert issued.events["event_id"].to_list() == ["0f6fd00a-e9e0-5a23-9e2d-e616749ddf3d"]
    other = issue(energy_frame({"generation_milli_wh": 4_000, "quality_flags": 0}))
    assert other.bundles["bundle_id"].to_list() == ["12750e05-e0fc-50ab-a35f-4014718e8974"]
    assert issue(energy_frame({"generation_milli_wh": 5_000}), carrier="heat").bundles["bundle_id"].to_list() != [
        "12750e05-e0fc-50ab-a35f-4014718e8974"
    ]

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from series import edit
from vee_cases import NOON, at, evidence, found, meters, reading

from gridtokenx_pipeline.domain.findings import Finding
from gridtokenx_pipeline.domain.validation import examine


@pytest.mark.parametrize("code", ["clock_snapped", "register_rollover", "meter_swap", "tare", "conflict"])
def test_what_was_found_at_receipt_is_an_exception_with_the_codes_severity_and_flags(code):
    row = reading(start=NOON, findings=f"a_code_of_the_past,{code}")
    (only,) = examine(evidence(row)).filter(code=code).to_dicts()
    assert (only["severity"], only["quality_flags"]) == (Finding(code).severity, Finding(code).flags)
    assert only["zone"] == "stanford"
    assert "a_code_of_the_past" not in set(examine(evidence(row))["code"])


def test_readings_that_follow_on_one_another_are_one_row_and_an_hour_ends_it():
    rows = [reading(start=NOON + 15 * n, findings="tare", channel="generation") for n in (*range(4), *range(10, 250))]
    assert found(evidence(*rows, end=NOON + 7200), "tare") == [
        ("M1", "generation", NOON, 60),
        ("M1", "generation", NOON + 150, 3450),
        ("M1", "generation", NOON + 3600, 150),
    ]


def test_only_the_latest_version_tells():
    rows = (reading(start=NOON, findings="conflict"), reading(start=NOON, energy=11, version=2))
    assert found(evidence(*rows), "conflict") == []
    rows = (reading(start=NOON), reading(start=NOON, energy=11, version=2, findings="conflict"))
    assert found(evidence(*rows), "conflict") == [("M1", "load", NOON, 15)]


@pytest.mark.parametrize(
    ("energy", "received", "action", "contradicts"),
    [
        (11, 200, "replace", True),
        (12, 200, "replace", False),
        (11, 50, "replace", False),
        (11, 200, "accept", True),
        (11, 200, "revert", False),
    ],
)
def test_a_reading_after_an_edit_with_another_value(energy, received, action, contradicts):
    edited = edit(NOON, action, energy=None if action == "revert" else 12, edited_at=NOON + 100)
    rows = (
        reading(start=NOON, energy=10),
        reading(start=NOON, energy=energy, version=2, received_at=at(NOON + received)),
    )
    expected = [("M1", "load", NOON, 15)] if contradicts else []
    assert found(evidence(*rows, edited=[edited]), "edit_contradicted") == expected


def test_readings_of_meters_without_ratings_are_not_judged():
    assert (
        examine(evidence(reading(meter="M2", start=NOON, findings="tare"), ratings=meters("M1"))).filter(meter_id="M2").is_empty()
    )

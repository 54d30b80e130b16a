"""The Great Expectations suites: silent on good frames, and exact about what is wrong."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from gridtokenx_pipeline.quality import suites, tables

START = dt.datetime(2026, 1, 15, 18, tzinfo=dt.UTC)
ENERGIES = ("generation", "load", "charge", "discharge", "import", "export")


def readings() -> pl.DataFrame:
    rows = [
        {
            "meter_id": f"M{meter}", "device_lfdi": f"{meter:040X}", "channel": channel, "interval_start": START + dt.timedelta(seconds=15 * i),
            "duration_s": 15, "energy_milli_wh": None if channel == "state_of_charge" else 1_000 + i,
            "register_milli_wh": None if channel == "state_of_charge" else 500_000 + i, "version": 1,
            "parts": 1 if channel == "state_of_charge" else 2, "message_id": f"s-{i}",
        }
        for meter in (1, 2) for i in range(4) for channel in (*ENERGIES, "state_of_charge")
    ]  # fmt: skip
    return pl.DataFrame(rows)


def energy() -> pl.DataFrame:
    rows = [
        {
            "meter_id": f"M{meter}", "interval_start": START + dt.timedelta(minutes=5 * i), "duration_s": 300,
            **dict.fromkeys((f"{channel}_milli_wh" for channel in ENERGIES), 12_345), "readings_expected": 20, "readings_present": 20 - i,
        }
        for meter in (1, 2, 3) for i in range(3)
    ]  # fmt: skip
    return pl.DataFrame(rows)


def trades() -> pl.DataFrame:
    rows = [
        {
            "trade_id": f"T{i}", "interval_start": START, "version": 1, "seller_meter_id": "S", "buyer_meter_id": f"B{i}",
            "energy_wh": 10 + i, "price_micro_per_kwh": 93_245, "amount_micro": 932, "kind": "pool",
        }
        for i in range(5)
    ]  # fmt: skip
    return pl.DataFrame(rows)


def bundles() -> pl.DataFrame:
    rows = [
        {
            "bundle_id": f"C{i}", "meter_id": "M1", "interval_start": START + dt.timedelta(minutes=5 * i), "carrier": "electricity",
            "energy_wh": 10, "first_wh": 10 * i, "last_wh": 10 * i + 9, "state": "issued" if i else "pending",
        }
        for i in range(5)
    ]  # fmt: skip
    return pl.DataFrame(rows)


GOOD = {tables.READINGS: readings, tables.ENERGY_5MIN: energy, tables.TRADES: trades, tables.BUNDLES: bundles}


def with_fault(frame: pl.DataFrame, column: str, value, rows: int) -> pl.DataFrame:
    """The frame with `value` in `column` of its first rows."""
    return (
        frame.with_row_index("n")
        .with_columns(pl.when(pl.col("n") < rows).then(pl.lit(value)).otherwise(column).alias(column))
        .drop("n")
    )


@pytest.mark.parametrize("suite", GOOD, ids=lambda suite: suite.name)
def test_a_good_frame_meets_every_expectation(suite):
    frame = GOOD[suite]()
    outcome = suites.run(suite, frame)
    assert outcome.success
    assert (outcome.suite, outcome.rows, outcome.failures) == (suite.name, len(frame), ())
    assert outcome.expectations >= 5


@pytest.mark.parametrize("suite", GOOD, ids=lambda suite: suite.name)
def test_an_empty_frame_meets_every_expectation(suite):
    outcome = suites.run(suite, GOOD[suite]().clear())
    assert (outcome.success, outcome.rows) == (True, 0)


def test_columns_that_the_suite_does_not_name_are_left_alone():
    frame = trades().with_columns(blob=pl.Series([b"x"] * 5, dtype=pl.Binary))
    assert suites.run(tables.TRADES, frame).success


BETWEEN, IN_SET, UNIQUE, NOT_NULL, NOT_BELOW, COMPOUND, REGEX = (
    f"expect_{name}"
    for name in (
        "column_values_to_be_between", "column_values_to_be_in_set", "column_values_to_be_unique", "column_values_to_not_be_null",
        "column_pair_values_a_to_be_greater_than_b", "compound_columns_to_be_unique", "column_values_to_match_regex",
    )
)  # fmt: skip

FAULTS = [
    (tables.READINGS, "meter_id", None, 3, NOT_NULL),
    (tables.READINGS, "message_id", None, 1, NOT_NULL),
    (tables.READINGS, "channel", "heat", 1, IN_SET),
    (tables.READINGS, "duration_s", 0, 2, BETWEEN),
    (tables.READINGS, "energy_milli_wh", -1, 4, BETWEEN),
    (tables.READINGS, "register_milli_wh", 2**47 + 1, 1, BETWEEN),
    (tables.READINGS, "version", 0, 2, BETWEEN),
    (tables.READINGS, "parts", 3, 1, BETWEEN),
    (tables.READINGS, "device_lfdi", "abc", 5, REGEX),
    (tables.ENERGY_5MIN, "meter_id", None, 1, NOT_NULL),
    *((tables.ENERGY_5MIN, f"{channel}_milli_wh", -1, 2, BETWEEN) for channel in ENERGIES),
    (tables.ENERGY_5MIN, "readings_present", 21, 3, NOT_BELOW),
    (tables.ENERGY_5MIN, "duration_s", 900, 1, IN_SET),
    (tables.TRADES, "trade_id", "T4", 1, UNIQUE),
    (tables.TRADES, "energy_wh", 0, 2, BETWEEN),
    (tables.TRADES, "price_micro_per_kwh", -1, 1, BETWEEN),
    (tables.TRADES, "amount_micro", -1, 3, BETWEEN),
    (tables.TRADES, "kind", "gift", 1, IN_SET),
    (tables.TRADES, "buyer_meter_id", "B4", 1, COMPOUND),
    (tables.BUNDLES, "bundle_id", "C4", 1, UNIQUE),
    (tables.BUNDLES, "energy_wh", 0, 2, BETWEEN),
    (tables.BUNDLES, "state", "retired", 1, IN_SET),
    (tables.BUNDLES, "last_wh", -1, 3, NOT_BELOW),
    (tables.BUNDLES, "interval_start", START + dt.timedelta(minutes=20), 1, COMPOUND),
]


@pytest.mark.parametrize("suite", GOOD, ids=lambda suite: suite.name)
def test_faults_are_named_and_counted(suite):
    """Each fault alone breaks one expectation; a value that occurs twice breaks it with both its rows."""
    faults = [fault for fault in FAULTS if fault[0] is suite]
    for _, column, value, rows, expectation in faults:
        outcome = suites.run(suite, with_fault(GOOD[suite](), column, value, rows))
        assert not outcome.success, column
        found = [(f.expectation, f.unexpected) for f in outcome.failures]
        assert found == [(expectation, rows + 1 if expectation in (UNIQUE, COMPOUND) else rows)], column
        assert column in outcome.failures[0].columns


def test_a_reading_that_comes_twice_is_counted_with_both_its_rows():
    frame = readings()
    outcome = suites.run(tables.READINGS, pl.concat([frame, frame.head(2)]))
    assert [(f.expectation, f.unexpected) for f in outcome.failures] == [(COMPOUND, 4)]


def test_several_faults_are_all_reported():
    frame = with_fault(with_fault(trades(), "energy_wh", -5, 2), "kind", "gift", 1)
    assert {(f.expectation, f.columns, f.unexpected) for f in suites.run(tables.TRADES, frame).failures} == {
        (BETWEEN, "energy_wh", 2),
        (IN_SET, "kind", 1),
    }

"""The Great Expectations suites: silent on good frames, and exact about what is wrong."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter

import polars as pl
import pytest
from quality_rows import BY_NAME, ROWS, START, good

from gridtokenx_pipeline.benchmarks.gx import unexpected_by_sql
from gridtokenx_pipeline.quality import generate
from gridtokenx_pipeline.quality.outcome import Failure, SuiteOutcome, merged
from gridtokenx_pipeline.quality.run import COLUMNS_AND_TYPES, run
from gridtokenx_pipeline.quality.suite import (
    COMPOUND_UNIQUE,
    CRITICAL,
    DIRECTORY,
    NOT_NULL,
    ROW_COUNT,
    UNIQUE,
    WARNING,
    columns_of,
    load,
    names,
)

BETWEEN, IN_SET, REGEX, NULL = (
    f"expect_column_values_to_{name}" for name in ("be_between", "be_in_set", "match_regex", "be_null")
)
SAME = object()  # as in the first of the rows
NOT_BELOW = "expect_column_pair_values_a_to_be_greater_than_b"


def with_values(frame: pl.DataFrame, rows: list[int], **values) -> pl.DataFrame:
    """The frame with these values in these rows."""
    return (
        frame.with_row_index("n")
        .with_columns(
            pl.when(pl.col("n").is_in(rows)).then(pl.lit(value, frame.schema[name])).otherwise(name).alias(name)
            for name, value in values.items()
        )
        .drop("n")
    )


def found(outcome: SuiteOutcome) -> set[tuple[str, str, int, str]]:
    return {(f.expectation, f.columns, f.unexpected, f.severity) for f in outcome.failures}


def test_files_agree_with_contracts_and_domain():
    """`python -m gridtokenx_pipeline.quality.generate` brings them in step."""
    for name in names():
        stored = (DIRECTORY / f"{name}.json").read_text(encoding="utf-8")
        assert generate.text(generate.generated(BY_NAME[name], json.loads(stored))) == stored, name


def test_a_changed_contract_changes_the_contracts_part_alone():
    stored = json.loads((DIRECTORY / "market.trades.json").read_text(encoding="utf-8"))
    own = [e for e in stored["expectations"] if e["meta"].get("source") != generate.CONTRACT]
    other = generate.generated(BY_NAME["market.grid_settlements"], stored)
    assert [e for e in other["expectations"] if e["meta"].get("source") != generate.CONTRACT] == own
    assert {
        "type": UNIQUE,
        "kwargs": {"column": "grid_settlement_id"},
        "severity": CRITICAL,
        "meta": {"source": "contract"},
    } in other["expectations"]


@pytest.mark.parametrize("name", names())
def test_every_expectation_says_why_and_is_of_columns_there_are(name):
    suite = load(name)
    for expectation in suite.expectations:
        assert expectation["severity"] in (CRITICAL, WARNING)
        assert expectation.get("notes") or expectation["meta"] == {"source": generate.CONTRACT}
        assert set(columns_of(expectation)) <= {*suite.types, *suite.derived}


@pytest.mark.parametrize("name", names())
def test_a_good_frame_meets_every_expectation(name):
    outcome = run(load(name), good(name))
    assert (outcome.suite, outcome.rows, outcome.failures) == (name, ROWS, ())
    assert outcome.success
    assert not outcome.critical


def test_an_empty_frame_lacks_rows_where_there_must_be_some():
    for name in names():
        expected = {(ROW_COUNT, "", 0, WARNING)} if name in ("raw.messages", "core.readings", "core.energy_5min") else set()
        assert found(run(load(name), good(name).clear())) == expected


def _fault(expectation: dict) -> object:
    """A value that breaks an expectation of one column; None where breaking it takes more than a value."""
    kwargs = expectation["kwargs"]
    if expectation["type"] == BETWEEN:
        return kwargs["min_value"] - 1 if "min_value" in kwargs else kwargs["max_value"] + 1
    if expectation["type"] == IN_SET:
        return -7 if isinstance(kwargs["value_set"][0], int) else "nonsense"
    return "non sense\n" if expectation["type"] == REGEX else None


@pytest.mark.parametrize("name", names())
def test_every_value_rule_is_broken_by_a_value_and_counted_as_sql_counts(name):
    """All columns of the table are spoiled at once, each in rows of its own number; a second engine counts the same."""
    suite, frame = load(name), good(name)
    spoiled = {}
    for expectation in suite.expectations:
        column = expectation["kwargs"].get("column")
        value = _fault(expectation) if column in suite.types and suite.types[column] != "Binary" else None
        if value is not None and column not in spoiled:
            spoiled[column] = 1 + len(spoiled) % 3
            frame = with_values(frame, list(range(spoiled[column])), **{column: value})
    outcome = run(suite, frame)
    counted = unexpected_by_sql(suite, frame)
    broken = {
        (e["type"], ", ".join(columns_of(e)), counted[n], e["severity"]) for n, e in enumerate(suite.expectations) if counted[n]
    }
    assert found(outcome) == broken
    assert {columns for _, columns, _, _ in broken} >= set(spoiled)
    assert all(rows == count for _, column, count, _ in broken for spoilt, rows in spoiled.items() if column == spoilt)


# What several columns say together, and what must not be null: table, rows, the values that are wrong there, and what is said of it.
FAULTS = [
    ("raw.messages", [0, 1], {"sender_lfdi": "x"}, {(REGEX, "sender_lfdi", 2, CRITICAL)}),
    ("core.readings", [2, 3, 4], {"energy_milli_wh": -1}, {(BETWEEN, "energy_without_tare_milli_wh", 3, CRITICAL)}),
    ("core.readings", [2, 3], {"findings": "tare"}, {(BETWEEN, "tare_milli_wh", 2, WARNING)}),
    ("core.readings", [2], {"energy_milli_wh": -1, "findings": "late,tare"}, set()),
    ("core.readings", [2], {"energy_milli_wh": -1, "findings": "tare", "channel": "load"}, {(BETWEEN, "energy_without_tare_milli_wh", 1, CRITICAL)}),
    ("core.readings", [2], {"findings": "late,heat"}, {(REGEX, "findings", 1, CRITICAL)}),
    ("core.readings", [3], {"energy_milli_wh": None}, {(NOT_NULL, "energy_of_energy_channels_milli_wh", 1, CRITICAL)}),
    ("core.readings", [0], {"energy_milli_wh": 4}, {(NULL, "energy_of_state_of_charge_milli_wh", 1, CRITICAL)}),
    ("core.readings", [0], {"state_of_charge_pct": None}, {(NOT_NULL, "percent_of_state_of_charge", 1, CRITICAL)}),
    ("core.readings", [2, 5], {"state_of_charge_pct": 40}, {(NULL, "percent_of_energy_channels", 2, CRITICAL)}),
    ("core.readings", [2, 3, 4], {"meter_id": None}, {(NOT_NULL, "meter_id", 3, CRITICAL)}),
    ("core.readings", [2, 3, 4], {"interval_start": SAME, "channel": "load"}, {(COMPOUND_UNIQUE, "meter_id, channel, interval_start, duration_s, version", 3, CRITICAL)}),
    ("core.message_outcomes", [0, 1], {"accepted": 4}, {(BETWEEN, "readings_unaccounted", 2, CRITICAL)}),
    ("core.message_outcomes", [0, 1], {"message_id": SAME}, {(UNIQUE, "message_id", 2, CRITICAL)}),
    ("core.rejected_readings", [0], {"detail": ""}, {(BETWEEN, "detail_length", 1, WARNING)}),
    ("core.vee_exceptions", [0, 1, 2], {"quality_flags": 17}, {(BETWEEN, "flags_without_valid", 3, CRITICAL)}),
    ("core.estimates", [0], {"gap_end": START}, {(NOT_BELOW, "gap_end, gap_start", 1, CRITICAL), (NOT_BELOW, "gap_end, interval_start", 1, CRITICAL)}),
    ("core.estimates", [2], {"interval_start": START - dt.timedelta(hours=1)}, {(NOT_BELOW, "interval_start, gap_start", 1, CRITICAL)}),
    ("core.edits", [0, 1], {"action": "revert"}, {(NULL, "energy_of_reverts_milli_wh", 2, CRITICAL)}),
    ("core.edits", [0], {"energy_milli_wh": None}, {(NOT_NULL, "energy_of_others_milli_wh", 1, CRITICAL)}),
    ("core.edits", [0], {"edited_by": "", "reason": ""}, {(BETWEEN, "edited_by_length", 1, CRITICAL), (BETWEEN, "reason_length", 1, CRITICAL)}),
    ("core.meter_hours", [0, 1], {"readings_present": 239}, {(BETWEEN, "readings_over", 2, CRITICAL)}),
    ("core.meter_hours", [3], {"clock_offset_least_ms": 901}, {(NOT_BELOW, "clock_offset_ms, clock_offset_least_ms", 1, CRITICAL)}),
    ("core.energy_5min", [0, 1, 2], {"readings_present": 19}, {(BETWEEN, "readings_over", 3, CRITICAL)}),
    ("core.energy_5min", [0, 1], {"interval_start": SAME}, {(COMPOUND_UNIQUE, "meter_id, interval_start", 2, CRITICAL)}),
    ("core.energy_revisions", [0, 1], {"load_delta_milli_wh": 3}, {(NULL, "deltas_of_first", 2, CRITICAL)}),
    ("core.energy_revisions", [0], {"known_from": START}, {(NOT_BELOW, "known_from, interval_start", 1, CRITICAL)}),
    ("market.intervals", [0], {"traded_wh": 80}, {(BETWEEN, "unmet_wh", 1, CRITICAL)}),
    ("market.intervals", [0], {"traded_wh": 95, "demand_wh": 95}, {(BETWEEN, "unsold_wh", 1, CRITICAL)}),
    ("market.intervals", [0], {"supply_wh": -90, "demand_wh": -70, "traded_wh": 0, "version": 2}, set()),
    ("market.intervals", [0], {"supply_wh": -5, "demand_wh": -5, "traded_wh": -5}, {(BETWEEN, f"{name}_wh", 1, CRITICAL) for name in ("first_supply", "first_demand", "traded")}),
    ("market.intervals", [0, 1], {"price_micro_per_kwh": 201}, {(NOT_BELOW, "retail_micro_per_kwh, price_micro_per_kwh", 2, CRITICAL)}),
    ("market.intervals", [0, 1], {"price_micro_per_kwh": 49}, {(NOT_BELOW, "price_micro_per_kwh, feed_in_micro_per_kwh", 2, CRITICAL)}),
    ("market.intervals", [0], {"meters_grid_only": 6}, {(NOT_BELOW, "meters, meters_grid_only", 1, CRITICAL)}),
    ("market.trades", [0], {"amount_micro": 933}, {(BETWEEN, "amount_over_product_thousandths", 1, CRITICAL)}),
    ("market.trades", [0], {"amount_micro": 931}, {(BETWEEN, "amount_over_product_thousandths", 1, CRITICAL)}),
    ("market.trades", [0, 1], {"seller_meter_id": "x", "buyer_meter_id": "x"}, {(BETWEEN, "trades_with_itself", 2, CRITICAL)}),
    ("market.trades", [0, 1], {"interval_start": SAME, "buyer_meter_id": "B"}, {(COMPOUND_UNIQUE, "interval_start, version, kind, seller_meter_id, buyer_meter_id", 2, CRITICAL)}),
    ("market.grid_settlements", [0], {"traded_wh": -9}, {(BETWEEN, "unbalanced_wh", 1, CRITICAL)}),
    ("market.grid_settlements", [0, 1], {"amount_micro": 4}, {(BETWEEN, "amount_along_energy_micro", 2, CRITICAL)}),
    ("market.grid_settlements", [0, 1], {"interval_start": SAME}, {(COMPOUND_UNIQUE, "interval_start, version, meter_id", 2, CRITICAL)}),
    ("certificates.bundles", [0], {"last_wh": 100}, {(BETWEEN, "ids_over_energy_wh", 1, CRITICAL)}),
    ("certificates.bundles", [0, 1], {"quality_flags": 9}, {(IN_SET, "issued_quality_flags", 2, CRITICAL)}),
    ("certificates.bundles", [0, 1], {"quality_flags": 9, "state": "pending"}, set()),
    ("certificates.bundles", [0], {"interval_end": START}, {(NOT_BELOW, "interval_end, interval_start", 1, CRITICAL)}),
    ("certificates.bundles", [0, 1], {"interval_start": SAME}, {(COMPOUND_UNIQUE, "meter_id, interval_start, carrier, origin, version", 2, CRITICAL)}),
    ("certificates.holdings", [0], {"last_wh": 100}, {(BETWEEN, "miscounted_wh", 1, CRITICAL)}),
    ("certificates.storage", [0], {"grey_in_wh": 5}, {(BETWEEN, "uncoloured_wh", 1, CRITICAL)}),
    ("certificates.storage", [0, 1], {"discharge_wh": 3}, {(BETWEEN, "not_green_wh", 2, CRITICAL)}),
    ("certificates.storage", [0], {"green_used_wh": 3}, {(BETWEEN, "green_lost_wh", 1, CRITICAL)}),
    ("market.campus_balances", [0, 1], {"import_wh": 31}, {(BETWEEN, "unbalanced_wh", 2, CRITICAL)}),
    ("market.campus_balances", [0], {"feeder_net_wh": -20, "unaccounted_wh": -1}, {(BETWEEN, "unexplained_wh", 1, CRITICAL)}),
    ("certificates.events", [0, 1], {"bundle_id": SAME, "interval_start": SAME}, {(COMPOUND_UNIQUE, "bundle_id, interval_start, number", 2, CRITICAL)}),
    ("certificates.events", [0, 1], {"kind": "held"}, {(BETWEEN, "held_without_reason", 2, CRITICAL)}),
    ("settlement.batches", [0, 1], {"window_start": SAME, "zone": SAME}, {(COMPOUND_UNIQUE, "zone, window_start, version", 2, CRITICAL)}),
    ("settlement.batches", [0, 1], {"memo": "m" * 200}, {(BETWEEN, "memo_length", 2, CRITICAL)}),
]  # fmt: skip


@pytest.mark.parametrize("name", sorted({fault[0] for fault in FAULTS}))
def test_faults_are_named_and_counted(name):
    """Each fault is in rows of its own; what is found is what is said of all of them, and nothing else."""
    frames, said = [], Counter()
    for part, (_, rows, values, failures) in enumerate(fault for fault in FAULTS if fault[0] == name):
        frame = good(name, part)
        frames.append(with_values(frame, rows, **{k: frame[k][rows[0]] if v is SAME else v for k, v in values.items()}))
        for kind, columns, count, severity in failures:
            said[kind, columns, severity] += count
    outcome = run(load(name), pl.concat(frames))
    assert found(outcome) == {(kind, columns, count, severity) for (kind, columns, severity), count in said.items()}


def test_every_rule_of_several_columns_has_a_fault_above():
    told = {(kind, columns) for *_, failures in FAULTS for kind, columns, *_ in failures}
    rules = {
        (e["type"], ", ".join(columns_of(e)))
        for name in names()
        for e in load(name).expectations
        if e["meta"].get("source") != generate.CONTRACT
        and (len(columns_of(e)) > 1 or set(columns_of(e)) & set(load(name).derived))
    }
    assert rules <= told


def test_unexpected_rows_are_told_by_their_key_up_to_twenty():
    frame = pl.concat([good("market.trades")] * 4)
    outcome = run(load("market.trades"), with_values(frame, list(range(30)), energy_wh=0))
    energy = next(f for f in outcome.failures if f.columns == "energy_wh")
    assert energy.unexpected == 30
    assert [row["trade_id"] for row in energy.rows] == frame["trade_id"].to_list()[:20]


def test_a_million_rows_are_looked_at_in_groups_with_the_same_outcome(monkeypatch):
    frame = with_values(good("core.readings"), [2, 3], energy_milli_wh=-1, device_lfdi="x")
    whole = run(load("core.readings"), frame)
    monkeypatch.setattr("gridtokenx_pipeline.quality.run._MANY", 1)
    assert run(load("core.readings"), frame) == whole
    assert len(whole.failures) == 2


def test_another_column_or_type_is_the_only_failure():
    frame = good("market.trades").rename({"kind": "sort"}).with_columns(pl.col("energy_wh").cast(pl.Float64))
    (failure,) = run(load("market.trades"), frame).failures
    assert (failure.expectation, failure.severity, failure.unexpected) == (COLUMNS_AND_TYPES, CRITICAL, 3)
    assert failure.columns == "energy_wh: Float64, not Int64, kind: missing, not String, sort: String, not expected"


def test_only_critical_failures_are_critical():
    frame = with_values(good("core.rejected_readings"), [0], detail="")
    warned = run(load("core.rejected_readings"), frame)
    assert (warned.success, warned.critical) == (False, False)
    both = run(load("core.rejected_readings"), with_values(frame, [0], reason="dislike"))
    assert (both.success, both.critical) == (False, True)


def test_outcomes_of_parts_are_added_up():
    bad = Failure("e", "c", 2, WARNING, ({"k": "1"},))
    worse = Failure("e", "c", 3, WARNING, tuple({"k": str(n)} for n in range(20)))
    parts = [SuiteOutcome("s", 5, 9, ()), SuiteOutcome("s", 6, 9, (bad,)), SuiteOutcome("s", 7, 9, (worse,))]
    whole = merged(parts)
    assert (whole.rows, whole.expectations) == (18, 9)
    assert [(f.unexpected, len(f.rows), f.rows[0]) for f in whole.failures] == [(5, 20, {"k": "1"})]

"""Marts of a lake whose every number is known, on days when the clocks change."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from mart_lake import AUTUMN, DAY, ENERGIES, METERS_AT, PROSUMERS, SPRING, STEP

from gridtokenx_pipeline.defs.marts import project

HOURS = {SPRING: 23, AUTUMN: 25}


def wh(milli: int) -> Decimal:
    return Decimal(milli) / 1000


@pytest.mark.parametrize("date", [SPRING, AUTUMN], ids=["spring", "autumn"])
def test_a_local_day_is_whole_when_the_clocks_change(marts, date):
    start, end = marts.local_day(date)
    intervals = HOURS[date] * 12
    assert (end - start) / STEP == intervals
    (day,) = marts.rows(f"FROM marts.fct_energy_daily WHERE meter_id = 'A' AND local_date = DATE '{date}'")
    assert day["hours"] == HOURS[date]
    assert day["day_start"] == start
    assert day["intervals_5min"] == intervals
    assert day["generation_wh"] == wh(ENERGIES["generation"] * intervals)
    # Intervals are numbered on through both days.
    first = 0 if date == SPRING else HOURS[SPRING] * 12
    loads = sum(ENERGIES["load"] + i for i in range(first, first + intervals))
    assert day["load_wh"] == wh(loads)
    assert day["utc_offset_s"] == {SPRING: -8 * 3600, AUTUMN: -7 * 3600}[date]


def test_a_day_is_its_own_and_takes_nothing_of_its_neighbours(marts):
    found = marts.rows("SELECT DISTINCT local_date FROM marts.fct_energy_daily WHERE zone = 'stanford' ORDER BY 1")
    assert [row["local_date"] for row in found] == [SPRING, AUTUMN]


def test_the_repeated_hour_of_autumn_is_told_apart_by_its_offset(marts):
    found = marts.rows(
        f"SELECT local_start, utc_offset_s FROM marts.fct_energy_hourly WHERE meter_id = 'A' AND local_start::DATE = DATE '{AUTUMN}' "
        "AND extract('hour' FROM local_start) = 1 ORDER BY interval_start"
    )
    assert [row["local_start"] for row in found] == [dt.datetime(2026, 11, 1, 1)] * 2
    assert [row["utc_offset_s"] for row in found] == [-7 * 3600, -8 * 3600]


def test_hours_and_days_are_the_sums_of_their_intervals(marts):
    sums = "sum(generation_wh), sum(load_wh), sum(net_wh), sum(readings_present)"
    per_level = {
        tuple(marts.rows(f"SELECT {sums} FROM marts.{name} WHERE zone = 'stanford'")[0].values())
        for name in ("fct_energy_5min", "fct_energy_hourly", "fct_energy_daily")
    }
    assert len(per_level) == 1


def test_a_day_is_valid_only_where_all_its_intervals_are(marts):
    found = marts.rows(
        f"SELECT meter_id, quality_flags FROM marts.fct_energy_daily WHERE local_date = DATE '{SPRING}' AND zone = 'stanford' ORDER BY 1"
    )
    # The one interval with 17 has 1 as well: valid and questionable.
    assert {row["meter_id"]: row["quality_flags"] for row in found} == {"A": 1, "B": 1, "C": 17, "PCC": 1}


def test_the_feeder_takes_no_part_in_the_campus(marts):
    (day,) = marts.rows(f"FROM marts.kpi_energy WHERE local_date = DATE '{SPRING}' AND zone = 'stanford'")
    intervals = HOURS[SPRING] * 12
    assert day["meters"] == len(PROSUMERS)
    assert day["generation_wh"] == wh(len(PROSUMERS) * ENERGIES["generation"] * intervals)
    loads = sum(ENERGIES["load"] + i + 10_000 * METERS_AT[meter] for meter in PROSUMERS for i in range(intervals))
    assert day["load_wh"] == wh(loads)
    # Every interval has a deficit: all that was generated was used.
    assert (day["campus_export_wh"], day["self_consumption_pct"]) == (0, 100)
    net = len(PROSUMERS) * (ENERGIES["generation"] + ENERGIES["discharge"] - ENERGIES["charge"]) * intervals - loads
    assert day["campus_import_wh"] == wh(-net)
    assert Decimal(0) < day["self_sufficiency_pct"] < 100


def test_a_pair_is_unordered_and_never_with_the_feeder(marts):
    found = marts.rows(
        "SELECT meter_a_id, meter_b_id, pair_type, building_types FROM marts.dim_pair WHERE zone = 'stanford' ORDER BY 1, 2"
    )
    assert [tuple(row.values()) for row in found] == [
        ("A", "B", "intra", "academic-academic"),
        ("A", "C", "inter", "academic-research"),
        ("B", "C", "inter", "academic-research"),
    ]


def test_completeness_is_measured_against_what_a_meter_owes(marts):
    days = marts.rows(f"FROM marts.fct_completeness_daily WHERE local_date = DATE '{AUTUMN}' ORDER BY meter_id")
    shown = [
        (
            d["meter_id"],
            d["hours_present"],
            d["readings_expected"],
            d["completeness_pct"],
            d["with_estimates_pct"],
            d["meets_sla"],
        )
        for d in days
    ]
    assert shown == [("A", 25, 6000, 100, 100, True), ("B", 25, 6000, 95, 100, False), ("C", 25, 6000, 100, 100, True)]
    (campus,) = marts.rows(f"FROM marts.kpi_completeness WHERE local_date = DATE '{AUTUMN}'")
    assert (campus["meters"], campus["meters_meeting_sla"], campus["readings_late"]) == (3, 2, 3 * 25 * 2)
    # 17,700 of 18,000 are 98.333... %: rounded down.
    assert campus["completeness_pct"] == Decimal("98.333")
    assert campus["meets_sla"] is False


def test_findings_and_refusals_are_counted_where_they_belong(marts):
    found = marts.rows(
        "SELECT meter_id, origin, code, check_number, severity, channels, occurrences, channel_minutes FROM marts.fct_data_quality ORDER BY 1, 2, 3"
    )
    assert [tuple(row.values()) for row in found] == [
        ("A", "reading", "clock_snapped", 3, "information", 1, 1, Decimal("0.25")),
        ("A", "reading", "late", 13, "information", 1, 1, Decimal("0.25")),
        ("A", "rejected", "duplicate", 2, "information", 1, 2, None),
        ("A", "rejected", "malformed_document", 1, "error", 0, 1, None),
        ("A", "rejected", "out_of_range", 6, "error", 1, 1, None),
        ("B", "interval", "stuck", 9, "warning", 2, 2, Decimal("15.00")),
        ("stanford", "interval", "feeder_imbalance", 14, "error", 1, 1, Decimal("60.00")),
    ]


def test_messages_are_counted_by_what_became_of_them(marts):
    (hour,) = marts.rows("FROM marts.fct_messages")
    counts = {name: hour[name] for name in hour if name.startswith(("messages_", "readings_"))}
    assert counts == {
        "messages_landed": 4,
        "messages_examined": 3,
        "messages_understood": 2,
        "messages_without_readings": 1,
        "messages_accepted": 1,
        "readings_total": 14,
        "readings_accepted": 11,
        "readings_rejected": 3,
        "readings_telemetry": 0,
    }
    (kpi,) = marts.rows("FROM marts.kpi_communication WHERE messages_landed > 0")
    assert (kpi["compliance_pct"], kpi["success_pct"]) == (50, 100)
    assert (kpi["meets_compliance_target"], kpi["meets_success_target"]) == (False, True)
    (errors,) = marts.rows(f"FROM marts.kpi_data_quality WHERE building_type = 'academic' AND local_date = DATE '{SPRING}'")
    assert (errors["messages_not_understood"], errors["readings_rejected"], errors["error_rate_pct"]) == (2, 3, Decimal("21.428"))
    assert (errors["findings_warning"], errors["findings_information"]) == (2, 2)


def test_what_must_hold_of_every_row_is_tested(marts, tmp_path):
    """One wrong row of each kind, and a lake that is sound but for them."""
    lake = marts.copy(tmp_path / "data")
    selection = ("--select", "dim_pair", "fct_data_quality", "fct_energy_daily")
    lake.dbt("test", SPRING, SPRING + 2 * DAY, *selection)
    with lake.warehouse:
        connection = lake.warehouse.connect()
        connection.execute("INSERT INTO marts.dim_pair FROM marts.dim_pair WHERE meter_a_id = 'B'")
        connection.execute(
            "UPDATE marts.dim_pair SET meter_b_id = 'Z', pair_type = 'both' WHERE meter_b_id = 'C' AND meter_a_id = 'A'"
        )
        connection.execute("UPDATE marts.dim_pair SET zone = NULL WHERE meter_b_id = 'B'")
        connection.execute(
            f"UPDATE marts.fct_energy_5min SET local_start = DATE '{SPRING}' WHERE local_start::DATE = DATE '{AUTUMN}' AND meter_id = 'A'"
        )
        connection.execute("DELETE FROM marts.fct_data_quality WHERE code = 'duplicate'")
    with pytest.raises(project.DbtFailed) as failure:
        lake.dbt("test", SPRING, SPRING + 2 * DAY, *selection)
    found = {part.partition(":")[0]: int(part.split("Got ")[1].split()[0]) for part in str(failure.value).split("; ")}
    # The pair without a zone is none of the campus's.
    pairs = {"dim_pair_is_sound": 4, "pairs_are_all_of_the_campus": 1}
    assert found == pairs | {"every_refusal_is_counted": 1, "a_local_day_holds_its_hours": 1}

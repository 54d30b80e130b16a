"""The dbt project on a real lake: what it makes is described, and its tests see what is wrong."""

from __future__ import annotations

import json

import pytest
from line_campus import environment_kept

from gridtokenx_pipeline.defs.marts import project

SINGULAR = {
    "bills_sum_to_the_campus": "staging/stg_meter_intervals",
    "flows_between_types_are_the_trades": "marts/fct_type_flow_daily",
    "pairs_are_all_of_the_campus": "marts/dim_pair",
    "a_local_day_holds_its_hours": "marts/fct_energy_daily",
    "certificates_never_exceed_generation": "marts/fct_certificates",
    "energy_sums_are_equal_at_every_level": "marts/fct_energy_5min",
    "every_meter_balances": "marts/fct_trades",
    "every_refusal_is_counted": "marts/fct_data_quality",
}


def test_every_column_of_every_model_is_described_and_every_description_has_its_column(with_marts):
    stored = with_marts.query(
        "SELECT schema_name, table_name, list(column_name) AS columns FROM duckdb_columns() "
        "WHERE database_name = 'lake' AND schema_name IN ('staging', 'marts') GROUP BY ALL"
    )
    built = {(schema, name): set(columns) for schema, name, columns in stored.iter_rows()}
    manifest = json.loads((project.target_dir(with_marts.settings) / "manifest.json").read_text())
    described = {
        (node["schema"], node["name"]): {name for name, column in node["columns"].items() if column["description"].strip()}
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model"
    }
    assert built == described


def test_the_singular_tests_are_checks_of_the_assets_they_are_about(with_marts):
    checks = with_marts.runs["marts"].checks
    assert {name: checks[name].asset_key.to_user_string() for name in SINGULAR} == SINGULAR
    assert all(checks[name].passed for name in SINGULAR)


def test_the_singular_tests_fail_on_tampered_data(with_marts, copied):
    campus = copied(with_marts)
    campus.tamper(
        "UPDATE core.energy_15min SET load_wh = load_wh + 0.001",
        "UPDATE marts.fct_certificates SET energy_wh = energy_wh + 2",
        "UPDATE market.grid_settlements SET energy_wh = energy_wh + 1",
    )
    with environment_kept(), pytest.raises(project.DbtFailed) as failure:
        project.invoke(campus.settings, ["test", "--select", "test_type:singular"])
    meters = len(campus.meters)
    counts = {
        "bills_sum_to_the_campus": 2,
        "certificates_never_exceed_generation": meters,
        "energy_sums_are_equal_at_every_level": meters,
        "every_meter_balances": 2 * meters,
    }
    assert {part.partition(":")[0]: int(part.split("Got ")[1].split()[0]) for part in str(failure.value).split("; ")} == counts


def test_building_the_marts_again_leaves_the_same_rows(with_marts, copied):
    campus = copied(with_marts)
    marts = ("fct_energy_5min", "fct_energy_hourly", "fct_energy_daily", "fct_messages", "fct_trades", "fct_certificates")
    marts += ("fct_settlements", "fct_campus_daily", "kpi_energy", "kpi_trading", "dim_meter", "dim_pair")
    rows = lambda: {name: sorted(map(repr, campus.query(f"FROM marts.{name}").rows())) for name in marts}  # noqa: E731
    before = rows()
    run = campus.run("marts")
    assert run.success, run.failed_steps
    assert rows() == before
    assert all(before.values())

"""The dbt project as written: everything is described, and nothing is tested that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gridtokenx_pipeline.config import PROJECT_ROOT
from gridtokenx_pipeline.contracts import TABLES
from gridtokenx_pipeline.domain.findings import Finding
from gridtokenx_pipeline.domain.reasons import Reason
from gridtokenx_pipeline.warehouse.dbt_models import CODES, findings_model
from gridtokenx_pipeline.warehouse.documentation import data_dictionary

PROJECT = PROJECT_ROOT / "dbt"
FILES = sorted((PROJECT / "models").rglob("*.yml"))


def declared(kind: str) -> list[tuple[Path, dict]]:
    return [(path, entry) for path in FILES for entry in yaml.safe_load(path.read_text(encoding="utf-8")).get(kind, ())]


MODELS = {entry["name"]: (path, entry) for path, entry in declared("models")}


def test_every_model_has_one_entry_and_every_entry_a_model():
    written = {path.stem: path.parent for path in (PROJECT / "models").rglob("*.sql")}
    assert {name: path.parent for name, (path, _) in MODELS.items()} == written
    assert len(declared("models")) == len(written)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_and_its_columns_are_described(name):
    _, model = MODELS[name]
    assert model["description"].strip()
    columns = model.get("columns", [])
    assert columns
    assert [column["name"] for column in columns if not column.get("description", "").strip()] == []
    assert len({column["name"] for column in columns}) == len(columns)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_energy_and_money_carry_their_unit(name):
    units = {
        "_wh": "Wh",
        "_micro": "micro-currency",
        "_micro_per_kwh": "micro-currency per kWh",
        "_pct": "%",
        "_lamports": "lamports",
        "_kwh": "kWh",
        "_kw": "kW",
    }
    for column in MODELS[name][1]["columns"]:
        suffix = max((s for s in units if column["name"].endswith(s)), key=len, default=None)
        if suffix:
            assert units[suffix] in column["description"], column["name"]


MARTS = sorted(name for name, (path, _) in MODELS.items() if "marts" in path.parts)


@pytest.mark.parametrize("name", MARTS)
def test_what_identifies_a_row_of_a_mart_is_tested_and_its_columns_exist(name):
    model = MODELS[name][1]
    columns = {column["name"] for column in model["columns"]}
    demanded = [test["sound_rows"]["arguments"] for test in model.get("data_tests", ())]
    unique = {column["name"] for column in model["columns"] if "unique" in column.get("data_tests", ())}
    assert demanded or unique
    for test in demanded:
        named = [*test["key"], *test.get("required", ()), *test.get("meters", ()), *test.get("values", ())]
        assert set(named) <= columns


def test_the_dictionary_shows_what_is_tested():
    text = data_dictionary()
    assert "| `meter_id` |  | Meter. | unique, not null |" in text
    assert "## marts.kpi_energy" in text
    assert "Tested: unique by code, is_rejection." in text
    unit = next(line for line in text.splitlines() if line.startswith("| `peak_load_w`"))
    assert unit.split("|")[2].strip() == "W"


def test_codes_in_the_marts_are_those_of_the_code():
    text = CODES.read_text(encoding="utf-8")
    assert text == findings_model()
    assert all(f"('{code.value}', " in text for code in (*Finding, *Reason))


def test_sources_are_the_tables_of_the_contracts():
    found = {
        (source["schema"], table["name"]): {column["name"]: column["description"] for column in table["columns"]}
        for _, source in declared("sources")
        for table in source["tables"]
    }
    contracts = {
        (table.schema, table.name): {c.name: f"{c.comment} [{c.unit}]" if c.unit else c.comment for c in table.columns}
        for table in TABLES
    }
    assert found == contracts


def test_every_singular_test_belongs_to_a_model():
    tests = sorted((PROJECT / "tests").glob("*.sql"))
    assert len(tests) >= 3
    for path in tests:
        text = path.read_text(encoding="utf-8")
        (owner,) = [name for name in MODELS if f"'ref': {{'name': '{name}'}}" in text]
        assert f"ref('{owner}')" in text
        assert "\n-- " in text, f"{path.name} does not say what it demands"

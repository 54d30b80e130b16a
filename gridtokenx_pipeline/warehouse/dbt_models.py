"""The dbt project as data: its models as they are described, and the one model that is made from the code."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from gridtokenx_pipeline.config import PROJECT_ROOT
from gridtokenx_pipeline.domain.findings import ERROR, INFORMATION, WARNING, Finding
from gridtokenx_pipeline.domain.reasons import Reason

PROJECT = PROJECT_ROOT / "dbt"
CODES = PROJECT / "models" / "marts" / "dim_finding.sql"

_UNIT = re.compile(r"\s*\[([^\]]+)\]")

# Which check of the validation rules refuses a reading, where it is not the form of the message (1).
_REJECTION_CHECKS = {
    Reason.DUPLICATE: 2,
    Reason.OVERRULED: 2,
    Reason.BAD_INTERVAL: 3,
    Reason.FUTURE: 3,
    Reason.UNPAIRED_REGISTER: 4,
    Reason.REGISTER_DECREASED: 4,
    Reason.OUT_OF_RANGE: 6,
    Reason.NEGATIVE: 7,
}
_REJECTION_SEVERITIES = {
    Reason.DUPLICATE: INFORMATION,
    Reason.OVERRULED: INFORMATION,
    Reason.NOT_A_TOTAL: INFORMATION,
    Reason.UNPAIRED_REGISTER: WARNING,
    Reason.READING_TYPE_UNKNOWN: WARNING,
}


@dataclass(frozen=True)
class ModelColumn:
    """A column of a model; `tests` as short texts."""

    name: str
    description: str
    unit: str
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Model:
    """A dbt model as its entry describes it. `schema` is where it is stored; `tests` are those of the rows as a whole."""

    schema: str
    name: str
    description: str
    columns: tuple[ModelColumn, ...]
    tests: tuple[str, ...]


def models(project: Path = PROJECT) -> list[Model]:
    """Return every described model, by file and in the file's order; with its singular tests, by what they demand."""
    demands = _singular_tests(project)
    found = []
    for path in sorted((project / "models").rglob("*.yml")):
        schema = path.relative_to(project / "models").parts[0]
        for entry in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", ()):
            whole, of_columns = _of_rows(entry.get("data_tests", ()))
            columns = tuple(_column(column, of_columns.get(column["name"], ())) for column in entry.get("columns", ()))
            tests = (*whole, *demands.get(entry["name"], ()))
            found.append(Model(schema, entry["name"], entry["description"].strip(), columns, tests))
    return found


def _of_rows(tests: Iterable[dict[str, Any]]) -> tuple[list[str], dict[str, list[str]]]:
    """What `sound_rows` demands, of the rows as a whole and of single columns; see its macro."""
    whole: list[str] = []
    of_columns: dict[str, list[str]] = {}
    for test in tests:
        demanded = test["sound_rows"]["arguments"]
        key = demanded["key"]
        if len(key) > 1:
            whole.append("unique by " + ", ".join(key))
        else:
            of_columns.setdefault(key[0], []).append("unique")
        for name in (*key, *demanded.get("required", ())):
            of_columns.setdefault(name, []).append("not null")
        for name in demanded.get("meters", ()):
            of_columns.setdefault(name, []).append("in dim_meter.meter_id")
        for name, values in demanded.get("values", {}).items():
            of_columns.setdefault(name, []).append("one of " + ", ".join(values))
    return whole, of_columns


def _column(entry: dict[str, Any], tests: Iterable[str]) -> ModelColumn:
    """Descriptions state units in brackets, for those who read them in the database."""
    text = entry["description"].strip()
    unit = match.group(1) if (match := _UNIT.search(text)) else ""
    return ModelColumn(entry["name"], _UNIT.sub("", text, count=1), unit, (*tests, *map(_test, entry.get("data_tests", ()))))


def _test(entry: str | dict[str, Any]) -> str:
    if isinstance(entry, str):
        return entry.replace("_", " ")
    ((name, options),) = entry.items()
    arguments = options.get("arguments", options)
    if name == "relationships":
        return f"in {_referred(arguments['to'])}.{arguments['field']}"
    if name == "accepted_values":
        return "one of " + ", ".join(map(str, arguments["values"]))
    return name.replace("_", " ")


def _referred(text: str) -> str:
    return text.removeprefix("ref('").removesuffix("')")


def _singular_tests(project: Path) -> dict[str, list[str]]:
    """The first comment of each singular test, by the model it is a check of."""
    found: dict[str, list[str]] = {}
    for path in sorted((project / "tests").glob("*.sql")):
        text = path.read_text(encoding="utf-8")
        owner = re.search(r"'ref': \{'name': '(\w+)'\}", text)
        comment = re.search(r"((?:^-- .*\n)+)", text, re.MULTILINE)
        if owner and comment:
            demand = " ".join(line.removeprefix("-- ").strip() for line in comment.group(1).splitlines())
            found.setdefault(owner.group(1), []).append(demand)
    return found


def findings_model() -> str:
    """Return `dbt/models/marts/dim_finding.sql`: every code that a reading can be found or refused with."""
    rows = [(finding.value, False, finding.check, finding.severity, finding.meaning) for finding in Finding]
    rows += [(r.value, True, _REJECTION_CHECKS.get(r, 1), _REJECTION_SEVERITIES.get(r, ERROR), r.meaning) for r in Reason]
    values = ",\n".join(
        f"    ('{code}', {str(rejection).lower()}, {check}, '{severity}', '{_escaped(meaning)}')"
        for code, rejection, check, severity, meaning in rows
    )
    return (
        "{# Made from gridtokenx_pipeline/domain by `gridtokenx dictionary`; change it there. #}\n"
        "{{ config(materialized='table') }}\n\n"
        f"select * from (values\n{values}\n) as codes (code, is_rejection, check_number, severity, meaning)\n"
    )


def _escaped(text: str) -> str:
    return text.replace("'", "''")


def models_dictionary(described: Iterable[Model] | None = None) -> list[str]:
    """Return the lines of the data dictionary about dbt's models."""
    lines = []
    for model in models() if described is None else described:
        lines += [f"## {model.schema}.{model.name}", "", model.description, ""]
        if model.tests:
            lines += ["Tested: " + "; ".join(test.rstrip(".") for test in model.tests) + ".", ""]
        lines += ["| column | unit | meaning | tests |", "|---|---|---|---|"]
        for column in model.columns:
            cells = [f"`{column.name}`", column.unit, column.description, ", ".join(column.tests)]
            lines.append("| " + " | ".join(cell.replace("|", "&#124;") for cell in cells) + " |")
        lines.append("")
    return lines

"""Keep the suites in step with the contracts and the domain: `python -m gridtokenx_pipeline.quality.generate`.

What a contract says (columns and types, what is never null, the key) and what the domain enumerates (channels, reason codes,
findings) is written into the files; every other expectation of a file is written by hand and left as it is. A test compares both.
"""

from __future__ import annotations

import json
from typing import Any

from gridtokenx_pipeline.contracts import TABLES, Table, core
from gridtokenx_pipeline.domain.findings import ALL_CHANNELS, ERROR, INFORMATION, WARNING, Finding
from gridtokenx_pipeline.domain.reasons import Reason

from .suite import COMPOUND_UNIQUE, CRITICAL, DIRECTORY, NOT_NULL, UNIQUE, names

CONTRACT = "contract"

# What `meta.values` of a hand-written expectation may name: its value set is then the domain's.
VALUES: dict[str, list[str]] = {
    "channels": list(core.CHANNELS),
    "energy_channels": list(core.ENERGY_CHANNELS),
    "channels_or_all": [*core.CHANNELS, ALL_CHANNELS],
    "findings": [str(finding) for finding in Finding],
    "reasons": [str(reason) for reason in Reason],
    "severities": [INFORMATION, WARNING, ERROR],
}


def generated(table: Table, stored: dict[str, Any] | None) -> dict[str, Any]:
    """Return the suite of `table`: its contract, and what is hand-written in `stored`, the suite as it is (None for none yet)."""
    stored = stored or {"name": table.full_name, "id": None, "expectations": [], "meta": {}, "notes": table.comment}
    own = [_refreshed(e) for e in stored["expectations"] if e["meta"].get("source") != CONTRACT]
    ours = stored["meta"].get("gridtokenx", {})
    return {
        "name": table.full_name,
        "id": None,
        "expectations": [*_of_contract(table), *own],
        "meta": {
            "gridtokenx": {
                "key": [table.by_name[name].frame_name for name in table.key],
                "types": {name: str(type_) for name, type_ in table.empty().schema.items()},
                "derived": ours.get("derived", {}),
            }
        },
        "notes": table.comment,
    }


def text(suite: dict[str, Any]) -> str:
    """Return the file's text: an expectation on a line each, for diffs."""
    lines = ",\n".join(f"  {json.dumps(expectation, ensure_ascii=False)}" for expectation in suite["expectations"])
    head, tail = json.dumps(suite | {"expectations": "@"}, indent=1, ensure_ascii=False).split('"@"')
    return f"{head}[\n{lines}\n ]{tail}\n"


def write(*new: str) -> list[str]:
    """Rewrite the suites that are there, and those of the tables `new`; return the names of those that changed."""
    tables = {table.full_name: table for table in TABLES}
    changed = []
    for name in sorted({*names(), *new}):
        path = DIRECTORY / f"{name}.json"
        before = path.read_text(encoding="utf-8") if path.exists() else None
        after = text(generated(tables[name], json.loads(before) if before else None))
        if after != before:
            path.write_text(after, encoding="utf-8")
            changed.append(name)
    return changed


def _of_contract(table: Table) -> list[dict[str, Any]]:
    keys = [table.by_name[name].frame_name for name in table.key]
    rules: list[tuple[str, dict[str, Any]]] = [
        (NOT_NULL, {"column": column.frame_name}) for column in table.columns if not column.nullable
    ]
    rules.append((UNIQUE, {"column": keys[0]}) if len(keys) == 1 else (COMPOUND_UNIQUE, {"column_list": keys}))
    return [{"type": type_, "kwargs": kwargs, "severity": CRITICAL, "meta": {"source": CONTRACT}} for type_, kwargs in rules]


def _refreshed(expectation: dict[str, Any]) -> dict[str, Any]:
    values = expectation["meta"].get("values")
    if values is None:
        return expectation
    kwargs = expectation["kwargs"]
    if "regex" in kwargs:
        one = f"(?:{'|'.join(sorted(VALUES[values]))})"
        return expectation | {"kwargs": kwargs | {"regex": f"^{one}(?:,{one})*$"}}
    return expectation | {"kwargs": kwargs | {"value_set": VALUES[values]}}


if __name__ == "__main__":
    write()

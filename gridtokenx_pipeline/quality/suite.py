"""Suites as they are kept in the repository: `suites/<table>.json`, each a Great Expectations `ExpectationSuite`.

Expectations name the columns of pipeline frames (`energy_milli_wh`, not `energy_wh`). An expectation's `notes` say why it is
there; `critical` ones block what comes after, `warning` ones do not. Under `meta.gridtokenx` a suite says what Great Expectations
has no place for: `types`, the Polars type of every column; `key`, the columns that name a row; and `derived`, columns that SQL
makes of a row's own columns, for rules about several of them at once.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).parent / "suites"
CRITICAL, WARNING = "critical", "warning"

NOT_NULL = "expect_column_values_to_not_be_null"
UNIQUE = "expect_column_values_to_be_unique"
COMPOUND_UNIQUE = "expect_compound_columns_to_be_unique"
ROW_COUNT = "expect_table_row_count_to_be_between"


@dataclass(frozen=True)
class Suite:
    """A suite: `expectations` are Great Expectations configurations (type, kwargs, severity, notes, meta) in the file's order."""

    name: str
    key: tuple[str, ...]
    types: dict[str, str]
    derived: dict[str, str]
    expectations: tuple[dict[str, Any], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the expectations name, derived ones too, in order of first mention."""
        return tuple(dict.fromkeys(column for expectation in self.expectations for column in columns_of(expectation)))


def columns_of(expectation: dict[str, Any]) -> tuple[str, ...]:
    """Return the columns that an expectation's configuration is about; none where it is about the table."""
    kwargs = expectation["kwargs"]
    named = tuple(kwargs[name] for name in ("column", "column_A", "column_B") if name in kwargs)
    return named + tuple(kwargs.get("column_list", ()))


def names() -> list[str]:
    """Return the tables that have a suite, as `schema.name`, sorted."""
    return sorted(path.stem for path in DIRECTORY.glob("*.json"))


@functools.cache
def load(name: str) -> Suite:
    """Read the suite of the table `name`. Raises `FileNotFoundError` for a table without one."""
    stored = json.loads((DIRECTORY / f"{name}.json").read_text(encoding="utf-8"))
    ours = stored["meta"]["gridtokenx"]
    return Suite(stored["name"], tuple(ours["key"]), ours["types"], ours["derived"], tuple(stored["expectations"]))

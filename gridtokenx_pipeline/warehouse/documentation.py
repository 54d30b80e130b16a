"""Documents made from the table contracts and dbt's models: dbt's sources and the data dictionary."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from gridtokenx_pipeline.contracts import TABLES, Table

from .dbt_models import Model, models_dictionary

_HEADER = "Made from gridtokenx_pipeline/contracts by `gridtokenx dictionary`; change it there."
_DICTIONARY_HEADER = "Made from gridtokenx_pipeline/contracts and dbt/models by `gridtokenx dictionary`; change it there."
_PREFACE = """\
Timestamps are UTC; an interval is named by its start. Columns named `local_*` are the site's time (`site.timezone`), whose day
has 23 or 25 hours when the clocks change. First come the tables that the pipeline fills, then dbt's models of them.
"""


def dbt_sources(tables: Iterable[Table] = TABLES) -> str:
    """Return `dbt/models/sources.yml`: every table with its comment, columns and Dagster asset key."""
    lines = [f"# {_HEADER}", "version: 2", "", "sources:"]
    for schema, members in groupby(tables, key=lambda table: table.schema):
        lines += [f"  - name: {schema}", "    database: lake", f"    schema: {schema}", "    tables:"]
        for table in members:
            lines += [f"      - name: {table.name}", f"        description: {_quoted(table.comment)}", "        config:"]
            if table.window is not None:
                lines.append(f"          event_time: {table.window}")
            lines += [
                "          meta:",
                f"            dagster: {{asset_key: [{table.schema}, {table.name}]}}",
                "        columns:",
            ]
            for column in table.columns:
                text = f"{column.comment} [{column.unit}]" if column.unit else column.comment
                lines += [f"          - name: {column.name}", f"            description: {_quoted(text)}"]
    return "\n".join(lines) + "\n"


def data_dictionary(tables: Iterable[Table] = TABLES, models: Iterable[Model] | None = None) -> str:
    """Return `docs/data_dictionary.md`: every table and column with type, unit, key and meaning, and every model of dbt.

    `models` are those of the dbt project where they are not given.
    """
    lines = ["# Data dictionary", "", f"<!-- {_DICTIONARY_HEADER} -->", "", *_PREFACE.splitlines(), ""]
    for table in tables:
        lines += [f"## {table.full_name}", "", table.comment, "", f"Key: {', '.join(f'`{name}`' for name in table.key)}", ""]
        lines += ["| column | type | unit | null | meaning |", "|---|---|---|---|---|"]
        for column in table.columns:
            cells = [f"`{column.name}`", column.type.sql, column.unit, "yes" if column.nullable else "", column.comment]
            lines.append("| " + " | ".join(cell.replace("|", "&#124;") for cell in cells) + " |")
        lines.append("")
    return "\n".join([*lines, *models_dictionary(models)])


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

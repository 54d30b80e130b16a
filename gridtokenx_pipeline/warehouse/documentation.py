"""Documents made from the table contracts: dbt's sources and the data dictionary."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from gridtokenx_pipeline.contracts import TABLES, Table

_HEADER = "Made from gridtokenx_pipeline/contracts by `gridtokenx dictionary`; change it there."


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


def data_dictionary(tables: Iterable[Table] = TABLES) -> str:
    """Return `docs/data_dictionary.md`: every table and column with type, unit, key and meaning."""
    lines = ["# Data dictionary", "", f"<!-- {_HEADER} -->", "", "Timestamps are UTC; an interval is named by its start.", ""]
    for table in tables:
        lines += [f"## {table.full_name}", "", table.comment, "", f"Key: {', '.join(f'`{name}`' for name in table.key)}", ""]
        lines += ["| column | type | unit | null | meaning |", "|---|---|---|---|---|"]
        for column in table.columns:
            cells = [f"`{column.name}`", column.type.sql, column.unit, "yes" if column.nullable else "", column.comment]
            lines.append("| " + " | ".join(cell.replace("|", "&#124;") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

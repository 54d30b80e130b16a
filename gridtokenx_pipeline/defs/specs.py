"""Asset specs from table contracts: key, description, columns and owners are stated once, in the contract."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import dagster as dg

from gridtokenx_pipeline.contracts import Table

OWNERS = ["team:pipeline"]
WAREHOUSE_POOL = "warehouse"


def key(table: Table) -> dg.AssetKey:
    """Return the asset key of a table: its schema and name."""
    return dg.AssetKey([table.schema, table.name])


def spec(
    table: Table,
    deps: Iterable[Table] = (),
    kinds: Sequence[str] = ("polars", "ducklake"),
    partitions_def: dg.PartitionsDefinition | None = None,
) -> dg.AssetSpec:
    """Return the spec of the asset that fills `table`."""
    columns = [
        dg.TableColumn(
            c.name, c.type.sql, f"{c.comment} [{c.unit}]" if c.unit else c.comment, dg.TableColumnConstraints(nullable=c.nullable)
        )
        for c in table.columns
    ]
    return dg.AssetSpec(
        key(table),
        deps=[dg.AssetDep(key(dep)) for dep in deps],
        description=table.comment,
        metadata={"dagster/column_schema": dg.TableSchema(columns), "dagster/table_name": f"lake.{table.full_name}"},
        group_name=table.schema,
        owners=OWNERS,
        kinds=set(kinds),
        partitions_def=partitions_def,
    )


def result(table: Table, rows: int, changed: bool, **metadata: Any) -> dg.MaterializeResult:
    """Return the materialization of `table`: rows in the window, whether this run changed them, and more."""
    return dg.MaterializeResult(
        asset_key=key(table), metadata={"dagster/partition_row_count": rows, "changed": changed, **metadata}
    )

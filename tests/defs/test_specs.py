"""What Dagster shows of every asset, and which errors it tries again after."""

from __future__ import annotations

import sqlite3

import dagster as dg
import duckdb
import pytest

from gridtokenx_pipeline.contracts import TABLES, ContractViolation, core, ops
from gridtokenx_pipeline.defs.lineage import UNTRACED, UPSTREAM, column_lineage, model_lineage
from gridtokenx_pipeline.defs.specs import RETRY, key, passes, retried_where_it_helps
from gridtokenx_pipeline.solana.client import RpcUnavailable
from gridtokenx_pipeline.solana.lease import SubmitterBusy
from gridtokenx_pipeline.warehouse import WarehouseMissing

BY_KEY = {key(table): table for table in TABLES}
LINED = [table for table in TABLES if table.schema != ops.WATERMARKS.schema]


def test_every_asset_says_what_it_is(definitions):
    graph = definitions.resolve_asset_graph()
    for asset in graph.materializable_asset_keys:
        node = graph.get(asset)
        assert node.description, asset
        assert node.owners == ["team:pipeline"], asset
        assert node.kinds, asset
        # What has no partitions keeps the lake, and is no stage of the line.
        assert node.partitions_def is None or set(node.tags) >= {"stage", "zone", "pii"}, asset
    assert graph.get(key(core.READINGS)).tags["pii"] == "personal"
    assert graph.get(key(core.MESSAGE_OUTCOMES)).tags["stage"] == "receipt"


def test_every_asset_is_retried_and_in_the_pool(definitions):
    seen = 0
    for assets in definitions.assets:
        if isinstance(assets, dg.AssetsDefinition) and assets.is_executable:
            assert assets.op.retry_policy is not None, assets.op.name
            assert assets.op.retry_policy == RETRY or assets.partitions_def is None, assets.op.name
            assert assets.op.pool == "warehouse", assets.op.name
            seen += 1
    assert seen >= 9


@pytest.mark.parametrize("table", LINED, ids=lambda table: table.full_name)
def test_every_column_is_traced_or_said_to_come_from_no_table(table):
    lineage = column_lineage(table).deps_by_column
    if not UPSTREAM[table]:
        assert lineage == {}
        return
    assert set(lineage) | UNTRACED.get(table.full_name, frozenset()) == set(table.by_name)
    assert not set(lineage) & UNTRACED.get(table.full_name, frozenset())
    for column, deps in lineage.items():
        for dep in deps:
            assert dep.column_name in BY_KEY[dep.asset_key].by_name, (column, dep)
            assert BY_KEY[dep.asset_key] in UPSTREAM[table], (column, dep)


def test_lineage_follows_the_dependencies_of_the_assets(definitions):
    graph = definitions.resolve_asset_graph()
    for table in LINED:
        if key(table) in graph.materializable_asset_keys and table is not core.METERS:
            parents = graph.get(key(table)).parent_keys
            assert {key(up) for up in UPSTREAM[table]} <= parents, table.full_name


def test_a_run_materializes_with_its_lineage(settled):
    materialized = {
        "/".join(event.asset_key.path): event
        for event in settled.instance.fetch_materializations(key(core.ENERGY_5MIN), limit=1).records
    }
    (record,) = materialized.values()
    lineage = record.asset_materialization.metadata["dagster/column_lineage"].value
    assert {dep.column_name for dep in lineage.deps_by_column["generation_wh"]} == {"energy_wh"}


def test_a_model_is_made_of_the_columns_of_its_name():
    source = {"schema": "core", "name": "energy_5min", "columns": {}}
    stage = {"schema": "staging", "name": "stg", "columns": {"zone": {}, "load_wh": {}}}
    node = {"depends_on": {"nodes": ["source.a", "model.b", "model.gone"]}, "columns": {"load_wh": {}, "made_up": {}}}
    lineage = model_lineage(node, {"sources": {"source.a": source}, "nodes": {"model.b": stage}}).deps_by_column
    assert {name: [dep.asset_key.path for dep in deps] for name, deps in lineage.items()} == {
        "load_wh": [["core", "energy_5min"], ["staging", "stg"]]
    }


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (duckdb.IOException("database is locked"), True),
        (duckdb.TransactionException("conflict"), True),
        (sqlite3.OperationalError("database is locked"), True),
        (ConnectionRefusedError("node"), True),
        (TimeoutError(), True),
        (RpcUnavailable("no answer"), True),
        (SubmitterBusy("another submits"), True),
        (ContractViolation("nulls"), False),
        (WarehouseMissing("none yet"), False),
        (duckdb.BinderException("no such column"), False),
        (ZeroDivisionError(), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_only_errors_that_pass_are_tried_again(error, again):
    def fails():
        raise error

    def fails_on_the_way():
        yield 1
        raise error

    assert passes(error) is again
    for body in (retried_where_it_helps(fails), lambda: list(retried_where_it_helps(fails_on_the_way)())):
        with pytest.raises(type(error) if again else dg.Failure) as caught:
            body()
        if not again:
            assert caught.value.allow_retries is False
            assert type(error).__name__ in caught.value.description
            assert caught.value.__cause__ is error


def test_a_failure_of_a_stage_stays_as_it_is():
    refused = dg.Failure("the chain refused", allow_retries=False)

    @retried_where_it_helps
    def fails():
        raise refused

    with pytest.raises(dg.Failure) as caught:
        fails()
    assert caught.value is refused

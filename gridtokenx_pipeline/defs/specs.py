"""Asset specs from table contracts: key, description, columns, lineage and owners are stated once, in the contract.

Also how every asset is run: in the warehouse's pool, a range of partitions as one run, tried again after errors that pass.
"""

from __future__ import annotations

import datetime as dt
import functools
import inspect
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import dagster as dg
import duckdb
import sqlalchemy.exc

from gridtokenx_pipeline import config
from gridtokenx_pipeline.contracts import Table, certificates, core, market

from .lineage import column_lineage
from .partitions import CHUNKED

OWNERS = ["team:pipeline"]
STAGE, PII, ZONE = "stage", "pii", "zone"
WAREHOUSE_POOL = "warehouse"

# 5, 10 and 20 seconds, more or less: what does not pass in that time is for the next tick.
RETRY = dg.RetryPolicy(max_retries=3, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
# The five-minute tick fills a stage, or finds that nothing is new, each time.
FRESH = dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(hours=1), warn_window=dt.timedelta(minutes=15))

_PASSING = (duckdb.IOException, duckdb.TransactionException, sqlite3.OperationalError, sqlalchemy.exc.OperationalError)
# By name, so that nothing of them is imported where nothing is submitted.
_PASSING_NAMES = {"ClientError", "RpcUnavailable", "SolanaRpcException", "SubmissionStalled", "SubmitterBusy"}
_LASTING = (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError)

# Columns that say whose energy, message or decision a row is.
PERSONAL = frozenset(
    {"meter_id", "seller_meter_id", "buyer_meter_id", "device_lfdi", "owner", "owner_ref", "edited_by", "natural_key"}
)
_STAGES = {
    **dict.fromkeys((*core.readings.TABLES, *core.documents.TABLES), "receipt"),
    **dict.fromkeys((core.VEE_EXCEPTIONS, core.ESTIMATES, core.METER_HOURS), "event"),
    **dict.fromkeys(core.energy.TABLES, "energy"),
    core.EDITS: "editing",
    **dict.fromkeys((core.METERS, certificates.DEVICES, market.PAIRS), "operations"),
}


def key(table: Table) -> dg.AssetKey:
    """Return the asset key of a table: its schema and name."""
    return dg.AssetKey([table.schema, table.name])


def tags(table: Table) -> dict[str, str]:
    """Return the tags of the asset of `table`."""
    stage = _STAGES.get(table, "landing" if table.schema == "raw" else table.schema)
    return tags_of(stage, (column.name for column in table.columns))


def tags_of(stage: str, columns: Iterable[str]) -> dict[str, str]:
    """Return the stage that fills an asset, the zone of this code location, and whether its rows are about a person's meter."""
    return {STAGE: stage, ZONE: _zone(), PII: "none" if PERSONAL.isdisjoint(columns) else "personal"}


@functools.cache
def _zone() -> str:
    return config.load().zone


def spec(
    table: Table,
    deps: Iterable[Table] = (),
    kinds: Sequence[str] = ("polars", "ducklake"),
    partitions_def: dg.PartitionsDefinition | None = None,
) -> dg.AssetSpec:
    """Return the spec of the asset that fills `table`. An hourly one is expected to be looked at by every tick."""
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
        tags=tags(table),
        partitions_def=partitions_def,
        freshness_policy=FRESH if isinstance(partitions_def, dg.HourlyPartitionsDefinition) else None,
    )


def stage(
    name: str, specs: Sequence[dg.AssetSpec], *, backfill_policy: dg.BackfillPolicy = CHUNKED
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Make a multi-asset of a function: in the warehouse's pool, with the partitions of its specs, retried where that helps."""
    (partitions_def,) = {spec.partitions_def for spec in specs}

    def decorate(body: Callable[..., Any]) -> dg.AssetsDefinition:
        return dg.multi_asset(
            name=name,
            specs=specs,
            partitions_def=partitions_def,
            backfill_policy=backfill_policy,
            pool=WAREHOUSE_POOL,
            retry_policy=RETRY,
        )(retried_where_it_helps(body))

    return decorate


def passes(error: BaseException) -> bool:
    """Whether the same step may succeed in a moment: a lock, a connection, a node or server that was away.

    Everything else is a matter of the data, the configuration or the code, which another try meets again.
    """
    if isinstance(error, _LASTING):
        return False
    names = {base.__name__ for base in type(error).__mro__}
    return isinstance(error, (*_PASSING, OSError)) or bool(names & _PASSING_NAMES)


def retried_where_it_helps(body: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap an asset's function or generator: errors that will not pass become failures that Dagster does not retry."""

    def final(error: Exception) -> dg.Failure:
        return dg.Failure(f"{type(error).__name__}: {error}", allow_retries=False)

    if inspect.isgeneratorfunction(body):

        @functools.wraps(body)
        def generator(*args: Any, **kwargs: Any) -> Iterator[Any]:
            try:
                yield from body(*args, **kwargs)
            except dg.Failure:
                raise
            except Exception as error:
                if passes(error):
                    raise
                raise final(error) from error

        return generator

    @functools.wraps(body)
    def function(*args: Any, **kwargs: Any) -> Any:
        try:
            return body(*args, **kwargs)
        except dg.Failure:
            raise
        except Exception as error:
            if passes(error):
                raise
            raise final(error) from error

    return function


def result(table: Table, rows: int, changed: bool, **metadata: Any) -> dg.MaterializeResult:
    """Return the materialization of `table`: rows in the window, whether this run changed them, and more."""
    return dg.MaterializeResult(
        asset_key=key(table),
        metadata={
            "dagster/partition_row_count": rows,
            "dagster/column_lineage": column_lineage(table),
            "changed": changed,
            **metadata,
        },
    )

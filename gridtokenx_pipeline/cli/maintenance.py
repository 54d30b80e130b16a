"""`gridtokenx maintenance`: how large the lake is, keeping it small, and what retention says."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from . import options

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from gridtokenx_pipeline.config import Settings
    from gridtokenx_pipeline.privacy.retention import Rule
    from gridtokenx_pipeline.warehouse.maintenance import LakeSize

app = typer.Typer(help="Keep the lake small; apply retention.", no_args_is_help=True)

_SHOWN = 12


@app.command("status")
def status(data: options.Data = None, config: options.Config = None, json_: options.Json = False) -> None:
    """Show files, bytes and snapshots of the lake.

    Example: gridtokenx maintenance status
    """
    from gridtokenx_pipeline.warehouse import Warehouse
    from gridtokenx_pipeline.warehouse.maintenance import measure

    with Warehouse(options.settings(data, config).warehouse_dir, read_only=True) as warehouse:
        size = measure(warehouse)
    if json_:
        typer.echo(json.dumps(asdict(size), default=str, indent=2))
        return
    _show(size)
    for table in sorted(size.tables, key=lambda table: -table.bytes)[:_SHOWN]:
        typer.echo(f"{table.table:40} {table.files:6} files {table.deletes:6} with deletions {table.bytes:14,} bytes")


@app.command("run")
def run(
    grace: Annotated[
        int, typer.Option("--grace-minutes", min=0, help="Leave files that were replaced less than this ago to their readers.")
    ] = 10,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Erase what was left of forgotten owners, apply retention, compact the lake and expire its old snapshots.

    Safe while the pipeline runs. Example: gridtokenx maintenance run
    """
    from gridtokenx_pipeline import clock
    from gridtokenx_pipeline.privacy import erasure, retention
    from gridtokenx_pipeline.warehouse import Warehouse
    from gridtokenx_pipeline.warehouse.maintenance import maintain

    settings, now = options.settings(data, config), clock.now()
    _require(settings)
    for erased in erasure.finish(settings, now, _progress):
        typer.echo(f"erased {sum(erased.rows.values())} rows and {erased.bodies} bodies of a forgotten owner")
    with Warehouse(settings.warehouse_dir) as warehouse:
        for rule in retention.apply(settings, warehouse, now, _instance(settings)):
            if rule.rows:
                typer.echo(f"{rule.setting}: removed {rule.rows} {rule.what} from before {rule.before:%Y-%m-%d}")
        keep = dt.timedelta(days=settings.retention.snapshots_days)
        done = maintain(warehouse, now, keep, grace=dt.timedelta(minutes=grace), progress=_progress)
    typer.echo(
        f"flushed {done.rows_flushed} rows, rewrote {done.files_rewritten} files, merged {done.files_merged}, "
        f"expired {done.snapshots_expired} snapshots, removed {done.files_removed} files"
    )
    typer.echo("before: ", nl=False)
    _show(done.before)
    typer.echo("after:  ", nl=False)
    _show(done.after)


@app.command("retention")
def retention_(
    apply: Annotated[bool, typer.Option("--apply", help="Remove it; without, only show what would go.")] = False,
    data: options.Data = None,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    """Show what retention would remove now, rule by rule; all rules are off until the configuration sets them.

    Example: gridtokenx maintenance retention
    """
    from gridtokenx_pipeline import clock
    from gridtokenx_pipeline.privacy import retention
    from gridtokenx_pipeline.warehouse import Warehouse

    settings, now = options.settings(data, config), clock.now()
    _require(settings)
    with Warehouse(settings.warehouse_dir, read_only=not apply) as warehouse:
        act = retention.apply if apply else retention.plan
        rules = act(settings, warehouse, now, _instance(settings))
    if json_:
        typer.echo(json.dumps([asdict(rule) for rule in rules], default=str, indent=2))
        return
    for rule in rules:
        typer.echo(_line(rule, done=apply))


def _line(rule: Rule, *, done: bool) -> str:
    if rule.before is None:
        return f"{rule.setting:16} off: {rule.what} are kept for ever"
    went = "removed" if done else "would go"
    return f"{rule.setting:16} {rule.rows:12,} {rule.what} from before {rule.before:%Y-%m-%d} {went}"


def _progress(text: str) -> None:
    typer.echo(f"... {text}", err=True)


def _show(size: LakeSize) -> None:
    typer.echo(
        f"{size.files} files of the present, {size.disk_files} on disk with {size.disk_bytes:,} bytes, "
        f"catalog {size.catalog_bytes:,} bytes, {size.snapshots} snapshots, {size.waiting} files waiting to be removed"
    )


def _require(settings: Settings) -> None:
    """Raise `WarehouseMissing` where there is no lake: a writer would make one."""
    from gridtokenx_pipeline.warehouse import Warehouse

    with Warehouse(settings.warehouse_dir, read_only=True) as warehouse:
        warehouse.connect()


def _instance(settings: Settings) -> DagsterInstance | None:
    """Dagster's instance where the configuration removes runs; loading it costs seconds."""
    import os

    if not settings.retention.runs_days or not settings.dagster_home.exists():
        return None
    from dagster import DagsterInstance

    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)
    return DagsterInstance.get()

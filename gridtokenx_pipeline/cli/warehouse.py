"""`gridtokenx sql`, `shell` and `dictionary`: the warehouse as an analyst sees it, read-only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options, tables


def sql(
    query: Annotated[str, typer.Argument(help="A query over schemas raw, core, market, certificates, settlement, marts.")],
    data: options.Data = None,
    config: options.Config = None,
    json_: options.Json = False,
    csv: options.Csv = False,
) -> None:
    """Run a query and print its rows as a table, JSON or CSV.

    Example: gridtokenx sql "select meter_id, sum(generation_wh) as wh from core.energy_5min group by all order by wh desc"
    """
    import duckdb

    from gridtokenx_pipeline.warehouse import Warehouse

    if json_ and csv:
        raise typer.BadParameter("choose one of --json and --csv")
    with Warehouse(options.settings(data, config).warehouse_dir, read_only=True) as warehouse:
        try:
            frame = warehouse.query(query)
        except duckdb.Error as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(2) from None
    tables.show(frame, json_=json_, csv=csv)


def shell(data: options.Data = None, config: options.Config = None) -> None:
    """Open a prompt for queries over the warehouse; end each with a semicolon, leave with Ctrl-D.

    Example: gridtokenx shell
    """
    import duckdb

    from gridtokenx_pipeline.warehouse import Warehouse

    with Warehouse(options.settings(data, config).warehouse_dir, read_only=True) as warehouse:
        connection = warehouse.connect()
        typer.echo("Tables: show all tables;   describe core.readings;   Ctrl-D leaves.")
        pending = ""
        while True:
            try:
                line = input("... " if pending else "gridtokenx> ")
            except EOFError:
                break
            except KeyboardInterrupt:
                pending = ""
                typer.echo()
                continue
            pending = f"{pending}\n{line}" if pending else line
            if not pending.rstrip().endswith(";"):
                continue
            statement, pending = pending, ""
            try:
                relation = connection.sql(statement)
                if relation is not None:
                    relation.show()
            except duckdb.Error as error:
                typer.echo(str(error), err=True)


def dictionary(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail when the files are out of date.")] = False,
) -> None:
    """Write docs/data_dictionary.md, docs/validation.md, dbt's sources.yml and its table of codes from the code.

    Example: gridtokenx dictionary --check
    """
    from gridtokenx_pipeline.config import PROJECT_ROOT
    from gridtokenx_pipeline.validation_rules import validation_rules
    from gridtokenx_pipeline.warehouse.dbt_models import CODES, findings_model
    from gridtokenx_pipeline.warehouse.documentation import data_dictionary, dbt_sources

    files: dict[Path, str] = {
        PROJECT_ROOT / "docs" / "data_dictionary.md": data_dictionary(),
        PROJECT_ROOT / "docs" / "validation.md": validation_rules(),
        PROJECT_ROOT / "dbt" / "models" / "sources.yml": dbt_sources(),
        CODES: findings_model(),
    }
    stale = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if check:
        for path in stale:
            typer.echo(f"out of date: {path.relative_to(PROJECT_ROOT)}", err=True)
        raise typer.Exit(1 if stale else 0)
    for path in stale:
        path.write_text(files[path], encoding="utf-8")
        typer.echo(f"wrote {path.relative_to(PROJECT_ROOT)}")

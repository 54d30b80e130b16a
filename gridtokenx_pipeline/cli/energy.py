"""`gridtokenx energy`: a meter's energy, now or as it was known at an earlier moment."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Annotated

import typer

from . import options, tables


class Level(StrEnum):
    """Interval lengths of `core.energy_*`."""

    S15 = "15s"
    MIN5 = "5min"
    MIN15 = "15min"
    H1 = "1h"


def energy(
    start: Annotated[str, typer.Option("--from", help="First hour, ISO 8601; UTC where no offset is given.")],
    end: Annotated[str, typer.Option("--to", help="End of the last hour.")],
    at: Annotated[
        str | None, typer.Option("--known-at", help="Only what had been received and edited by then counts; now when left out.")
    ] = None,
    meter: Annotated[str | None, typer.Option("--meter", help="This meter only.")] = None,
    level: Annotated[Level, typer.Option("--level", help="Interval length.")] = Level.MIN5,
    data: options.Data = None,
    config: options.Config = None,
    json_: options.Json = False,
    csv: options.Csv = False,
) -> None:
    """Show energy as it is known, or as it was known at a moment: derived again from the readings and edits of then.

    Example: gridtokenx energy --from 2026-11-20T18:00Z --to 2026-11-20T19:00Z --known-at 2026-11-20T19:02Z
    """
    import polars as pl

    from gridtokenx_pipeline.contracts import core
    from gridtokenx_pipeline.defs.energy.derive import known_energy
    from gridtokenx_pipeline.defs.vee.context import days
    from gridtokenx_pipeline.warehouse import Warehouse

    settings = options.settings(data, config)
    first, last = options.moment(start), options.moment(end)
    if not first < last or any(moment.replace(minute=0, second=0, microsecond=0) != moment for moment in (first, last)):
        raise typer.BadParameter("--from and --to are whole hours, the one before the other")
    table = {Level.S15: core.ENERGY_15S, Level.MIN5: core.ENERGY_5MIN, Level.MIN15: core.ENERGY_15MIN, Level.H1: core.ENERGY_1H}[
        level
    ]
    with Warehouse(settings.warehouse_dir, read_only=True) as warehouse:
        if at is None:
            frame = warehouse.read_window(table, first, last)
        else:
            moment: dt.datetime = options.moment(at)
            frame = pl.concat([known_energy(warehouse, settings, *part, moment)[table] for part in days(first, last)])
    if meter is not None:
        frame = frame.filter(pl.col("meter_id") == meter)
    # Watt-hours, exactly: what the frame has are whole milli-watt-hours.
    shown = [
        (pl.col(column.frame_name).cast(pl.Decimal(21, 3)) / 1000).cast(pl.Decimal(18, 3)).alias(column.name)
        if column.frame_name != column.name
        else pl.col(column.name)
        for column in table.columns
        if "register" not in column.name and column.name != "zone"
    ]
    tables.show(frame.select(shown), json_=json_, csv=csv)

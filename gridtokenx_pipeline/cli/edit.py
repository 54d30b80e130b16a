"""`gridtokenx edit`: an operator's correction of readings, with who, why, before and after."""

from __future__ import annotations

import datetime as dt
import getpass
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer

from . import options, tables

app = typer.Typer(
    help=(
        "Correct readings by hand. Nothing is changed in place: an edit is a row of core.edits. Energy and all after it follow "
        "when the hour is run again, which a sensor asks for within a minute (or gridtokenx backfill does)."
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)

MeterId = Annotated[str, typer.Argument(help="Meter.")]
Channel = Annotated[str, typer.Argument(help="generation, load, charge, discharge, import or export.")]
Start = Annotated[str, typer.Argument(help="Start of the (first) interval, ISO 8601; UTC where no offset is given.")]
Until = Annotated[str | None, typer.Option("--until", help="End of the last interval; one interval when left out.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the auditor.")]
By = Annotated[str | None, typer.Option("--by", help="Who; the name of the system's user when left out.")]
Length = Annotated[int, typer.Option("--interval", min=1, help="Length of the intervals in seconds.")]


@app.command("replace")
def replace(
    meter: MeterId,
    channel: Channel,
    start: Start,
    wh: Annotated[str, typer.Option("--wh", help="Energy in Wh, up to three decimals; of the whole span, shared out evenly.")],
    reason: Reason,
    until: Until = None,
    by: By = None,
    interval: Length = 15,
    force: Annotated[bool, typer.Option("--force", help="Allow more than the meter's ratings.")] = False,
    data: options.Data = None,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    """Put an energy in the place of what counts.

    Example: gridtokenx edit replace AMI_METER_STANFORD_ENG_001 load 2026-11-20T18:00Z --until 2026-11-20T18:05Z --wh 812.5
    --reason "read on site"
    """
    _edit(meter, channel, start, until, "replace", reason, by, interval, data, config, json_, energy=_milli_wh(wh), forced=force)


@app.command("accept")
def accept(
    meter: MeterId,
    channel: Channel,
    start: Start,
    reason: Reason,
    until: Until = None,
    by: By = None,
    interval: Length = 15,
    data: options.Data = None,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    """Approve what counts: a questionable reading becomes valid, and its certificates are issued.

    Example: gridtokenx edit accept AMI_METER_STANFORD_GYM_001 generation 2026-11-20T20:15:00Z --reason "snow slid off the panels"
    """
    _edit(meter, channel, start, until, "accept", reason, by, interval, data, config, json_)


@app.command("revert")
def revert(
    meter: MeterId,
    channel: Channel,
    start: Start,
    reason: Reason,
    until: Until = None,
    by: By = None,
    interval: Length = 15,
    data: options.Data = None,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    """Let count again what counted before any edit. The edits stay on record.

    Example: gridtokenx edit revert AMI_METER_STANFORD_GYM_001 generation 2026-11-20T20:15:00Z --reason "was right after all"
    """
    _edit(meter, channel, start, until, "revert", reason, by, interval, data, config, json_)


@app.command("list")
def listed(
    meter: Annotated[str | None, typer.Option("--meter", help="Of this meter only.")] = None,
    data: options.Data = None,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    """Show the edits, the latest first.

    Example: gridtokenx edit list --meter AMI_METER_STANFORD_ENG_001
    """
    from gridtokenx_pipeline.warehouse import Warehouse

    with Warehouse(options.settings(data, config).warehouse_dir, read_only=True) as warehouse:
        frame = warehouse.query(
            "FROM core.edits WHERE ? IS NULL OR meter_id = ? ORDER BY edited_at DESC, interval_start LIMIT 1000", (meter, meter)
        )
    tables.show(frame, json_=json_)


def _edit(
    meter: str,
    channel: str,
    start: str,
    until: str | None,
    action: str,
    reason: str,
    by: str | None,
    interval: int,
    data: Any,
    config: Any,
    json_: bool,
    *,
    energy: int | None = None,
    forced: bool = False,
) -> None:
    from gridtokenx_pipeline import clock
    from gridtokenx_pipeline.contracts import core
    from gridtokenx_pipeline.domain.edits import EditRefused, plan_edit
    from gridtokenx_pipeline.editing import counting
    from gridtokenx_pipeline.ratings import meters_frame
    from gridtokenx_pipeline.warehouse import Append, Warehouse, WarehouseMissing

    settings = options.settings(data, config)
    first = options.moment(start)
    last = options.moment(until) if until else first + dt.timedelta(seconds=interval)
    with Warehouse(settings.warehouse_dir) as warehouse:
        if not warehouse.catalog.exists():
            raise WarehouseMissing(f"no warehouse at {settings.warehouse_dir}: run the pipeline first (gridtokenx demo)")
        try:
            rows = plan_edit(
                counting(warehouse, meter, channel, first, last),
                meters_frame(settings),
                zone=settings.zone,
                meter_id=meter,
                channel=channel,
                start=first,
                end=last,
                action=action,
                edited_by=by or getpass.getuser(),
                reason=reason,
                edited_at=clock.now(),
                duration_s=interval,
                energy_milli_wh=energy,
                forced=forced,
            )
        except EditRefused as refused:
            typer.echo(f"not edited: {refused}", err=True)
            raise typer.Exit(2) from None
        warehouse.commit(Append(core.EDITS, rows))
        ids = rows["edit_id"].to_list()
        stored = warehouse.query(
            "SELECT interval_start, channel, action, before_energy_wh, energy_wh, before_quality_flags, edited_by, edit_id "
            "FROM core.edits WHERE list_contains(?, edit_id) ORDER BY interval_start",
            (ids,),
        )
    tables.show(stored, json_=json_)


def _milli_wh(text: str) -> int:
    try:
        value = Decimal(text) * 1000
    except InvalidOperation:
        raise typer.BadParameter(f"{text!r} is no number", param_hint="--wh") from None
    if not value.is_finite() or value != value.to_integral_value():
        raise typer.BadParameter(f"{text!r} Wh is no whole number of milli-watt-hours", param_hint="--wh")
    return int(value)

"""`gridtokenx reprocess` and `gridtokenx backfill`: prove past hours from raw messages, or derive them anew."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options

if TYPE_CHECKING:
    from gridtokenx_pipeline.reprocess.prove import Partition

_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%SZ"]
From = Annotated[dt.datetime, typer.Option("--from", formats=_FORMATS, help="First hour, UTC.")]
To = Annotated[dt.datetime, typer.Option("--to", formats=_FORMATS, help="End, UTC, exclusive.")]
Meter = Annotated[str, typer.Option("--meter", help="Only this meter.")]
Stage = Annotated[str, typer.Option("--stage", help="readings (by hour of receipt), energy (by hour of measurement), or all.")]

DIFFERENT = 4


def reprocess(
    from_: From,
    to: To,
    meter: Meter = "",
    stage: Stage = "all",
    json_: options.Json = False,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Derive a past range again from raw messages and compare it with what is stored, by a hash of each table's hour.

    Writes nothing. Exit code 0 when every partition is identical, 4 when one differs: then the first rows that do are printed.
    Hours whose raw bodies retention or erasure has removed, and hours that no run has been about, are counted apart.

    Example: gridtokenx reprocess --from 2026-11-01 --to 2026-11-02

    Example: gridtokenx reprocess --from 2026-11-01T10:00 --to 2026-11-01T12:00 --meter AMI_METER_STANFORD_ENG_001 --json
    """
    from gridtokenx_pipeline.reprocess import prove

    settings = options.settings(data, config)
    with _checked(stage), _bar("deriving again", shown=not json_) as progress:
        found = prove.prove(settings, _utc(from_), _utc(to), stage=stage, meter=meter, progress=progress)
    counts = {state: sum(p.state == state for p in found) for state in prove.STATES}
    if json_:
        answer = {"partitions": [asdict(p) for p in found], **{state.lower().replace(" ", "_"): n for state, n in counts.items()}}
        typer.echo(json.dumps(answer, default=str, indent=2))
    else:
        _print(found)
        typer.echo(", ".join(f"{n} {state}" for state, n in counts.items() if n) or "no partition has rows")
    if counts[prove.DIFFERENT]:
        raise typer.Exit(DIFFERENT)


def backfill(
    from_: From,
    to: To,
    meter: Meter = "",
    stage: Stage = "all",
    json_: options.Json = False,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Derive a past range again and store it: a day, a month or one meter, a run a day through the Dagster jobs.

    Safe while `gridtokenx up` runs: the runs wait in its queue behind the five-minute tick. Rows that come out the same are not
    written, and what was settled is never changed. Prints the partitions that changed.

    Example: gridtokenx backfill --from 2026-11-01 --to 2026-12-01

    Example: gridtokenx backfill --from 2026-11-01 --to 2026-11-02 --stage energy --meter AMI_METER_STANFORD_ENG_001
    """
    from gridtokenx_pipeline.reprocess import backfill as module

    settings = options.settings(data, config)
    with _checked(stage), _bar("deriving and storing", shown=not json_) as progress:
        try:
            days = module.backfill(settings, _utc(from_), _utc(to), stage=stage, meter=meter, progress=progress)
        except module.BackfillFailed as failed:
            typer.echo(f"backfill failed: {failed}", err=True)
            raise typer.Exit(1) from None
    changed = [place for day in days for place in day.changed]
    if json_:
        answer = {"runs": [asdict(day) for day in days], "changed": len(changed)}
        typer.echo(json.dumps(answer, default=str, indent=2))
        return
    for table, hour in changed:
        typer.echo(f"{table}  {hour:%Y-%m-%d %H:%M}  changed")
    seconds = sum(day.seconds for day in days)
    typer.echo(f"{len(days)} runs, {len(changed)} partitions changed, {seconds:.1f} s")


def _utc(moment: dt.datetime) -> dt.datetime:
    return moment.replace(tzinfo=dt.UTC)


@contextlib.contextmanager
def _checked(stage: str) -> Iterator[None]:
    """Bad arguments end as usage errors."""
    from gridtokenx_pipeline.reprocess.stages import STAGES

    if stage not in STAGES:
        raise typer.BadParameter(f"{stage} is none of {', '.join(STAGES)}", param_hint="--stage")
    try:
        yield
    except ValueError as error:
        if type(error) is not ValueError:
            raise
        raise typer.BadParameter(str(error)) from None


@contextlib.contextmanager
def _bar(text: str, *, shown: bool) -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar on standard error; nothing where output is for a program."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not shown, transient=True) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total, what: bar.update(task, completed=done, total=total, description=f"{text} {what}")


def _print(found: list[Partition]) -> None:
    """Hour by table, then what differs."""
    marks = {"identical": "=", "DIFFERENT": "DIFF", "unprovable": "gone", "never derived": "never"}
    tables = list(dict.fromkeys(p.table for p in found))
    states: dict[dt.datetime, dict[str, str]] = {}
    for p in found:
        states.setdefault(p.start, {})[p.table] = marks[p.state]
    names = [table.partition(".")[2] for table in tables]
    typer.echo("  ".join(["hour (UTC)      ", *names]))
    for hour in sorted(states):
        cells = [states[hour].get(table, "").ljust(len(name)) for table, name in zip(tables, names, strict=True)]
        typer.echo("  ".join([f"{hour:%Y-%m-%d %H:%M}", *cells]).rstrip())
    for p in found:
        if p.state in ("DIFFERENT", "unprovable"):
            typer.echo(f"\n{p.table} {p.start:%Y-%m-%d %H:%M}: {p.state}, {p.rows_stored} rows stored, {p.rows_derived} derived")
            for d in p.differences:
                key = ", ".join(f"{name}={_short(value)}" for name, value in d.key.items())
                typer.echo(f"  {key}: {d.column} stored {_short(d.stored)}, derived {_short(d.derived)}")


def _short(value: Any) -> str:
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, dt.datetime) else str(value)

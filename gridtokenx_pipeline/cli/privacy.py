"""`gridtokenx owners`: who owns which meter, and forgetting them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options

if TYPE_CHECKING:
    from gridtokenx_pipeline.config import Settings
    from gridtokenx_pipeline.privacy.owners import Owners

app = typer.Typer(help="Owners of meters: personal data, in the operational database alone.", no_args_is_help=True)

Ref = Annotated[str, typer.Argument(help="Pseudonym of the owner, as `owners list` and dim_meter.owner_ref show it.")]


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV with the columns name, contact, meter_id, from, to.", exists=True)],
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Read owners from a CSV file; what is known already is left. Remove the file afterwards: nothing here can forget it.

    Example: gridtokenx owners import owners.csv
    """
    from gridtokenx_pipeline import clock
    from gridtokenx_pipeline.privacy.owners import OwnersRefused, read_csv

    settings = options.settings(data, config)
    try:
        lines = read_csv(file)
        configured = {meter.id for meter in settings.meters} | {settings.vee.feeder_meter}
        unknown = sorted({line.meter_id for line in lines} - configured)
        if unknown:
            raise OwnersRefused(f"not configured: {', '.join(unknown)}")
        with _owners(settings) as owners:
            added = owners.add(lines, clock.now())
    except OwnersRefused as refused:
        typer.echo(f"nothing imported: {refused}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{added} ownerships added, {len(lines) - added} were known")


@app.command("list")
def list_(data: options.Data = None, config: options.Config = None, json_: options.Json = False) -> None:
    """List pseudonyms with their meters; names are shown by `owners show`.

    Example: gridtokenx owners list
    """
    with _owners(options.settings(data, config)) as owners:
        ownerships = owners.ownerships()
        rows = [
            {
                "owner_ref": owner.owner_ref,
                "state": "forgotten" if owner.forgotten_at else "known",
                "meters": [
                    {"meter_id": o.meter_id, "from": o.start.isoformat(), "to": o.end.isoformat() if o.end else None}
                    for o in ownerships
                    if o.owner_ref == owner.owner_ref
                ],
            }
            for owner in owners.owners()
        ]
    if json_:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        meters = ", ".join(f"{m['meter_id']} {m['from'][:10]} to {(m['to'] or '')[:10]}" for m in row["meters"])  # type: ignore[index]
        typer.echo(f"{row['owner_ref']}  {row['state']:9}  {meters}")


@app.command("show")
def show(owner_ref: Ref, data: options.Data = None, config: options.Config = None) -> None:
    """Show what is known of an owner, or the tombstone of one who was forgotten.

    Example: gridtokenx owners show 3F2A...
    """
    with _owners(options.settings(data, config)) as owners:
        try:
            owner = owners.owner(owner_ref)
        except KeyError:
            raise _unknown(owner_ref) from None
    typer.echo(json.dumps({name: value for name, value in asdict(owner).items() if value is not None}, default=str, indent=2))


@app.command("forget")
def forget(
    owner_ref: Ref,
    by: Annotated[str, typer.Option("--by", help="Who has the owner forgotten.")],
    reason: Annotated[str, typer.Option("--reason", help="Why: kept in the tombstone, so without personal data.")],
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Forget an owner: name, contact and device data go, settled sums stay. It ends the lake's history before now.

    Example: gridtokenx owners forget 3F2A... --by "Data protection officer" --reason "request of 2026-11-20"
    """
    from gridtokenx_pipeline import clock
    from gridtokenx_pipeline.privacy import erasure

    settings = options.settings(data, config)
    with _owners(settings) as owners:
        try:
            owners.owner(owner_ref)
        except KeyError:
            raise _unknown(owner_ref) from None
    progress = lambda text: typer.echo(f"... {text}", err=True)  # noqa: E731
    erased = erasure.forget(settings, owner_ref, by=by, reason=reason, now=clock.now(), progress=progress)
    typer.echo(
        f"forgotten: {sum(erased.rows.values())} rows of device data, {erased.bodies} message bodies in the lake and "
        f"{erased.landed} in landing segments are gone"
    )
    if not erased.whole:
        typer.echo("Messages of the last hours are still being settled: the nightly maintenance erases them.")


@contextmanager
def _owners(settings: Settings) -> Iterator[Owners]:
    from gridtokenx_pipeline.privacy.owners import Owners

    owners = Owners(settings.operational_url)
    owners.create_all()
    try:
        yield owners
    finally:
        owners.close()


def _unknown(owner_ref: str) -> typer.Exit:
    typer.echo(f"no owner {owner_ref}: see gridtokenx owners list", err=True)
    return typer.Exit(1)

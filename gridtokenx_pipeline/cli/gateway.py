"""`gridtokenx gateway`: legacy meters that post JSON, their credentials, and their way to IEEE 2030.5."""

from __future__ import annotations

import datetime as dt
import getpass
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options

if TYPE_CHECKING:
    from gridtokenx_pipeline.config import Settings
    from ingest_server.gateway.auth import Tokens
    from ingest_server.operational.gateway import GatewayTables, Protocol

app = typer.Typer(help="Legacy JSON over HTTPS: credentials, imports, migration to IEEE 2030.5.", no_args_is_help=True)
key_app = typer.Typer(help="API keys.", no_args_is_help=True)
app.add_typer(key_app, name="key")

Meter = Annotated[str, typer.Argument(help="Meter id of the registry.")]
Meters = Annotated[list[str] | None, typer.Option("--meter", help="Meter the credential is for; repeat for more.")]
By = Annotated[str | None, typer.Option("--by", help="Who does it, for the audit trail; default: your login.")]
Note = Annotated[str, typer.Option("--note", help="Why, for the audit trail.")]


@key_app.command("issue")
def key_issue(
    meter: Meters = None,
    all_meters: Annotated[bool, typer.Option("--all-meters", help="For every meter of the registry.")] = False,
    days: Annotated[int, typer.Option("--days", min=1, max=3650, help="Days until it expires.")] = 90,
    by: By = None,
    data: options.Data = None,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    """Issue an API key. It is shown once and kept nowhere.

    Example: gridtokenx gateway key issue --meter AMI_METER_STANFORD_ENG_001 --days 30
    """
    if bool(meter) == all_meters:
        raise typer.BadParameter("name the meters, or give --all-meters", param_hint="--meter")
    with _tables(options.settings(data, config)) as tables:
        _require_meters(tables, meter or [])
        key, text = tables.issue_key(
            None if all_meters else meter, by=by or getpass.getuser(), now=_now(), lifetime=dt.timedelta(days=days)
        )
    if json_:
        typer.echo(json.dumps({"key_id": key.key_id, "key": text, "expires_at": key.expires_at.isoformat()}))
        return
    typer.echo(text)
    typer.echo(f"header X-GridTokenX-API-Key; expires {key.expires_at:%Y-%m-%d}; shown this once", err=True)


@key_app.command("list")
def key_list(data: options.Data = None, config: options.Config = None, json_: options.Json = False) -> None:
    """List the API keys: id, state, expiry, who issued it, meters.

    Example: gridtokenx gateway key list --json
    """
    now = _now()
    with _tables(options.settings(data, config)) as tables:
        rows = [
            {
                "key_id": key.key_id,
                "state": "revoked" if key.revoked_at else "expired" if key.expires_at <= now else "active",
                "expires_at": key.expires_at.isoformat(),
                "created_by": key.created_by,
                "meters": "*" if key.meters is None else sorted(key.meters),
            }
            for key in tables.all_keys()
        ]
    _print(rows, json_)


@key_app.command("revoke")
def key_revoke(
    key_id: Annotated[str, typer.Argument(help="Id of the key: what stands before its dot.")],
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Revoke an API key for good.

    Example: gridtokenx gateway key revoke 1f0c2d3e4a5b6c7d
    """
    with _tables(options.settings(data, config)) as tables:
        try:
            tables.revoke_key(key_id, _now())
        except KeyError:
            raise typer.BadParameter(f"there is no key {key_id}", param_hint="KEY_ID") from None
    typer.echo(f"{key_id} is revoked")


@app.command("token")
def token(
    meter: Annotated[list[str], typer.Argument(help="Meters the token is for; several make it a feed's.")],
    minutes: Annotated[int, typer.Option("--minutes", min=1, max=525_600, help="Minutes until it expires.")] = 60,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Issue a bearer token. Makes the secret on first use where the settings name a file for it and HS256.

    GRIDTOKENX_GATEWAY__TOKEN_KEY=certs/gateway.secret names one.

    Example: gridtokenx gateway token AMI_METER_STANFORD_ENG_001
    """
    settings = options.settings(data, config)
    with _tables(settings) as tables:
        _require_meters(tables, meter)
    typer.echo(_tokens(settings).issue(meter, now=_now(), lifetime=dt.timedelta(minutes=minutes)))


@app.command("sign-key")
def sign_key(
    meter: Meter,
    public_key: Annotated[str, typer.Argument(help="Ed25519 public key, 64 hex digits.")],
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Register the key that a meter signs its DLMS readings with: from then on the gateway takes only readings so signed.

    Example: gridtokenx gateway sign-key METER d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a
    """
    with _tables(options.settings(data, config)) as tables:
        _require_meters(tables, [meter])
        try:
            tables.register_signing_key(meter, public_key, _now())
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="PUBLIC_KEY") from None
    typer.echo(f"readings of {meter} must be signed from now on")


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="Files: a JSON array, or JSON lines.")],
    data: options.Data = None,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    """Land files of legacy readings, as the gateway would have received them. What was imported before is not landed again.

    Each file is read to its end before anything of it is landed. Example: gridtokenx gateway import meter_readings.jsonl
    """
    import asyncio

    from ingest_server.gateway.files import IMPORT_WORKER, Imported, NotImported, check_file, import_file, landed_bodies
    from ingest_server.landing.sqlite import SqliteLandingReader, SqliteLandingStore
    from ingest_server.landing.store import SegmentInUse

    settings = options.settings(data, config)
    total = Imported()
    with _tables(settings) as tables:
        try:
            store = SqliteLandingStore(settings.landing_dir, IMPORT_WORKER)
        except SegmentInUse:
            raise typer.BadParameter("another import is running", param_hint="FILES") from None
        try:
            known = landed_bodies(SqliteLandingReader(settings.landing_dir))
            for path in files:
                with _progress(path) as advance:
                    try:
                        check_file(path, tables.meter, advance)
                    except NotImported as error:
                        typer.echo(f"{error}; nothing of this file was landed", err=True)
                        raise typer.Exit(1) from None
                    done = asyncio.run(import_file(path, store, known, settings.zone, _now, advance))
                total.landed += done.landed
                total.known += done.known
                total.readings += done.readings
                total.known_readings += done.known_readings
        finally:
            store.close()
    result = {
        "landed_messages": total.landed,
        "landed_readings": total.readings,
        "known_messages": total.known,
        "known_readings": total.known_readings,
    }
    if json_:
        typer.echo(json.dumps(result))
    else:
        typer.echo(f"{total.readings} readings landed in {total.landed} messages, {total.known_readings} known from before")


@app.command("migrate")
def migrate(
    meter: Meter,
    both: Annotated[bool, typer.Option("--both", help="Take both protocols for the time being.")] = False,
    note: Note = "",
    by: By = None,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Move a meter to IEEE 2030.5: the gateway refuses it from now on (or, with --both, takes it besides).

    Example: gridtokenx gateway migrate AMI_METER_STANFORD_ENG_001 --note "firmware 4.2"
    """
    _set_protocol(options.settings(data, config), meter, "both" if both else "sep2", by, note)


@app.command("rollback")
def rollback(meter: Meter, note: Note = "", by: By = None, data: options.Data = None, config: options.Config = None) -> None:
    """Move a meter back to the legacy protocol: the gateway takes it again.

    Example: gridtokenx gateway rollback AMI_METER_STANFORD_ENG_001 --note "clock drifts"
    """
    _set_protocol(options.settings(data, config), meter, "legacy", by, note)


@app.command("status")
def status(
    history: Annotated[bool, typer.Option("--history", help="Every change there was, instead of what is in force.")] = False,
    data: options.Data = None,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    """List the meters and the protocol each speaks; "any" where none was ever set.

    Example: gridtokenx gateway status --history --json
    """
    rows: list[dict[str, Any]]
    with _tables(options.settings(data, config)) as tables:
        if history:
            rows = [
                {
                    "since": change.since.isoformat(),
                    "meter_id": change.meter_id,
                    "protocol": change.protocol,
                    "changed_by": change.changed_by,
                    "note": change.note,
                }
                for change in tables.protocol_changes()
            ]
        else:
            rows = [
                {
                    "meter_id": meter.meter_id,
                    "protocol": meter.protocol or "any",
                    "active": meter.active,
                    "signs": meter.public_key is not None,
                }
                for meter in tables.meters()
            ]
    _print(rows, json_)


def _set_protocol(settings: Settings, meter: str, protocol: Protocol, by: str | None, note: str) -> None:
    with _tables(settings) as tables:
        _require_meters(tables, [meter])
        changed = tables.set_protocol(meter, protocol, by=by or getpass.getuser(), now=_now(), note=note)
    typer.echo(f"{meter}: {protocol}" if changed else f"{meter}: {protocol} already")


def _require_meters(tables: GatewayTables, meters: list[str]) -> None:
    unknown = sorted({meter for meter in meters if tables.meter(meter) is None})
    if unknown:
        raise typer.BadParameter(
            f"not in the registry: {', '.join(unknown)} (gridtokenx certs init registers the configured meters)"
        )


def _tokens(settings: Settings) -> Tokens:
    from ieee2030_5.keyfiles import private_directory, write_atomically
    from ingest_server.gateway.auth import Tokens

    path, algorithm = settings.gateway_token_key, settings.gateway.algorithm
    if path is None:
        raise typer.BadParameter("the settings name no gateway.token_key to sign with", param_hint="--config")
    if algorithm == "HS256" and not path.exists():
        private_directory(path.parent)
        write_atomically(path, secrets.token_hex(32).encode(), 0o600)
    return Tokens.from_file(path, algorithm, settings.gateway.audience)


@contextmanager
def _tables(settings: Settings) -> Iterator[GatewayTables]:
    from ingest_server.operational.gateway import GatewayTables

    tables = GatewayTables(settings.operational_url)
    tables.create_all()
    try:
        yield tables
    finally:
        tables.close()


@contextmanager
def _progress(path: Path) -> Iterator[Any]:
    """A bar over a file that is read twice: once to check it, once to land it."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(path.name, total=2 * max(path.stat().st_size, 1))
        yield lambda amount: progress.advance(task, amount)


def _now() -> dt.datetime:
    from gridtokenx_pipeline import clock

    return clock.now()


def _print(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        typer.echo("  ".join(" ".join(value) if isinstance(value, list) else str(value) for value in row.values()))

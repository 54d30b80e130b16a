"""`gridtokenx certs`: the campus's certificates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from . import options

app = typer.Typer(help="Certificates of the server and the meters (see certs/README.md).", no_args_is_help=True)


@app.command("init")
def init(data: options.Data = None, config: options.Config = None, name: options.Names = None) -> None:
    """Make the CA, the server's certificate and one for each meter, and register the meters. Reuses what is valid.

    Example: gridtokenx certs init --name ami.example.edu --name 192.0.2.10
    """
    from gridtokenx_pipeline.enrolment import SERVER_NAMES, enrol

    settings = options.settings(data, config)
    enrolment = enrol(settings, [*SERVER_NAMES, *(name or [])])
    typer.echo(f"{len(enrolment.meters)} meters, {enrolment.issued} certificates issued now, in {settings.certs_dir}")


@app.command("list")
def list_(data: options.Data = None, config: options.Config = None, json_: options.Json = False) -> None:
    """List the registered devices: meter, LFDI, SFDI, PIN, status, expiry.

    Example: gridtokenx certs list --json
    """
    from ingest_server.operational.registry import Registry

    settings = options.settings(data, config)
    registry = Registry(settings.operational_url)
    registry.create_all()
    rows = [
        {
            "meter_id": d.meter_id,
            "lfdi": d.lfdi,
            "sfdi": d.sfdi,
            "pin": f"{d.pin:06d}",
            "status": d.status,
            "not_after": d.not_after.isoformat() if d.not_after else None,
        }
        for d in registry.devices()
    ]
    if json_:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        typer.echo("  ".join(str(value) for value in row.values()))


@app.command("issue")
def issue(
    meter: Annotated[str, typer.Argument(help="Meter id of the configuration.")],
    out: Annotated[Path, typer.Option("--out", help="Directory that gets ca.pem, device.pem and device.key.")],
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Copy a meter's certificate, key and the CA to a directory, for a real meter or curl.

    Example: gridtokenx certs issue AMI_METER_STANFORD_ENG_001 --out /tmp/eng
    """
    from gridtokenx_pipeline.enrolment import enrol
    from ieee2030_5.keyfiles import write_atomically

    settings = options.settings(data, config)
    if meter not in {m.id for m in settings.meters}:
        raise typer.BadParameter(f"{meter} is not a meter of {settings.config}", param_hint="METER")
    enrolment = enrol(settings)
    credential = next(c for c in enrolment.meters if c.name == meter)
    out.mkdir(parents=True, exist_ok=True)
    for source, name, mode in (
        (enrolment.authority.certificate_path, "ca.pem", 0o644),
        (credential.certificate, "device.pem", 0o644),
        (credential.key, "device.key", 0o600),
    ):
        write_atomically(out / name, source.read_bytes(), mode)
    typer.echo(f"LFDI {credential.lfdi}  SFDI {credential.sfdi}")
    typer.echo(f"curl --cacert {out}/ca.pem --cert {out}/device.pem --key {out}/device.key https://localhost:8443/dcap")

"""Options that several commands share, and the settings made from them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any

import typer

from gridtokenx_pipeline import config

Data = Annotated[Path | None, typer.Option("--data", help="Directory of everything generated (GRIDTOKENX_DATA; default ./data).")]
Config = Annotated[
    Path | None, typer.Option("--config", help="Configuration file (GRIDTOKENX_CONFIG; default config/stanford.toml).")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV.")]
Port = Annotated[int, typer.Option("--port", help="Port of the ingest server.")]
RpcPort = Annotated[int, typer.Option("--rpc-port", help="Port of the local Solana node.")]
DagsterPort = Annotated[int, typer.Option("--dagster-port", help="Port of the Dagster webserver.")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Processes of the ingest server.")]
Names = Annotated[
    list[str] | None, typer.Option("--name", help="Host name or IP address of the server's certificate; repeat for more.")
]
Host = Annotated[str, typer.Option("--host", help="Address the ingest server listens on; 0.0.0.0 for meters on the network.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the simulated campus.")]


def settings(data: Path | None = None, config_file: Path | None = None, **overrides: Any) -> config.Settings:
    """Load the settings with these options on top."""
    values = {"data": data, "config": config_file, **overrides}
    return config.load(**{name: value for name, value in values.items() if value is not None})


def moment(text: str) -> dt.datetime:
    """Return an ISO 8601 moment in UTC; one without an offset is UTC. Raises `typer.BadParameter` for anything else."""
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no moment like 2026-11-20T18:00:00Z") from None
    return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)

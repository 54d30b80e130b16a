"""`gridtokenx status`: what runs, and how far the line has got."""

from __future__ import annotations

import json
from typing import Any

import typer

from . import options


def status(data: options.Data = None, config: options.Config = None, json_: options.Json = False) -> None:
    """Show the services, the watermarks and the counts of every stage. Exit code 3 when a service of a running stack is down.

    Example: gridtokenx status --json
    """
    from gridtokenx_pipeline.stack.service import is_alive
    from gridtokenx_pipeline.warehouse import Warehouse, WarehouseMissing

    settings = options.settings(data, config)
    state_file = settings.data / "run" / "stack.json"
    stack: dict[str, Any] = json.loads(state_file.read_text()) if state_file.exists() else {}
    services = {name: is_alive(pid) for name, pid in stack.get("services", {}).items()}
    answer: dict[str, Any] = {"data": str(settings.data), "urls": stack.get("urls", {}), "services": services}
    if "ops" in answer["urls"]:
        answer["ingest_server"] = _readiness(answer["urls"]["ops"])
    try:
        with Warehouse(settings.warehouse_dir, read_only=True) as warehouse:
            answer |= _counts(warehouse)
    except WarehouseMissing:
        answer["warehouse"] = "none yet"
    if json_:
        typer.echo(json.dumps(answer, default=str, indent=2))
    else:
        for name, value in answer.items():
            if isinstance(value, dict):
                typer.echo(f"{name}:" if value else f"{name}: none")
                for inner, inner_value in value.items():
                    typer.echo(f"  {inner}: {inner_value}")
            else:
                typer.echo(f"{name}: {value}")
    if not all(services.values()):
        raise typer.Exit(3)


def _readiness(url: str) -> dict[str, Any]:
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2) as response:  # noqa: S310
            found: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as error:
        found = json.load(error)
    except (OSError, ValueError) as error:
        found = {"status": f"no answer: {error}"}
    return found


def _counts(warehouse: Any) -> dict[str, Any]:
    def pairs(query: str) -> dict[str, Any]:
        return dict(warehouse.query(query).iter_rows())

    one = warehouse.query(
        "SELECT (SELECT count(*) FROM raw.messages) AS messages, (SELECT max(received_at) FROM raw.messages) AS last_message, "
        "(SELECT count(*) FROM core.readings) AS readings, (SELECT count(*) FROM core.rejected_readings) AS rejected_readings, "
        "(SELECT max(interval_start) FROM market.intervals WHERE state = 'settled') AS last_settled_interval, "
        "(SELECT count(*) FROM market.trades) AS trades, "
        "(SELECT coalesce(sum(energy_wh), 0)::BIGINT FROM certificates.bundles WHERE state = 'issued') AS certificate_wh"
    ).row(0, named=True)
    return {
        "counts": one,
        "complete_until": pairs("SELECT stage, max(complete_until) AS until FROM ops.watermarks GROUP BY stage ORDER BY stage"),
        "intervals": pairs("SELECT state, count(*) FROM market.intervals GROUP BY state ORDER BY state"),
        "batches": pairs("SELECT state, count(*) FROM settlement.batches GROUP BY state ORDER BY state"),
    }

"""The `gridtokenx` command: a thin face over the same functions that assets and tests call.

Modules import what they run inside the command, so that `gridtokenx --help` costs no Dagster and no pvlib.
"""

from __future__ import annotations

import sys

import typer

from . import (
    bench,
    certificates,
    certs,
    demo,
    devnet,
    edit,
    energy,
    events,
    gateway,
    ingest,
    maintenance,
    privacy,
    reprocess,
    settle,
    simulate,
    status,
    trace,
    warehouse,
)

app = typer.Typer(
    name="gridtokenx",
    help="Metered energy to settled trades, certificates and chain receipts.\n\nStart here: gridtokenx demo",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.demo)
app.command("up")(demo.up)
app.command("status")(status.status)
app.add_typer(certs.app, name="certs")
app.add_typer(ingest.app, name="ingest")
app.add_typer(gateway.app, name="gateway")
app.add_typer(events.app, name="events")
app.add_typer(simulate.app, name="simulate")
app.add_typer(devnet.app, name="devnet")
app.add_typer(edit.app, name="edit")
app.add_typer(certificates.app, name="certificates")
app.command("energy")(energy.energy)
app.command("reprocess")(reprocess.reprocess)
app.command("backfill")(reprocess.backfill)
app.add_typer(maintenance.app, name="maintenance")
app.add_typer(privacy.app, name="owners")
app.add_typer(settle.app, name="settle")
app.command("trace")(trace.trace)
app.command("sql")(warehouse.sql)
app.command("shell")(warehouse.shell)
app.command("dictionary")(warehouse.dictionary)
app.command("bench")(bench.bench)


def main() -> None:
    """Run the command line. Known failures end with one line and exit code 1, not with a traceback."""
    try:
        app()
    except Exception as error:
        if not _expected(error):
            raise
        print(f"gridtokenx: {error}", file=sys.stderr)
        sys.exit(1)


def _expected(error: Exception) -> bool:
    """Whether the error is one that its message explains: a missing file, bad settings, a port that is taken."""
    names = {"ServiceFailed", "PortTaken", "WarehouseMissing", "ValidationError", "TOMLDecodeError", "PkiError", "MemoryConflict"}
    names |= {"KeyFileError", "ContractDrift", "DagsterError", "CannotStart", "SettingsError"}
    names |= {"MaintenanceFailed", "TimeoutError", "BadRpcUrl"}
    return isinstance(error, OSError) or type(error).__name__ in names

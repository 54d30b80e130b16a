"""`gridtokenx ingest`: the ingest server alone."""

from __future__ import annotations

import typer

from . import options

app = typer.Typer(help="The IEEE 2030.5 server that lands what meters write.", no_args_is_help=True)


@app.command("serve")
def serve(
    data: options.Data = None,
    config: options.Config = None,
    host: options.Host = "127.0.0.1",
    port: options.Port = 8443,
    workers: options.Workers = 2,
    name: options.Names = None,
) -> None:
    """Serve until Ctrl-C.

    Example: gridtokenx ingest serve --host 0.0.0.0 --name ami.example.edu --workers 4
    """
    from gridtokenx_pipeline.enrolment import SERVER_NAMES, enrol
    from gridtokenx_pipeline.stack.stack import server_options
    from ingest_server import supervisor

    settings = options.settings(data, config)
    enrolment = enrol(settings, [*SERVER_NAMES, *name] if name else None)
    supervisor.run(server_options(settings, enrolment, host, port, workers))

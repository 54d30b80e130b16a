"""`gridtokenx bench`: benchmarks that print one flat JSON object each."""

from __future__ import annotations

import importlib
import json
from typing import Annotated

import typer

from . import options

BENCHMARKS = {
    "ingest": "durable POSTs per second of one worker, against the same server only reading the body",
    "connections": "10,000 keep-alive connections on one worker: latency, CPU and memory (minutes; needs 10,200 open files)",
    "reconnect": "10,000 connections lost at once: seconds until every meter is back, and what was lost",
    "parse": "messages parsed and validated per second, against bare lxml on the same documents",
    "day": "a campus day, 144,000 messages, from raw to 5-minute energy: messages per second and memory",
    "window": "10,000 meters' five minutes, 200,000 messages, from raw to 5-minute energy: seconds and memory",
    "matching": "clearing the market: 25 to 100,000 meters at once, a day and a year of the campus",
    "certificates": "certificates of a campus day, from energy to events and holdings",
    "chain": "settlement on the local node: transactions, fees and seconds of an interval of 25 and of 10,000 meters (minutes)",
    "tick": "one five-minute run of 25 meters, from the schedule's tick to finished checks",
    "backfill": "a campus day through the real assets, and what a month of it takes",
    "gx": "a million readings through Great Expectations, against the same rules in SQL",
}


def bench(
    name: Annotated[str | None, typer.Argument(help=f"One of {', '.join(BENCHMARKS)}; all when left out.")] = None,
    json_: options.Json = False,
) -> None:
    """Measure, on this machine, now. Ratios hold between machines, single figures do not.

    Example: gridtokenx bench ingest --json
    """
    if name is not None and name not in BENCHMARKS:
        raise typer.BadParameter(f"{name} is none of {', '.join(BENCHMARKS)}", param_hint="NAME")
    for one in [name] if name else BENCHMARKS:
        if not json_:
            typer.echo(f"{one}: {BENCHMARKS[one]}", err=True)
        result = importlib.import_module(f"gridtokenx_pipeline.benchmarks.{one}").run()
        typer.echo(json.dumps({"benchmark": one, **result}))

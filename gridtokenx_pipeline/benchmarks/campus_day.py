"""A campus's messages for the benchmarks of the line: every meter's declaration, then a post of each meter for each interval."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from gridtokenx_pipeline import clock, config
from gridtokenx_pipeline.contracts.raw import MESSAGES

from . import parse

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
STEP = dt.timedelta(seconds=15)
# A message is received this long after the end of its interval.
DELAY = dt.timedelta(seconds=1)


def frame(settings: config.Settings, first: int, count: int, *, declared: bool = False) -> pl.DataFrame:
    """Return raw.messages of `count` intervals from the number `first` on (0 begins at `START`); `declared`: and declarations."""
    rows = []
    if declared:
        rows += [(m, START, "/mup", parse._declaration(i)) for i, m in enumerate(_ids(settings))]
    for number in range(first, first + count):
        received = START + (number + 1) * STEP + DELAY
        rows += [(m, received, "/mup/1", parse._post(i, number)) for i, m in enumerate(_ids(settings))]
    lfdis = {meter: parse._lfdi(i) for i, meter in enumerate(_ids(settings))}
    meters, moments, paths, bodies = (list(column) for column in zip(*rows, strict=True))
    size = len(rows)
    columns = {
        "message_id": [f"bench-{first}:{number:09d}" for number in range(size)],
        "received_at": moments,
        "zone": [settings.zone] * size,
        "device_lfdi": [lfdis[meter] for meter in meters],
        "meter_id": meters,
        "method": ["POST"] * size,
        "path": paths,
        "content_type": ["application/sep+xml"] * size,
        "body": bodies,
        "body_sha256": [hashlib.sha256(body).hexdigest() for body in bodies],
        "source": ["sep2"] * size,
        "segment": [f"bench-{first}"] * size,
        "sequence": list(range(1, size + 1)),
        "sender_lfdi": [None] * size,
        "body_removed_at": [None] * size,
    }
    return MESSAGES.conform(pl.DataFrame(columns, schema=MESSAGES.frame_schema()))


@contextlib.contextmanager
def campus(**overrides: str) -> Iterator[config.Settings]:
    """A data directory for the configured campus, named by the environment, gone at the end with what it changed here."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="gridtokenx-bench-") as directory:
        os.environ.update({"GRIDTOKENX_DATA": directory, "DAGSTER_HOME": str(Path(directory) / "dagster"), **overrides})
        try:
            yield config.load()
        finally:
            clock.set_clock(clock.system_clock)
            os.environ.clear()
            os.environ.update(before)


def _ids(settings: config.Settings) -> list[str]:
    return [meter.id for meter in settings.meters]

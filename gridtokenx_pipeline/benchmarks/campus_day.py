"""The configured campus for the benchmarks of the line: its messages, and a data directory that is gone at the end."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from gridtokenx_pipeline import clock, config

from . import fleet_messages
from .fleet_messages import START

__all__ = ["START", "campus", "frame"]


def frame(settings: config.Settings, first: int, count: int, *, declared: bool = False) -> pl.DataFrame:
    """Return raw.messages of `count` intervals from the number `first` on (0 begins at `START`); `declared`: and declarations."""
    meters = [meter.id for meter in settings.meters]
    posts = fleet_messages.posts(meters, first, count, settings.zone)
    return pl.concat([fleet_messages.declarations(meters, settings.zone), posts]) if declared else posts


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

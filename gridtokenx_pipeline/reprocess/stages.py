"""The stages whose hours can be derived again, as the assets derive them: which tables, and from where to where."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping

from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.contracts import Table, core
from gridtokenx_pipeline.warehouse import Warehouse

READINGS, ENERGY, ALL = "readings", "energy", "all"
STAGES = (READINGS, ENERGY, ALL)
# Of which job a stage is, in the live pipeline.
JOBS: Mapping[str, str] = {READINGS: "intake", ENERGY: "energy", ALL: "tick"}
# The steps that take a meter.
SCOPED: Mapping[str, tuple[str, ...]] = {
    READINGS: ("validate_readings",),
    ENERGY: ("examine_intervals", "aggregate_energy"),
    ALL: ("validate_readings", "examine_intervals", "aggregate_energy"),
}

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)

Window = tuple[dt.datetime, dt.datetime]
Work = Callable[[Warehouse], None]


def tables(stage: str) -> tuple[Table, ...]:
    """Return the tables of a stage, in the order of the line."""
    from gridtokenx_pipeline.defs.readings.assets import TABLES as RECEIPT

    event = (core.VEE_EXCEPTIONS, core.ESTIMATES, core.METER_HOURS, *core.energy.TABLES)
    return {READINGS: tuple(RECEIPT), ENERGY: event, ALL: (*RECEIPT, *event)}[stage]


def windows(stage: str, start: dt.datetime, end: dt.datetime) -> dict[Table, Window]:
    """Return the window of each table that hours `start` to `end` (exclusive) fill: whole days for a table of days."""
    return {table: days_around(start, end) if table is core.ENERGY_1D else (start, end) for table in tables(stage)}


def days_around(start: dt.datetime, end: dt.datetime) -> Window:
    """Return the days (UTC) that hold `start` to `end`."""
    first, last = (moment.replace(hour=0, minute=0, second=0, microsecond=0) for moment in (start, end))
    return first, last if last == end else last + DAY


def days(start: dt.datetime, end: dt.datetime) -> Iterator[Window]:
    """Cut hours at midnights (UTC), as a run of the stages does."""
    while start < end:
        midnight = start.replace(hour=0, minute=0, second=0, microsecond=0) + DAY
        yield start, min(midnight, end)
        start = midnight


def work(
    settings: Settings, stage: str, start: dt.datetime, end: dt.datetime, meter: str = ""
) -> Iterator[tuple[dt.datetime, Work]]:
    """Yield the pieces of work that derive a stage's hours, in order, each with the first hour it is of."""
    if stage in (READINGS, ALL):
        hour = start
        while hour < end:
            yield hour, _receipt(settings, hour, meter)
            hour += HOUR
    if stage in (ENERGY, ALL):
        for first, last in days(start, end):
            yield first, _event(settings, first, last, meter)


def _receipt(settings: Settings, hour: dt.datetime, meter: str) -> Work:
    from gridtokenx_pipeline.defs.readings.assets import validate_hour

    def run(warehouse: Warehouse) -> None:
        # A run of all meters does not name one.
        validate_hour(warehouse, settings, hour, hour + HOUR, *([meter] if meter else []))

    return run


def _event(settings: Settings, first: dt.datetime, last: dt.datetime, meter: str) -> Work:
    from gridtokenx_pipeline.defs.energy.derive import derive_energy, energy_replacements
    from gridtokenx_pipeline.defs.vee.derive import derive_intervals, replacements

    def run(warehouse: Warehouse) -> None:
        warehouse.commit(*replacements(derive_intervals(warehouse, settings, first, last), first, last, meter))
        warehouse.commit(*energy_replacements(derive_energy(warehouse, settings, first, last), first, last, meter))

    return run

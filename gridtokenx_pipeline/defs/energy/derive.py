"""From what is stored to the frames of energy: read readings, findings, estimates and edits, call the pure functions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.contracts import Table, core
from gridtokenx_pipeline.domain import aggregate
from gridtokenx_pipeline.domain.effective import effective
from gridtokenx_pipeline.domain.revisions import revisions
from gridtokenx_pipeline.warehouse import Replace, Warehouse

from ..vee.context import DAY, gather, surroundings, within
from ..vee.derive import examine, replacements

TABLES = core.energy.TABLES


def derive_energy(warehouse: Warehouse, settings: Settings, start: dt.datetime, end: dt.datetime) -> dict[Table, pl.DataFrame]:
    """Return the frames of `TABLES` for event hours of one day (UTC), of all meters; that of `core.energy_1d` for the whole day."""
    bounds = (start, end)
    exceptions, estimates, edits = (
        warehouse.read(table, "interval_start >= ? AND interval_start < ?", bounds)
        for table in (core.VEE_EXCEPTIONS, core.ESTIMATES, core.EDITS)
    )
    readings = surroundings(warehouse, settings, start, end)
    frames = aggregate.levels(effective(within(readings, start, end), edits, exceptions, estimates))
    return {
        **frames,
        core.ENERGY_1D: _day(warehouse, frames[core.ENERGY_1H], start, end),
        core.REVISIONS: revisions(
            readings,
            edits,
            estimates,
            frames[core.ENERGY_5MIN],
            _Past(warehouse, settings),
            start=start,
            end=end,
            watermark_s=settings.vee.watermark_s,
        ),
    }


def known_energy(
    warehouse: Warehouse, settings: Settings, start: dt.datetime, end: dt.datetime, at: dt.datetime
) -> dict[Table, pl.DataFrame]:
    """Return core.energy_15s to _1h of event hours of one day (UTC) as they follow from what was received and edited until `at`."""
    context = gather(warehouse, settings, start, end, known_at=at)
    exceptions, estimates = examine(context, settings, start, end)
    return aggregate.levels(
        effective(within(context.readings, start, end), within(context.edits, start, end), exceptions, estimates)
    )


@dataclass(frozen=True)
class _Past:
    """Energy as it followed from readings and edits at an earlier moment (`domain.revisions.EnergyOf`)."""

    warehouse: Warehouse
    settings: Settings

    def __call__(
        self, readings: pl.DataFrame, edits: pl.DataFrame, at: dt.datetime, start: dt.datetime, end: dt.datetime
    ) -> pl.DataFrame:
        return known_energy(self.warehouse, self.settings, start, end, at)[core.ENERGY_5MIN]


def _day(warehouse: Warehouse, hours: pl.DataFrame, start: dt.datetime, end: dt.datetime) -> pl.DataFrame:
    """The day of `start` from its hours: those of the window, and the others as they are stored."""
    others = warehouse.read(
        core.ENERGY_1H,
        "interval_start >= ? AND interval_start < ? AND (interval_start < ? OR interval_start >= ?)",
        (*_day_of(start), start, end),
    )
    return aggregate.days(pl.concat([others, hours]))


def energy_replacements(
    frames: Mapping[Table, pl.DataFrame], start: dt.datetime, end: dt.datetime, meter_id: str = ""
) -> list[Replace]:
    """Return the changes that put frames of `derive_energy` in the place of the window's rows: of one meter where one is named."""
    hourly = {table: frame for table, frame in frames.items() if table is not core.ENERGY_1D}
    daily = {core.ENERGY_1D: frames[core.ENERGY_1D]}
    return [*replacements(hourly, start, end, meter_id), *replacements(daily, *_day_of(start), meter_id)]


def days_around(start: dt.datetime, end: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
    """Return the whole days (UTC) that hold `start` to `end` (exclusive)."""
    return _day_of(start)[0], _day_of(end - dt.timedelta(microseconds=1))[1]


def _day_of(moment: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight, midnight + DAY

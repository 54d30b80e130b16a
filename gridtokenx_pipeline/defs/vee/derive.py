"""From what is stored to the event stage's frames: read the context, call the pure functions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import polars as pl

from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.contracts import Table, core
from gridtokenx_pipeline.domain import validation
from gridtokenx_pipeline.domain.estimation import estimate
from gridtokenx_pipeline.ratings import meters_frame
from gridtokenx_pipeline.warehouse import Replace, Warehouse

from .context import Context, gather, within

TABLES = (core.VEE_EXCEPTIONS, core.ESTIMATES, core.METER_HOURS)


def derive_intervals(
    warehouse: Warehouse, settings: Settings, start: dt.datetime, end: dt.datetime, *, known_at: dt.datetime | None = None
) -> dict[Table, pl.DataFrame]:
    """Return the frames of `TABLES` for event hours of one day (UTC), of all meters.

    They depend on readings, edits and configuration alone. With `known_at`, on what had been received and edited by then.
    """
    context = gather(warehouse, settings, start, end, known_at=known_at)
    exceptions, estimates = examine(context, settings, start, end)
    hours = validation.meter_hours(evidence(context, settings, start, end), exceptions, estimates)
    return {core.VEE_EXCEPTIONS: exceptions, core.ESTIMATES: estimates, core.METER_HOURS: hours}


def examine(context: Context, settings: Settings, start: dt.datetime, end: dt.datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the frames of core.vee_exceptions and core.estimates of event hours that `context` was gathered for."""
    given = evidence(context, settings, start, end)
    exceptions = validation.examine(given)
    estimates = estimate(
        context.readings,
        context.edits,
        exceptions,
        given.meters,
        start=start,
        end=end,
        closed_before=context.closed_before,
        history=context.history,
        timezone=settings.site.timezone,
        market_interval_s=settings.market.interval_s,
    )
    return exceptions, estimates


def replacements(frames: Mapping[Table, pl.DataFrame], start: dt.datetime, end: dt.datetime, meter_id: str = "") -> list[Replace]:
    """Return the changes that put frames in the place of the window's rows: of one meter where one is named."""
    if not meter_id:
        return [Replace(table, frame, start, end) for table, frame in frames.items()]
    name = meter_id.replace("'", "''")
    return [
        Replace(table, frame.filter(pl.col("meter_id") == meter_id), start, end, f"meter_id = '{name}'")
        for table, frame in frames.items()
    ]


def evidence(context: Context, settings: Settings, start: dt.datetime, end: dt.datetime) -> validation.Evidence:
    """Return what the checks of event hours look at."""
    site = settings.site
    return validation.Evidence(
        readings=context.readings,
        rejected=context.rejected,
        edits=within(context.edits, start, end),
        meters=meters_frame(settings),
        history=context.history,
        last_seen=context.last_seen,
        zone=settings.zone,
        site=validation.Site(site.latitude, site.longitude, site.altitude_m, site.timezone),
        start=start,
        end=end,
        closed_before=context.closed_before,
        watermark_s=settings.vee.watermark_s,
    )

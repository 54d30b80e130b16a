"""`core.vee_exceptions`, `core.estimates`, `core.meter_hours`: accepted readings examined with everything around them."""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import polars as pl

from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.contracts import Table, core
from gridtokenx_pipeline.domain import validation
from gridtokenx_pipeline.domain.estimation import estimate
from gridtokenx_pipeline.ratings import meters_frame
from gridtokenx_pipeline.warehouse import Replace, Warehouse

from ..partitions import HOURS, window
from ..plots import completeness_table
from ..resources import Stores
from ..scope import Scope
from ..specs import result, spec, stage
from .context import Context, days, gather

TABLES = (core.VEE_EXCEPTIONS, core.ESTIMATES, core.METER_HOURS)


@stage(
    "examine_intervals",
    [spec(table, [core.READINGS, core.REJECTED_READINGS, core.EDITS], partitions_def=HOURS) for table in TABLES],
)
def examine_intervals(context: dg.AssetExecutionContext, config: Scope, stores: Stores) -> Iterator[dg.MaterializeResult]:
    """Run the checks that need a meter's neighbours in time and space, and estimate what is missing, day after day."""
    start, end = window(context)
    rows, changed = dict.fromkeys(TABLES, 0), dict.fromkeys(TABLES, False)
    for first, last in days(start, end):
        derived = derive_intervals(stores.warehouse, stores.settings, first, last)
        for table, done in zip(TABLES, stores.warehouse.commit(*replacements(derived, first, last, config.meter)), strict=True):
            rows[table] += done.rows
            changed[table] |= done.changed
    found = stores.warehouse.query(
        "SELECT code, count(*) FROM core.vee_exceptions WHERE interval_start >= ? AND interval_start < ? GROUP BY code ORDER BY code",
        (start, end),
    )
    estimated = stores.warehouse.query(
        "SELECT method, count(*) FROM core.estimates WHERE interval_start >= ? AND interval_start < ? GROUP BY method ORDER BY method",
        (start, end),
    )
    codes, methods = dict(found.iter_rows()), dict(estimated.iter_rows())
    context.log.info("findings: %s; estimates: %s", codes or "none", methods or "none")
    table = completeness_table(stores.warehouse.read_window(core.METER_HOURS, start, end))
    more: dict[Table, dict[str, Any]] = {
        core.VEE_EXCEPTIONS: {"by_code": codes},
        core.ESTIMATES: {"by_method": methods},
        core.METER_HOURS: {"completeness": dg.MetadataValue.md(table)},
    }
    for table in TABLES:
        yield result(table, rows[table], changed[table], **more[table])


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
        edits=context.edits,
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

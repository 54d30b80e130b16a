"""`core.readings` and its companions: every reading of every message parsed, validated, and accounted for."""

import datetime as dt
from collections.abc import Iterator

import dagster as dg
import polars as pl

from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.contracts import core, raw
from gridtokenx_pipeline.domain import vee
from gridtokenx_pipeline.domain.legacy.feeds import Feed, Feeds
from gridtokenx_pipeline.domain.legacy.parse import parse_landed
from gridtokenx_pipeline.warehouse import Replace, Warehouse, Written

from .. import watermarks
from ..partitions import HOUR, HOURS, SINGLE_RUN, window
from ..resources import Stores
from ..specs import WAREHOUSE_POOL, result, spec

TABLES = (core.READING_TYPES, core.READINGS, core.REJECTED_READINGS, core.TELEMETRY, core.MESSAGE_OUTCOMES)


@dg.multi_asset(
    name="validate_readings",
    specs=[spec(table, [raw.MESSAGES], partitions_def=HOURS) for table in TABLES],
    partitions_def=HOURS,
    backfill_policy=SINGLE_RUN,
    pool=WAREHOUSE_POOL,
)
def validate_readings(context: dg.AssetExecutionContext, stores: Stores) -> Iterator[dg.MaterializeResult]:
    """Parse and validate the messages of the receipt hours, hour after hour, each knowing what came before it."""
    start, end = window(context)
    # Before the messages are read: what lands afterwards is for the next run.
    zone = stores.settings.zone
    landed = watermarks.complete_until(stores.warehouse, zone, watermarks.LANDING)
    before = watermarks.complete_until(stores.warehouse, zone, watermarks.READINGS)
    rows = dict.fromkeys(TABLES, 0)
    changed = dict.fromkeys(TABLES, False)
    for hour in _hours_with_messages(stores.warehouse, start, end):
        for table, done in zip(TABLES, validate_hour(stores.warehouse, stores.settings, hour, hour + HOUR), strict=True):
            rows[table] += done.rows
            changed[table] |= done.changed
    if landed is not None:
        gap = _unread(stores.warehouse, start)
        stores.warehouse.commit(watermarks.advance(zone, watermarks.READINGS, before, min(landed, end), gap=gap))
    reasons = dict(
        stores.warehouse.query(
            "SELECT reason, sum(parts)::BIGINT FROM core.rejected_readings WHERE received_at >= ? AND received_at < ? GROUP BY reason ORDER BY reason",
            (start, end),
        ).iter_rows()
    )
    context.log.info("accepted %d rows, rejected %d: %s", rows[core.READINGS], rows[core.REJECTED_READINGS], reasons or "none")
    for table in TABLES:
        yield result(
            table, rows[table], changed[table], **({"rejected_by_reason": reasons} if table is core.REJECTED_READINGS else {})
        )


def validate_hour(warehouse: Warehouse, settings: Settings, start: dt.datetime, end: dt.datetime) -> list[Written]:
    """Replace one receipt hour of the readings' tables.

    The result depends on raw messages alone: those of the hour, and what the hours before it made.
    """
    parsed = parse_landed(warehouse.read_window(raw.MESSAGES, start, end), legacy_feeds(settings))
    validated = vee.validate(
        parsed,
        known_types=_known_types(warehouse, start),
        prior=_prior(warehouse, parsed.wire, start),
        meters=meters_frame(settings),
        rules=rules(settings),
    )
    frames = (parsed.reading_types, validated.readings, validated.rejected, validated.telemetry, validated.outcomes)
    return warehouse.commit(*(Replace(table, frame, start, end) for table, frame in zip(TABLES, frames, strict=True)))


def _unread(warehouse: Warehouse, before: dt.datetime) -> bool:
    """Whether a message received before the run's hours was never parsed."""
    return warehouse.query(
        "SELECT count(*) > 0 FROM raw.messages ANTI JOIN core.message_outcomes USING (message_id) WHERE raw.messages.received_at < ?",
        (before,),
    ).item()


def _hours_with_messages(warehouse: Warehouse, start: dt.datetime, end: dt.datetime) -> list[dt.datetime]:
    """The hours that have messages, or outcomes of messages; an outage or a quiet night costs nothing."""
    hours = warehouse.query(
        "SELECT DISTINCT date_trunc('hour', received_at) AS hour FROM ("
        "SELECT received_at FROM raw.messages UNION ALL SELECT received_at FROM core.message_outcomes"
        ") WHERE received_at >= ? AND received_at < ? ORDER BY hour",
        (start, end),
    )
    return hours["hour"].to_list()


def rules(settings: Settings) -> vee.Rules:
    """Return the validation thresholds of the settings."""
    bounds = settings.vee.thresholds("")
    return vee.Rules(
        future_tolerance_s=settings.vee.future_tolerance_s,
        bound_factor=bounds.bound_factor,
        load_bound_factor=bounds.load_bound_factor,
        interval_s=settings.metering.interval_s,
    )


def legacy_feeds(settings: Settings) -> Feeds:
    """Return what the settings say about the gateway's feeds, and which meters have a battery."""
    feeds = (Feed(**{**feed.model_dump(), "meters": frozenset(feed.meters)}) for feed in settings.gateway.feeds)
    return Feeds(tuple(feeds), frozenset(meter.id for meter in settings.meters if meter.battery_kwh))


def meters_frame(settings: Settings) -> pl.DataFrame:
    """Return meter_id, rated_kw, battery_kwh and baseline_kw of the configured meters."""
    return pl.DataFrame(
        [(m.id, m.rated_kw, m.battery_kwh, m.baseline_kw) for m in settings.meters],
        schema={"meter_id": pl.String, "rated_kw": pl.Int32, "battery_kwh": pl.Int32, "baseline_kw": pl.Int32},
        orient="row",
    )


def _known_types(warehouse: Warehouse, before: dt.datetime) -> pl.DataFrame:
    """The latest declaration of every reading type received before the hour."""
    return warehouse.read(
        core.READING_TYPES,
        "received_at < ? QUALIFY row_number() OVER (PARTITION BY device_lfdi, mmr_mrid ORDER BY received_at DESC, message_id DESC) = 1",
        (before,),
    )


def _prior(warehouse: Warehouse, wire: pl.DataFrame, before: dt.datetime) -> pl.DataFrame:
    """Accepted readings of earlier receipts that share the span of `wire`, and the last register of each channel before it."""
    if wire.is_empty() or wire["start"].null_count() == len(wire):
        return core.READINGS.empty()
    first, last = wire["start"].min(), wire["start"].max()
    margin = dt.timedelta(days=1)
    shared = warehouse.read(
        core.READINGS,
        "received_at < ? AND interval_start >= ? AND interval_start <= ?",
        (before, first - margin, last),  # type: ignore[operator]
    )
    latest = warehouse.read(
        core.READINGS,
        "received_at < ? AND interval_start < ? AND register_wh IS NOT NULL "
        "QUALIFY row_number() OVER (PARTITION BY meter_id, channel ORDER BY interval_start DESC, version DESC) = 1",
        (before, first - margin),  # type: ignore[operator]
    )
    return pl.concat([latest, shared])

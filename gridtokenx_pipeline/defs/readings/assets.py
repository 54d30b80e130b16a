"""`core.readings` and its companions: every reading of every message parsed, validated, and accounted for."""

import datetime as dt
from collections.abc import Iterator

import dagster as dg
import polars as pl

from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.contracts import Table, core, raw
from gridtokenx_pipeline.domain import vee
from gridtokenx_pipeline.domain.legacy.feeds import Feed, Feeds
from gridtokenx_pipeline.domain.legacy.parse import parse_landed
from gridtokenx_pipeline.privacy import removed
from gridtokenx_pipeline.ratings import meters_frame
from gridtokenx_pipeline.warehouse import Replace, Warehouse, Written

from .. import watermarks
from ..partitions import HOUR, HOURS, window
from ..plots import rejects_table
from ..resources import Stores
from ..scope import Scope
from ..specs import result, spec, stage
from . import history

TABLES = (*core.readings.TABLES, *core.documents.TABLES)
# Hours are taken together up to a day or so many messages, which together need less than 3 GB.
CHUNK = dt.timedelta(days=1)
CHUNK_MESSAGES = 200_000

_COUNTS = """
SELECT date_trunc('hour', received_at) AS hour, count(*) FILTER (landed) AS messages FROM (
    SELECT received_at, true AS landed FROM raw.messages WHERE received_at >= $1 AND received_at < $2 UNION ALL
    SELECT received_at, false FROM core.message_outcomes WHERE received_at >= $1 AND received_at < $2
) GROUP BY hour ORDER BY hour
"""
_ENDED = """
SELECT count(*) AS messages, coalesce(sum(accepted), 0)::BIGINT AS accepted, coalesce(sum(rejected), 0)::BIGINT AS rejected,
    coalesce(sum(telemetry), 0)::BIGINT AS telemetry
FROM core.message_outcomes WHERE received_at >= ? AND received_at < ?
"""
_REASONS = """
SELECT reason, sum(parts)::BIGINT FROM core.rejected_readings WHERE received_at >= ? AND received_at < ? GROUP BY reason ORDER BY reason
"""
_FINDINGS = """
SELECT code, count(*) FROM (
    SELECT unnest(string_split(findings, ',')) AS code FROM core.readings
    WHERE received_at >= ? AND received_at < ? AND findings IS NOT NULL
) GROUP BY code ORDER BY code
"""


@stage("validate_readings", [spec(table, [raw.MESSAGES], partitions_def=HOURS) for table in TABLES])
def validate_readings(context: dg.AssetExecutionContext, config: Scope, stores: Stores) -> Iterator[dg.MaterializeResult]:
    """Parse and validate the messages of the receipt hours, each knowing what came before it."""
    start, end = window(context)
    # Before the messages are read: what lands afterwards is for the next run.
    zone = stores.settings.zone
    landed = watermarks.complete_until(stores.warehouse, zone, watermarks.LANDING)
    before = watermarks.complete_until(stores.warehouse, zone, watermarks.READINGS)
    rows = dict.fromkeys(TABLES, 0)
    changed = dict.fromkeys(TABLES, False)
    for first, last, messages in _chunks(stores.warehouse, start, end):
        meter = config.meter
        if meter and _of_several_meters(stores.warehouse, first, last):
            context.log.info("a message from %s to %s is of several meters: all meters are validated again", first, last)
            meter = ""
        written = validate_hour(stores.warehouse, stores.settings, first, last, meter)
        for table, done in zip(TABLES, written, strict=True):
            rows[table] += done.rows
            changed[table] |= done.changed
        counts = dict(zip((table.name for table in TABLES), (done.rows for done in written), strict=True))
        context.log.info("received %s to %s: %d messages; rows: %s", first, last, messages, counts)
    if landed is not None and not config.meter:
        gap = _unread(stores.warehouse, start)
        stores.warehouse.commit(watermarks.advance(zone, watermarks.READINGS, before, min(landed, end), gap=gap))
    ended = stores.warehouse.query(_ENDED, (start, end)).row(0, named=True)
    reasons, codes = (dict(stores.warehouse.query(sql, (start, end)).iter_rows()) for sql in (_REASONS, _FINDINGS))
    context.log.info("readings: %s; refused: %s; findings: %s", ended, reasons or "none", codes or "none")
    more: dict[Table, dict[str, object]] = {
        core.READINGS: {"findings_by_code": codes},
        core.REJECTED_READINGS: {"rejected_by_reason": reasons, "rejects": dg.MetadataValue.md(rejects_table(reasons))},
        core.MESSAGE_OUTCOMES: ended,
    }
    for table in TABLES:
        yield result(table, rows[table], changed[table], **more.get(table, {}))


def validate_hour(
    warehouse: Warehouse, settings: Settings, start: dt.datetime, end: dt.datetime, meter_id: str | None = None
) -> list[Written]:
    """Replace receipt hours of the tables `TABLES`; return what was done to each.

    The result depends on raw messages alone: those of the hours, and what the hours before made; it is the same whether hours are
    taken one by one or together. With a meter, only the rows of messages of that meter alone are replaced; messages of several
    meters (those of the gateway whose meter_id is empty) are neither read nor is what they made, so that hours with such messages
    need all meters.
    """
    where, rows_of = "true", "true"
    parameters: tuple[str, ...] = ()
    if meter_id:
        name = meter_id.replace("'", "''")
        where, parameters = "meter_id = ?", (meter_id,)
        bounds = f"received_at >= TIMESTAMPTZ '{start.isoformat()}' AND received_at < TIMESTAMPTZ '{end.isoformat()}'"
        rows_of = f"message_id IN (SELECT message_id FROM raw.messages WHERE meter_id = '{name}' AND {bounds})"
    messages = warehouse.read(raw.MESSAGES, f"received_at >= ? AND received_at < ? AND {where}", (start, end, *parameters))
    # What was derived from messages whose body retention or erasure has removed stands as it is.
    bodiless = messages.filter(pl.col("body_removed_at").is_not_null())["message_id"]
    kept = removed.carried(warehouse, core.READINGS, core.READINGS.empty(), bodiless, start, end)
    parsed = parse_landed(messages.filter(pl.col("body_removed_at").is_null()), legacy_feeds(settings))
    types = history.known_types(warehouse, parsed.wire, parsed.reading_types, start, end, settings.vee.late_type_s)
    every_type = pl.concat([types, parsed.reading_types])
    validated = vee.validate(
        parsed,
        known_types=types,
        prior=pl.concat([history.prior(warehouse, parsed.wire, every_type, start), kept]),
        meters=meters_frame(settings),
        rules=rules(settings),
        refused=history.refused_registers(warehouse, parsed.wire, every_type, start),
    )
    frames = {
        core.READING_TYPES: parsed.reading_types,
        core.READINGS: validated.readings,
        core.REJECTED_READINGS: validated.rejected,
        core.TELEMETRY: validated.telemetry,
        core.MESSAGE_OUTCOMES: validated.outcomes,
        core.DER_DOCUMENTS: parsed.der_documents,
        core.FLOW_RESERVATIONS: parsed.flow_reservations,
        core.RESPONSES: parsed.responses,
        core.LOG_EVENTS: parsed.log_events,
        core.P2P_DOCUMENTS: parsed.p2p_documents,
    }
    frames = {table: removed.carried(warehouse, table, frame, bodiless, start, end) for table, frame in frames.items()}
    return warehouse.commit(*(Replace(table, frames[table], start, end, rows_of) for table in TABLES))


def _chunks(warehouse: Warehouse, start: dt.datetime, end: dt.datetime) -> Iterator[tuple[dt.datetime, dt.datetime, int]]:
    """Yield start, end and number of messages of what is validated at once, of the hours that have messages or had.

    An outage or a quiet night costs nothing.
    """
    first, last, messages = None, start, 0
    for hour, count in warehouse.query(_COUNTS, (start, end)).iter_rows():
        if first is not None and (hour + HOUR - first > CHUNK or messages + count > CHUNK_MESSAGES):
            yield first, last, messages
            first, messages = None, 0
        first, last, messages = first or hour, hour + HOUR, messages + count
    if first is not None:
        yield first, last, messages


def _of_several_meters(warehouse: Warehouse, start: dt.datetime, end: dt.datetime) -> bool:
    return warehouse.query(
        "SELECT count(*) > 0 FROM raw.messages WHERE received_at >= ? AND received_at < ? AND meter_id = ''", (start, end)
    ).item()


def _unread(warehouse: Warehouse, before: dt.datetime) -> bool:
    """Whether a message received before the run's hours was never parsed."""
    return warehouse.query(
        "SELECT count(*) > 0 FROM raw.messages ANTI JOIN core.message_outcomes USING (message_id) WHERE raw.messages.received_at < ?",
        (before,),
    ).item()


def rules(settings: Settings) -> vee.Rules:
    """Return the rules of validation that are not per meter."""
    return vee.Rules(
        future_tolerance_s=settings.vee.future_tolerance_s,
        interval_s=settings.metering.interval_s,
        late_type_s=settings.vee.late_type_s,
    )


def legacy_feeds(settings: Settings) -> Feeds:
    """Return what the settings say about the gateway's feeds, and which meters have a battery."""
    feeds = (Feed(**{**feed.model_dump(), "meters": frozenset(feed.meters)}) for feed in settings.gateway.feeds)
    return Feeds(tuple(feeds), frozenset(meter.id for meter in settings.meters if meter.battery_kwh))

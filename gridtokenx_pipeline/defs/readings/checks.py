"""Nothing is lost between a message and the tables it ends in."""

import datetime as dt

import dagster as dg

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.contracts import core

from ..checks import hourly_check
from ..quality import gx_check
from ..resources import Stores

ACCOUNTING = """
WITH window_messages AS (SELECT message_id, body_removed_at IS NOT NULL AS removed FROM raw.messages WHERE received_at >= $start AND received_at < $end),
outcomes AS (SELECT * FROM core.message_outcomes WHERE received_at >= $start AND received_at < $end),
accepted AS (SELECT message_id, sum(parts) AS parts FROM core.readings WHERE received_at >= $start AND received_at < $end GROUP BY 1),
rejected AS (SELECT message_id, sum(parts) AS parts FROM core.rejected_readings WHERE received_at >= $start AND received_at < $end GROUP BY 1),
telemetry AS (SELECT message_id, count(*) AS parts FROM core.telemetry WHERE received_at >= $start AND received_at < $end GROUP BY 1)
SELECT
    (SELECT count(*) FROM window_messages) AS messages,
    (SELECT count(*) FROM window_messages ANTI JOIN outcomes USING (message_id)) AS messages_without_outcome,
    (SELECT count(*) FROM outcomes ANTI JOIN window_messages USING (message_id)) AS outcomes_without_message,
    count(*) FILTER (WHERE readings_total = 0) AS messages_without_readings,
    coalesce(sum(o.readings_total), 0)::BIGINT AS readings,
    coalesce(sum(o.accepted), 0)::BIGINT AS accepted,
    coalesce(sum(o.rejected), 0)::BIGINT AS rejected,
    coalesce(sum(o.telemetry), 0)::BIGINT AS telemetry,
    count(*) FILTER (
        WHERE o.readings_total <> o.accepted + o.rejected + o.telemetry
        OR ($readings_kept AND o.accepted <> coalesce(a.parts, 0)) OR ($rejected_kept AND o.rejected <> coalesce(r.parts, 0))
        -- Erasure removes telemetry with the body.
        OR ($telemetry_kept AND NOT coalesce(m.removed, false) AND o.telemetry <> coalesce(t.parts, 0))
    ) AS messages_not_adding_up
FROM outcomes AS o
LEFT JOIN accepted AS a USING (message_id)
LEFT JOIN rejected AS r USING (message_id)
LEFT JOIN telemetry AS t USING (message_id)
LEFT JOIN window_messages AS m USING (message_id)
"""


@hourly_check(
    core.READINGS,
    also=[core.REJECTED_READINGS, core.TELEMETRY, core.MESSAGE_OUTCOMES],
    blocking=True,
    description="Every reading of every message is accepted, rejected or telemetry, and every message is accounted for.",
)
def every_reading_accounted_for(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Count on both sides, message by message; what retention has removed of an hour is not compared."""
    sql = ACCOUNTING.replace("$start", f"TIMESTAMPTZ '{start.isoformat()}'").replace("$end", f"TIMESTAMPTZ '{end.isoformat()}'")
    for what in ("readings", "rejected", "telemetry"):
        days = getattr(stores.settings.retention, f"{what}_days")
        # A day of margin: retention counts whole days.
        kept = not days or start >= clock.now() - dt.timedelta(days=days - 1)
        sql = sql.replace(f"${what}_kept", str(kept).lower())
    counts = stores.warehouse.query(sql).row(0, named=True)
    wrong = counts["messages_without_outcome"] + counts["outcomes_without_message"] + counts["messages_not_adding_up"]
    return dg.AssetCheckResult(passed=wrong == 0, metadata=counts)


gx_reading_types = gx_check(core.READING_TYPES)
gx_readings = gx_check(core.READINGS, blocking=True)
gx_rejected_readings = gx_check(core.REJECTED_READINGS)
gx_telemetry = gx_check(core.TELEMETRY)
gx_message_outcomes = gx_check(core.MESSAGE_OUTCOMES, blocking=True)
gx_der_documents = gx_check(core.DER_DOCUMENTS)

SUITES = [gx_reading_types, gx_readings, gx_rejected_readings, gx_telemetry, gx_message_outcomes]

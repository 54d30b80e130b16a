"""Late readings re-open exactly the event hours they touched."""

import datetime as dt
from collections.abc import Iterator

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from gridtokenx_pipeline.warehouse import Warehouse, WarehouseMissing

from .partitions import hour_key
from .resources import Stores

TOUCHED = """
SELECT date_trunc('hour', interval_start) AS event_hour, max(received_at) AS latest
FROM core.readings
WHERE received_at > ? AND date_trunc('hour', interval_start) < date_trunc('hour', received_at) - INTERVAL 1 HOUR
GROUP BY event_hour ORDER BY event_hour
"""


def build_sensors(jobs: dict[str, UnresolvedAssetJobDefinition]) -> list[dg.SensorDefinition]:
    """Return the sensors."""

    @dg.sensor(job=jobs["settle"], minimum_interval_seconds=60)
    def late_readings(context: dg.SensorEvaluationContext, stores: Stores) -> Iterator[dg.RunRequest | dg.SkipReason]:
        """Request the event hours that readings received since the last look belong to, where the tick does not cover them.

        The cursor is the receipt time of the newest late reading seen.
        """
        since = dt.datetime.fromisoformat(context.cursor) if context.cursor else dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        try:
            with Warehouse(stores.settings.warehouse_dir, read_only=True) as warehouse:
                touched = warehouse.query(TOUCHED, (since,))
        except WarehouseMissing as missing:
            yield dg.SkipReason(str(missing))
            return
        if touched.is_empty():
            yield dg.SkipReason("no late readings")
            return
        latest: dt.datetime = touched["latest"].max()  # type: ignore[assignment]
        for hour, received in touched.iter_rows():
            yield dg.RunRequest(run_key=f"late-{hour_key(hour)}-{received.isoformat()}", partition_key=hour_key(hour))
        context.update_cursor(latest.isoformat())

    return [late_readings]

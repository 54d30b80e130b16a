"""`core.meters`: the configured meters and the devices that stand for them."""

import dagster as dg
import polars as pl

from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.warehouse import Replace

from ..partitions import DAYS, SINGLE_RUN
from ..resources import Stores
from ..specs import WAREHOUSE_POOL, result, spec


# Partitioned like the marts, whose job it belongs to: a job has one kind of partition.
@dg.multi_asset(
    name="list_meters",
    specs=[spec(core.METERS, partitions_def=DAYS)],
    partitions_def=DAYS,
    backfill_policy=SINGLE_RUN,
    pool=WAREHOUSE_POOL,
)
def list_meters(stores: Stores) -> dg.MaterializeResult:
    """Join the configuration with the device registry; of several devices of a meter the active, latest one counts."""
    devices = sorted(
        stores.registry.devices(),
        key=lambda d: (d.status == "active", d.registered_at is not None and d.registered_at.timestamp()),
    )
    current = {device.meter_id: device for device in devices}
    rows = []
    for meter in stores.settings.meters:
        device = current.get(meter.id)
        rows.append(
            {
                "zone": stores.settings.zone,
                "meter_id": meter.id,
                "building": meter.building,
                "building_type": meter.building_type,
                "rated_kw": meter.rated_kw,
                "battery_kwh": meter.battery_kwh,
                "baseline_kw": meter.baseline_kw,
                "device_lfdi": device.lfdi if device else None,
                "device_status": device.status if device else None,
            }
        )
    frame = pl.DataFrame(rows, schema=core.METERS.frame_schema())
    (written,) = stores.warehouse.commit(Replace(core.METERS, frame))
    return result(core.METERS, written.rows, written.changed)

"""`core.meters`: the configured meters and the devices that stand for them."""

import dagster as dg
import polars as pl

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.config import Meter, Settings
from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.privacy.owners import Owners
from gridtokenx_pipeline.ratings import FEEDER
from gridtokenx_pipeline.warehouse import Replace

from ..partitions import DAYS, SINGLE_RUN
from ..resources import Stores
from ..specs import result, spec, stage


# Partitioned like the marts, whose job it belongs to: a job has one kind of partition.
@stage("list_meters", [spec(core.METERS, partitions_def=DAYS)], backfill_policy=SINGLE_RUN)
def list_meters(stores: Stores) -> dg.MaterializeResult:
    """Join the configuration with the device registry and the owners' pseudonyms; the feeder's meter is listed too.

    Of several devices of a meter the active, latest one counts.
    """
    devices = sorted(
        stores.registry.devices(),
        key=lambda d: (d.status == "active", d.registered_at is not None and d.registered_at.timestamp()),
    )
    current = {device.meter_id: device for device in devices}
    owned = _owners(stores.settings)
    rows = []
    for meter in (*stores.settings.meters, *_feeder(stores.settings)):
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
                "owner_ref": owned.get(meter.id),
            }
        )
    frame = pl.DataFrame(rows, schema=core.METERS.frame_schema())
    (written,) = stores.warehouse.commit(Replace(core.METERS, frame))
    return result(core.METERS, written.rows, written.changed)


def _owners(settings: Settings) -> dict[str, str]:
    """The pseudonym of each meter's owner now; names stay where they are."""
    owners = Owners(settings.operational_url)
    owners.create_all()
    try:
        return owners.current(clock.now())
    finally:
        owners.close()


def _feeder(settings: Settings) -> list[Meter]:
    """The meter at the campus's connection, where there is one; its type is no building's."""
    vee = settings.vee
    if not vee.feeder_meter:
        return []
    kw = vee.feeder_kw
    return [
        # Not validated: its type is none that the configuration allows for a building.
        Meter.model_construct(
            id=vee.feeder_meter, building="Feeder", building_type=FEEDER, rated_kw=kw, battery_kwh=0, baseline_kw=kw
        )
    ]

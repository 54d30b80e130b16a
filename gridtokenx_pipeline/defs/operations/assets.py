"""`core.meters`, `certificates.devices` and `market.pairs`: what the configuration registers, with the devices that stand for meters."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.config import Meter, Settings
from gridtokenx_pipeline.contracts import certificates, core, market
from gridtokenx_pipeline.privacy.owners import Owners
from gridtokenx_pipeline.ratings import FEEDER
from gridtokenx_pipeline.registry.registered import devices_frame, pairs_frame
from gridtokenx_pipeline.warehouse import Replace

from ..partitions import DAYS, SINGLE_RUN
from ..resources import Stores
from ..specs import result, spec, stage


# Partitioned like the marts, whose job it belongs to: a job has one kind of partition.
@stage(
    "list_meters",
    [spec(table, partitions_def=DAYS) for table in (core.METERS, certificates.DEVICES, market.PAIRS)],
    backfill_policy=SINGLE_RUN,
)
def list_meters(stores: Stores) -> Iterator[dg.MaterializeResult]:
    """List the meters, their generators as registered for certificates, and the pairs that may trade."""
    frames = (
        (core.METERS, _meters(stores)),
        (certificates.DEVICES, devices_frame(stores.settings)),
        (market.PAIRS, pairs_frame(stores.settings)),
    )
    written = stores.warehouse.commit(*(Replace(table, frame) for table, frame in frames))
    for (table, _), done in zip(frames, written, strict=True):
        yield result(table, done.rows, done.changed)


def _meters(stores: Stores) -> pl.DataFrame:
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
    return pl.DataFrame(rows, schema=core.METERS.frame_schema())


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

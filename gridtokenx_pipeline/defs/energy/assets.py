"""`core.energy_15s`, `core.energy_5min`, `core.energy_15min`: the same energy at three interval lengths."""

from collections.abc import Iterator

import dagster as dg

from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.domain import aggregate
from gridtokenx_pipeline.warehouse import Replace

from ..partitions import HOURS, SINGLE_RUN, window
from ..resources import Stores
from ..specs import WAREHOUSE_POOL, result, spec

LEVELS = ((core.ENERGY_5MIN, 300), (core.ENERGY_15MIN, 900))


@dg.multi_asset(
    name="aggregate_energy",
    specs=[
        spec(core.ENERGY_15S, [core.READINGS], partitions_def=HOURS),
        spec(core.ENERGY_5MIN, [core.READINGS], partitions_def=HOURS),
        spec(core.ENERGY_15MIN, [core.READINGS], partitions_def=HOURS),
    ],
    partitions_def=HOURS,
    backfill_policy=SINGLE_RUN,
    pool=WAREHOUSE_POOL,
)
def aggregate_energy(context: dg.AssetExecutionContext, stores: Stores) -> Iterator[dg.MaterializeResult]:
    """Aggregate the latest version of every reading of the event hours; all three tables change together."""
    start, end = window(context)
    readings = stores.warehouse.read(core.READINGS, "interval_start >= ? AND interval_start < ?", (start, end))
    fine = aggregate.energy_15s(readings)
    frames = [(core.ENERGY_15S, fine), *((table, aggregate.rollup(fine, seconds)) for table, seconds in LEVELS)]
    written = stores.warehouse.commit(*(Replace(table, frame, start, end) for table, frame in frames))
    for (table, frame), done in zip(frames, written, strict=True):
        yield result(table, done.rows, done.changed, meters=frame["meter_id"].n_unique(), readings=len(readings))

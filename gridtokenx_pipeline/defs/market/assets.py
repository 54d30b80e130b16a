"""`market.*`: the energy of closed intervals, cleared. Settled intervals are never computed again."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from gridtokenx_pipeline.contracts import core, market
from gridtokenx_pipeline.domain.market import Rules, Tariff, clear, positions
from gridtokenx_pipeline.warehouse import Replace

from .. import watermarks
from ..energy.participants import participants_energy
from ..partitions import HOURS, window
from ..resources import Stores
from ..specs import result, spec, stage

SETTLED = "settled"


@stage(
    "clear_market",
    [
        spec(market.INTERVALS, [core.ENERGY_5MIN], partitions_def=HOURS),
        spec(market.TRADES, [core.ENERGY_5MIN], partitions_def=HOURS),
        spec(market.GRID_SETTLEMENTS, [core.ENERGY_5MIN], partitions_def=HOURS),
    ],
)
def clear_market(context: dg.AssetExecutionContext, stores: Stores) -> Iterator[dg.MaterializeResult]:
    """Clear every interval of the event hours that is not settled yet."""
    start, end = window(context)
    settings = stores.settings
    energy = participants_energy(stores, start, end)
    before = {
        table: stores.warehouse.read_window(table, start, end)
        for table in (market.INTERVALS, market.TRADES, market.GRID_SETTLEMENTS)
    }
    settled = before[market.INTERVALS].filter(pl.col("state") == SETTLED).select("zone", "interval_start").unique()
    read_until = watermarks.complete_until(stores.warehouse, settings.zone, watermarks.READINGS) or start
    unsettled = energy.join(settled, on=["zone", "interval_start"], how="anti")
    cleared = clear(
        positions(unsettled, settings.market.completeness_min_pct),
        Tariff(
            settings.market.feed_in_micro_per_kwh,
            settings.market.retail_micro_per_kwh,
            settings.market.seller_compensation_micro_per_kwh,
            settings.market.currency,
        ),
        closed_before=read_until,
        rules=Rules(settings.market.max_partners, settings.vee.watermark_s),
    )
    frames = [
        (table, pl.concat([before[table].join(settled, on=["zone", "interval_start"], how="semi"), frame]))
        for table, frame in (
            (market.INTERVALS, cleared.intervals),
            (market.TRADES, cleared.trades),
            (market.GRID_SETTLEMENTS, cleared.grid_settlements),
        )
    ]
    written = stores.warehouse.commit(*(Replace(table, frame, start, end) for table, frame in frames))
    states = dict(frames[0][1].group_by("state").len().iter_rows())
    for (table, _), done in zip(frames, written, strict=True):
        yield result(table, done.rows, done.changed, intervals=states, read_until=read_until.isoformat())

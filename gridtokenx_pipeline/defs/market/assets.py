"""`market.*`: the energy of closed intervals, cleared. What is settled stays; what changed since is corrected by a new version."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl

from gridtokenx_pipeline.contracts import core, market
from gridtokenx_pipeline.domain.market import Rules, clear, positions
from gridtokenx_pipeline.domain.market.campus import campus_balances
from gridtokenx_pipeline.domain.market.corrections import corrections
from gridtokenx_pipeline.warehouse import Replace

from .. import watermarks
from ..energy.participants import campus_energy
from ..partitions import HOURS, window
from ..resources import Stores
from ..specs import result, spec, stage
from .inputs import market_inputs
from .settled import INTERVAL, SETTLED, VERSION, restated_energy, settled_versions
from .summary import summary

__all__ = ["SETTLED", "clear_market"]

_INPUTS = [core.ENERGY_5MIN, *market.INPUTS]


@stage("clear_market", [spec(table, _INPUTS, partitions_def=HOURS) for table in market.SETTLEMENTS])
def clear_market(context: dg.AssetExecutionContext, stores: Stores) -> Iterator[dg.MaterializeResult]:
    """Clear every interval of the event hours that is not settled yet, and correct those whose energy has changed since."""
    start, end = window(context)
    settings = stores.settings
    energy, feeder = campus_energy(stores, start, end)
    before = {table: stores.warehouse.read_window(table, start, end) for table in market.SETTLEMENTS}
    versions = settled_versions(before[market.INTERVALS])
    settled = {table: frame.join(versions, on=VERSION, how="semi") for table, frame in before.items()}
    read_until = watermarks.complete_until(stores.warehouse, settings.zone, watermarks.READINGS) or start
    rules = Rules(settings.market.max_partners, settings.vee.watermark_s)
    now = positions(energy, settings.market.completeness_min_pct)
    unsettled = now.join(versions, on=INTERVAL, how="anti")
    told = market_inputs(stores.warehouse, settings, start, end, unsettled["interval_start"].unique().sort())
    cleared = clear(
        unsettled,
        told.tariffs,
        closed_before=read_until,
        mechanism=settings.market.mechanism,
        rules=rules,
        agreements=told.agreements,
        offers=told.offers,
        network=told.network,
        meters=told.meters,
    )
    corrected = corrections(
        now,
        settled[market.INTERVALS],
        settled[market.GRID_SETTLEMENTS],
        closed_before=read_until,
        rules=rules,
        settled_energy=restated_energy(stores, start, end) if len(versions) else None,
    )
    frames = {
        market.INTERVALS: pl.concat([settled[market.INTERVALS], cleared.intervals, corrected.intervals]),
        market.TRADES: pl.concat([settled[market.TRADES], cleared.trades]),
        market.GRID_SETTLEMENTS: pl.concat(
            [settled[market.GRID_SETTLEMENTS], cleared.grid_settlements, corrected.grid_settlements]
        ),
    }
    earlier = settled[market.CAMPUS_BALANCES]
    balances = campus_balances(
        frames[market.INTERVALS].join(earlier, on=VERSION, how="anti"), frames[market.TRADES],
        frames[market.GRID_SETTLEMENTS], feeder, earlier=earlier,
    )  # fmt: skip
    frames[market.CAMPUS_BALANCES] = pl.concat([earlier, balances])
    written = stores.warehouse.commit(*(Replace(table, frame, start, end) for table, frame in frames.items()))
    said: dict[str, Any] = summary(frames[market.INTERVALS], corrected.grid_settlements)
    for table, done in zip(frames, written, strict=True):
        yield result(table, done.rows, done.changed, **said, read_until=read_until.isoformat())

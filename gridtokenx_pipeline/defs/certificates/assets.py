"""`certificates.*`: bundles for the generation of closed intervals; those of settled intervals stay as they are."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from gridtokenx_pipeline.contracts import certificates, core, market
from gridtokenx_pipeline.domain.certificates import issue
from gridtokenx_pipeline.warehouse import Replace

from ..energy.participants import participants_energy
from ..market.assets import SETTLED
from ..partitions import HOURS, window
from ..resources import Stores
from ..specs import result, spec, stage


@stage(
    "issue_certificates",
    [
        spec(certificates.BUNDLES, [core.ENERGY_5MIN, market.INTERVALS], partitions_def=HOURS),
        spec(certificates.EVENTS, [core.ENERGY_5MIN, market.INTERVALS], partitions_def=HOURS),
    ],
)
def issue_certificates(context: dg.AssetExecutionContext, stores: Stores) -> Iterator[dg.MaterializeResult]:
    """Issue bundles for the intervals that are closed and not settled yet."""
    start, end = window(context)
    settings = stores.settings
    intervals = stores.warehouse.read_window(market.INTERVALS, start, end)
    closed = intervals.filter(pl.col("state") == "closed").select("zone", "interval_start")
    settled = intervals.filter(pl.col("state") == SETTLED).select("zone", "interval_start")
    energy = participants_energy(stores, start, end).join(closed, on=["zone", "interval_start"], how="semi")
    issued = issue(
        energy,
        completeness_min_pct=settings.market.completeness_min_pct,
        source=settings.certificates.source,
        carrier=settings.certificates.carrier,
    )
    frames = []
    for table, frame in ((certificates.BUNDLES, issued.bundles), (certificates.EVENTS, issued.events)):
        kept = stores.warehouse.read_window(table, start, end).join(settled, on=["zone", "interval_start"], how="semi")
        frames.append((table, pl.concat([kept, frame])))
    written = stores.warehouse.commit(*(Replace(table, frame, start, end) for table, frame in frames))
    states = dict(frames[0][1].group_by("state").agg(pl.col("energy_wh").sum()).iter_rows())
    for (table, _), done in zip(frames, written, strict=True):
        yield result(table, done.rows, done.changed, energy_wh_by_state=states)

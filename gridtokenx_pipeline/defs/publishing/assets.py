"""`ops/published_market`: what is settled, brought to the meters as IEEE 2030.5 resources. It fills no table of the warehouse."""

import dagster as dg

from gridtokenx_pipeline.contracts import market, settlement

from ..partitions import HOURS, window
from ..resources import Stores
from ..specs import FRESH, OWNERS, key, stage, tags_of

PUBLISHED_MARKET = dg.AssetKey(["ops", "published_market"])


# After the batches: planning them is what settles an interval. Not after the chain: an outage there keeps no bill back.
@stage(
    "publish_market",
    [
        dg.AssetSpec(
            PUBLISHED_MARKET,
            deps=[
                dg.AssetDep(key(table))
                for table in (market.INTERVALS, market.TRADES, market.GRID_SETTLEMENTS, settlement.BATCHES)
            ],
            description="Prices, trades and bills of settled intervals, and the grid's prices of the coming day, for meters to read.",
            group_name="ops",
            owners=OWNERS,
            kinds={"python", "sqlite"},
            tags=tags_of("publishing", ["meter_id"]),
            partitions_def=HOURS,
            freshness_policy=FRESH,
        )
    ],
)
def publish_market(context: dg.AssetExecutionContext, stores: Stores) -> dg.MaterializeResult:
    """Publish what is settled of the event hours; what is as it was is not written again."""
    from .window import publish_window

    done = publish_window(stores, *window(context))
    return dg.MaterializeResult(
        asset_key=PUBLISHED_MARKET,
        metadata={
            "published": done.published,
            "changed": done.changed,
            "retracted": done.retracted,
            "intervals": done.intervals,
        },
    )

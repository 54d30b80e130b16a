"""`market.agreements` and `market.offers`: what stands from interval to interval, from devices and from the operator's file."""

from collections.abc import Iterator

import dagster as dg

from gridtokenx_pipeline.contracts import core, market
from gridtokenx_pipeline.domain.market.agreements import fold_agreements
from gridtokenx_pipeline.domain.market.offers import fold_offers
from gridtokenx_pipeline.warehouse import Replace

from ..partitions import HOURS
from ..resources import Stores
from ..specs import result, spec, stage
from .inputs import file_agreements, tariff_bands


@stage("standing_orders", [spec(table, [core.P2P_DOCUMENTS], partitions_def=HOURS) for table in market.INPUTS])
def standing_orders(context: dg.AssetExecutionContext, stores: Stores) -> Iterator[dg.MaterializeResult]:
    """Fold all that devices have put and deleted, whatever hours the run is of; wrong tariffs or a wrong file write nothing."""
    settings = stores.settings
    prices = tariff_bands(settings)
    stated = file_agreements(settings, prices)
    documents = stores.warehouse.read(core.P2P_DOCUMENTS)
    meters = frozenset(meter.id for meter in settings.meters)
    # Opening the registry costs more than the rest; without agreements nobody asks whose device is whose.
    agreeing = (documents["kind"] == "agreement").any()
    devices = {device.lfdi: device.meter_id for device in stores.registry.devices()} if agreeing else {}
    step = settings.market.interval_s
    frames = {
        market.AGREEMENTS: fold_agreements(documents, devices, settings.zone, stated, meters, prices, step),
        market.OFFERS: fold_offers(documents, settings.zone, meters, step),
    }
    zone = f"zone = '{settings.zone}'"
    written = stores.warehouse.commit(*(Replace(table, frame, where=zone) for table, frame in frames.items()))
    for (table, frame), done in zip(frames.items(), written, strict=True):
        states = dict(sorted(frame.group_by("state").len().iter_rows()))
        context.log.info("%s: %s", table.full_name, states or "none")
        yield result(table, done.rows, done.changed, states=states)

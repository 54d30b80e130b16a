"""What is published whether or not anything was settled: the entry to trading, the supplier, and the grid's prices to come."""

from __future__ import annotations

import datetime as dt

from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.publishing import accounts, currencies, grid_tariff, prices
from gridtokenx_pipeline.publishing.events import CANCELLED, SCHEDULED, cancelled
from ieee2030_5.resources import TimeTariffInterval
from ieee2030_5.xml import decode, document, parse
from ingest_server.operational.resources import Publication, ResourceStore

from .coming import coming_prices


def publish_standing(store: ResourceStore, settings: Settings, now: dt.datetime) -> tuple[int, int, int]:
    """Publish it as of `now`; returns how many resources were looked at, written and removed."""
    coming = coming_prices(settings, now)
    publications = [
        *prices.capability(currencies.number(settings.market.currency), settings.market.interval_s),
        *accounts.supplier(settings.zone),
        *grid_tariff.tariff(currencies.number(coming["currency"][0])),
    ]
    removed = 0
    for component in grid_tariff.COMPONENTS:
        events, gone = _events(store, grid_tariff.price_events(coming, component), component, now)
        publications += events
        removed += len(store.retract(gone))
    return len(publications), len(store.publish(publications)), removed


def _events(
    store: ResourceStore, wanted: list[Publication], component: str, now: dt.datetime
) -> tuple[list[Publication], list[str]]:
    """What to publish and what to remove, so that a component has the events wanted.

    An event that is over is removed. One that is not, and is not wanted any more, is called off and stays in its list until it would
    have ended, so that devices learn of it (12.1.3).
    """
    moment = int(now.timestamp())
    there = {row.path: row for row in store.listed(f"{grid_tariff.TARIFF}/rc/{component}/tti")}
    paths = set(grid_tariff.event_paths(wanted))
    over = [path for path, row in there.items() if row.ends_at is not None and row.ends_at <= moment]
    called_off = [
        Publication(path, cancelled(_event(store, path), now, "the tariff has changed"))
        for path in sorted(there.keys() - paths - set(over))
        if there[path].event_status != CANCELLED
    ]
    valid = {path for path, row in there.items() if row.event_status == SCHEDULED}
    return [*called_off, *(p for p in wanted if not valid & {p.path, p.path.removesuffix("/cti/1")})], over


def _event(store: ResourceStore, path: str) -> TimeTariffInterval:
    row = store.get(path)
    assert row is not None, path
    return decode(parse(document(row.fragment)), TimeTariffInterval)

"""The grid's prices by time of use for the coming day, as IEEE 2030.5 pricing: a tariff with two rate components.

Component 1 prices what a customer takes from the grid (retail), component 2 what it gives (feed-in, flowDirection reverse). The
prices of the peer-to-peer pool are known only after the fact, and events are of present and coming time: these are at `/p2p/prc`.
The tariff has the weakest primacy of all programs, so that a price an operator publishes for the campus or a meter wins.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from ieee2030_5.enums import FlowDirection, ServiceKind
from ieee2030_5.resources import (
    ConsumptionTariffInterval,
    DateTimeInterval,
    EventStatus,
    ListLink,
    TariffProfile,
    TimeTariffInterval,
)
from ingest_server.operational.resources import Publication

from .programs import PRICE_POWER_OF_TEN, mrid_of, rate_component

TARIFF = "/tp/grid"
RETAIL, FEED_IN = "1", "2"
COMPONENTS = {RETAIL: "retail_micro_per_kwh", FEED_IN: "feed_in_micro_per_kwh"}
"""Identifier of a rate component, and the column of its prices."""
AHEAD = dt.timedelta(hours=24)
_PRIMACY = 9


def tariff(currency: int) -> list[Publication]:
    """The tariff profile with both components, in micro-units of `currency` (ISO 4217 number) per kWh."""
    profile = TariffProfile(
        mrid=mrid_of(TARIFF),
        description="Grid energy by time of use",
        currency=currency,
        price_power_of_ten_multiplier=PRICE_POWER_OF_TEN,
        primacy=_PRIMACY,
        rate_component_list_link=ListLink(href=f"{TARIFF}/rc"),
        service_category_kind=ServiceKind.ELECTRICITY,
    )
    return [
        Publication(TARIFF, profile),
        *rate_component(f"{TARIFF}/rc/{RETAIL}", "From the grid", FlowDirection.FORWARD),
        *rate_component(f"{TARIFF}/rc/{FEED_IN}", "To the grid", FlowDirection.REVERSE),
    ]


@dataclass(frozen=True, slots=True)
class _Span:
    start: dt.datetime
    end: dt.datetime
    price: int


def price_events(prices: pl.DataFrame, component: str) -> list[Publication]:
    """The events of a component: one for each hour of one price, or part of an hour where the price changes within it.

    `prices` has `interval_start` (UTC, ascending), `duration_s`, `retail_micro_per_kwh` and `feed_in_micro_per_kwh`, one row for
    each interval of the market. Hours, and not the whole time of a price, because an event that another one pushed aside does not
    come back (12.1.3): a price of an operator's for some minutes costs an hour's, not a day's.
    Addresses follow from start, length and price: the same prices give the same events. No responses are asked for.
    """
    columns = ("interval_start", "duration_s", COMPONENTS[component])
    return [publication for span in _hourly(prices.select(columns).iter_rows()) for publication in _event(component, span)]


def event_paths(publications: Iterable[Publication]) -> list[str]:
    """Addresses of the events among publications."""
    return [p.path for p in publications if isinstance(p.resource, TimeTariffInterval)]


def _hourly(rows: Iterable[tuple[dt.datetime, int, int]]) -> list[_Span]:
    spans: list[_Span] = []
    for start, duration_s, price in rows:
        end = start + dt.timedelta(seconds=duration_s)
        last = spans[-1] if spans else None
        if last is not None and last.end == start and last.price == price and start.minute:
            spans[-1] = _Span(last.start, end, price)
        else:
            spans.append(_Span(start, end, price))
    return spans


def _event(component: str, span: _Span) -> list[Publication]:
    start_s = int(span.start.timestamp())
    duration_s = int((span.end - span.start).total_seconds())
    key = mrid_of(TARIFF, component, start_s, duration_s, span.price)
    path = f"{TARIFF}/rc/{component}/tti/{span.start:%y%m%d%H%M}-{key[:6]}"
    # Known so long before: the moment of publishing would be another one at each run.
    created = start_s - int(AHEAD.total_seconds())
    interval = TimeTariffInterval(
        mrid=mrid_of(path, duration_s, span.price),
        creation_time=created,
        event_status=EventStatus(current_status=0, date_time=created, potentially_superseded=False),
        interval=DateTimeInterval(duration=duration_s, start=start_s),
        consumption_tariff_interval_list_link=ListLink(href=f"{path}/cti"),
        tou_tier=0,
    )
    block = ConsumptionTariffInterval(consumption_block=0, price=span.price, start_value=0)
    return [Publication(path, interval), Publication(f"{path}/cti/1", block)]

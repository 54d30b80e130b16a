"""What is settled in a window, brought to the devices: read what is needed, build resources, let the store tell what changed.

A price stands for its interval: it is written in one transaction with the interval's trades and bills, so where the price is as
it should be, so are they, and a tick that settled nothing reads one table and writes nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.contracts import Table, market
from gridtokenx_pipeline.publishing import accounts, bills, prices
from gridtokenx_pipeline.publishing.accounts import Account
from gridtokenx_pipeline.publishing.audience import audience
from gridtokenx_pipeline.warehouse import Warehouse
from ingest_server.operational.resources import Publication, ResourceStore

from ..resources import Stores
from .lines import bill_lines, billed_until, latest_settled
from .standing import publish_standing

SETTLED = "settled"
_EDGE = dt.timedelta(microseconds=1)
_VERSION = ["zone", "interval_start", "version"]


@dataclass(frozen=True)
class Counts:
    """What a run did: resources that it looked at, wrote and removed, and settled intervals that it brought."""

    published: int = 0
    changed: int = 0
    retracted: int = 0
    intervals: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.published + other.published,
            self.changed + other.changed,
            self.retracted + other.retracted,
            self.intervals + other.intervals,
        )


def publish_window(stores: Stores, start: dt.datetime, end: dt.datetime) -> Counts:
    """Publish what is settled in [start, end), and what holds whatever is settled: capability, supplier, tariff.

    Prices and trades of the last `market.published_days` days are kept, daily bills of this month and the one before, and every
    month's total. A device that has no account yet gets all of that, whatever the window.
    """
    settings, store = stores.settings, stores.resources
    now = clock.now()
    looked, written, removed = publish_standing(store, settings, now)
    lfdis = audience_of(stores, now)
    owners = {lfdi for of_meter in lfdis.values() for lfdi in of_meter}
    known = store.listed(accounts.ACCOUNTS)
    removed += len(store.retract([row.path for row in known if row.owner not in owners]))
    fresh = owners - {row.owner for row in known}
    counts = Counts(looked, written, removed)
    if fresh:
        latest = latest_settled(stores.warehouse, settings.zone)
        if latest is not None:
            start, end = min(start, latest - kept(settings)), max(end, latest + _EDGE)
    return counts + _Window(stores.warehouse, store, settings, lfdis, fresh).publish(start, end)


def audience_of(stores: Stores, now: dt.datetime) -> dict[str, tuple[str, ...]]:
    """The LFDIs in force of the configured meters."""
    meters = [meter.id for meter in stores.settings.meters]
    return audience(stores.registry.devices(), stores.settings.zone, meters, now)


def kept(settings: Settings) -> dt.timedelta:
    """How long prices and trades are kept, counted back from the latest settled interval."""
    return dt.timedelta(days=settings.market.published_days)


def horizon(store: ResourceStore, settings: Settings, settled: pl.DataFrame) -> dt.datetime | None:
    """The first moment whose prices and trades are kept; None while nothing was ever settled.

    Counted from the latest interval that is published or in `settled`, and not from the clock: a past day that is run again is
    published as it was then.
    """
    published = store.latest(prices.PRICES)
    moments = [] if published is None else [dt.datetime.fromtimestamp(published, dt.UTC)]
    if not settled.is_empty():
        moments.append(settled["interval_start"].max())  # type: ignore[arg-type]
    return max(moments) - kept(settings) if moments else None


def settled_rows(warehouse: Warehouse, table: Table, zone: str, start: dt.datetime, end: dt.datetime) -> pl.DataFrame:
    """The rows of INTERVALS in [start, end) that are settled, or of another table of the market in the zone."""
    frame = warehouse.read_window(table, start, end).filter(pl.col("zone") == zone)
    return frame.filter(pl.col("state") == SETTLED) if table is market.INTERVALS else frame


@dataclass(frozen=True)
class _Window:
    warehouse: Warehouse
    store: ResourceStore
    settings: Settings
    lfdis: Mapping[str, tuple[str, ...]]
    fresh: set[str]

    def publish(self, start: dt.datetime, end: dt.datetime) -> Counts:
        intervals = settled_rows(self.warehouse, market.INTERVALS, self.settings.zone, start, end)
        since = horizon(self.store, self.settings, intervals)
        if since is None:
            return Counts(*self._write([], []))
        recent = intervals.filter(pl.col("interval_start") >= since)
        found = prices.interval_prices(recent)
        news = found if self.fresh else self.store.changed(found)
        starts = [publication.resource.interval.start for publication in news]
        brought = recent.filter(pl.col("interval_start").dt.epoch("s").is_in(starts))
        # What is too old for its price to be kept still counts in the bills.
        billed = pl.concat([intervals.filter(pl.col("interval_start") < since), brought])["interval_start"]
        if billed.is_empty():
            looked, changed = self._write([], [])
            return Counts(looked + len(found), changed)
        trades = prices.trades(self._trades(brought), brought, self.lfdis) if len(brought) else []
        latest = since + kept(self.settings)
        bill = self._bills(billed.min(), billed.max(), latest)  # type: ignore[arg-type]
        looked, changed = self._write([*news, *trades], bill)
        days_from = self._calendar.start(bills.previous_month(self._calendar.day(latest)))
        gone = [
            *self.store.expire({"IntervalPrice", "Trade"}, int(since.timestamp())),
            *self.store.expire({"BillingReadingSet", "BillingReading"}, int(days_from.timestamp())),
        ]
        return Counts(looked + len(found) - len(news), changed, len(gone), billed.n_unique())

    def _trades(self, intervals: pl.DataFrame) -> pl.DataFrame:
        first, last = intervals["interval_start"].min(), intervals["interval_start"].max()
        frame = settled_rows(self.warehouse, market.TRADES, self.settings.zone, first, last + _EDGE)  # type: ignore[arg-type,operator]
        return frame.join(intervals.select(_VERSION), on=_VERSION, how="semi")

    def _bills(self, first: dt.datetime, last: dt.datetime, latest: dt.datetime) -> list[Publication]:
        """The bills that intervals from `first` to `last` count in; of accounts that are new, all that is kept."""
        calendar = self._calendar
        first_day, last_day = calendar.day(first), calendar.day(last)
        earliest = bills.previous_month(calendar.day(latest))
        # A new account's first bill says what the month before it came to, as everybody's does.
        since = bills.previous_month(min(first_day, earliest) if self.fresh else first_day)
        span = calendar.start(since), calendar.start(bills.next_month(bills.next_month(last_day)))
        place = (self.settings.zone, self.settings.site.timezone)
        lines = bill_lines(self.warehouse, *place, *span)
        here = self.settings.market.currency
        others = lines.filter(pl.col("currency") != here).select("meter_id", "currency").unique().sort("meter_id", "currency")
        foreign = [Account(m, lfdi, currency) for m, currency in others.iter_rows() for lfdi in self.lfdis.get(m, ())]
        publications = bills.bills(
            lines,
            [*self._accounts(here), *foreign],
            calendar,
            billed_until=billed_until(self.warehouse, *place, *span),
            wants_day=lambda account, day: day >= earliest and (account.lfdi in self.fresh or first_day <= day <= last_day),
            wants_month=lambda account, month: (
                month >= earliest if account.lfdi in self.fresh else bills.month_of(first_day) <= month
            ),
        )
        return [*(p for one in foreign for p in accounts.account_publications(one)), *publications]

    def _write(self, news: list[Publication], bill: list[Publication]) -> tuple[int, int]:
        """Write accounts, bills and the market's news in one transaction; returns how many were looked at and written."""
        if not (news or bill or self.fresh):
            return 0, 0
        standing = [p for one in self._accounts(self.settings.market.currency) for p in accounts.account_publications(one)]
        publications = [*standing, *bill, *news]
        return len(publications), len(self.store.publish(publications))

    def _accounts(self, currency: str) -> list[Account]:
        return [Account(meter, lfdi, currency) for meter, lfdis in self.lfdis.items() for lfdi in lfdis]

    @property
    def _calendar(self) -> bills.Calendar:
        return bills.Calendar(self.settings.site.timezone)

"""Two meters read the market over mutual TLS, each its own part of it, as a client that follows links does."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path

import published_rows as rows
import pytest
from ingest_harness import Pki, Server, device_row, serving
from lxml import etree
from published_campus import TABLES, campus_stores

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.contracts import market
from gridtokenx_pipeline.defs.publishing.window import publish_window
from gridtokenx_pipeline.defs.resources import Stores
from gridtokenx_pipeline.warehouse import Replace, Warehouse
from ieee2030_5.extensions.p2p import IntervalPriceList, P2PCapability, TradeList
from ieee2030_5.namespaces import P2P, SEP
from ieee2030_5.pki import Authority
from ieee2030_5.resources import (
    BillingPeriodList,
    BillingReadingList,
    BillingReadingSetList,
    ConsumptionTariffIntervalList,
    CustomerAccountList,
    CustomerAgreementList,
    DeviceCapability,
    HistoricalReadingList,
    RateComponentList,
    ReadingType,
    TariffProfileList,
    TimeTariffIntervalList,
)
from ieee2030_5.xml import decode, parse
from ingest_server.options import ServerOptions

COUNT = 4


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    authority = Authority.ensure(tmp_path_factory.mktemp("pki"))
    devices = {name: authority.ensure_device(name) for name in ("SUN", "LAB")}
    return Pki(authority, authority.ensure_server(["localhost", "127.0.0.1"]), devices)


@pytest.fixture
def first() -> dt.datetime:
    """The first of some intervals that have just ended."""
    return clock.floor(dt.datetime.now(dt.UTC), 300) - (COUNT + 1) * rows.FIVE_MIN


@pytest.fixture
async def server(pki: Pki, tmp_path: Path, shared_lake: Warehouse, first: dt.datetime) -> AsyncIterator[Server]:
    """A server that has what a run published of four intervals in which SUN sold to LAB."""
    stores = campus_stores(tmp_path, shared_lake)
    stores.registry.register([device_row(pki.devices["SUN"], 111115), device_row(pki.devices["LAB"], 123455)])
    starts = [first + n * rows.FIVE_MIN for n in range(COUNT)]
    frames = (
        rows.intervals(*(rows.interval(start) for start in starts)),
        rows.trades(*(rows.trade(start, "SUN", "LAB", 400, loss_wh=8, wheeling_micro=4_000) for start in starts)),
        rows.grid_settlements(*(rows.grid(start, "LAB", -50, -392) for start in starts)),
    )
    shared_lake.commit(*(Replace(table, frame) for table, frame in zip(TABLES, frames, strict=True)))
    publish_window(stores, first, first + dt.timedelta(hours=1))
    options = ServerOptions(
        host="127.0.0.1", port=0, workers=1, ca=pki.authority.certificate_path, cert=pki.server.certificate, key=pki.server.key,
        landing_dir=tmp_path / "landing", operational_url=stores.settings.operational_url, device_cache_s=0.0,
        rate_limit_per_min=0, max_failed_auth=0,
    )  # fmt: skip
    async with serving(options, pki) as running:
        running.stores = stores  # type: ignore[attr-defined]
        yield running


class Reader:
    """A meter's client: every document it gets is held against the standard's schema."""

    def __init__(self, server: Server, name: str, schema: etree.XMLSchema) -> None:
        self.session, self.schema = server.session(name), schema

    async def get(self, path: str, cls: type) -> object:
        async with self.session.get(path) as response:
            body = await response.read()
            assert response.status == 200, (path, body)
        namespace = P2P if cls.__module__.endswith("p2p") else SEP
        if namespace == SEP:
            self.schema.assertValid(etree.fromstring(body))
        return decode(parse(body, namespaces=(namespace,)), cls)

    async def status(self, path: str) -> int:
        async with self.session.get(path) as response:
            return response.status


@pytest.fixture
async def sun(server: Server, sep_schema: etree.XMLSchema) -> Reader:
    return Reader(server, "SUN", sep_schema)


@pytest.fixture
async def lab(server: Server, sep_schema: etree.XMLSchema) -> Reader:
    return Reader(server, "LAB", sep_schema)


async def test_both_read_prices_and_each_its_own_side_of_the_trades(sun: Reader, lab: Reader, first: dt.datetime) -> None:
    entry = await lab.get("/p2p", P2PCapability)
    assert (entry.currency, entry.interval_length) == (840, 300)
    assert (entry.interval_price_list_link.all, entry.trade_list_link.all) == (COUNT, COUNT)
    prices = [await reader.get(f"{entry.interval_price_list_link.href}?l=10", IntervalPriceList) for reader in (sun, lab)]
    assert prices[0] == prices[1]
    starts = [price.interval.start for price in prices[0].interval_prices]
    assert starts == sorted((int(first.timestamp()) + 300 * n for n in range(COUNT)), reverse=True)
    assert {price.price for price in prices[0].interval_prices} == {rows.PRICE}

    sold, bought = [(await reader.get(f"{entry.trade_list_link.href}?l=10", TradeList)).trades for reader in (sun, lab)]
    assert {(t.role, t.energy_wh, t.counterparty_meter_id) for t in sold} == {("seller", 400, "LAB")}
    assert {(t.role, t.energy_wh, t.counterparty_meter_id) for t in bought} == {("buyer", 392, "SUN")}
    assert [t.trade_id for t in sold] == [t.trade_id for t in bought]
    assert {await sun.status(trade.href) for trade in bought} == {404}
    assert {await lab.status(trade.href) for trade in bought} == {200}


async def test_a_long_list_is_read_in_pages(lab: Reader) -> None:
    seen = []
    for start in range(0, COUNT + 2, 3):
        page = await lab.get(f"/p2p/trd?s={start}&l=3", TradeList)
        assert (page.all, page.results) == (COUNT, len(page.trades))
        seen += [trade.interval.start for trade in page.trades]
    assert len(seen) == COUNT
    assert seen == sorted(seen, reverse=True)
    newest = await lab.get(f"/p2p/trd?l=10&a={seen[1]}", TradeList)
    assert [trade.interval.start for trade in newest.trades] == seen[:1]


async def test_what_has_not_changed_is_not_sent_again(server: Server, lab: Reader, first: dt.datetime) -> None:
    stores: Stores = server.stores  # type: ignore[attr-defined]
    async with lab.session.get("/p2p/prc?l=2") as response:
        tag = response.headers["ETag"]
    publish_window(stores, first, first + dt.timedelta(hours=1))
    async with lab.session.get("/p2p/prc?l=2", headers={"If-None-Match": tag}) as response:
        assert (response.status, await response.read()) == (304, b"")
    last = first + (COUNT - 1) * rows.FIVE_MIN
    correction = rows.intervals(rows.interval(last, version=2, supply_wh=1, demand_wh=0, traded_wh=0))
    held = stores.warehouse.read(market.INTERVALS)
    stores.warehouse.commit(Replace(market.INTERVALS, held.vstack(correction)))
    publish_window(stores, first, first + dt.timedelta(hours=1))
    async with lab.session.get("/p2p/prc?l=2", headers={"If-None-Match": tag}) as response:
        assert response.status == 200
        [newest, before] = decode(parse(await response.read(), namespaces=(P2P,)), IntervalPriceList).interval_prices
    assert (newest.version, newest.supply_wh, before.version) == (2, 1001, 1)


async def test_a_meter_finds_its_bill_by_links_and_nobody_elses(sun: Reader, lab: Reader) -> None:
    entry = await lab.get("/dcap", DeviceCapability)
    [account] = (await lab.get(f"{entry.customer_account_list_link.href}?l=10", CustomerAccountList)).customer_accounts
    assert (account.customer_account, account.currency, account.price_power_of_ten_multiplier) == ("LAB", 840, -6)
    agreements = await lab.get(f"{account.customer_agreement_list_link.href}?l=10", CustomerAgreementList)
    [agreement] = agreements.customer_agreements
    periods = await lab.get(f"{agreement.active_billing_period_list_link.href}?l=10", BillingPeriodList)
    in_progress = {period.bill_to_date for period in periods.billing_periods}
    every = await lab.get(f"{agreement.billing_period_list_link.href}?l=10", BillingPeriodList)
    assert in_progress <= {period.bill_to_date for period in every.billing_periods}

    lines, charges, readings = {}, 0, await lab.get(f"{agreement.historical_reading_list_link.href}?l=10", HistoricalReadingList)
    for reading in readings.historical_readings:
        flow = (await lab.get(reading.reading_type_link.href, ReadingType)).flow_direction
        days = await lab.get(f"{reading.billing_reading_set_list_link.href}?l=10", BillingReadingSetList)
        energy = 0
        for day in days.billing_reading_sets:
            found = await lab.get(f"{day.billing_reading_list_link.href}?l=10", BillingReadingList)
            energy += sum(r.value for r in found.billing_readings)
            charges += sum(c.value for r in found.billing_readings for c in r.charges)
        lines[reading.description] = (flow, energy)
    assert lines == {
        "1 From the grid": (1, COUNT * 50),
        "2 To the grid": (19, 0),
        "3 Bought from peers": (1, COUNT * 392),
        "4 Sold to peers": (19, 0),
        "5 Corrections, with the grid": (1, 0),
    }
    # The run may be in the first minutes of a month.
    assert sum(period.bill_to_date for period in every.billing_periods) == charges == COUNT * (14_000 + 72_000 + 4_000)

    [other] = (await sun.get("/bill?l=10", CustomerAccountList)).customer_accounts
    assert other.href != account.href
    for path in (
        account.href,
        account.customer_agreement_list_link.href,
        agreement.href,
        agreement.billing_period_list_link.href,
    ):
        assert await lab.status(path) == 200
        assert await sun.status(path) == 404
    async with sun.session.put(account.href, data=b"<x/>", headers={"Content-Type": "application/sep+xml"}) as response:
        assert response.status == 405


async def test_a_meter_reads_what_the_grid_will_ask_and_pay(lab: Reader) -> None:
    [tariff] = (await lab.get("/tp?l=10", TariffProfileList)).tariff_profiles
    components = await lab.get(f"{tariff.rate_component_list_link.href}?l=10", RateComponentList)
    priced = {}
    for component in components.rate_components:
        flow = (await lab.get(component.reading_type_link.href, ReadingType)).flow_direction
        [now] = (
            await lab.get(f"{component.active_time_tariff_interval_list_link.href}?l=10", TimeTariffIntervalList)
        ).time_tariff_intervals
        [block] = (
            await lab.get(f"{now.consumption_tariff_interval_list_link.href}?l=10", ConsumptionTariffIntervalList)
        ).consumption_tariff_intervals
        priced[flow] = (component.time_tariff_interval_list_link.all, now.event_status.current_status, block.price)
    assert priced == {1: (24, 1, rows.RETAIL), 19: (24, 1, rows.FEED_IN)}

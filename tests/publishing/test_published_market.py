"""Prices, trades, tariffs and bills as resources, from frames of the market's tables."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import published_rows as rows
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from gridtokenx_pipeline.publishing import accounts, bills, currencies, grid_tariff, prices
from gridtokenx_pipeline.publishing.accounts import Account, Line
from gridtokenx_pipeline.publishing.audience import audience
from gridtokenx_pipeline.publishing.bills import Calendar
from ieee2030_5.function_sets import find
from ieee2030_5.namespaces import P2P
from ieee2030_5.requirements import missing
from ieee2030_5.resources import BillingPeriod, BillingReading, TimeTariffInterval
from ieee2030_5.xml import encode
from ingest_server.operational.registry import Device
from ingest_server.operational.resources import Publication, ResourceStore

NOON = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
LFDIS = {"SUN": ("A1B2C3D4E5" * 4,), "LAB": ("0F1E2D3C4B" * 4,)}
LAB = Account("LAB", LFDIS["LAB"][0], "USD")
STANFORD = Calendar("America/Los_Angeles")
GOLDEN = Path(__file__).parent / "golden"


def resources(publications: list[Publication]) -> dict[str, object]:
    return {publication.path: publication.resource for publication in publications}


def lines(*values: tuple[str, dt.date, str, int, int, int], currency: str = "USD") -> pl.DataFrame:
    return pl.DataFrame([(currency, *value) for value in values], schema=bills.LINES, orient="row")


def a_bill() -> list[Publication]:
    day = dt.date(2026, 11, 22)
    found = lines(
        ("LAB", dt.date(2026, 10, 31), "import", 500, 140_000, 0),
        ("LAB", day, "import", 1200, 336_000, 0),
        ("LAB", day, "export", 100, -8_000, 0),
        ("LAB", day, "bought", 392, 72_000, 4_000),
        ("LAB", day, "correction", -50, -14_000, 0),
    )
    return bills.bills(
        found,
        [LAB],
        STANFORD,
        billed_until={dt.date(2026, 10, 1): NOON - dt.timedelta(days=23), dt.date(2026, 11, 1): NOON},
        wants_day=lambda _, wanted: wanted == day,
        wants_month=lambda _, month: month == dt.date(2026, 11, 1),
    )


def everything() -> list[Publication]:
    """One of each kind that is published of the market."""
    one = rows.interval(NOON)
    frame = rows.intervals(one)
    flat = pl.DataFrame(
        {"interval_start": [NOON], "duration_s": [300], "retail_micro_per_kwh": [280_000], "feed_in_micro_per_kwh": [80_000]}
    )
    return [
        *prices.capability(840, 300),
        *prices.interval_prices(frame),
        *prices.trades(rows.trades(rows.trade(NOON, "SUN", "LAB", 400, loss_wh=8)), frame, LFDIS),
        *grid_tariff.tariff(840),
        *grid_tariff.price_events(flat, grid_tariff.RETAIL),
        *grid_tariff.price_events(flat, grid_tariff.FEED_IN),
        *accounts.supplier("stanford"),
        *accounts.account_publications(LAB),
        *a_bill(),
    ]


def test_every_resource_is_complete_valid_and_at_a_short_address(store: ResourceStore, sep_schema: etree.XMLSchema) -> None:
    published = everything()
    assert store.publish(published) == [publication.path for publication in published]
    assert store.publish(everything()) == store.changed(everything()) == []
    for publication in published:
        node = find(publication.path)
        assert node is not None
        assert missing(publication.resource) is None, publication.path
        above = publication.path.rpartition("/")[0]
        assert len(above) <= 44, f"clients keep the address of a list in 44 characters: {above}"
        document = etree.fromstring(encode(publication.resource))
        if etree.QName(document).namespace != P2P:
            sep_schema.assertValid(document)


def test_every_resource_is_written_as_it_was_agreed() -> None:
    written = "".join(f"{p.path} {p.owner[:8] or '*'}\n{encode(p.resource).decode()}\n" for p in _linked(everything()))
    assert written == (GOLDEN / "market.txt").read_text(encoding="utf-8")


def _linked(publications: list[Publication]) -> list[Publication]:
    for publication in publications:
        publication.resource.href = publication.path
    return publications


def test_an_intervals_price_counts_its_corrections_and_keeps_what_was_traded_by() -> None:
    later = rows.interval(NOON, version=2, supply_wh=-40, demand_wh=15, traded_wh=0, price_micro_per_kwh=1)
    [published] = prices.interval_prices(rows.intervals(later, rows.interval(NOON)))
    price = published.resource
    assert (published.path, published.owner) == ("/p2p/prc/20261123T120000Z", "")
    assert (price.supply_wh, price.demand_wh, price.price, price.version) == (960, 815, rows.PRICE, 2)
    assert (price.interval.start, price.interval.duration) == (int(NOON.timestamp()), 300)
    assert (price.feed_in_price, price.retail_price) == (80_000, 280_000)


def test_each_side_of_a_trade_is_its_own_and_the_buyer_has_what_arrived() -> None:
    frame = rows.trades(rows.trade(NOON, "SUN", "LAB", 400, loss_wh=8, wheeling_micro=4_000))
    published = prices.trades(frame, rows.intervals(rows.interval(NOON)), LFDIS)
    sides = {p.owner: p.resource for p in published}
    sold, bought = sides[LFDIS["SUN"][0]], sides[LFDIS["LAB"][0]]
    assert (sold.role, sold.energy_wh, sold.counterparty_meter_id) == ("seller", 400, "LAB")
    assert (bought.role, bought.energy_wh, bought.counterparty_meter_id) == ("buyer", 392, "SUN")
    assert sold.amount == bought.amount == 72_000
    assert sold.trade_id == bought.trade_id
    assert len({p.path for p in published}) == 2


def test_both_devices_of_a_meter_in_renewal_see_a_trade_and_a_meter_without_one_is_left_out() -> None:
    frame = rows.trades(rows.trade(NOON, "SUN", "LAB", 400), rows.trade(NOON, "SUN", "GONE", 100))
    renewed = {"LAB": ("0F" * 20, "1F" * 20)}
    published = prices.trades(frame, rows.intervals(rows.interval(NOON)), renewed)
    assert sorted(p.owner for p in published) == ["0F" * 20, "1F" * 20]
    assert len({p.path for p in published}) == 2


def hourly(start: dt.datetime, count: int, retail: list[int]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "interval_start": [start + n * rows.FIVE_MIN for n in range(count)],
            "duration_s": [300] * count,
            "retail_micro_per_kwh": retail,
            "feed_in_micro_per_kwh": [80_000] * count,
        }
    )


def test_a_price_is_an_event_of_an_hour_and_of_less_where_it_changes_within() -> None:
    frame = hourly(NOON, 24, [280_000] * 18 + [350_000] * 6)
    events = [p.resource for p in grid_tariff.price_events(frame, grid_tariff.RETAIL) if type(p.resource) is TimeTariffInterval]
    start = int(NOON.timestamp())
    assert [(e.interval.start - start, e.interval.duration) for e in events] == [(0, 3600), (3600, 1800), (5400, 1800)]
    blocks = [
        p.resource for p in grid_tariff.price_events(frame, grid_tariff.RETAIL) if type(p.resource) is not TimeTariffInterval
    ]
    assert [block.price for block in blocks] == [280_000, 280_000, 350_000]
    back = grid_tariff.event_paths(grid_tariff.price_events(frame, grid_tariff.FEED_IN))
    assert len(back) == 2
    assert all(path.startswith("/tp/grid/rc/2/tti/") for path in back)


def test_another_price_is_another_event() -> None:
    one, other = (grid_tariff.price_events(hourly(NOON, 12, [price] * 12), grid_tariff.RETAIL) for price in (280_000, 290_000))
    assert one[0].path != other[0].path
    assert one[0].resource.mrid != other[0].resource.mrid


def test_a_bill_is_the_sum_of_its_charges_and_says_what_the_month_before_came_to() -> None:
    found = resources(a_bill())
    period = found[f"{LAB.agreement}/bp/202611"]
    assert isinstance(period, BillingPeriod)
    charges = [c for r in found.values() if isinstance(r, BillingReading) for c in r.charges]
    assert period.bill_to_date == sum(c.value for c in charges) == 336_000 - 8_000 + 72_000 + 4_000 - 14_000
    assert period.bill_last_period == 140_000
    assert period.status_time_stamp == int(NOON.timestamp())
    bought = found[f"{LAB.reading(Line.BOUGHT)}/brs/20261122/br/1"]
    assert bought.value == 392
    assert [(c.description, c.kind, c.value) for c in bought.charges] == [
        ("Bought from peers", bills.CONSUMPTION, 72_000),
        ("Wheeling", bills.AUXILIARY, 4_000),
    ]
    assert found[f"{LAB.reading(Line.CORRECTION)}/brs/20261122/br/1"].value == -50


def test_the_first_month_has_no_month_before() -> None:
    [period] = bills.bills(
        lines(),
        [LAB],
        STANFORD,
        billed_until={dt.date(2026, 11, 1): NOON},
        wants_day=lambda *_: True,
        wants_month=lambda *_: True,
    )
    assert (period.resource.bill_last_period, period.resource.bill_to_date) == (None, 0)


def test_the_lines_of_a_meter_are_on_its_own_accounts_only() -> None:
    day = dt.date(2026, 11, 22)
    frame = pl.concat([lines(("LAB", day, "import", 1, 280, 0)), lines(("LAB", day, "import", 5, 900, 0), currency="EUR")])
    other = Account("SUN", LFDIS["SUN"][0], "USD")
    euro = Account("LAB", LAB.lfdi, "EUR")
    published = bills.bills(
        frame, [LAB, other, euro], STANFORD,
        billed_until={dt.date(2026, 11, 1): NOON}, wants_day=lambda *_: True, wants_month=lambda *_: True,
    )  # fmt: skip
    totals = {p.path.split("/ca/")[0]: p.resource.bill_to_date for p in published if isinstance(p.resource, BillingPeriod)}
    assert totals == {LAB.path: 280, other.path: 0, euro.path: 900}
    assert {p.owner for p in published if isinstance(p.resource, BillingReading)} == {LAB.lfdi}


@given(st.integers(-(10**12), 10**12))
def test_charges_that_do_not_fit_are_parts_that_add_up(amount: int) -> None:
    parts = bills._parts("Grid energy", bills.CONSUMPTION, amount)
    assert sum(part.value for part in parts) == amount
    for part in parts:
        assert part.value * amount > 0
        assert encode(BillingReading(charges=[part]))


@pytest.mark.parametrize(
    ("month", "hours"), [(dt.date(2026, 3, 1), 743), (dt.date(2026, 11, 1), 721), (dt.date(2026, 12, 1), 744)]
)
def test_months_are_those_of_the_site(month: dt.date, hours: int) -> None:
    period = STANFORD.interval(month, bills.next_month(month))
    assert period.duration == hours * 3600
    start = dt.datetime.fromtimestamp(period.start, ZoneInfo("America/Los_Angeles"))
    assert (start.date(), start.time()) == (month, dt.time())
    assert bills.previous_month(bills.next_month(month)) == month
    assert STANFORD.day(STANFORD.start(month)) == month
    assert STANFORD.day(STANFORD.start(month) - dt.timedelta(seconds=1)) < month


def test_only_devices_in_force_of_the_campus_read() -> None:
    def device(lfdi: str, meter: str, **values: object) -> Device:
        return Device(lfdi, 1, meter, str(values.pop("zone", "stanford")), 111115, **values)  # type: ignore[arg-type]

    devices = [
        device("B" * 40, "LAB"),
        device("A" * 40, "LAB", not_after=NOON + dt.timedelta(hours=1)),
        device("C" * 40, "LAB", status="revoked"),
        device("D" * 40, "LAB", not_after=NOON),
        device("E" * 40, "SUN", zone="elsewhere"),
        device("F" * 40, "FEEDER"),
    ]
    assert audience(devices, "stanford", ["SUN", "LAB"], NOON) == {"LAB": ("A" * 40, "B" * 40)}


def test_a_currency_without_a_known_number_is_named() -> None:
    assert [currencies.number(code) for code in ("USD", "EUR", "THB")] == [840, 978, 764]
    with pytest.raises(ValueError, match="XTS"):
        currencies.number("XTS")

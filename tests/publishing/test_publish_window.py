"""What a run publishes of what is settled, changes and takes back, with a real warehouse and store."""

from __future__ import annotations

import datetime as dt
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import dagster as dg
import polars as pl
import published_rows as rows
import pytest
from published_campus import TABLES

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.contracts import market
from gridtokenx_pipeline.defs.publishing.assets import PUBLISHED_MARKET, publish_market
from gridtokenx_pipeline.defs.publishing.checks import Missing, market_is_published, missing
from gridtokenx_pipeline.defs.publishing.window import publish_window
from gridtokenx_pipeline.defs.resources import Stores
from gridtokenx_pipeline.publishing import accounts
from gridtokenx_pipeline.publishing.accounts import Account, Line
from gridtokenx_pipeline.warehouse import Replace
from ieee2030_5.extensions.p2p import IntervalPrice
from ieee2030_5.function_sets import class_of
from ieee2030_5.resources import BillingPeriod, BillingReading, TimeTariffInterval
from ieee2030_5.xml import decode, document, namespace_of, parse
from ingest_server.operational.registry import Device
from ingest_server.operational.resources import Publication

NOON = dt.datetime(2026, 11, 23, 20, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
SUN, LAB, GYM = (f"{number:040X}" for number in (1, 2, 3))


@pytest.fixture(autouse=True)
def now() -> Iterator[Callable[[dt.datetime], None]]:
    """The clock stands at half past noon, until a test moves it."""
    moment = [NOON + HOUR / 2]
    clock.set_clock(lambda: moment[0])
    yield lambda later: moment.__setitem__(0, later)
    clock.set_clock(clock.system_clock)


def settle(stores: Stores, *settled: dict[str, Any]) -> None:
    """Add rows to the market's tables."""
    frames = {
        market.INTERVALS: rows.intervals(*(r for r in settled if "supply_wh" in r)),
        market.TRADES: rows.trades(*(r for r in settled if "trade_id" in r)),
        market.GRID_SETTLEMENTS: rows.grid_settlements(*(r for r in settled if "grid_settlement_id" in r)),
    }
    held = {table: stores.warehouse.read(table) for table in TABLES}
    stores.warehouse.commit(*(Replace(table, pl.concat([held[table], frame])) for table, frame in frames.items()))


def an_interval(start: dt.datetime, **values: Any) -> list[dict[str, Any]]:
    """SUN sells 400 Wh to LAB, of which 8 get lost, and 100 to the grid; LAB takes 50 from the grid and GYM 700."""
    return [
        rows.interval(start, **values),
        rows.trade(start, "SUN", "LAB", 400, loss_wh=8, wheeling_micro=4_000),
        rows.grid(start, "SUN", 100, 400),
        rows.grid(start, "LAB", -50, -392),
        rows.grid(start, "GYM", -700),
    ]


def publish(stores: Stores, start: dt.datetime = NOON, end: dt.datetime | None = None) -> Any:
    return publish_window(stores, start, end or start + HOUR)


def read(stores: Stores, path: str) -> Any:
    row = stores.resources.get(path)
    assert row is not None, path
    cls = class_of(row.kind)
    return decode(parse(document(row.fragment, namespace_of(cls)), namespaces=(namespace_of(cls),)), cls)


def items(stores: Stores, list_path: str, owner: str = "") -> list[Any]:
    return [read(stores, row.path) for row in stores.resources.listed(list_path) if row.owner in (owner, "")]


def account(meter: str, lfdi: str) -> Account:
    return Account(meter, lfdi, "USD")


def period(stores: Stores, one: Account, month: str = "202611") -> BillingPeriod:
    return read(stores, f"{one.agreement}/bp/{month}")


def day_lines(stores: Stores, one: Account, day: str = "20261123") -> dict[str, tuple[int, list[int]]]:
    found = {}
    for line in Line:
        row = stores.resources.get(f"{one.reading(line)}/brs/{day}/br/1")
        if row is not None:
            reading: BillingReading = read(stores, row.path)
            found[line.value] = (reading.value, [charge.value for charge in reading.charges])
    return found


def test_what_is_settled_is_published_once(stores: Stores) -> None:
    settle(stores, *an_interval(NOON), *an_interval(NOON + rows.FIVE_MIN), *an_interval(NOON + 2 * rows.FIVE_MIN, state="closed"))
    first = publish(stores)
    assert first.intervals == 2
    assert [price.version for price in items(stores, "/p2p/prc")] == [1, 1]
    assert [trade.energy_wh for trade in items(stores, "/p2p/trd", SUN)] == [400, 400]
    assert [trade.energy_wh for trade in items(stores, "/p2p/trd", LAB)] == [392, 392]
    assert items(stores, "/p2p/trd", GYM) == []
    assert read(stores, "/p2p").currency == 840

    assert period(stores, account("SUN", SUN)).bill_to_date == -2 * (72_000 + 8_000)
    assert period(stores, account("LAB", LAB)).bill_to_date == 2 * (72_000 + 4_000 + 14_000)
    assert period(stores, account("GYM", GYM)).bill_to_date == 2 * 196_000
    assert period(stores, account("GYM", GYM)).status_time_stamp == int((NOON + 2 * rows.FIVE_MIN).timestamp())
    assert day_lines(stores, account("LAB", LAB)) == {"import": (100, [28_000]), "bought": (784, [144_000, 8_000])}
    assert day_lines(stores, account("SUN", SUN)) == {"export": (200, [-16_000]), "sold": (800, [-144_000])}

    again = publish(stores)
    assert (again.changed, again.retracted, again.intervals) == (0, 0, 0)


def test_a_tick_that_settled_nothing_asks_the_warehouse_once(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(stores, *an_interval(NOON))
    publish(stores)
    asked = []
    query = stores.warehouse.query
    monkeypatch.setattr(stores.warehouse, "query", lambda *args: asked.append(args) or query(*args))
    assert publish(stores).changed == 0
    assert len(asked) == 1


def test_a_correction_changes_bills_by_its_delta_and_no_trade(stores: Stores) -> None:
    settle(stores, *an_interval(NOON))
    publish(stores)
    before = [stores.resources.get(row.path) for row in stores.resources.listed("/p2p/trd")]
    correction = rows.grid(NOON, "LAB", -30, version=2, reason="correction", amount_micro=-8_400)
    settle(stores, rows.interval(NOON, version=2, supply_wh=0, demand_wh=30, traded_wh=0), correction)
    assert publish(stores).intervals == 1
    assert [stores.resources.get(row.path) for row in stores.resources.listed("/p2p/trd")] == before
    [price] = items(stores, "/p2p/prc")
    assert (price.version, price.demand_wh, price.price) == (2, 830, rows.PRICE)
    lab = account("LAB", LAB)
    assert day_lines(stores, lab)["correction"] == (30, [8_400])
    assert day_lines(stores, lab)["import"] == (50, [14_000])
    assert period(stores, lab).bill_to_date == 72_000 + 4_000 + 14_000 + 8_400
    assert "correction" not in day_lines(stores, account("SUN", SUN))


def test_a_correction_that_is_not_settled_yet_is_not_shown(stores: Stores) -> None:
    settle(stores, *an_interval(NOON))
    publish(stores)
    correction = rows.grid(NOON, "LAB", -30, version=2, reason="correction", amount_micro=-8_400)
    settle(stores, rows.interval(NOON, version=2, supply_wh=0, demand_wh=30, traded_wh=0, state="closed"), correction)
    assert publish(stores).changed == 0


def test_prices_and_trades_go_after_their_days_and_bills_stay(stores: Stores) -> None:
    settle(stores, *an_interval(NOON))
    publish(stores)
    later = NOON + dt.timedelta(days=3)
    settle(stores, *an_interval(later))
    done = publish(stores, later)
    assert done.retracted == 3
    assert [price.interval.start for price in items(stores, "/p2p/prc")] == [int(later.timestamp())]
    assert [trade.interval.start for trade in items(stores, "/p2p/trd", SUN)] == [int(later.timestamp())]
    assert period(stores, account("GYM", GYM)).bill_to_date == 2 * 196_000
    assert day_lines(stores, account("GYM", GYM)) == {"import": (700, [196_000])}
    assert publish(stores, later).changed == 0


def test_an_old_day_corrected_counts_in_its_bill_without_a_price(stores: Stores) -> None:
    settle(stores, *an_interval(NOON))
    later = NOON + dt.timedelta(days=5)
    settle(stores, *an_interval(later))
    publish(stores, later)
    assert day_lines(stores, account("GYM", GYM)) == {"import": (700, [196_000])}, "new accounts get what is kept"
    correction = rows.grid(NOON, "GYM", 20, version=2, reason="correction", amount_micro=5_600)
    settle(stores, rows.interval(NOON, version=2, supply_wh=0, demand_wh=-20, traded_wh=0), correction)
    publish(stores)
    assert day_lines(stores, account("GYM", GYM))["correction"] == (-20, [-5_600])
    assert period(stores, account("GYM", GYM)).bill_to_date == 2 * 196_000 - 5_600
    assert [price.interval.start for price in items(stores, "/p2p/prc")] == [int(later.timestamp())]


def test_a_renewed_certificate_sees_what_the_old_one_saw(stores: Stores) -> None:
    settle(stores, *an_interval(NOON), *an_interval(NOON + HOUR))
    publish(stores, NOON, NOON + 2 * HOUR)
    renewed = "0B" * 20
    stores.registry.register([Device(renewed, 9, "LAB", "stanford", 111115)])
    publish(stores, NOON + 2 * HOUR)
    assert [trade.energy_wh for trade in items(stores, "/p2p/trd", renewed)] == [392, 392]
    assert period(stores, account("LAB", renewed)) == period_like(stores, account("LAB", LAB), account("LAB", renewed))
    assert day_lines(stores, account("LAB", renewed)) == day_lines(stores, account("LAB", LAB))
    stores.registry.set_status(LAB, "revoked")
    publish(stores, NOON + 2 * HOUR)
    assert stores.resources.get(account("LAB", LAB).path) is None
    assert {row.owner for row in stores.resources.listed(accounts.ACCOUNTS)} == {SUN, GYM, renewed}
    assert publish(stores, NOON + 2 * HOUR).changed == 0


def period_like(stores: Stores, one: Account, other: Account) -> BillingPeriod:
    found = period(stores, one)
    found.href = found.href.replace(one.path, other.path)
    return found


def test_months_are_the_sites_and_a_bill_says_what_the_last_one_came_to(stores: Stores) -> None:
    # 06:55 and 07:00 UTC of 1 November are 23:55 of 31 October and midnight in California.
    midnight = dt.datetime(2026, 11, 1, 7, tzinfo=dt.UTC)
    settle(stores, *an_interval(midnight - rows.FIVE_MIN), *an_interval(midnight), *an_interval(midnight + rows.FIVE_MIN))
    publish(stores, midnight - HOUR, midnight + HOUR)
    gym = account("GYM", GYM)
    october, november = period(stores, gym, "202610"), period(stores, gym)
    assert (october.bill_last_period, october.bill_to_date) == (None, 196_000)
    assert (november.bill_last_period, november.bill_to_date) == (196_000, 2 * 196_000)
    assert november.interval.start == october.interval.start + october.interval.duration == int(midnight.timestamp())
    correction = rows.grid(midnight - rows.FIVE_MIN, "GYM", 20, version=2, reason="correction", amount_micro=5_600)
    start = midnight - rows.FIVE_MIN
    settle(stores, rows.interval(start, version=2, supply_wh=0, demand_wh=-20, traded_wh=0), correction)
    publish(stores, midnight - HOUR, midnight)
    assert period(stores, gym).bill_last_period == period(stores, gym, "202610").bill_to_date == 190_400


def test_bills_are_what_the_rows_add_up_to_in_whatever_order_and_pieces_they_come(stores: Stores) -> None:
    draw = random.Random(7)
    starts = [NOON - dt.timedelta(hours=h) for h in (30, 20, 9, 5, 4, 0)]
    names = {"SUN": SUN, "LAB": LAB, "GYM": GYM}
    settled, owed = [], defaultdict(int)
    for start in starts:
        settled.append(rows.interval(start))
        for seller in names:
            buyer = draw.choice([name for name in names if name != seller])
            sold = rows.trade(start, seller, buyer, draw.randrange(1, 900), wheeling_micro=draw.randrange(50))
            own = rows.grid(start, seller, draw.randrange(-900, 900))
            settled += [sold, own]
            owed[seller] -= sold["amount_micro"] + own["amount_micro"]
            owed[buyer] += sold["amount_micro"] + sold["wheeling_micro"]
    draw.shuffle(settled)
    settle(stores, *settled)
    for hours in (range(-30, -10), range(-1, 1), range(-10, -1)):
        publish(stores, NOON + hours[0] * HOUR, NOON + (hours[-1] + 1) * HOUR)
    for name, lfdi in names.items():
        one = account(name, lfdi)
        assert period(stores, one).bill_to_date == owed[name]
        listed = [row.path for line in Line for row in stores.resources.listed(f"{one.reading(line)}/brs")]
        charges = [charge for path in listed for charge in read(stores, f"{path}/br/1").charges]
        assert sum(charge.value for charge in charges) == owed[name]


def test_amounts_in_another_currency_are_on_an_account_of_their_own(stores: Stores) -> None:
    settle(stores, *an_interval(NOON), *an_interval(NOON - HOUR, currency="EUR"))
    publish(stores, NOON - HOUR, NOON + HOUR)
    euro = Account("GYM", GYM, "EUR")
    assert read(stores, euro.path).currency == 978
    assert period(stores, euro).bill_to_date == period(stores, account("GYM", GYM)).bill_to_date == 196_000
    assert publish(stores, NOON - HOUR, NOON + HOUR).changed == 0


PEAK = """
[[market.tariffs]]
name = "tou"
valid_from = 2026-01-01

[[market.tariffs.periods]]
name = "off"
feed_in_micro_per_kwh = 80000
retail_micro_per_kwh = 200000
end = "16:00"

[[market.tariffs.periods]]
name = "peak"
feed_in_micro_per_kwh = 80000
retail_micro_per_kwh = 400000
start = "16:00"
"""


def events(stores: Stores, component: str = "1") -> list[tuple[int, int, int]]:
    """Hours from noon, price and status of the events of the grid's tariff."""
    found = []
    for event in items(stores, f"/tp/grid/rc/{component}/tti"):
        assert isinstance(event, TimeTariffInterval)
        price = read(stores, f"{event.href}/cti/1").price
        found.append(((event.interval.start - int(NOON.timestamp())) // 3600, price, event.event_status.current_status))
    return sorted(found)


def test_the_coming_day_is_priced_by_time_of_use(campus: Callable[..., Stores], now: Callable[[dt.datetime], None]) -> None:
    stores = campus(PEAK)
    publish(stores)
    # Noon is in California, and so is four o'clock.
    assert events(stores) == [(hour, 400_000 if 4 <= hour < 12 else 200_000, 0) for hour in range(24)]
    assert events(stores, "2") == [(hour, 80_000, 0) for hour in range(24)]
    assert publish(stores).changed == 0
    now(NOON + HOUR + dt.timedelta(minutes=10))
    moved = publish(stores)
    assert [hour for hour, *_ in events(stores)] == list(range(1, 25))
    assert (moved.changed, moved.retracted) == (4, 4)


def test_a_price_that_changed_is_called_off(campus: Callable[..., Stores], now: Callable[[dt.datetime], None]) -> None:
    publish(campus())
    stores = campus(PEAK)
    publish(stores)
    assert {(price, status) for _, price, status in events(stores)} == {(280_000, 2), (200_000, 0), (400_000, 0)}
    assert publish(stores).changed == 0
    publish(campus())
    assert {(price, status) for _, price, status in events(stores)} == {(280_000, 0), (200_000, 2), (400_000, 2)}
    now(NOON + dt.timedelta(days=2))
    publish(campus())
    assert {(price, status) for _, price, status in events(stores)} == {(280_000, 0)}


def test_a_meter_without_a_device_hinders_nobody(campus: Callable[..., Stores]) -> None:
    stores = campus()
    stores.registry.register([Device(LAB, 2, "LAB", "stanford", 111115)])
    settle(stores, *an_interval(NOON))
    publish(stores)
    assert [row.owner for row in stores.resources.listed("/p2p/trd")] == [LAB]
    assert [type(price) for price in items(stores, "/p2p/prc")] == [IntervalPrice]


def run(stores: Stores, hours: range) -> dg.ExecuteInProcessResult:
    keys = [f"{NOON + hour * HOUR:%Y-%m-%d-%H:%M}" for hour in hours]
    return dg.materialize(
        [publish_market, market_is_published],
        resources={"stores": stores},
        tags={"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]},
    )


def test_a_run_says_what_it_did_and_is_checked(stores: Stores) -> None:
    settle(stores, *an_interval(NOON), *an_interval(NOON + HOUR))
    done = run(stores, range(2))
    [made] = done.asset_materializations_for_node("publish_market")[:1]
    assert made.asset_key == PUBLISHED_MARKET
    said = {name: value.value for name, value in made.metadata.items() if name in ("published", "changed", "retracted")}
    assert said["changed"] == said["published"] > 0 == said["retracted"]
    evaluations = done.get_asset_check_evaluations()
    assert evaluations
    assert all(evaluation.passed for evaluation in evaluations)


def test_the_check_names_what_is_missing_or_other_than_settled(stores: Stores) -> None:
    settle(stores, *an_interval(NOON))
    publish(stores)
    assert missing(stores, NOON, NOON + HOUR) == Missing([], [], 1, 1)
    [price] = stores.resources.listed("/p2p/prc")
    sold = next(row.path for row in stores.resources.listed("/p2p/trd") if row.owner == SUN)
    stores.resources.retract([sold])
    other = replace(read(stores, price.path), price=1)
    stores.resources.publish([Publication(price.path, other)])
    assert missing(stores, NOON, NOON + HOUR) == Missing([price.path], [sold], 1, 1)

from __future__ import annotations

import datetime as dt
import hashlib
import random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtokenx_pipeline.domain.invariants import market_violations
from gridtokenx_pipeline.domain.market import (
    POSITIONS,
    Agreement,
    MarketInputError,
    Rules,
    Tariff,
    amount_micro,
    clear,
    closed_only,
)
from gridtokenx_pipeline.domain.market.sdr_bilateral import pool_price

START = dt.datetime(2026, 11, 22, 20, tzinfo=dt.UTC)
LATER = START + dt.timedelta(hours=2)
TARIFF = Tariff(80_000, 280_000)
STATES = st.sampled_from([None, None, None, None, "incomplete", "no_register"])


def position_rows(nets, *, zone="stanford", start=START, reasons=None, flags=None):
    """Rows of positions with the given nets, made of generation and load alone."""
    rows = []
    for number, net in enumerate(nets):
        reason = reasons[number] if reasons else None
        known = reason != "no_register"
        rows.append(
            {
                "zone": zone,
                "meter_id": f"M{number:03}",
                "interval_start": start,
                "duration_s": 300,
                "generation_wh": max(net, 0) + 7 if known else None,
                "load_wh": max(-net, 0) + 7,
                "charge_wh": 0,
                "discharge_wh": 0,
                "import_wh": None,
                "export_wh": None,
                "net_wh": net if known else None,
                "complete": reason is None,
                "reason": reason,
                "quality_flags": flags[number] if flags else 1,
            }
        )
    return rows


def frame(rows):
    return pl.DataFrame(rows, schema=POSITIONS, orient="row")


def fingerprint(cleared):
    frames = (cleared.intervals, cleared.trades, cleared.grid_settlements)
    return hashlib.sha256("".join(f.write_csv() for f in frames).encode()).hexdigest()


@st.composite
def tariffs(draw):
    retail = draw(st.one_of(st.integers(0, 10), st.integers(0, 10**9)))
    feed_in = draw(st.integers(0, retail))
    return Tariff(feed_in, retail, draw(st.integers(0, retail - feed_in)))


@st.composite
def markets(draw):
    volumes = st.one_of(st.sampled_from([-40, 0, 1, 40]), st.integers(-10_000_000, 10_000_000))
    nets = draw(st.lists(volumes, max_size=60))
    reasons = draw(st.lists(STATES, min_size=len(nets), max_size=len(nets)))
    tariff = draw(tariffs())
    agreements = []
    if len(nets) > 1:
        meters = st.integers(0, len(nets) - 1)
        pairs = draw(st.lists(st.tuples(meters, meters).filter(lambda p: p[0] != p[1]), max_size=12, unique=True))
        for seller, buyer in pairs:
            limit = draw(st.one_of(st.integers(0, 50), st.just(10**12)))
            price = draw(st.integers(tariff.feed_in_micro_per_kwh, tariff.retail_micro_per_kwh))
            agreements.append(Agreement("stanford", f"M{seller:03}", f"M{buyer:03}", limit, price, draw(st.integers(0, 2))))
    return position_rows(nets, reasons=reasons), tariff, agreements, Rules(max_partners=draw(st.sampled_from([1, 2, 3, 25])))


def without_market(net, tariff):
    if net >= 0:
        return amount_micro(net, tariff.feed_in_micro_per_kwh)
    return -amount_micro(-net, tariff.retail_micro_per_kwh)


@settings(max_examples=80, deadline=None)
@given(markets(), st.randoms(use_true_random=False))
def test_every_market_keeps_the_invariants(market, rng):
    rows, tariff, agreements, rules = market
    positions = frame(rows)
    cleared = clear(positions, tariff, closed_before=LATER, rules=rules, agreements=agreements)

    broken = market_violations(
        cleared.intervals, cleared.trades, cleared.grid_settlements, max_partners=rules.max_partners, positions=positions
    )
    assert broken.is_empty(), broken["detail"].to_list()

    traders = sum(row["reason"] is None and row["net_wh"] != 0 for row in rows)
    pool = cleared.trades.filter(pl.col("kind") == "pool")
    assert pool.height <= max(traders - 1, 0)

    # individually rational: nobody pays more, or earns less, than the grid alone would offer, but for rounding
    money, lines = {}, {}
    for row in cleared.trades.iter_rows(named=True):
        for meter, sign in ((row["seller_meter_id"], 1), (row["buyer_meter_id"], -1)):
            money[meter] = money.get(meter, 0) + sign * row["amount_micro"]
            lines[meter] = lines.get(meter, 0) + 1
    for row in cleared.grid_settlements.iter_rows(named=True):
        meter = row["meter_id"]
        assert money.get(meter, 0) + row["amount_micro"] >= without_market(row["net_wh"], tariff) - lines.get(meter, 0) - 1

    shuffled, reordered = list(rows), list(agreements)
    rng.shuffle(shuffled)
    rng.shuffle(reordered)
    again = clear(frame(shuffled), tariff, closed_before=LATER, rules=rules, agreements=reordered)
    assert fingerprint(again) == fingerprint(cleared)


@given(st.lists(st.integers(0, 500), min_size=1, max_size=30), st.integers(0, 500), tariffs())
def test_price_falls_from_retail_as_supply_rises(supplies, demand, tariff):
    prices = [pool_price(supply, demand, tariff) for supply in sorted({0, *supplies})]
    assert prices == sorted(prices, reverse=True)
    assert prices[0] == (tariff.retail_micro_per_kwh if demand else tariff.pool_floor_micro_per_kwh)
    assert prices[-1] >= tariff.pool_floor_micro_per_kwh
    assert pool_price(demand, demand, tariff) == tariff.pool_floor_micro_per_kwh


def test_long_side_is_served_in_proportion_and_ties_go_to_the_lower_id():
    cleared = clear(frame(position_rows([10, -7, -7, -7])), TARIFF, closed_before=LATER)
    assert cleared.grid_settlements["traded_wh"].to_list() == [10, -4, -3, -3]


def test_an_agreement_larger_than_supply_takes_what_there_is():
    agreements = [
        Agreement("stanford", "M000", "M001", 10**9, 100_000, priority=1),
        Agreement("stanford", "M000", "M002", 30, 90_000),
    ]
    cleared = clear(frame(position_rows([100, -500, -500])), TARIFF, closed_before=LATER, agreements=agreements)
    assert cleared.trades.select("buyer_meter_id", "energy_wh", "kind").rows() == [
        ("M001", 70, "agreement"),
        ("M002", 30, "agreement"),
    ]
    assert cleared.intervals["price_micro_per_kwh"][0] == 280_000


def test_agreements_count_towards_the_partner_cap():
    agreements = [Agreement("stanford", "M000", f"M{n:03}", 10, 100_000) for n in (1, 2, 3)]
    cleared = clear(
        frame(position_rows([100, -50, -50, -50])),
        TARIFF,
        closed_before=LATER,
        rules=Rules(max_partners=2),
        agreements=agreements,
    )
    assert set(cleared.trades["buyer_meter_id"]) == {"M001", "M002"}
    assert cleared.intervals.select("traded_wh", "capped_wh").row(0) == (
        cleared.trades["energy_wh"].sum(),
        100 - cleared.trades["energy_wh"].sum(),
    )


def test_agreements_stay_in_their_zone():
    rows = position_rows([100, -50]) + position_rows([100, -50], zone="palo_alto")
    cleared = clear(frame(rows), TARIFF, closed_before=LATER, agreements=[Agreement("palo_alto", "M000", "M001", 50, 100_000)])
    assert dict(cleared.trades.select("zone", "kind").iter_rows()) == {"palo_alto": "agreement", "stanford": "pool"}


def test_incomplete_meters_settle_with_the_grid_alone():
    rows = position_rows([100, 60, -40, -10], reasons=[None, "incomplete", None, "no_register"], flags=[1, 0, 17, 1])
    cleared = clear(frame(rows), TARIFF, closed_before=LATER)
    grid = cleared.grid_settlements.select(
        "meter_id", "net_wh", "traded_wh", "energy_wh", "amount_micro", "reason", "quality_flags"
    )
    assert grid.rows() == [
        ("M000", 100, 40, 60, 4_800, "residual", 1),
        ("M001", 60, 0, 60, 4_800, "incomplete", 0),
        ("M002", -40, -40, 0, 0, "residual", 17),
        ("M003", 0, 0, 0, 0, "no_register", 1),
    ]
    assert cleared.intervals.select("supply_wh", "demand_wh", "meters", "meters_grid_only").row(0) == (100, 40, 4, 2)
    assert cleared.trades["quality_flags"].to_list() == [17]


def test_zones_and_intervals_are_independent():
    rng = random.Random(5)
    rows = []
    for zone in ("east", "west"):
        for number in range(288):
            start = START + dt.timedelta(minutes=5 * number)
            rows += position_rows([rng.randint(-2000, 2000) for _ in range(25)], zone=zone, start=start)
    positions = frame(rows)
    moment = START + dt.timedelta(hours=12)
    together = clear(positions, TARIFF, closed_before=moment)
    assert together.intervals.height == 576
    assert together.intervals["state"].value_counts().sort("state").rows() == [("closed", 286), ("open", 290)]
    assert market_violations(
        together.intervals, together.trades, together.grid_settlements, max_partners=25, positions=positions
    ).is_empty()
    one = positions.filter((pl.col("zone") == "west") & (pl.col("interval_start") == START))
    assert clear(one, TARIFF, closed_before=moment).trades.equals(
        together.trades.filter((pl.col("zone") == "west") & (pl.col("interval_start") == START))
    )
    assert closed_only(positions, together.intervals).height == 286 * 25


def test_a_correction_has_its_own_ids():
    positions = frame(position_rows([10, -7]))
    first, second = (clear(positions, TARIFF, closed_before=LATER, version=version) for version in (1, 2))
    assert set(first.trades["trade_id"]).isdisjoint(second.trades["trade_id"])
    assert set(first.grid_settlements["grid_settlement_id"]).isdisjoint(second.grid_settlements["grid_settlement_id"])


def test_nothing_metered_clears_nothing():
    cleared = clear(frame([]), TARIFF, closed_before=LATER)
    assert cleared.intervals.is_empty()
    assert cleared.trades.is_empty()
    assert cleared.grid_settlements.is_empty()


@pytest.mark.parametrize(
    ("agreement", "message"),
    [
        (Agreement("stanford", "M000", "M001", 5, 79_999), r"outside 80000 to 280000.*price_micro_per_kwh=79999"),
        (Agreement("stanford", "M000", "M001", 5, 280_001), "outside 80000 to 280000"),
        (Agreement("stanford", "M000", "M999", 5, 100_000), "unknown meter M999"),
        (Agreement("stanford", "M000", "M000", 5, 100_000), "trade with itself.*'M000'"),
        (Agreement("stanford", "M000", "M001", -1, 100_000), "negative energy.*max_wh=-1"),
    ],
)
def test_bad_agreements_are_named(agreement, message):
    with pytest.raises(MarketInputError, match=message):
        clear(frame(position_rows([10, -7])), TARIFF, closed_before=LATER, agreements=[agreement])


def test_two_agreements_of_a_pair_would_share_an_id():
    agreements = [Agreement("stanford", "M000", "M001", 5, 100_000, priority) for priority in (0, 1)]
    with pytest.raises(MarketInputError, match="two agreements"):
        clear(frame(position_rows([10, -7])), TARIFF, closed_before=LATER, agreements=agreements)


def test_a_registered_meter_may_be_silent():
    agreement = Agreement("stanford", "M000", "M009", 5, 100_000)
    cleared = clear(
        frame(position_rows([10, -7])), TARIFF, closed_before=LATER, agreements=[agreement], meters=["M000", "M001", "M009"]
    )
    assert cleared.trades["kind"].to_list() == ["pool"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"load_wh": -1}, "negative energy.*'load_wh': -1"),
        ({"net_wh": 11}, "net_wh is not"),
        ({"net_wh": None, "generation_wh": None}, "no net_wh, and no reason"),
        ({"reason": "tired"}, "unknown reason.*'tired'"),
        ({"meter_id": "M001"}, "meter repeated in an interval.*'M001'"),
        ({"duration_s": 900}, r"has lengths \[300, 900\]"),
        ({"zone": None}, "null"),
    ],
)
def test_bad_positions_are_named(change, message):
    rows = position_rows([10, -7])
    rows[0] |= change
    with pytest.raises(MarketInputError, match=message):
        clear(frame(rows), TARIFF, closed_before=LATER)


@pytest.mark.parametrize("values", [(-1, 5), (6, 5), (4, 5, 2)])
def test_tariffs_must_be_in_order(values):
    with pytest.raises(MarketInputError):
        Tariff(*values)

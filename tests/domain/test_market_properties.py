from __future__ import annotations

import datetime as dt
import random
import sys
from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtokenx_pipeline.domain.invariants import market_violations
from gridtokenx_pipeline.domain.market import (
    MECHANISMS,
    Agreement,
    Rules,
    amount_micro,
    clear,
    closed_only,
)
from gridtokenx_pipeline.domain.market.prices import blended_prices, mid_market_price, pool_price

sys.path.insert(0, str(Path(__file__).parent))

from market_fleets import (
    LATER,
    START,
    TARIFF,
    agreements,
    fingerprint,
    frame,
    nets,
    networks,
    offers,
    position_rows,
    tariffs,
)

STATES = [None, None, None, None, "incomplete", "no_register"]


@st.composite
def markets(draw, most=2000):
    """Rows of positions, a tariff, and everything else that `clear` is told."""
    volumes = draw(nets(most))
    rng = random.Random(draw(st.integers(0, 2**32)))
    rows = position_rows(volumes, reasons=rng.choices(STATES, k=len(volumes)), flags=rng.choices([1, 9, 17], k=len(volumes)))
    tariff = draw(tariffs())
    told = {
        "agreements": draw(agreements(len(volumes), tariff)),
        "offers": draw(offers(len(volumes), tariff)),
        "network": draw(networks(len(volumes), tariff)),
        "rules": Rules(max_partners=draw(st.sampled_from([1, 2, 3, 25]))),
        "mechanism": draw(st.sampled_from(sorted(MECHANISMS))),
    }
    return rows, tariff, told


def without_market(net, tariff):
    if net >= 0:
        return amount_micro(net, tariff.feed_in_micro_per_kwh)
    return -amount_micro(-net, tariff.retail_micro_per_kwh)


@settings(max_examples=80, deadline=None)
@given(markets(), st.randoms(use_true_random=False))
def test_every_market_keeps_the_invariants(market, rng):
    rows, tariff, told = market
    positions = frame(rows)
    cleared = clear(positions, tariff, closed_before=LATER, **told)
    broken = market_violations(
        cleared.intervals,
        cleared.trades,
        cleared.grid_settlements,
        max_partners=told["rules"].max_partners,
        positions=positions,
        network=told["network"],
    )
    assert broken.is_empty(), broken["detail"].to_list()
    traders = sum(row["reason"] is None and row["net_wh"] != 0 for row in rows)
    pool = cleared.trades.filter(pl.col("kind") == "pool")
    if told["network"] is None:
        assert pool.height <= max(traders - 1, 0)
        assert cleared.trades["loss_wh"].sum() == cleared.trades["wheeling_micro"].sum() == 0
    if not cleared.intervals.is_empty():
        (interval,) = cleared.intervals.to_dicts()
        assert tariff.pool_floor_micro_per_kwh <= interval["price_micro_per_kwh"] <= tariff.retail_micro_per_kwh
        assert interval["capped_wh"] >= 0
        assert interval["mechanism"] == told["mechanism"] + "/1"

    # individually rational, line by line: nobody pays more, or earns less, than the grid alone would offer
    money, lines, booked, partners = {}, {}, {}, {}
    for row in cleared.trades.iter_rows(named=True):
        seller, buyer, delivered = row["seller_meter_id"], row["buyer_meter_id"], row["energy_wh"] - row["loss_wh"]
        paid = row["amount_micro"] + row["wheeling_micro"]
        assert seller != buyer
        assert 0 < delivered <= row["energy_wh"]
        assert row["amount_micro"] >= amount_micro(row["energy_wh"], tariff.feed_in_micro_per_kwh)
        assert paid <= amount_micro(delivered, tariff.retail_micro_per_kwh)
        for meter, other, energy, earned in (
            (seller, buyer, row["energy_wh"], row["amount_micro"]),
            (buyer, seller, -delivered, -paid),
        ):
            money[meter] = money.get(meter, 0) + earned
            lines[meter] = lines.get(meter, 0) + 1
            booked[meter] = booked.get(meter, 0) + energy
            partners.setdefault(meter, set()).add(other)
    assert max(map(len, partners.values()), default=0) <= told["rules"].max_partners
    assert cleared.grid_settlements["meter_id"].to_list() == [row["meter_id"] for row in rows]
    for row in cleared.grid_settlements.iter_rows(named=True):
        meter, net = row["meter_id"], row["net_wh"]
        assert row["traded_wh"] == booked.get(meter, 0)
        assert row["traded_wh"] + row["energy_wh"] == net
        assert abs(row["traded_wh"]) + abs(row["energy_wh"]) == abs(net)
        assert money.get(meter, 0) + row["amount_micro"] >= without_market(net, tariff) - lines.get(meter, 0) - 1

    shuffled = list(rows)
    rng.shuffle(shuffled)
    reordered = {name: list(told[name]) for name in ("agreements", "offers")}
    for stated in reordered.values():
        rng.shuffle(stated)
    again = clear(frame(shuffled), tariff, closed_before=LATER, **{**told, **reordered})
    assert fingerprint(again) == fingerprint(cleared)


@given(st.lists(st.integers(0, 500), min_size=1, max_size=30), st.integers(0, 500), tariffs())
def test_price_falls_from_retail_as_supply_rises(supplies, demand, tariff):
    prices = [pool_price(supply, demand, tariff) for supply in sorted({0, *supplies})]
    assert prices == sorted(prices, reverse=True)
    assert prices[0] == (tariff.retail_micro_per_kwh if demand else tariff.pool_floor_micro_per_kwh)
    assert prices[-1] >= tariff.pool_floor_micro_per_kwh
    assert pool_price(demand, demand, tariff) == tariff.pool_floor_micro_per_kwh


@given(st.integers(0, 10**6), st.integers(0, 10**6), tariffs())
def test_blended_prices_share_the_grid_s_with_everyone(supply, demand, tariff):
    """What the long side earns or pays on average is between the grid's price and the mid-market rate, and nothing is made."""
    export_price, import_price = blended_prices(supply, demand, tariff)
    mid = mid_market_price(tariff)
    assert tariff.feed_in_micro_per_kwh <= export_price <= mid <= import_price <= tariff.retail_micro_per_kwh
    surplus, deficit = max(supply - demand, 0), max(demand - supply, 0)
    of_grid = tariff.feed_in_micro_per_kwh * surplus - tariff.retail_micro_per_kwh * deficit
    assert abs(of_grid - (export_price * supply - import_price * demand)) < max(supply, demand, 1)


def test_long_side_is_served_in_proportion_and_ties_go_to_the_lower_id():
    cleared = clear(frame(position_rows([10, -7, -7, -7])), TARIFF, closed_before=LATER)
    assert cleared.grid_settlements["traded_wh"].to_list() == [10, -4, -3, -3]


def test_an_agreement_larger_than_supply_takes_what_there_is():
    agreements = [
        Agreement("stanford", "M0000", "M0001", 10**9, 100_000, priority=1),
        Agreement("stanford", "M0000", "M0002", 30, 90_000),
    ]
    cleared = clear(frame(position_rows([100, -500, -500])), TARIFF, closed_before=LATER, agreements=agreements)
    assert cleared.trades.select("buyer_meter_id", "energy_wh", "kind").rows() == [
        ("M0001", 70, "agreement"),
        ("M0002", 30, "agreement"),
    ]
    assert cleared.intervals["price_micro_per_kwh"][0] == 280_000


def test_agreements_count_towards_the_partner_cap():
    agreements = [Agreement("stanford", "M0000", f"M{n:04}", 10, 100_000) for n in (1, 2, 3)]
    cleared = clear(
        frame(position_rows([100, -50, -50, -50])),
        TARIFF,
        closed_before=LATER,
        rules=Rules(max_partners=2),
        agreements=agreements,
    )
    assert set(cleared.trades["buyer_meter_id"]) == {"M0001", "M0002"}
    assert cleared.intervals.select("traded_wh", "capped_wh").row(0) == (
        cleared.trades["energy_wh"].sum(),
        100 - cleared.trades["energy_wh"].sum(),
    )


def test_a_partner_by_agreement_may_be_the_pool_s_too():
    agreement = Agreement("stanford", "M0000", "M0001", 10, 100_000)
    cleared = clear(
        frame(position_rows([100, -80])), TARIFF, closed_before=LATER, rules=Rules(max_partners=1), agreements=[agreement]
    )
    assert cleared.trades.select("kind", "energy_wh").rows() == [("agreement", 10), ("pool", 70)]


def test_a_partner_by_agreement_leaves_no_room_for_another():
    for volumes, ends in (([50, -10, -40], ("M0000", "M0001")), ([-50, 10, 40], ("M0001", "M0000"))):
        cleared = clear(
            frame(position_rows(volumes)),
            TARIFF,
            closed_before=LATER,
            rules=Rules(max_partners=1),
            agreements=[Agreement("stanford", *ends, 10, 100_000)],
        )
        assert cleared.trades.select("kind", "energy_wh").rows() == [("agreement", 10)]
        assert cleared.intervals["capped_wh"].to_list() == [40]


def test_agreements_stay_in_their_zone():
    rows = position_rows([100, -50]) + position_rows([100, -50], zone="palo_alto")
    cleared = clear(frame(rows), TARIFF, closed_before=LATER, agreements=[Agreement("palo_alto", "M0000", "M0001", 50, 100_000)])
    assert dict(cleared.trades.select("zone", "kind").iter_rows()) == {"palo_alto": "agreement", "stanford": "pool"}


def test_incomplete_meters_settle_with_the_grid_alone():
    rows = position_rows([100, 60, -40, -10], reasons=[None, "incomplete", None, "no_register"], flags=[1, 0, 17, 1])
    cleared = clear(frame(rows), TARIFF, closed_before=LATER)
    grid = cleared.grid_settlements.select(
        "meter_id", "net_wh", "traded_wh", "energy_wh", "amount_micro", "reason", "quality_flags"
    )
    assert grid.rows() == [
        ("M0000", 100, 40, 60, 4_800, "residual", 1),
        ("M0001", 60, 0, 60, 4_800, "incomplete", 0),
        ("M0002", -40, -40, 0, 0, "residual", 17),
        ("M0003", 0, 0, 0, 0, "no_register", 1),
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

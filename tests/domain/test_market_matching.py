"""Groups matched at once are matched as each would be meter by meter."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from market_fleets import START, STEP, TARIFF, ZONE, agreements, name, nets, networks, offers, tariffs

from gridtokenx_pipeline.domain.market import MECHANISMS, Agreement, Link, MarketInputError, Network, Offer, Tariff, one_interval
from gridtokenx_pipeline.domain.market.book import Book, GridPrices, amounts_micro, micros
from gridtokenx_pipeline.domain.market.matching import match_all
from gridtokenx_pipeline.domain.market.prices import pool_price

NAMES = st.sampled_from(sorted(MECHANISMS))


def book_of(*groups):
    """Consecutive intervals of one zone, each given by the nets of its meters; none is empty."""
    groups = [list(group) or [0] for group in groups]
    counts = np.array([len(group) for group in groups])
    meters = max(counts)
    return Book(
        [ZONE],
        [name(number) for number in range(meters)],
        np.zeros(len(groups), dtype=np.int64),
        np.array([micros(START + number * STEP) for number in range(len(groups))]),
        np.concatenate(([0], np.cumsum(counts))),
        np.repeat(np.arange(len(groups)), counts),
        np.concatenate([np.arange(count) for count in counts]),
        np.concatenate(groups).astype(np.int64),
    )


def prices_of(*each):
    columns = [(t.feed_in_micro_per_kwh, t.pool_floor_micro_per_kwh, t.retail_micro_per_kwh) for t in each]
    return GridPrices(*np.array(columns, dtype=np.int64).T)


def trades_of(outcome, book, group):
    """Trades of one group as `one_interval.Match` states them."""
    t = outcome.trades
    here = book.group[t.seller] == group
    ends = [[book.meters[meter] for meter in book.meter[side[here]]] for side in (t.seller, t.buyer)]
    numbers = (t.energy_wh, t.price, t.loss_wh, t.wheeling_micro, t.agreement)
    return sorted(zip(*ends, *(column[here].tolist() for column in numbers), strict=True))


def reference_of(matched, standing):
    return sorted(
        (
            m.seller,
            m.buyer,
            m.energy_wh,
            m.price_micro_per_kwh,
            m.loss_wh,
            m.wheeling_micro,
            standing.index(m.agreement) if m.agreement else -1,
        )
        for m in matched.matches
    )


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_at_once_is_as_one_by_one(data):
    groups = data.draw(st.lists(nets(most=400), min_size=1, max_size=3))
    each = [data.draw(tariffs()) for _ in groups]
    book, prices = book_of(*groups), prices_of(*each)
    mechanism = MECHANISMS[data.draw(NAMES)]
    cap = data.draw(st.sampled_from([1, 2, 25, 25]))
    of_first = data.draw(agreements(len(book.meters), each[0]))
    standing = sorted(of_first, key=lambda a: (a.priority, a.seller_meter_id, a.buyer_meter_id))
    only_first = np.arange(book.groups) == 0
    offered = data.draw(offers(len(book.meters), each[0]))
    network = data.draw(networks(len(book.meters), each[0]))
    # every other offer holds in the first group alone
    held = [(offer, only_first if number % 2 else only_first | True) for number, offer in enumerate(offered)]
    outcome = match_all(book, prices, cap, mechanism, [(one, only_first) for one in standing], held, network)
    for group, tariff in enumerate(each):
        there = slice(book.bounds[group], book.bounds[group + 1])
        net_wh = dict(zip((name(meter) for meter in book.meter[there]), book.net_wh[there].tolist(), strict=True))
        agreed = standing if group == 0 else []
        in_force = [offer for offer, groups_held in held if groups_held[group]]
        matched = one_interval.match(net_wh, tariff, cap, agreed, in_force, network or Network(), mechanism)
        assert trades_of(outcome, book, group) == reference_of(matched, standing)
        assert (outcome.supply_wh[group], outcome.demand_wh[group]) == (matched.supply_wh, matched.demand_wh)
        assert (outcome.price[group], outcome.capped_wh[group]) == (matched.price_micro_per_kwh, matched.capped_wh)


@pytest.fixture
def arrays_only(monkeypatch):
    def refuse(*_args):
        raise AssertionError("a group went meter by meter")

    monkeypatch.setattr(one_interval, "match", refuse)


@pytest.mark.parametrize("mechanism", sorted(MECHANISMS))
def test_ordinary_groups_do_not_go_meter_by_meter(arrays_only, mechanism):
    rng = np.random.default_rng(7)
    groups = [rng.integers(-500, 501, size) for size in (25, 1, 2000)]
    book, prices = book_of(*groups), prices_of(*[TARIFF] * 3)
    always = np.ones(3, dtype=np.bool_)
    network = Network({name(number): "ab"[number % 2] for number in range(2000)}, {("a", "c"): Link(1), ("a", "b"): Link()})
    outcome = match_all(
        book,
        prices,
        25,
        MECHANISMS[mechanism],
        [(Agreement(ZONE, name(0), name(1), 10**9, 100_000), always)],
        [(Offer(ZONE, name(3), "sell", 10, 90_000), always)],
        network,
    )
    assert len(outcome.trades.seller) > 1000


@pytest.mark.parametrize(
    ("groups", "tariff", "network", "cap"),
    [
        ([[2**31, -5]], TARIFF, None, 25),
        ([[5, -5]], Tariff(1, 2**31), None, 25),
        ([[5, -5]], TARIFF, Network({name(0): "a"}, {("", "a"): Link(1)}), 25),
        ([[5, -3, -2]], TARIFF, None, 1),
    ],
)
def test_what_arrays_cannot_do_goes_meter_by_meter(arrays_only, groups, tariff, network, cap):
    with pytest.raises(AssertionError, match="meter by meter"):
        match_all(book_of(*groups), prices_of(tariff), cap, MECHANISMS["sdr_bilateral"], network=network)


def test_prices_that_pass_64_bits_are_exact():
    """2**31 - 1 Wh at 2**31 - 1 micro are matched in arrays where the price's own product fits, and not where it does not."""
    tariff = Tariff(2**30, 2**31 - 1)
    book = book_of([2**30, 1 - 2**31])
    outcome = match_all(book, prices_of(tariff), 25, MECHANISMS["sdr_bilateral"])
    assert outcome.price[0] == pool_price(2**30, 2**31 - 1, tariff)
    assert outcome.trades.energy_wh.tolist() == [2**30]


def test_amounts_that_do_not_fit_are_refused():
    energy, price = np.array([3, 2**62, 2**61 + 1]), np.array([500, 1000, 3999])
    assert amounts_micro(energy, price).tolist() == [2, 2**62, ((2**61 + 1) * 3999 + 500) // 1000]
    with pytest.raises(MarketInputError, match="4611686018427387904 Wh at 2001 micro"):
        amounts_micro(energy, price + 1001)


def test_sums_that_do_not_fit_are_refused():
    with pytest.raises(MarketInputError, match=r"a supply of 9223372036854775808 does not fit.*20:05"):
        match_all(book_of([5], [2**62, 2**62]), prices_of(TARIFF, TARIFF), 25, MECHANISMS["mmr"])
    outcome = match_all(book_of([5], [2**62, 2**62 - 1, -1]), prices_of(TARIFF, TARIFF), 25, MECHANISMS["mmr"])
    assert outcome.supply_wh.tolist() == [5, 2**63 - 1]

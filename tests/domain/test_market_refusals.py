"""What no market is cleared with is named before anything is."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

import polars as pl
import pytest

from gridtokenx_pipeline.domain.market import TARIFFS, Agreement, MarketInputError, Offer, Rules, Tariff, clear

sys.path.insert(0, str(Path(__file__).parent))

from market_fleets import LATER, START, STEP, TARIFF, ZONE, frame, position_rows


def tariff_frame(*rows, **columns):
    """A row for each (interval number, feed-in, retail), of no compensation; `columns` are added or changed."""
    made = [
        {
            "interval_start": START + number * STEP,
            "feed_in_micro_per_kwh": feed_in,
            "retail_micro_per_kwh": retail,
            "seller_compensation_micro_per_kwh": 0,
            "currency": "USD",
            "tariff": f"tou/{number}",
        }
        for number, feed_in, retail in rows
    ]
    return pl.DataFrame(made, schema=TARIFFS, orient="row").with_columns(**columns)


@pytest.mark.parametrize(
    ("agreement", "message"),
    [
        (Agreement("stanford", "M0000", "M0001", 5, 79_999), r"outside 80000 to 280000.*price_micro_per_kwh=79999"),
        (Agreement("stanford", "M0000", "M0001", 5, 280_001), "outside 80000 to 280000"),
        (Agreement("stanford", "M0000", "M9999", 5, 100_000), "unknown meter M9999"),
        (Agreement("stanford", "M0000", "M0000", 5, 100_000), "trade with itself.*'M0000'"),
        (Agreement("stanford", "M0000", "M0001", -1, 100_000), "negative energy.*max_wh=-1"),
    ],
)
def test_bad_agreements_are_named(agreement, message):
    with pytest.raises(MarketInputError, match=message):
        clear(frame(position_rows([10, -7])), TARIFF, closed_before=LATER, agreements=[agreement])


def test_two_agreements_of_a_pair_would_share_an_id():
    agreements = [Agreement("stanford", "M0000", "M0001", 5, 100_000, priority) for priority in (0, 1)]
    with pytest.raises(MarketInputError, match="two agreements at once"):
        clear(frame(position_rows([10, -7])), TARIFF, closed_before=LATER, agreements=agreements)


def test_a_registered_meter_may_be_silent():
    agreement = Agreement("stanford", "M0000", "M0009", 5, 100_000)
    cleared = clear(
        frame(position_rows([10, -7])), TARIFF, closed_before=LATER, agreements=[agreement], meters=["M0000", "M0001", "M0009"]
    )
    assert cleared.trades["kind"].to_list() == ["pool"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"load_wh": -1}, "negative energy.*'load_wh': -1"),
        ({"net_wh": 11}, "net_wh is not"),
        ({"net_wh": None, "generation_wh": None}, "no net_wh, and no reason"),
        ({"reason": "tired"}, "unknown reason.*'tired'"),
        ({"meter_id": "M0001"}, "meter repeated in an interval.*'M0001'"),
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


def test_an_agreement_may_change_its_terms_but_not_hold_twice():
    until = START + STEP
    earlier = Agreement(ZONE, "M0000", "M0001", 5, 100_000, valid_until=until, agreement_id="old")
    later = Agreement(ZONE, "M0000", "M0001", 6, 110_000, valid_from=until, agreement_id="new")
    positions = frame([row for number in range(3) for row in position_rows([10, -10], start=START + number * STEP)])
    cleared = clear(positions, TARIFF, closed_before=LATER, agreements=[later, earlier])
    agreed = cleared.trades.filter(pl.col("kind") == "agreement")
    assert agreed.select("energy_wh", "price_micro_per_kwh", "agreement_id").rows() == [
        (5, 100_000, "old"),
        (6, 110_000, "new"),
        (6, 110_000, "new"),
    ]
    assert cleared.trades.filter(pl.col("kind") == "pool")["agreement_id"].null_count() == 3
    overlapping = Agreement(ZONE, "M0000", "M0001", 6, 110_000, valid_from=until - dt.timedelta(seconds=1))
    with pytest.raises(MarketInputError, match=r"two agreements at once.*'old'"):
        clear(positions, TARIFF, closed_before=LATER, agreements=[overlapping, earlier])
    never = Agreement(ZONE, "M0000", "M0001", 6, 110_000, valid_from=START, valid_until=START)
    assert clear(positions, TARIFF, closed_before=LATER, agreements=[later, earlier, never]).trades.equals(cleared.trades)


def test_an_agreement_is_held_against_the_tariffs_of_its_own_intervals():
    positions = frame([row for number in range(2) for row in position_rows([10, -10], start=START + number * STEP)])
    tariffs = tariff_frame((0, 80_000, 280_000), (1, 120_000, 280_000))
    agreement = Agreement(ZONE, "M0000", "M0001", 5, 100_000, valid_until=START + STEP)
    assert clear(positions, tariffs, closed_before=LATER, agreements=[agreement]).trades["kind"].to_list() == [
        "agreement",
        "pool",
        "pool",
    ]
    for_ever = Agreement(ZONE, "M0000", "M0001", 5, 100_000)
    with pytest.raises(
        MarketInputError, match=r"outside 120000 to 280000 micro per kWh in interval .*20:05.*stanford: Agreement"
    ):
        clear(positions, tariffs, closed_before=LATER, agreements=[for_ever])


def test_intervals_have_the_tariff_of_their_own_row():
    positions = frame(
        [
            row
            for zone in ("east", "west")
            for number in range(2)
            for row in position_rows([30, -10], zone=zone, start=START + number * STEP)
        ]
    )
    tariffs = tariff_frame((1, 90_000, 300_000), (0, 80_000, 280_000), (7, 1, 2)).with_columns(
        seller_compensation_micro_per_kwh=pl.when(pl.col("tariff") == "tou/1").then(5_000).otherwise(0).cast(pl.Int64)
    )
    cleared = clear(positions, tariffs, closed_before=LATER)
    columns = ("zone", "tariff", "price_micro_per_kwh", "feed_in_micro_per_kwh", "retail_micro_per_kwh", "currency")
    assert cleared.intervals.select(columns).rows() == [
        ("east", "tou/0", 80_000, 80_000, 280_000, "USD"),
        ("east", "tou/1", 95_000, 90_000, 300_000, "USD"),
        ("west", "tou/0", 80_000, 80_000, 280_000, "USD"),
        ("west", "tou/1", 95_000, 90_000, 300_000, "USD"),
    ]
    assert cleared.grid_settlements.filter(pl.col("meter_id") == "M0000")["amount_micro"].to_list() == [1_600, 1_800] * 2

    by_zone = pl.concat(
        [tariffs.with_columns(zone=pl.lit("west")), tariffs.with_columns(zone=pl.lit("east"), currency=pl.lit("THB"))]
    )
    assert clear(positions, by_zone, closed_before=LATER).intervals["currency"].to_list() == ["THB", "THB", "USD", "USD"]
    with pytest.raises(MarketInputError, match=r"no tariff holds in interval .* of west"):
        clear(positions, by_zone.filter(pl.col("zone") == "east"), closed_before=LATER)


@pytest.mark.parametrize(
    ("tariffs", "message"),
    [
        (tariff_frame((1, 80_000, 280_000)), r"no tariff holds in interval 2026-11-22 20:00:00\+00:00 of stanford"),
        (tariff_frame((0, 80_000, 280_000), (0, 80_000, 290_000)), "an interval has two tariffs.*'tou/0'"),
        (tariff_frame((0, -1, 280_000)), "a tariff is negative.*-1"),
        (tariff_frame((0, 280_001, 280_000)), "exceeds the retail tariff.*280001"),
        (tariff_frame((0, 2**62, 2**63 - 1), seller_compensation_micro_per_kwh=pl.lit(2**62)), "exceeds the retail tariff"),
        (tariff_frame((0, 1, 2), currency=pl.lit(None, dtype=pl.String)), "null.*'currency': None"),
        (tariff_frame((0, 1, 2)).drop("tariff"), r"tariffs lack the columns \['tariff'\]"),
        (Tariff(1, 2**63), "does not fit 64 bits"),
    ],
)
def test_bad_tariffs_are_named(tariffs, message):
    with pytest.raises(MarketInputError, match=message):
        clear(frame(position_rows([10, -7])), tariffs, closed_before=LATER)


@pytest.mark.parametrize(
    ("offer", "message"),
    [
        (Offer(ZONE, "M9999", "sell", 5, 100_000), "unknown meter M9999.*Offer"),
        (Offer(ZONE, "M0000", "lend", 5, 100_000), "side is neither sell nor buy.*'lend'"),
        (Offer(ZONE, "M0000", "buy", -5, 100_000), "negative energy.*-5"),
        (Offer(ZONE, "M0000", "buy", 5, 100_000, valid_from=START.replace(tzinfo=None)), "validity without time zone.*Offer"),
    ],
)
def test_bad_offers_are_named(offer, message):
    with pytest.raises(MarketInputError, match=message):
        clear(frame(position_rows([10, -7])), TARIFF, closed_before=LATER, offers=[offer])


def test_a_mechanism_has_a_name():
    positions = frame(position_rows([10, -7]))
    assert clear(positions, TARIFF, closed_before=LATER, mechanism="mmr").intervals["mechanism"].to_list() == ["mmr/1"]
    with pytest.raises(MarketInputError, match=r"'mmr/2'; there are sdr_bilateral/1, mmr/1, double_auction/1"):
        clear(positions, TARIFF, closed_before=LATER, mechanism="mmr/2")


def test_amounts_and_sums_of_64_bits_are_the_most():
    most = frame(position_rows([2**62, -(2**62)]))
    assert clear(most, Tariff(0, 1000), closed_before=LATER).trades["amount_micro"].to_list() == [0]
    assert clear(most, Tariff(1000, 1000), closed_before=LATER).trades["amount_micro"].to_list() == [2**62]
    with pytest.raises(MarketInputError, match="does not fit 64 bits"):
        clear(most, Tariff(2000, 2000), closed_before=LATER)
    with pytest.raises(MarketInputError, match=r"a supply of .* does not fit"):
        clear(frame(position_rows([2**62, 2**62])), TARIFF, closed_before=LATER)
    with pytest.raises(MarketInputError, match="max_partners must be at least 1"):
        Rules(max_partners=0)


def test_a_start_between_two_seconds_has_no_id():
    rows = position_rows([10, -7], start=START + dt.timedelta(microseconds=5))
    with pytest.raises(MarketInputError, match="between two seconds"):
        clear(frame(rows), TARIFF, closed_before=LATER)

"""Worked cases, to the unit: feed-in 0.08, retail 0.28 per kWh."""

from __future__ import annotations

import datetime as dt

import pytest

from gridtokenx_pipeline.domain.invariants import market_violations
from gridtokenx_pipeline.domain.market import Agreement, Link, Network, Offer, Tariff, clear
from gridtokenx_pipeline.domain.market.prices import blended_prices

TARIFF = Tariff(80_000, 280_000)
FAIRER = Tariff(80_000, 280_000, seller_compensation_micro_per_kwh=20_000)
LATER = dt.datetime(2026, 11, 22, 21, tzinfo=dt.UTC)

DEFICIT = (
    ("M1", 3200, 1200, 500, 0),
    ("M2", 1000, 299, 0, 0),
    ("M3", 0, 1951, 0, 0),
    ("M4", 250, 1296, 0, 0),
    ("M5", 0, 600, 0, 800),
)
SURPLUS = (
    ("M1", 3200, 1200, 0, 0),
    ("M2", 1000, 299, 0, 0),
    ("M3", 500, 1451, 0, 0),
    ("M4", 250, 996, 0, 0),
    ("M5", 0, 201, 0, 200),
)
AGREEMENT = Agreement("stanford", "M1", "M4", 500, 150_000)


def _trades(cleared, *more):
    columns = ("seller_meter_id", "buyer_meter_id", "energy_wh", "amount_micro", *more)
    return {row[:2]: row[2:] for row in cleared.trades.select(columns).iter_rows()}


def _grid(cleared):
    columns = ("meter_id", "traded_wh", "energy_wh", "amount_micro")
    return {row[0]: row[1:] for row in cleared.grid_settlements.select(columns).iter_rows()}


def _bills(cleared):
    """Trade money by meter: received (+) or paid (-)."""
    bills = {}
    for (seller, buyer), (_, amount) in _trades(cleared).items():
        bills[seller] = bills.get(seller, 0) + amount
        bills[buyer] = bills.get(buyer, 0) - amount
    return bills


def _interval(cleared):
    return cleared.intervals.row(0, named=True)


def test_case_a_deficit(position_frame):
    positions = position_frame(*DEFICIT)
    assert dict(positions.select("meter_id", "net_wh").iter_rows()) == {
        "M1": 1500,
        "M2": 701,
        "M3": -1951,
        "M4": -1046,
        "M5": 200,
    }
    cleared = clear(positions, TARIFF, closed_before=LATER)
    assert _trades(cleared) == {
        ("M1", "M3"): (1500, 139_868),
        ("M2", "M3"): (63, 5_874),
        ("M2", "M4"): (638, 59_490),
        ("M5", "M4"): (200, 18_649),
    }
    assert _grid(cleared) == {
        "M1": (1500, 0, 0),
        "M2": (701, 0, 0),
        "M3": (-1563, -388, -108_640),
        "M4": (-838, -208, -58_240),
        "M5": (200, 0, 0),
    }
    assert _bills(cleared) == {"M1": 139_868, "M2": 65_364, "M3": -145_742, "M4": -78_139, "M5": 18_649}
    interval = _interval(cleared)
    assert interval["price_micro_per_kwh"] == 93_245
    assert (interval["supply_wh"], interval["demand_wh"], interval["traded_wh"], interval["capped_wh"]) == (2401, 2997, 2401, 0)
    assert cleared.trades["amount_micro"].sum() == 223_881
    assert (interval["mechanism"], interval["state"], interval["version"], interval["currency"]) == (
        "sdr_bilateral/1",
        "closed",
        1,
        "USD",
    )


def test_case_a_with_seller_compensation(position_frame):
    cleared = clear(position_frame(*DEFICIT), FAIRER, closed_before=LATER)
    assert _interval(cleared)["price_micro_per_kwh"] == 114_658
    assert _bills(cleared) == {"M1": 171_987, "M2": 80_375, "M3": -179_210, "M4": -96_084, "M5": 22_932}


def test_case_b_surplus(position_frame):
    cleared = clear(position_frame(*SURPLUS), TARIFF, closed_before=LATER)
    assert _trades(cleared) == {
        ("M1", "M3"): (951, 76_080),
        ("M1", "M4"): (306, 24_480),
        ("M2", "M4"): (440, 35_200),
        ("M2", "M5"): (1, 80),
    }
    grid = _grid(cleared)
    assert (grid["M1"], grid["M2"]) == ((1257, 743, 59_440), (441, 260, 20_800))
    assert _interval(cleared)["price_micro_per_kwh"] == 80_000
    assert _interval(clear(position_frame(*SURPLUS), FAIRER, closed_before=LATER))["price_micro_per_kwh"] == 100_000


def test_case_c_agreement_before_the_pool(position_frame):
    cleared = clear(position_frame(*DEFICIT), TARIFF, closed_before=LATER, agreements=[AGREEMENT])
    assert _trades(cleared, "kind", "price_micro_per_kwh") == {
        ("M1", "M4"): (500, 75_000, "agreement", 150_000),
        ("M1", "M3"): (1000, 96_442, "pool", 96_442),
        ("M2", "M3"): (485, 46_774, "pool", 96_442),
        ("M2", "M4"): (216, 20_831, "pool", 96_442),
        ("M5", "M4"): (200, 19_288, "pool", 96_442),
    }
    assert cleared.trades["seller_meter_id"].to_list() == ["M1", "M1", "M2", "M2", "M5"]
    assert cleared.trades["kind"].to_list() == ["agreement", "pool", "pool", "pool", "pool"]
    grid = _grid(cleared)
    assert (grid["M3"][1:], grid["M4"][1:]) == ((-466, -130_480), (-130, -36_400))
    assert _interval(cleared)["price_micro_per_kwh"] == 96_442


def test_case_f_partner_cap(position_frame):
    buyers = [(f"B{number:02}", 0, 40, 0, 0) for number in range(1, 31)]
    positions = position_frame(("SELLER", 1000, 0, 0, 0), *buyers)
    cleared = clear(positions, TARIFF, closed_before=LATER)
    interval = _interval(cleared)
    assert interval["price_micro_per_kwh"] == 90_810
    assert (interval["traded_wh"], interval["capped_wh"], cleared.trades.height) == (835, 165, 25)
    grid = _grid(cleared)
    assert grid["SELLER"] == (835, 165, 13_200)
    assert [grid[f"B{number:02}"][0] for number in range(1, 31)] == [-34] * 10 + [-33] * 15 + [0] * 5
    assert market_violations(
        cleared.intervals, cleared.trades, cleared.grid_settlements, max_partners=25, positions=positions
    ).is_empty()


OFFERS = (
    Offer("stanford", "M3", "buy", 1951, 240_000),
    Offer("stanford", "M4", "buy", 1046, 190_000),
    Offer("stanford", "M1", "sell", 1500, 120_000),
    Offer("stanford", "M2", "sell", 701, 150_000),
    Offer("stanford", "M5", "sell", 200, 200_000),
)


def test_case_d_double_auction(position_frame):
    cleared = clear(position_frame(*DEFICIT), TARIFF, closed_before=LATER, mechanism="double_auction", offers=OFFERS)
    interval = _interval(cleared)
    assert (interval["price_micro_per_kwh"], interval["traded_wh"], interval["capped_wh"]) == (170_000, 2201, 200)
    assert interval["mechanism"] == "double_auction/1"
    assert _trades(cleared) == {
        ("M1", "M3"): (1500, 255_000),
        ("M2", "M3"): (451, 76_670),
        ("M2", "M4"): (250, 42_500),
    }
    grid = _grid(cleared)
    assert grid["M5"] == (0, 200, 16_000)
    assert grid["M4"] == (-250, -796, -222_880)


def test_offers_that_never_meet_leave_all_to_the_grid(position_frame):
    offers = [Offer("stanford", "S", "sell", 100, 200_000), Offer("stanford", "B", "buy", 100, 151_000)]
    cleared = clear(
        position_frame(("S", 100, 0, 0, 0), ("B", 0, 100, 0, 0)),
        TARIFF,
        closed_before=LATER,
        mechanism="double_auction",
        offers=offers,
    )
    assert cleared.trades.is_empty()
    # half way between the best of both sides
    assert _interval(cleared)["price_micro_per_kwh"] == 175_500


def test_orders_at_the_margin_share_what_better_ones_leave(position_frame):
    """Asks: 60 Wh at 0.10, then twice 50 at 0.12, and 100 of a price taker at 0.08; the bid of 200 Wh takes 40 of the margin's 100."""
    sellers = [("S1", 60, 0, 0, 0), ("S2", 70, 0, 0, 0), ("S3", 50, 0, 0, 0), ("S4", 100, 0, 0, 0)]
    offers = [
        Offer("stanford", "S1", "sell", 60, 100_000),
        Offer("stanford", "S2", "sell", 50, 120_000),
        Offer("stanford", "S3", "sell", 10**9, 120_000),
        Offer("stanford", "B", "buy", 200, 10**9),
    ]
    cleared = clear(
        position_frame(*sellers, ("B", 0, 500, 0, 0)), TARIFF, closed_before=LATER, mechanism="double_auction", offers=offers
    )
    assert {meter: grid[0] for meter, grid in _grid(cleared).items()} == {"S1": 60, "S2": 20, "S3": 20, "S4": 100, "B": -200}
    # a bid above the retail tariff is one at the retail tariff
    assert _interval(cleared)["price_micro_per_kwh"] == 200_000


def test_a_meter_may_offer_by_steps(position_frame):
    """Its cheapest Wh are sold first: 30 at 0.10, then up to 100 at 0.20, of which it has 20."""
    offers = [Offer("stanford", "S", "sell", 100, 200_000), Offer("stanford", "S", "sell", 30, 100_000)]
    positions = position_frame(("S", 50, 0, 0, 0), ("B", 0, 500, 0, 0))
    dear = [*offers, Offer("stanford", "B", "buy", 500, 150_000)]
    cleared = clear(positions, TARIFF, closed_before=LATER, mechanism="double_auction", offers=dear)
    assert _trades(cleared, "price_micro_per_kwh") == {("S", "B"): (30, 3_750, 125_000)}
    cleared = clear(positions, TARIFF, closed_before=LATER, mechanism="double_auction", offers=offers)
    assert _trades(cleared, "price_micro_per_kwh") == {("S", "B"): (50, 12_000, 240_000)}


def test_offers_hold_while_they_are_valid(position_frame):
    start = dt.datetime(2026, 11, 22, 20, tzinfo=dt.UTC)
    positions = position_frame(("S", 50, 0, 0, 0), ("B", 0, 50, 0, 0))
    for begins, ends, price in ((start, None, 190_000), (None, start, 180_000), (start + dt.timedelta(seconds=1), None, 180_000)):
        offer = Offer("stanford", "S", "sell", 50, 100_000, begins, ends)
        cleared = clear(positions, TARIFF, closed_before=LATER, mechanism="double_auction", offers=[offer])
        assert _interval(cleared)["price_micro_per_kwh"] == price
    elsewhere = Offer("palo_alto", "S", "sell", 0, 100_000)
    cleared = clear(positions, TARIFF, closed_before=LATER, mechanism="double_auction", offers=[elsewhere])
    assert _interval(cleared)["traded_wh"] == 50


def test_mid_market_rate(position_frame):
    """Volumes and pairs as by supply and demand, at half way between the tariffs; case F's cap binds as well."""
    cleared = clear(position_frame(*DEFICIT), TARIFF, closed_before=LATER, mechanism="mmr")
    assert _trades(cleared) == {
        ("M1", "M3"): (1500, 270_000),
        ("M2", "M3"): (63, 11_340),
        ("M2", "M4"): (638, 114_840),
        ("M5", "M4"): (200, 36_000),
    }
    assert (_interval(cleared)["price_micro_per_kwh"], _interval(cleared)["mechanism"]) == (180_000, "mmr/1")
    fairer = clear(position_frame(*SURPLUS), FAIRER, closed_before=LATER, mechanism="mmr/1")
    assert _interval(fairer)["price_micro_per_kwh"] == 190_000
    odd = clear(position_frame(*SURPLUS), Tariff(80_001, 280_000), closed_before=LATER, mechanism="mmr")
    assert _interval(odd)["price_micro_per_kwh"] == 180_000
    buyers = [(f"B{number:02}", 0, 40, 0, 0) for number in range(1, 31)]
    capped = clear(position_frame(("SELLER", 1000, 0, 0, 0), *buyers), TARIFF, closed_before=LATER, mechanism="mmr")
    assert (_interval(capped)["traded_wh"], _interval(capped)["capped_wh"]) == (835, 165)


@pytest.mark.parametrize(
    ("supply", "demand", "prices"),
    [
        (2401, 2997, (180_000, 199_886)),
        (2701, 1698, (142_865, 180_000)),
        (5, 5, (180_000, 180_000)),
        (0, 0, (180_000, 180_000)),
        (0, 7, (180_000, 280_000)),
        (7, 0, (80_000, 180_000)),
    ],
)
def test_mid_market_rate_blended_with_the_grid(supply, demand, prices):
    assert blended_prices(supply, demand, TARIFF) == prices


NETWORK = Network(
    {"S1": "a", "S2": "a", "B1": "b", "B2": "b", "B3": "a"}, {("a", "b"): Link(loss_ppm=100_000, wheeling_micro_per_kwh=10_000)}
)


def test_losses_and_wheeling(position_frame):
    """S 1000, D 1500, p = 80000 * 280000 * 1500 // (200000 * 1000 + 80000 * 1500) = 105,000; buyers are scaled to 600 and 400.

    S1 sells its 600 to B1, of which 540 arrive. B1 still wants 60: S2 sells 67, of which 60 arrive; the other 333 bring B2 299.
    """
    positions = position_frame(("S1", 600, 0, 0, 0), ("S2", 400, 0, 0, 0), ("B1", 0, 900, 0, 0), ("B2", 0, 600, 0, 0))
    cleared = clear(positions, TARIFF, closed_before=LATER, network=NETWORK)
    assert _trades(cleared, "loss_wh", "wheeling_micro") == {
        ("S1", "B1"): (600, 63_000, 60, 6_000),
        ("S2", "B1"): (67, 7_035, 7, 670),
        ("S2", "B2"): (333, 34_965, 34, 3_330),
    }
    assert _grid(cleared) == {
        "S1": (600, 0, 0),
        "S2": (400, 0, 0),
        "B1": (-600, -300, -84_000),
        "B2": (-299, -301, -84_280),
    }
    interval = _interval(cleared)
    assert interval["price_micro_per_kwh"] == 105_000
    assert (interval["traded_wh"], interval["capped_wh"], interval["loss_wh"], interval["wheeling_micro"]) == (
        1000,
        0,
        101,
        10_000,
    )
    assert market_violations(
        cleared.intervals, cleared.trades, cleared.grid_settlements, max_partners=25, positions=positions, network=NETWORK
    ).is_empty()


def test_the_cheapest_way_is_used_first(position_frame):
    """B3, in the seller's grid zone, is served before the larger B1; the 90 Wh left bring B1 81."""
    positions = position_frame(("S1", 100, 0, 0, 0), ("B1", 0, 180, 0, 0), ("B3", 0, 20, 0, 0))
    cleared = clear(positions, TARIFF, closed_before=LATER, network=NETWORK)
    assert _trades(cleared, "loss_wh", "wheeling_micro") == {
        ("S1", "B3"): (10, 1_244, 0, 0),
        ("S1", "B1"): (90, 11_200, 9, 900),
    }


@pytest.mark.parametrize(
    ("link", "trades"),
    [
        (Link(0, 155_556), 1),
        (Link(0, 155_557), 0),
        (Link(555_557, 0), 0),
        (Link(0, 280_001), 0),
        # 1 - 124,444 / 280,000 is 555,557 ppm. The rate pays, but of 500 Wh only 222 arrive, worth 62,160 and not 62,222
        (Link(555_000, 0), 0),
        (Link(554_000, 0), 1),
    ],
)
def test_a_pair_that_cannot_pay_its_way_is_not_made(position_frame, link, trades):
    """At 124,444 (S 500, D 1000) a way may cost 155,556 until the grid is cheaper."""
    positions = position_frame(("S", 500, 0, 0, 0), ("B", 0, 1000, 0, 0))
    network = Network({"S": "a"}, {("", "a"): link})
    cleared = clear(positions, TARIFF, closed_before=LATER, network=network)
    interval = _interval(cleared)
    assert interval["price_micro_per_kwh"] == 124_444
    assert cleared.trades.height == trades
    assert interval["traded_wh"] + interval["capped_wh"] == 500


def test_a_rate_that_does_not_pay_is_not_hidden_by_rounding(position_frame):
    """Of 1 Wh at 124,444 and 155,557 for the way, the amounts are 124 and 156: no more than retail's 280."""
    positions = position_frame(("S", 1, 0, 0, 0), ("B", 0, 2, 0, 0))
    for wheeling, trades in ((155_556, 1), (155_557, 0)):
        network = Network({"S": "a"}, {("", "a"): Link(0, wheeling)})
        assert clear(positions, TARIFF, closed_before=LATER, network=network).trades.height == trades


def test_agreements_pay_for_their_way(position_frame):
    positions = position_frame(("S1", 500, 0, 0, 0), ("B1", 0, 90, 0, 0))
    for price, expected in ((242_000, {("S1", "B1"): (100, 24_200, "agreement", 10, 1_000)}), (243_001, {})):
        agreement = Agreement("stanford", "S1", "B1", 200, price, agreement_id="one")
        cleared = clear(positions, TARIFF, closed_before=LATER, network=NETWORK, agreements=[agreement])
        trades = _trades(cleared, "kind", "loss_wh", "wheeling_micro")
        assert {pair: row for pair, row in trades.items() if row[2] == "agreement"} == expected
        assert cleared.trades["agreement_id"].to_list() == (["one"] if expected else [None])


def test_what_an_agreement_loses_is_still_wanted(position_frame):
    """Of 50 Wh agreed 45 arrive, so the pool has 45 to serve; of these it sells 45, and 40 arrive."""
    positions = position_frame(("S1", 500, 0, 0, 0), ("B1", 0, 90, 0, 0))
    agreement = Agreement("stanford", "S1", "B1", 50, 150_000)
    cleared = clear(positions, TARIFF, closed_before=LATER, network=NETWORK, agreements=[agreement])
    assert cleared.trades.select("kind", "energy_wh", "loss_wh").rows() == [("agreement", 50, 5), ("pool", 45, 5)]
    assert _grid(cleared)["B1"] == (-85, -5, -1_400)
    assert _interval(cleared)["capped_wh"] == 0


def test_ids_never_change(position_frame):
    """A changed id would settle an interval a second time."""
    cleared = clear(position_frame(*DEFICIT), TARIFF, closed_before=LATER)
    trade = cleared.trades.row(0, named=True)
    assert (trade["seller_meter_id"], trade["buyer_meter_id"]) == ("M1", "M3")
    assert trade["trade_id"] == "49882099-ce28-5166-b041-0c0c2aa44b56"
    assert cleared.grid_settlements["grid_settlement_id"][0] == "c379900e-2313-54fa-985b-62d0e61edcf0"


@pytest.mark.parametrize("watermark_passed", [True, False])
def test_an_interval_closes_at_the_watermark(position_frame, watermark_passed):
    closes = dt.datetime(2026, 11, 22, 20, 6, tzinfo=dt.UTC)
    now = closes if watermark_passed else closes - dt.timedelta(microseconds=1)
    cleared = clear(position_frame(*DEFICIT), TARIFF, closed_before=now)
    interval = _interval(cleared)
    assert (interval["supply_wh"], interval["demand_wh"], interval["price_micro_per_kwh"]) == (2401, 2997, 93_245)
    assert interval["state"] == ("closed" if watermark_passed else "open")
    assert interval["traded_wh"] == (2401 if watermark_passed else 0)
    assert cleared.trades.is_empty() != watermark_passed
    assert cleared.grid_settlements.is_empty() != watermark_passed

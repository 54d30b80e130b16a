"""Worked cases, to the unit: feed-in 0.08, retail 0.28 per kWh."""

from __future__ import annotations

import datetime as dt

import pytest

from gridtokenx_pipeline.domain.invariants import market_violations
from gridtokenx_pipeline.domain.market import Agreement, Tariff, clear

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

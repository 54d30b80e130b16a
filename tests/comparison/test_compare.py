"""The worked cases under one mechanism beside another: bills, incomes and savings to the micro-unit."""

from __future__ import annotations

import datetime as dt
import functools
import struct
import zlib

import polars as pl
import pytest
from past_energy import AGREED_DAY, DAY, NEXT_DAY, OPEN, START, STEP

from gridtokenx_pipeline import config
from gridtokenx_pipeline.comparison import NothingToCompare, Prices, compare
from gridtokenx_pipeline.comparison.chart import lines, picture, prices
from gridtokenx_pipeline.comparison.font import text_pixels
from gridtokenx_pipeline.domain.market import MarketInputError
from gridtokenx_pipeline.warehouse import Warehouse

NOW = "sdr_bilateral (in force)"
ALL = ("sdr_bilateral", "mmr", "double_auction")


@pytest.fixture(scope="module")
def compared(data):
    settings = config.load(data=data)
    with Warehouse(settings.warehouse_dir, read_only=True) as warehouse:

        @functools.cache
        def run(start, end, mechanisms=("mmr",), changed=None, progress=lambda *_: None):
            return compare(warehouse, settings, start, end, mechanisms, changed, progress)

        yield run


def bills(found, name):
    return dict(found.outcomes[name].meters.select("meter_id", "bill_micro").iter_rows())


def test_case_a_is_cheap_for_buyers_now_and_dearer_at_the_mid_market_rate(compared):
    found = compared(START, START + STEP)
    now, mmr = found.summary(NOW), found.summary("mmr")
    assert (
        (now["supply_wh"], now["demand_wh"], now["traded_wh"])
        == (2401, 2997, 2401)
        == (mmr["supply_wh"], mmr["demand_wh"], mmr["traded_wh"])
    )
    assert [now[f"price_{p}_micro_per_kwh"] for p in ("min", "mean", "max")] == [93_245] * 3
    assert [mmr[f"price_{p}_micro_per_kwh"] for p in ("min", "mean", "max")] == [180_000] * 3
    assert bills(found, NOW) == {"M1": 139_868, "M2": 65_364, "M3": -145_742 - 108_640, "M4": -78_139 - 58_240, "M5": 18_649}
    assert bills(found, "mmr") == {"M1": 270_000, "M2": 126_180, "M3": -281_340 - 108_640, "M4": -150_840 - 58_240, "M5": 36_000}
    # 223,881 earned instead of 192,080 for feeding in; and 546,280 + 292,880 at retail instead of 254,382 + 136,379
    assert (now["sellers_extra_micro"], now["buyers_savings_micro"]) == (31_801, 448_399)
    assert (mmr["sellers_extra_micro"], mmr["buyers_savings_micro"]) == (240_100, 240_100)
    assert (mmr["better_off"], mmr["worse_off"]) == (3, 2)
    assert mmr["largest_gain"] == {"meter_id": "M1", "micro": 130_132}
    assert mmr["largest_loss"] == {"meter_id": "M3", "micro": -135_598}
    assert (now["better_off"], now["worse_off"], now["largest_gain"], now["largest_loss"]) == (0, 0, None, None)


def test_case_b_gives_sellers_nothing_now_and_a_share_at_the_mid_market_rate(compared):
    found = compared(START + STEP, START + 2 * STEP)
    now, mmr = found.summary(NOW), found.summary("mmr")
    assert (now["supply_wh"], now["demand_wh"], now["traded_wh"]) == (2701, 1698, 1698)
    assert (now["price_mean_micro_per_kwh"], mmr["price_mean_micro_per_kwh"]) == (80_000, 180_000)
    assert (now["sellers_extra_micro"], now["buyers_savings_micro"]) == (0, 1698 * 200)
    received = sum(bill for bill in bills(found, "mmr").values() if bill > 0)
    assert received * 1000 // 2701 == 142_865
    assert mmr["sellers_extra_micro"] == mmr["buyers_savings_micro"] == 169_800


def test_days_add_up_and_progress_is_told(compared):
    told = []
    both = compared(START, NEXT_DAY + STEP, progress=lambda *told_: told.append(told_))
    first, second = compared(START, START + 2 * STEP), compared(NEXT_DAY, NEXT_DAY + STEP)
    for name in (NOW, "mmr"):
        assert bills(both, name) == {meter: bill + bills(second, name)[meter] for meter, bill in bills(first, name).items()}
    assert both.summary(NOW)["intervals"] == 3
    assert (both.summary(NOW)["price_min_micro_per_kwh"], both.summary(NOW)["price_max_micro_per_kwh"]) == (80_000, 93_245)
    assert both.summary(NOW)["price_mean_micro_per_kwh"] == round((2 * 2401 * 93_245 + 1698 * 80_000) / 6500)
    assert told == [(0, 2, "2026-11-21"), (1, 2, "2026-11-22"), (2, 2, "")]


def test_what_meters_pay_each_other_never_changes_what_all_of_them_have(compared):
    """Whatever the mechanism trades, all meters together pay the grid for the same net energy."""
    found = compared(START, START + 2 * STEP, ALL)
    assert list(found.outcomes) == [NOW, "mmr", "double_auction"]
    for name, outcome in found.outcomes.items():
        one = found.summary(name)
        grid = sum(bills(found, name).values())
        alone = grid - one["sellers_extra_micro"] - one["buyers_savings_micro"]
        assert alone == (2401 + 2701) * 80 - (2997 + 1698) * 280
        assert outcome.meters["sold_wh"].sum() == one["traded_wh"] == outcome.meters["received_wh"].sum()


def test_other_prices_are_compared_with_those_in_force(compared):
    found = compared(START, START + STEP, ("sdr_bilateral",), Prices(retail=300_000))
    assert list(found.outcomes) == [NOW, "sdr_bilateral"]
    assert found.summary(NOW)["price_mean_micro_per_kwh"] == 93_245
    assert found.summary("sdr_bilateral")["price_mean_micro_per_kwh"] == 93_658
    fairer = compared(START, START + STEP, ("sdr_bilateral",), Prices(compensation=20_000))
    assert fairer.summary("sdr_bilateral")["price_mean_micro_per_kwh"] == 114_658
    assert bills(fairer, "sdr_bilateral")["M1"] == 171_987


def test_agreements_count_where_the_prices_allow_theirs(compared):
    found = compared(AGREED_DAY, AGREED_DAY + STEP, ("sdr_bilateral",), Prices(retail=140_000))
    assert found.summary(NOW)["price_max_micro_per_kwh"] == 150_000
    assert found.summary(NOW)["price_min_micro_per_kwh"] == 96_442
    assert found.summary("sdr_bilateral")["price_max_micro_per_kwh"] < 140_000


def test_open_intervals_are_left_out_and_counted(compared):
    found = compared(AGREED_DAY, OPEN + STEP)
    assert (found.open_intervals, found.summary("mmr")["intervals"]) == (1, 1)
    with pytest.raises(NothingToCompare, match="1 are still open"):
        compared(OPEN, OPEN + STEP)
    with pytest.raises(NothingToCompare, match="no closed interval"):
        compared(START - DAY, START)


def test_prices_that_cannot_be_are_refused(compared):
    with pytest.raises(MarketInputError, match="exceeds the retail"):
        compared(START, START + STEP, ("mmr",), Prices(feed_in=300_000))


def test_the_chart_of_text_is_as_high_as_the_prices_are(compared):
    found = compared(START, START + 2 * STEP)
    drawn = lines(found.outcomes, "USD", 60)
    assert drawn[0] == f"{NOW}: price of trades, USD per kWh"
    assert [line.split(" ")[0] for line in (drawn[1], drawn[4])] == ["0.280", "0.080"]
    # 93,245 and 80,000 between 80,000 and 280,000 are in the lowest row; 180,000 is just above half
    assert [line.rstrip() for line in drawn[1:4]] == ["0.280", "", ""]
    assert drawn[4] == "0.080 ▃▁"
    assert [line[6:] for line in drawn[7:11]] == ["", "▁▁", "██", "██"]
    assert drawn[5].strip() == "2026-11-21 20:00 to 2026-11-21 20:05 UTC"


def test_many_intervals_become_as_many_parts_as_there_is_room_for(compared):
    outcome = compared(START, NEXT_DAY + STEP).outcomes[NOW]
    starts, means = prices(outcome, 10)
    assert len(starts) == len(means) <= 10
    assert starts[0] == START
    assert means[0] == pytest.approx((2401 * 93_245 + 1698 * 80_000) / (2401 + 1698))
    assert means[-1] == 93_245
    assert set(means[1:-1]) == {None}


def test_the_picture_is_a_png_with_a_line_for_each_mechanism(compared):
    body = picture(compared(START, START + 2 * STEP, ALL).outcomes, "USD")
    assert body.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", body[16:24])
    (length,) = struct.unpack(">I", body[body.index(b"IDAT") - 4 : body.index(b"IDAT")])
    start = body.index(b"IDAT") + 4
    pixels = zlib.decompress(body[start : start + length])
    assert len(pixels) == height * (width + 1)
    rows = [pixels[y * (width + 1) + 1 : (y + 1) * (width + 1)] for y in range(height)]
    heights = {colour: {y for y, row in enumerate(rows) if row.count(colour) > width // 5} for colour in (3, 4, 5)}
    # the mid-market rate is half way up, and so is the auction without offers; what is in force is below them
    assert heights[4] == heights[5]
    assert max(heights[4]) < min(heights[3])


def test_every_letter_of_a_label_has_dots():
    label = f"{NOW} double_auction mmr {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC 0.280 USD per kWh"
    unknown = text_pixels("\N{SNOWMAN}")
    assert not any((text_pixels(letter) == unknown).all() for letter in label if letter != " ")
    assert text_pixels(" ").sum() == 0


def test_meters_without_whole_energy_settle_with_the_grid_and_are_in_the_table(compared):
    found = compared(START, START + STEP)
    rows = found.against_in_force("mmr")
    assert rows["difference_micro"].is_sorted(descending=True)
    assert rows.filter(pl.col("meter_id") == "M3")["difference_micro"].item() == -135_598

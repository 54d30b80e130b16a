"""The operator's file is read whole or refused by line and column."""

from __future__ import annotations

import datetime as dt

import pytest

from gridtokenx_pipeline.domain.market.agreements_file import read_agreements
from gridtokenx_pipeline.domain.market.model import Agreement, MarketInputError, Tariff
from gridtokenx_pipeline.domain.market.tariffs import Period, Plan, bands

METERS = ["M1", "M2", "M3"]
HEAD = "priority,seller_meter_id,buyer_meter_id,max_wh,price_micro_per_kwh"
DATED = f"{HEAD},valid_from,valid_until"
SUMMER = Plan("summer", dt.date(2026, 6, 1), dt.date(2026, 9, 1), (Period("all", 10, 20),))


def read(*lines: str, plans=()) -> list[Agreement]:
    return read_agreements("\n".join(lines), "a.csv", "stanford", METERS, bands(plans, Tariff(80_000, 280_000), "UTC"), 300)


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)


def test_a_file():
    lines = (DATED, '1, M1 ,M2,500,150000,,"2026-07-01T00:00:00-07:00"', "", "2,M1,M3,0,80000,2026-06-01T00:02:00Z,", ",,,,,,")
    assert read(*lines) == [
        Agreement("stanford", "M1", "M2", 500, 150_000, 1, None, utc(2026, 7, 1, 7)),
        Agreement("stanford", "M1", "M3", 0, 80_000, 2, utc(2026, 6, 1, 0, 5), None),
    ]
    assert read("\r\n".join([HEAD, "1,M1,M2,500,150000", ""]))[0].valid_from is None
    assert read(HEAD) == []


def test_columns_come_in_any_order():
    assert read("max_wh,price_micro_per_kwh,buyer_meter_id,seller_meter_id,priority", "5,90000,M2,M1,7") == [
        Agreement("stanford", "M1", "M2", 5, 90_000, 7)
    ]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "a.csv, line 1: missing columns: priority, seller_meter_id, buyer_meter_id, max_wh, price_micro_per_kwh"),
        (["priority,seller_meter_id,buyer_meter_id,max_wh"], "a.csv, line 1: missing columns: price_micro_per_kwh"),
        ([f"{HEAD},colour"], "a.csv, line 1: unknown columns: colour"),
        ([f"{HEAD},priority"], "a.csv, line 1: repeated columns: priority"),
        ([HEAD, "1,M1,M2,5,90000", "1,M1"], "a.csv, line 3: 2 cells, of 5 columns"),
        ([HEAD, '1,"M1'], "a.csv, line 2: unexpected end of data"),
        ([HEAD, "1,M9,M2,5,90000"], "a.csv, line 2, column seller_meter_id: unknown meter 'M9'"),
        ([HEAD, "", "1,M1,,5,90000"], "a.csv, line 3, column buyer_meter_id: unknown meter ''"),
        ([HEAD, "1,M1,M1,5,90000"], "a.csv, line 2, column buyer_meter_id: meter M1 cannot trade with itself"),
        ([HEAD, "1,M1,M2,-5,90000"], "a.csv, line 2, column max_wh: -5 is negative"),
        ([HEAD, "1,M1,M2,5.0,90000"], "a.csv, line 2, column max_wh: '5.0' is not a whole number"),
        ([HEAD, "x,M1,M2,5,90000"], "a.csv, line 2, column priority: 'x' is not a whole number"),
        ([HEAD, f"{2**31},M1,M2,5,90000"], "a.csv, line 2, column priority: 2147483648 is above"),
        ([HEAD, "1,M1,M2,5,"], "a.csv, line 2, column price_micro_per_kwh: '' is not a whole number"),
        ([HEAD, "1,M1,M2,5,79999"], "a.csv, line 2, column price_micro_per_kwh: 79999 is outside every tariff of its time: 80000 to 280000"),
        ([HEAD, "1,M1,M2,5,280001"], "a.csv, line 2, column price_micro_per_kwh: 280001 is outside"),
        ([DATED, "1,M1,M2,5,90000,soon,"], "a.csv, line 2, column valid_from: 'soon' is no ISO 8601 time"),
        ([DATED, "1,M1,M2,5,90000,,2026-06-01T00:00"], "a.csv, line 2, column valid_until: '2026-06-01T00:00' has no offset from UTC"),
        ([DATED, "1,M1,M2,5,90000,1900-01-01T00:00Z,"], "a.csv, line 2, column valid_from: '1900-01-01T00:00Z' is not between 1970 and 9999"),
        ([DATED, "1,M1,M2,5,90000,2026-06-01T00:01Z,2026-06-01T00:04Z"], "a.csv, line 2, column valid_until: no market interval starts between"),
        ([HEAD, "1,M1,M2,5,90000", "2,M1,M2,6,90000"], "a.csv, line 3, column buyer_meter_id: the same seller and buyer as in line 2"),
        ([HEAD, "1,M1,M2,5,90000", "1,M1,M3,6,90000"], "a.csv, line 3, column priority: overlapping priorities of the seller as in line 2"),
        ([HEAD, "1,M3,M2,5,90000", "1,M1,M2,6,90000"], "a.csv, line 3, column priority: overlapping priorities of the buyer as in line 2"),
        ([DATED, "1,M1,M2,5,90000,2026-06-01T00:00Z,", "1,M1,M2,5,90000,,2026-06-01T00:05Z"], "a.csv, line 3, column buyer_meter_id: the same"),
    ],
)  # fmt: skip
def test_what_contradicts_is_refused_by_line_and_column(lines, told):
    with pytest.raises(MarketInputError) as error:
        read(*lines)
    assert str(error.value).startswith(told)


def test_agreements_that_follow_each_other_or_have_nothing_in_common_are_no_contradiction():
    follow = ["1,M1,M2,5,90000,2026-06-01T00:00Z,", "1,M1,M2,5,90000,,2026-06-01T00:00Z"]
    assert len(read(DATED, *follow, "1,M2,M1,5,90000,,", "2,M2,M3,5,90000,,")) == 4


def test_a_price_is_compared_with_the_tariffs_of_its_time():
    assert read(DATED, "1,M1,M2,5,15,2026-05-01T00:00Z,2026-06-02T00:00Z", plans=(SUMMER,))[0].price_micro_per_kwh == 15
    assert read(HEAD, "1,M1,M2,5,15", plans=(SUMMER,))
    for until in ("2026-06-01T00:00Z", "2026-05-01T00:00Z"):
        with pytest.raises(MarketInputError, match=r"15 is outside every tariff of its time: 80000 to 280000$"):
            read(DATED, f"1,M1,M2,5,15,,{until}", plans=(SUMMER,))

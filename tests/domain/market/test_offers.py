"""Offers stand from the interval after their receipt until they are changed, suspended, cancelled or deleted."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

sys.path.insert(0, str(Path(__file__).parent))

from p2p_history import METERS, STEP_S, YEAR_MIN, at, deletion, document, history

from gridtokenx_pipeline.contracts.market import OFFERS
from gridtokenx_pipeline.domain.ids import derived_id
from gridtokenx_pipeline.domain.market.model import Offer
from gridtokenx_pipeline.domain.market.offers import fold_offers, standing_offers

A, B = "/p2p/offer/A", "/p2p/offer/B"


def fold(*documents) -> pl.DataFrame:
    frame = fold_offers(history(*documents), "stanford", METERS, STEP_S)
    return OFFERS.conform(frame)


def spans(frame: pl.DataFrame) -> list[tuple]:
    """What is in force: limit, price, from and until."""
    held = frame.filter(pl.col("state") == "in_force").sort("valid_from", "meter_id")
    return held.select("energy_limit_wh", "price_limit_micro_per_kwh", "valid_from", "valid_until").rows()


def test_nothing_is_nothing():
    assert_frame_equal(fold(), OFFERS.empty())
    assert fold(document(1, "M1", "/p2p/agr/A")).is_empty()


def test_an_offer_holds_from_the_interval_that_starts_after_its_receipt():
    (row,) = fold(document(1, "M1", A)).to_dicts()
    assert (row["meter_id"], row["side"], row["state"], row["reason"]) == ("M1", "sell", "in_force", None)
    assert (row["valid_from"], row["valid_until"]) == (at(5), at(YEAR_MIN))
    (exact,) = fold(document(5, "M1", A)).to_dicts()
    assert exact["valid_from"] == at(5)
    (early,) = fold(document(0, "M1", A, starts_at=at(61), ends_at=at(66))).to_dicts()
    assert (early["valid_from"], early["valid_until"]) == (at(65), at(70))


def test_other_terms_end_one_row_and_begin_the_next():
    changed = fold(
        document(1, "M1", A), document(31, "M1", A, price_micro_per_kwh=9), document(61, "M1", A, energy_limit_milli_wh=2000)
    )
    assert spans(changed) == [(500, 150_000, at(5), at(35)), (500, 9, at(35), at(65)), (2, 150_000, at(65), at(YEAR_MIN))]


def test_the_same_terms_again_change_nothing_and_the_last_of_an_interval_counts():
    once = fold(document(1, "M1", A))
    again = fold(document(1, "M1", A), document(31, "M1", A), document(41, "M1", A, price_micro_per_kwh=9), document(42, "M1", A))
    assert_frame_equal(again, once)


@pytest.mark.parametrize("end", [{"status": "suspended"}, {"status": "cancelled"}, None])
def test_what_ends_an_offer(end):
    last = deletion(31, "M1", A) if end is None else document(31, "M1", A, **end)
    assert spans(fold(document(1, "M1", A), last)) == [(500, 150_000, at(5), at(35))]
    resumed = fold(document(1, "M1", A), last, document(61, "M1", A))
    assert spans(resumed) == [(500, 150_000, at(5), at(35)), (500, 150_000, at(65), at(YEAR_MIN))]


def test_two_offers_of_a_meter_stand_beside_each_other_and_one_ends_alone():
    held = fold(document(1, "M1", A), document(1, "M1", B, side="buy"), deletion(31, "M1", A))
    assert held["offer_id"].n_unique() == 2
    assert {row["side"]: row["valid_until"] for row in held.to_dicts()} == {"sell": at(35), "buy": at(YEAR_MIN)}


def test_an_operator_who_changes_or_deletes_an_offer_does_so_for_its_owner():
    held = fold(document(1, "M1", A), document(31, "OPERATOR", A, price_micro_per_kwh=9), deletion(61, "OPERATOR", A))
    assert held["meter_id"].to_list() == ["M1", "M1"]
    assert spans(held) == [(500, 150_000, at(5), at(35)), (500, 9, at(35), at(65))]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"meter_id": "FEEDER"}, "unknown meter FEEDER"),
        ({"side": None}, "neither sells nor buys"),
        ({"status": None}, "unknown status"),
        ({"energy_limit_milli_wh": None}, "no energy or price limit that can be read"),
        ({"price_micro_per_kwh": None}, "no energy or price limit that can be read"),
        ({"energy_limit_milli_wh": -1000}, "negative energy limit"),
        ({"ends_at": None}, "no interval that can be read"),
        ({"starts_at": None, "ends_at": None}, "no interval that can be read"),
        ({"starts_at": at(10), "ends_at": at(10)}, "no market interval starts in its interval"),
        ({"starts_at": at(11), "ends_at": at(14)}, "no market interval starts in its interval"),
        ({"starts_at": at(-60), "ends_at": at(0)}, "its interval was over when it came"),
        ({"starts_at": dt.datetime(9999, 12, 31, 23, 59, tzinfo=dt.UTC), "ends_at": None}, "no interval that can be read"),
    ],
)
def test_what_no_market_can_use_is_refused_and_the_others_stand(fields, reason):
    frame = fold(document(1, "M1", A, **fields), document(1, "M2", B))
    refused = frame.filter(pl.col("state") == "refused")
    assert refused.select("reason", "valid_from", "message_id").rows() == [(reason, at(5), "seg:0000")]
    assert spans(frame) == [(500, 150_000, at(5), at(YEAR_MIN))]
    assert standing_offers(frame) == [Offer("stanford", "M2", "sell", 500, 150_000, at(5), at(YEAR_MIN))]


def test_another_zones_offers_are_not_of_this_one():
    assert fold(document(1, "M1", A, zone="elsewhere")).is_empty()


def test_rows_come_in_any_order():
    documents = history(
        document(1, "M1", A), document(31, "M1", A, price_micro_per_kwh=9), document(2, "M2", B), deletion(61, "M1", A)
    )
    frames = [fold_offers(documents.sample(fraction=1, shuffle=True, seed=seed), "stanford", METERS, STEP_S) for seed in range(4)]
    for frame in frames[1:]:
        assert_frame_equal(frame, frames[0])


def test_ids_are_those_of_the_natural_key():
    (row,) = fold(document(1, "M1", A)).to_dicts()
    assert row["offer_id"] == derived_id("offer", "stanford", "M1", A, "2026-06-01T00:05:00Z")

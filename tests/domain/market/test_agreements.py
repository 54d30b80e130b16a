"""Agreements are in force while both sides' documents mirror each other, one of a pair at a time, and never before both had come."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from random import Random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

sys.path.insert(0, str(Path(__file__).parent))

from p2p_history import DEVICES, LFDI, METERS, STEP_S, YEAR_MIN, at, deletion, document, history

from gridtokenx_pipeline.contracts.market import AGREEMENTS
from gridtokenx_pipeline.domain.market.agreements import fold_agreements, standing_agreements
from gridtokenx_pipeline.domain.market.model import Agreement, Tariff
from gridtokenx_pipeline.domain.market.tariffs import Period, Plan, bands, tariff_frame

FLAT = Tariff(80_000, 280_000)
SELL, BUY, MORE = "/p2p/agr/S", "/p2p/agr/B", "/p2p/agr/S2"
END = at(YEAR_MIN)
Z = "stanford"


def fold(*documents, file=(), tariffs=()) -> pl.DataFrame:
    frame = fold_agreements(history(*documents), DEVICES, Z, file, METERS, bands(tariffs, FLAT, "UTC"), STEP_S)
    return AGREEMENTS.conform(frame)


def sold(minutes: float = 1, path: str = SELL, **fields) -> dict:
    return document(minutes, "M1", path, **fields)


def bought(minutes: float = 2, path: str = BUY, **fields) -> dict:
    return document(minutes, "M2", path, side="buyer", **fields)


def spans(frame: pl.DataFrame, state: str = "in_force") -> list[tuple]:
    """Limit, price, priority, from and until of the rows of a state."""
    held = frame.filter(pl.col("state") == state).sort("seller_meter_id", "buyer_meter_id", "valid_from")
    return held.select("max_wh", "price_micro_per_kwh", "priority", "valid_from", "valid_until").rows()


def test_nothing_is_nothing():
    assert_frame_equal(fold(), AGREEMENTS.empty())
    assert fold(document(1, "M1", "/p2p/offer/A")).is_empty()


def test_an_agreement_of_two_sides():
    (row,) = fold(sold(1, priority=3, status="proposed"), bought(31, energy_limit_milli_wh=400_000, priority=7)).to_dicts()
    row.pop("agreement_id")
    assert row == {
        "zone": Z, "seller_meter_id": "M1", "buyer_meter_id": "M2", "priority": 3, "max_wh": 400, "price_micro_per_kwh": 150_000,
        "valid_from": at(35), "valid_until": END, "source": "p2p", "state": "in_force", "reason": None,
        "seller_message_id": "seg:0000", "buyer_message_id": "seg:0001",
    }  # fmt: skip


def test_its_interval_is_what_both_have_in_common():
    assert spans(fold(sold(starts_at=at(61), ends_at=at(200)), bought(ends_at=at(121)))) == [(500, 150_000, 0, at(65), at(125))]
    assert spans(fold(sold(ends_at=at(60)), bought(starts_at=at(60)))) == []


@pytest.mark.parametrize(
    "end",
    [
        deletion(61, "M1", SELL), deletion(61, "M2", BUY), deletion(61, "OPERATOR", BUY), sold(61, status="cancelled"),
        bought(61, status="rejected"), sold(61, counterparty_lfdi=LFDI["M3"]), bought(61, price_micro_per_kwh=150_001), sold(61, side="buyer"),
    ],
)  # fmt: skip
def test_either_side_ends_it(end):
    assert spans(fold(sold(), bought(), end)) == [(500, 150_000, 0, at(5), at(65))]


def test_other_terms_end_the_row_and_begin_another():
    changed = fold(sold(), bought(), sold(61, energy_limit_milli_wh=300_000), sold(121, priority=2), deletion(181, "M2", BUY))
    assert spans(changed) == [
        (500, 150_000, 0, at(5), at(65)),
        (300, 150_000, 0, at(65), at(125)),
        (500, 150_000, 2, at(125), at(185)),
    ]
    dearer = fold(sold(), bought(), sold(61, price_micro_per_kwh=9**6), bought(121, price_micro_per_kwh=9**6))
    assert [row[1] for row in spans(dearer)] == [150_000]
    dearer = fold(sold(), bought(), sold(61, price_micro_per_kwh=160_000), bought(121, price_micro_per_kwh=160_000))
    assert spans(dearer) == [(500, 150_000, 0, at(5), at(65)), (500, 160_000, 0, at(125), END)]


def test_what_changes_no_term_leaves_the_row_as_it_was():
    once = fold(sold(), bought())
    assert_frame_equal(
        fold(sold(), bought(), sold(61, status="proposed"), sold(121), bought(122, energy_limit_milli_wh=600_000)), once
    )


def test_accepted_by_neither_or_known_to_one_side_is_proposed():
    (row,) = fold(sold(status="proposed"), bought(status="proposed")).to_dicts()
    assert (row["state"], row["reason"], row["valid_from"]) == ("proposed", "accepted by neither side", at(5))
    rows = fold(sold(), bought(price_micro_per_kwh=150_001))
    assert spans(rows) == []
    assert set(rows["reason"]) == {"the buyer has not put its side of it", "the seller has not put its side of it"}
    assert set(rows["state"]) == {"proposed"}
    assert spans(fold(sold(), bought(counterparty_lfdi=LFDI["M3"]))) == []


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"counterparty_lfdi": LFDI["M1"]}, "a meter cannot trade with itself"),
        ({"counterparty_lfdi": "0F" * 20}, f"unknown counterparty {'0F' * 20}"),
        ({"counterparty_lfdi": LFDI["FEEDER"]}, f"unknown counterparty {LFDI['FEEDER']}"),
        ({"counterparty_lfdi": None}, "no counterparty that can be read"),
        ({"meter_id": "FEEDER"}, "unknown meter FEEDER"),
        ({"side": None}, "neither seller nor buyer"),
        ({"status": None}, "unknown status"),
        ({"energy_limit_milli_wh": -1000}, "negative energy limit"),
        ({"energy_limit_milli_wh": None}, "no energy limit or price that can be read"),
        ({"price_micro_per_kwh": None}, "no energy limit or price that can be read"),
        ({"price_micro_per_kwh": 79_999}, "price 79999 is outside every tariff of its time"),
        ({"price_micro_per_kwh": 280_001}, "price 280001 is outside every tariff of its time"),
        ({"ends_at": at(-30)}, "its interval was over when it came"),
        ({"ends_at": None}, "no interval that can be read"),
    ],
)
def test_what_no_market_can_use_is_refused_and_the_others_stand(fields, reason):
    other = document(1, "M3", "/p2p/agr/O"), document(1, "M1", "/p2p/agr/P", side="buyer", counterparty_lfdi=LFDI["M3"])
    frame = fold(sold(**fields), *other)
    refused = frame.filter(pl.col("state") == "refused")
    assert refused.select("reason", "valid_from").rows() == [(reason, at(5))]
    assert spans(frame) == [(500, 150_000, 0, at(5), END)]


def test_prices_at_the_bounds_are_allowed():
    for price in (80_000, 280_000):
        assert len(spans(fold(sold(price_micro_per_kwh=price), bought(price_micro_per_kwh=price)))) == 1


def test_a_price_is_compared_with_the_tariffs_of_its_time():
    cheap = Plan("cheap", dt.date(2026, 9, 1), dt.date(2026, 10, 1), (Period("all", 10, 20),))
    price, september = {"price_micro_per_kwh": 15}, {"starts_at": at(0), "ends_at": dt.datetime(2026, 9, 2, tzinfo=dt.UTC)}
    assert len(spans(fold(sold(**price, **september), bought(**price, **september), tariffs=(cheap,)))) == 1
    august = {"ends_at": dt.datetime(2026, 8, 2, tzinfo=dt.UTC)}
    assert set(fold(sold(**price, **august), bought(**price, **august), tariffs=(cheap,))["state"]) == {"refused"}


def test_of_one_pair_the_agreement_formed_first_holds_and_the_next_when_it_ends():
    more = sold(31, MORE, energy_limit_milli_wh=7000)
    frame = fold(sold(), bought(), more, deletion(61, "M1", SELL))
    assert spans(frame) == [(500, 150_000, 0, at(5), at(65)), (7, 150_000, 0, at(65), END)]
    assert spans(frame, "refused") == [(7, 150_000, 0, at(35), at(65))]
    assert frame.filter(pl.col("state") == "refused")["reason"].to_list() == ["overlaps an agreement of the same meters"]


def test_one_pair_may_have_agreements_that_follow_each_other_and_one_each_way():
    frame = fold(sold(ends_at=at(60)), sold(1, MORE, starts_at=at(60), energy_limit_milli_wh=7000), bought())
    assert spans(frame) == [(500, 150_000, 0, at(5), at(60)), (7, 150_000, 0, at(60), END)]
    back = fold(sold(), bought(), document(3, "M2", "/p2p/agr/X"), document(4, "M1", "/p2p/agr/Y", side="buyer"))
    assert back.filter(pl.col("state") == "in_force").select("seller_meter_id", "buyer_meter_id").sort("seller_meter_id").rows() == [
        ("M1", "M2"), ("M2", "M1"),
    ]  # fmt: skip


def test_the_files_agreements_come_before_those_of_devices():
    held = Agreement(Z, "M1", "M2", 900, 100_000, 5, at(60), at(120))
    frame = fold(sold(), bought(), file=[held, Agreement(Z, "M2", "M1", 1, 100_000)])
    assert spans(frame.filter(pl.col("source") == "file")) == [
        (900, 100_000, 5, at(60), at(120)),
        (1, 100_000, 0, dt.datetime(1970, 1, 1, tzinfo=dt.UTC), None),
    ]
    assert spans(frame.filter(pl.col("source") == "p2p")) == [(500, 150_000, 0, at(5), at(60)), (500, 150_000, 0, at(120), END)]
    refused = frame.filter(pl.col("state") == "refused")
    assert refused.select("valid_from", "valid_until", "reason").rows() == [(at(60), at(120), "repeats an agreement of the file")]


def test_what_devices_put_alike_many_times_has_ids_of_its_own():
    frame = fold(*(sold(1, f"/p2p/agr/{n}") for n in range(5)), *(sold(1, f"/p2p/agr/R{n}", side=None) for n in range(5)))
    assert frame.height == 10


def prices(hours: float, *plans: Plan) -> pl.DataFrame:
    starts = pl.Series([at(5 * n) for n in range(int(hours * 12))], dtype=pl.Datetime("us", "UTC"))
    return tariff_frame(starts, plans, FLAT, "UTC", STEP_S)


def test_an_agreement_that_every_interval_allows_is_one():
    frame = fold(sold(), bought())
    assert standing_agreements(frame, prices(24), STEP_S) == [
        Agreement(Z, "M1", "M2", 500, 150_000, 0, at(5), END, frame["agreement_id"][0])
    ]
    assert standing_agreements(fold(sold(), file=[Agreement(Z, "M1", "M2", 5, 90_000)]), prices(1), STEP_S)[0].valid_until is None


def test_an_agreement_does_not_apply_where_the_tariff_rules_its_price_out():
    dear = Period("dear", 160_000, 400_000, start_min=120, end_min=180)
    plan = Plan("p", dt.date(2026, 1, 1), None, (Period("a", 80_000, 280_000, end_min=120), dear, Period("b", 80_000, 140_000, start_min=180, end_min=240), Period("c", 80_000, 150_000, start_min=240)))  # fmt: skip
    frame = fold(sold(), bought(), tariffs=(plan,))
    parts = standing_agreements(frame, prices(24, plan), STEP_S)
    assert [(part.valid_from, part.valid_until) for part in parts] == [(at(5), at(120)), (at(240), at(24 * 60))]
    assert {part.agreement_id for part in parts} == set(frame["agreement_id"])
    assert standing_agreements(frame, prices(24, plan)[24:36], STEP_S) == []


def act(random: Random) -> dict:
    """What M1 (seller) or M2 (buyer) does at one of its two addresses: nearly always what the other can agree to."""
    mine = random.randrange(2)
    meter, path = ("M1", "M2")[mine], f"/p2p/agr/{mine}{random.randrange(2)}"
    minute = random.randint(0, 60)
    what = random.randrange(16)
    if what == 0:
        return deletion(minute, meter, path)
    first, last = random.choice([(-60, YEAR_MIN), (-60, 200), (0, 75), (33, 111), (70, 70)])
    terms = {
        "side": ("seller", "buyer")[mine], "counterparty_lfdi": LFDI[("M2", "M1")[mine]], "starts_at": at(first), "ends_at": at(last),
        "energy_limit_milli_wh": random.randint(1, 3) * 1000, "price_micro_per_kwh": random.choice([100_000, 100_000, 100_000, 200_000]),
        "status": random.choice(["accepted", "proposed"]),
    }  # fmt: skip
    strange = [
        {}, {"status": "cancelled"}, {"side": ("buyer", "seller")[mine]}, {"counterparty_lfdi": LFDI["M3"]}, {"price_micro_per_kwh": 1},
    ]  # fmt: skip
    return document(minute, meter, path, **{**terms, **(strange[what] if what < len(strange) else {})})


# Drawn by a seed: what hypothesis draws piece by piece tends to documents that never meet.
HISTORIES = st.builds(
    lambda random, length: [act(random) for _ in range(length)], st.randoms(use_true_random=True), st.integers(2, 16)
)


def standing(documents: list[dict], start: dt.datetime) -> list[dict]:
    """The last document of each address received by `start`, where it is a put whose interval holds it."""
    last: dict[str, dict] = {}
    for _, row in sorted(enumerate(documents), key=lambda pair: (pair[1]["received_at"], pair[0])):
        if row["received_at"] <= start:
            last[row["path"]] = row
    return [row for row in last.values() if row["action"] == "put" and row["starts_at"] <= start < row["ends_at"]]


@settings(deadline=None, max_examples=60)
@given(HISTORIES, st.data())
def test_in_force_is_what_both_sides_said_last_before_the_interval(documents, data):
    frame = fold(*documents)
    shuffled = history(*documents).sample(fraction=1, shuffle=True, seed=data.draw(st.integers(0, 9)))
    assert_frame_equal(fold_agreements(shuffled, DEVICES, Z, (), METERS, bands((), FLAT, "UTC"), STEP_S), frame)
    held = frame.filter(pl.col("state") == "in_force").to_dicts()
    for start in (at(5 * n) for n in range(32)):
        wanted: dict[tuple[str, str], set[tuple[int, int]]] = {}
        stand = standing(documents, start)
        for mine in (row for row in stand if row["side"] == "seller"):
            for theirs in (row for row in stand if row["side"] == "buyer"):
                mirrored = (
                    mine["counterparty_lfdi"] == LFDI[theirs["meter_id"]] and theirs["counterparty_lfdi"] == LFDI[mine["meter_id"]]
                    and mine["price_micro_per_kwh"] == theirs["price_micro_per_kwh"] != 1 and mine["meter_id"] != theirs["meter_id"]
                    and "cancelled" not in (mine["status"], theirs["status"]) and "accepted" in (mine["status"], theirs["status"])
                )  # fmt: skip
                if mirrored:
                    limit = min(mine["energy_limit_milli_wh"], theirs["energy_limit_milli_wh"]) // 1000
                    wanted.setdefault((mine["meter_id"], theirs["meter_id"]), set()).add((limit, mine["price_micro_per_kwh"]))
        now = [row for row in held if row["valid_from"] <= start < row["valid_until"]]
        assert sorted((row["seller_meter_id"], row["buyer_meter_id"]) for row in now) == sorted(wanted)
        for row in now:
            assert (row["max_wh"], row["price_micro_per_kwh"]) in wanted[row["seller_meter_id"], row["buyer_meter_id"]]


@settings(deadline=None, max_examples=40)
@given(HISTORIES, st.integers(0, 60))
def test_what_comes_later_changes_nothing_before(documents, cut):
    """What held for intervals that started by a moment is told by what was received by then."""
    then = fold(*(row for row in documents if row["received_at"] <= at(cut)))
    now = fold(*documents)

    def before(frame: pl.DataFrame) -> pl.DataFrame:
        held = frame.filter((pl.col("state") == "in_force") & (pl.col("valid_from") <= at(cut)))
        return held.select("agreement_id", "max_wh", pl.min_horizontal("valid_until", pl.lit(at(cut // 5 * 5 + 5))))

    assert_frame_equal(before(now), before(then))

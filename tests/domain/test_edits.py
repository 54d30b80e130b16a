from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from gridtokenx_pipeline.domain.edits import EditRefused, plan_edit, shared
from gridtokenx_pipeline.domain.effective import EFFECTIVE, effective

sys.path.insert(0, str(Path(__file__).parent))

from series import MIDNIGHT, at, edit, edits, estimated, estimates, exception, exceptions, meters, reading, readings, run

NONE = effective(readings(), edits(), exceptions(), estimates())
WHO = {"edited_by": "ada", "reason": "CT wired the wrong way", "edited_at": at(10_000)}


def plan(now=NONE, start=0, end=15, action="replace", **more):
    known = {"zone": "stanford", "meter_id": "M1", "channel": "load", **WHO, **more}
    return plan_edit(now, meters(), start=at(start), end=at(end), action=action, **known)


def test_an_edit_says_what_was_before_and_what_counts_after():
    read, found = readings(*run([10, 20, 30]), reading(energy=44, version=2)), exceptions(exception(0))
    now = effective(read, edits(), found, estimates())
    planned = plan(now, end=60, energy_milli_wh=[1, 2, 3, 4])
    assert planned.select("energy_milli_wh", "before_energy_milli_wh", "before_quality_flags", "before_version").rows() == [
        (1, 44, 16, 2),
        (2, 20, 1, 1),
        (3, 30, 1, 1),
        (4, None, None, None),
    ]
    assert planned["edited_by"].unique().to_list() == ["ada"]
    after = effective(read, planned, found, estimates()).sort("interval_start")
    assert after["energy_milli_wh"].to_list() == [1, 2, 3, 4]
    reverted = plan(after, end=60, action="revert", edited_at=at(20_000))
    assert reverted["energy_milli_wh"].null_count() == 4
    assert reverted["before_energy_milli_wh"].to_list() == [1, 2, 3, 4]
    both = edits(*planned.to_dicts(), *reverted.to_dicts())
    assert_frame_equal(effective(read, both, found, estimates()).sort("interval_start"), now.sort("interval_start"))


def test_the_same_edit_has_the_same_id():
    one, other = (
        plan(energy_milli_wh=3),
        plan(energy_milli_wh=3, edited_at=at(10_000).astimezone(dt.timezone(dt.timedelta(hours=7)))),
    )
    assert_frame_equal(one, other)
    ids = [*plan(end=60, energy_milli_wh=9)["edit_id"], *plan(energy_milli_wh=3, edited_at=at(10_001))["edit_id"]]
    assert len(set(ids)) == 5
    assert ids[0] == one["edit_id"][0]


def test_a_total_is_shared_out():
    planned = plan(end=105, energy_milli_wh=1000)
    assert planned.height == 7
    assert planned["energy_milli_wh"].sum() == 1000


@given(st.integers(0, 10**18), st.integers(1, 500))
def test_shares_add_up(total, parts):
    given_ = shared(total, parts)
    assert (len(given_), sum(given_)) == (parts, total)
    assert max(given_) - min(given_) <= 1


def test_accepting_keeps_the_value():
    read, found = readings(reading(energy=44)), exceptions(exception(0))
    now = effective(read, edits(), found, estimates(estimated(15, 9)))
    planned = plan(now, end=30, action="accept")
    assert planned.select("energy_milli_wh", "before_quality_flags", "before_version").rows() == [(44, 16, 1), (9, 33, None)]
    after = effective(read, planned, found, estimates(estimated(15, 9))).sort("interval_start")
    assert after.select("energy_milli_wh", "quality_flags").rows() == [(44, 3), (9, 35)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"meter_id": "M9"}, "M9 load: unknown meter"),
        ({"channel": "state_of_charge"}, "unknown channel"),
        ({"action": "delete"}, "unknown action 'delete'"),
        ({"edited_by": " "}, "say who"),
        ({"reason": ""}, "say a reason"),
        ({"start": 7}, "whole intervals of 15 s"),
        ({"end": 20}, "whole intervals of 15 s"),
        ({"end": 0}, "no interval"),
        ({"duration_s": 7}, "do not divide the hour"),
        ({"energy_milli_wh": -1}, "2026-01-07T00:00:00Z: -1 mWh is below 0"),
        ({"end": 30, "energy_milli_wh": [1, 10**9]}, "2026-01-07T00:00:15Z: 1000000000 mWh is above 833333 mWh"),
        ({"energy_milli_wh": None}, "needs an energy"),
        ({"energy_milli_wh": [1, 2]}, "2 energies for 1 intervals"),
        ({"action": "accept"}, "takes no energy"),
        ({"action": "accept", "energy_milli_wh": None}, "nothing counts there"),
        ({"action": "revert", "energy_milli_wh": None}, "no edit is in force"),
    ],
)
def test_what_cannot_be(change, words):
    with pytest.raises(EditRefused, match=words):
        plan(**{"energy_milli_wh": 5, **change})


def test_a_person_may_exceed_the_ratings():
    assert plan(energy_milli_wh=10**9, forced=True)["energy_milli_wh"].to_list() == [10**9]


def test_reverting_twice_is_refused():
    read = readings(reading(energy=44))
    now = effective(read, edits(edit(0, "replace", 1, edited_at=1), edit(0, "revert", edited_at=2)), exceptions(), estimates())
    assert dict(now.schema) == EFFECTIVE
    with pytest.raises(EditRefused, match=f"M1 load {MIDNIGHT:%Y-%m-%d}T00:00:00Z: no edit"):
        plan(now, action="revert")

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.domain.effective import EFFECTIVE, KEY, effective, latest, overlapping

sys.path.insert(0, str(Path(__file__).parent))

from series import at, edit, edits, estimated, estimates, exception, exceptions, reading, readings

NO = (edits(), exceptions(), estimates())


def counts(read, edited=NO[0], found=NO[1], guessed=NO[2], channel="load"):
    rows = effective(read, edited, found, guessed)
    assert dict(rows.schema) == EFFECTIVE
    return rows.filter(channel=channel).sort(KEY).select("energy_milli_wh", "quality_flags", "source", "usable").rows()


def test_the_latest_version_counts():
    read = readings(reading(energy=10), reading(energy=30, version=2, quality_flags=16), reading(start=15, energy=7))
    assert counts(read) == [(30, 16, "reading", False), (7, 1, "reading", False)]
    assert latest(read)["version"].sort().to_list() == [1, 2]


def test_exceptions_flag_what_they_overlap():
    read = readings(*(reading(start=15 * n, energy=n) for n in range(4)), reading(channel="charge"), reading(meter="M2"))
    assert [flags for _, flags, *_ in counts(read, found=exceptions(exception(15, 30)))] == [1, 16, 16, 1, 1]
    assert [flags for _, flags, *_ in counts(read, found=exceptions(exception(20, 1, flags=32)))] == [1, 33, 1, 1, 1]
    found = exceptions(
        exception(0, 3600, "all"), exception(0, 15, flags=32), exception(0, 3600, meter="M9"), exception(30, flags=0, code="late")
    )
    assert [flags for _, flags, *_ in counts(read, found=found)] == [48, 16, 16, 16, 1]
    assert counts(read, found=found, channel="charge")[0][1] == 16


def test_a_person_has_the_last_word():
    read = readings(
        reading(energy=10, quality_flags=48), reading(start=15, energy=11, register=100), reading(start=30, energy=12)
    )
    edited = edits(
        edit(0, "accept", 10),
        edit(15, "replace", 5, edited_at=1),
        edit(15, "replace", 6, edited_at=2),
        edit(30, "replace", 7, edited_at=1),
        edit(30, "revert", edited_at=2),
        edit(45, "replace", 9),
        edit(60, "revert"),
    )
    found = exceptions(exception(0, 3600))
    guessed = estimates(estimated(15, 77, method="register_wins"), estimated(45, 88))
    assert counts(read, edited, found, guessed) == [
        (10, 35, "edit", False),
        (6, 3, "edit", False),
        (12, 16, "reading", False),
        (9, 3, "edit", False),
    ]
    assert effective(read, edited, found, guessed).filter(interval_start=at(15))["register_milli_wh"].to_list() == [100]


def test_accepting_an_estimate_makes_it_stand():
    assert counts(readings(), edits(edit(0, "accept", 8)), guessed=estimates(estimated(0, 8))) == [(8, 35, "edit", False)]
    assert counts(readings(), edits(edit(0, "accept", 8))) == [(8, 3, "edit", False)]


def test_an_edit_outlasts_a_later_version():
    read = readings(reading(energy=10), reading(energy=99, version=2))
    for action in ("accept", "replace"):
        assert counts(read, edits(edit(0, action, 10)))[0][0] == 10


def test_estimates_fill_and_registers_win():
    read = readings(reading(energy=10, quality_flags=1), reading(start=15, energy=11))
    guessed = estimates(
        estimated(0, 44, method="register_wins", flags=48, usable=False),
        estimated(15, 55),
        estimated(30, 66, method="like_day", flags=4, usable=False),
        estimated(45, 77),
        estimated(60, 88, method="register_wins"),
    )
    assert counts(read, guessed=guessed) == [
        (44, 48, "register_wins", False),
        (11, 1, "reading", False),
        (66, 4, "estimate", False),
        (77, 33, "estimate", True),
    ]


def test_tare_is_booked_as_load():
    read = readings(
        reading(channel="generation", energy=-3, register=97, findings="tare", quality_flags=33),
        reading(energy=10),
        reading(start=15, energy=9),
    )
    assert counts(read, channel="generation") == [(0, 33, "reading", False)]
    assert counts(read) == [(13, 33, "reading", False), (9, 1, "reading", False)]
    assert effective(read, *NO).filter(channel="generation")["register_milli_wh"].to_list() == [97]
    replaced = edits(edit(0, "replace", 4, channel="generation"))
    assert (counts(read, replaced, channel="generation")[0][0], counts(read, replaced)[0][0]) == (4, 10)
    assert counts(read, edits(edit(0, "accept", 13)))[0][0] == 13


def test_state_of_charge_passes():
    row = reading(channel="state_of_charge", energy=None, state_of_charge_pct=Decimal("55.50"))
    assert effective(readings(row), *NO)["state_of_charge_pct"].to_list() == [Decimal("55.50")]
    assert effective(readings(row), edits(edit(0, "replace", 5, "state_of_charge")), *NO[1:])["source"].to_list() == ["reading"]


def test_nothing():
    assert dict(effective(readings(), *NO).schema) == EFFECTIVE


slots = st.tuples(st.sampled_from(("M1", "M2")), st.sampled_from(core.ENERGY_CHANNELS), st.integers(0, 6))
spans = st.lists(st.tuples(slots, st.integers(1, 60), st.sampled_from((16, 32, 48, 0))), max_size=5)


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(slots, st.tuples(st.integers(-5, 50), st.integers(1, 3))), spans, st.dictionaries(slots, st.integers(0, 9)), st.dictionaries(slots, st.tuples(st.integers(0, 9), st.booleans())), st.randoms())  # fmt: skip
def test_whatever_the_order(read, found, edited, guessed, random):
    rows = [
        reading(meter, channel, 15 * n, energy if channel == "generation" else abs(energy), version=version)
        for (meter, channel, n), (energy, last) in read.items()
        for version in range(1, last + 1)
    ]
    flags = exceptions(
        *{(m, c, n, d): exception(15 * n, d, c, m, f"code{i}", f) for i, ((m, c, n), d, f) in enumerate(found)}.values()
    )
    changed = edits(*(edit(15 * n, "replace", energy, c, m) for (m, c, n), energy in edited.items()))
    filled = estimates(
        *(estimated(15 * n, e, c, m, "register_wins" if wins else "interpolated") for (m, c, n), (e, wins) in guessed.items())
    )
    result = effective(readings(*rows), changed, flags, filled)
    assert not result.select(KEY).is_duplicated().any()
    assert (result["energy_milli_wh"] >= 0).all()
    assert result.filter((pl.col("quality_flags") & 17) == 17).is_empty()
    keys = {(m, c, n) for (m, c, n), (_, wins) in guessed.items() if not wins} | set(read) | set(edited)
    assert result.height == len(keys)

    def net(frame, value):
        sign = pl.when(pl.col("channel") == "generation").then(1).when(pl.col("channel") == "load").then(-1).otherwise(0)
        return frame.select((sign * pl.col(value)).sum()).item()

    if not edited and not guessed and all((m, "load", n) in read for (m, c, n) in read if c == "generation"):
        assert net(result, "energy_milli_wh") == net(latest(readings(*rows)), "energy_milli_wh")
    shuffled = [
        frame.sample(fraction=1, shuffle=True, seed=random.randrange(99)) for frame in (readings(*rows), changed, flags, filled)
    ]
    assert_frame_equal(effective(*shuffled).sort(KEY), result.sort(KEY))


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)), max_size=8),
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 10)), max_size=8),
)
def test_overlapping_is_as_defined(rows, found):
    read = pl.DataFrame(
        [{"meter_id": "M1", "channel": "load", "interval_start": at(s), "duration_s": d} for s, d in rows],
        schema={k: EFFECTIVE[k] for k in KEY},
    )
    wide = pl.DataFrame(
        [{"meter_id": "M1", "channel": "all", "interval_start": at(s), "duration_s": d} for s, d in found],
        schema={k: EFFECTIVE[k] for k in KEY},
    )
    expected = [any(s < b + e and b < s + d for b, e in found) for s, d in rows]
    assert overlapping(read, wide).to_list() == expected

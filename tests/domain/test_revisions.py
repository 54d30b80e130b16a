from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

import polars as pl
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.domain.aggregate import levels
from gridtokenx_pipeline.domain.effective import effective
from gridtokenx_pipeline.domain.estimation import estimate
from gridtokenx_pipeline.domain.revisions import as_known, known_at, revisions

sys.path.insert(0, str(Path(__file__).parent))

from series import MARKET, at, edit, edits, exceptions, meters, reading, readings, run

HOUR = (at(0), at(3600))
LATER = at(50_000)
ENERGY = [f"{channel}_milli_wh" for channel in core.ENERGY_CHANNELS]


def estimates_of(read, edited, moment, start, end):
    history = core.ENERGY_5MIN.empty()
    closed = moment - dt.timedelta(seconds=60)
    return estimate(
        read, edited, exceptions(), meters(), start=start, end=end, closed_before=closed, history=history, timezone="UTC"
    )


def energy_of(read, edited, moment, start, end):
    guessed = estimates_of(read, edited, moment, start, end)
    inside = pl.col("interval_start").is_between(start, end, closed="left")
    rows = effective(read.filter(inside), edited.filter(inside), exceptions(), guessed)
    return levels(rows)[core.ENERGY_5MIN]


def history(read, edited=(), moment=LATER):
    read, edited = known_at(readings(*read), edits(*edited), moment)
    energy = energy_of(read, edited, moment, *HOUR)
    guessed = estimates_of(read, edited, moment, *HOUR)
    return energy, revisions(read, edited, guessed, energy, energy_of, start=HOUR[0], end=HOUR[1], watermark_s=60)


def states(rows, *columns):
    return rows.select("interval_start", "revision", "known_from", *columns).rows()


def four(energies, **more):
    return [row for channel in MARKET for row in run(energies, channel=channel, **more)]


def test_what_came_in_time_has_no_revisions():
    assert history(four([10] * 40))[1].is_empty()
    assert history([])[1].is_empty()


def test_a_late_correction_is_a_revision():
    """The second value of the interval 00:00:15 comes after 10 minutes and 1 second: it is known from the mark at 15 minutes."""
    rows = [*four([10] * 40), reading(start=15, energy=25, version=2, received_at=at(601), quality_flags=16)]
    energy, found = history(rows)
    assert states(found, "load_milli_wh", "load_delta_milli_wh", "charge_delta_milli_wh", "quality_flags") == [
        (at(0), 1, at(360), 200, None, None, 1),
        (at(0), 2, at(900), 215, 15, 0, 16),
    ]
    known = [as_known(energy, found, at(s))["load_milli_wh"].to_list() for s in (359, 360, 660, 899, 900)]
    assert known == [[], [200], [200, 200], [200, 200], [215, 200]]


def test_a_version_in_time_is_none():
    rows = [*four([10] * 40), reading(start=15, energy=25, version=2, received_at=at(360))]
    assert history(rows)[1].is_empty()


def test_an_edit_is_a_revision():
    edited = [edit(30, "replace", 3, edited_at=1000), edit(30, "revert", edited_at=2000)]
    energy, found = history(four([10] * 40), edited)
    assert states(found, "load_milli_wh", "load_delta_milli_wh", "quality_flags") == [
        (at(0), 1, at(360), 200, None, 1),
        (at(0), 2, at(1200), 193, -7, 3),
        (at(0), 3, at(2100), 200, 7, 1),
    ]
    assert as_known(energy, found, at(1500))["load_milli_wh"].to_list() == [193, 200]


def test_an_interval_of_which_nothing_was_known():
    """A meter that sends all of its ten minutes a day late."""
    energy, found = history([{**row, "received_at": at(40_000)} for row in four([10] * 40)])
    assert states(found, "load_milli_wh", "load_delta_milli_wh", "readings_present", "readings_expected") == [
        (at(0), 1, at(360), None, None, 0, 20),
        (at(0), 2, at(40_200), 200, 200, 20, 20),
        (at(300), 1, at(660), None, None, 0, 20),
        (at(300), 2, at(40_200), 200, 200, 20, 20),
    ]
    assert as_known(energy, found, at(1000))["load_milli_wh"].to_list() == [None, None]


def test_a_reading_takes_the_place_of_its_estimate():
    """Of a load that jumped, the line was wrong; the energy of five minutes was not, since the registers told it."""
    values = [10] * 10 + [0, 30] + [10] * 28
    rows = [r for channel in MARKET for r in run(values, channel=channel, missing=(10, 11))]
    late = [reading(channel=channel, start=150, energy=0, register=100, received_at=at(400)) for channel in MARKET]
    late += [reading(channel=channel, start=165, energy=30, register=130, received_at=at(700)) for channel in MARKET]
    _, found = history(rows + late)
    assert states(found, "load_milli_wh", "load_delta_milli_wh", "readings_present", "readings_estimated", "quality_flags") == [
        (at(0), 1, at(360), 210, None, 18, 2, 33),
        (at(0), 2, at(600), 210, 0, 19, 1, 33),
        (at(0), 3, at(900), 210, 0, 20, 0, 1),
    ]


def test_an_estimate_that_came_later_is_a_revision():
    """A meter is away from 00:02:30 to 00:12:30: the energy between is known when it is back, no reading was late."""
    energy, found = history(four([10] * 80, missing=range(10, 50)))
    assert states(found, "load_milli_wh", "readings_estimated") == [
        (at(0), 1, at(360), 100, 0),
        (at(0), 2, at(900), 200, 10),
        (at(300), 1, at(660), None, 0),
        (at(300), 2, at(900), 200, 20),
    ]
    assert energy["load_milli_wh"].to_list() == [200, 200, 200, 200]


def test_a_new_version_beside_a_gap_changes_its_estimate():
    """The gap's end comes again without a register: its energy is no longer exact but a line from 10 to 0, in the interval before."""
    rows = four([10] * 60, missing=(19,))
    rows.append(reading(channel="generation", start=300, energy=0, version=2, received_at=at(2154)))
    found = history(rows)[1].filter(interval_start=at(0))
    assert states(found, "generation_milli_wh", "quality_flags") == [(at(0), 1, at(360), 200, 33), (at(0), 2, at(2400), 195, 40)]


def test_what_was_estimated_before_late_data_came():
    """The silence ends in time at 00:12:45; of its middle, a reading comes at 00:16:40 and moves the energy on both sides."""
    rows = four([10] * 80, missing=range(10, 50))
    rows += [reading(channel=channel, start=450, energy=10, register=250, received_at=at(1000)) for channel in MARKET]
    assert states(history(rows)[1].filter(interval_start=at(0)), "load_milli_wh", "readings_estimated") == [
        (at(0), 1, at(360), 100, 0),
        (at(0), 2, at(900), 200, 10),
        (at(0), 3, at(1200), 170, 10),
    ]


def test_a_long_silence_is_estimated_when_its_hour_has_closed():
    """Of a meter that is silent for four hours and sends all of it later, three states of its third hour are known."""
    past = [
        {"zone": "stanford", "meter_id": "M1", "interval_start": at(-86_400 * day + 300 * n), "load_milli_wh": 77}
        for day in (1, 2, 5)
        for n in range(288)
    ]
    days = pl.DataFrame(past, schema={name: core.ENERGY_5MIN.frame_schema()[name] for name in ("zone", "meter_id", "interval_start", *ENERGY)})  # fmt: skip

    def energy(read, edited, moment, start, end):
        calls.append(moment)
        closed = moment - dt.timedelta(seconds=60)
        guessed = estimate(
            read, edited, exceptions(), meters(), start=start, end=end, closed_before=closed, history=days, timezone="UTC"
        )
        inside = pl.col("interval_start").is_between(start, end, closed="left")
        return levels(effective(read.filter(inside), edited.filter(inside), exceptions(), guessed))[core.ENERGY_5MIN]

    calls = []
    rows = four([10] * 4) + [{**row, "received_at": at(40_000)} for row in four([10] * 960, start=60)]
    read, third = readings(*rows), (at(7200), at(10_800))
    now = energy(read, edits(), LATER, *third)
    calls.clear()
    found = revisions(read, edits(), core.ESTIMATES.empty(), now, energy, start=third[0], end=third[1], watermark_s=60)
    assert states(found.filter(interval_start=at(7200)), "load_milli_wh", "readings_present", "readings_estimated") == [
        (at(7200), 1, at(7560), None, 0, 0),
        (at(7200), 2, at(11_100), 77, 0, 0),
        (at(7200), 3, at(40_200), 200, 20, 0),
    ]
    assert found["revision"].value_counts().sort("revision").rows() == [(1, 12), (2, 12), (3, 11)]
    assert sorted(calls) == [at(10_860), at(11_100)]


def test_a_long_reading_is_of_several_intervals():
    rows = [r for channel in MARKET for r in run([900] * 2, channel=channel, duration=900)]
    assert states(history(rows)[1], "load_milli_wh") == [
        (at(300 * n), revision, known, load)
        for n in (0, 1, 3, 4)
        for revision, known, load in ((1, at(300 * n + 360), None), (2, at(1200 if n < 3 else 2100), 300))
    ]


def test_moments_of_their_own():
    rows = [*four([10] * 40), reading(start=15, energy=25, version=2, received_at=at(601))]
    energy, found = history(rows)
    moments = pl.Series([at(700), at(700)], dtype=pl.Datetime("us", "UTC"))
    assert as_known(energy, found, moments)["load_milli_wh"].to_list() == [200, 200]
    moments = pl.Series([at(900), at(659)], dtype=pl.Datetime("us", "UTC"))
    assert as_known(energy, found, moments)["load_milli_wh"].to_list() == [215]


messages = st.lists(
    st.tuples(st.integers(0, 59), st.sampled_from(MARKET), st.integers(0, 40), st.integers(16, 4000)), max_size=10
)


@settings(max_examples=6, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.sets(st.integers(1, 58), max_size=12), messages, st.dictionaries(st.integers(0, 59), st.integers(100, 5000), max_size=2))  # fmt: skip
def test_what_was_known_is_what_would_have_been_derived(missing, late, edited):
    """As known at every mark: what revisions say is the energy of what had been received and edited by then."""
    rows = four([10] * 60, missing=missing)
    versions = {(row["interval_start"], row["channel"]): 1 for row in rows}
    for slot, channel, energy, after in sorted(late, key=lambda item: item[3]):
        key = (at(15 * slot), channel)
        versions[key] = versions.get(key, 0) + 1
        rows.append(
            reading(channel=channel, start=15 * slot, energy=energy, version=versions[key], received_at=at(15 * slot + after))
        )
    changed = [edit(15 * slot, "replace", 7, edited_at=moment) for slot, moment in edited.items()]
    energy, found = history(rows, changed)
    first, last = (
        found.filter(revision=1),
        found.filter(pl.col("revision") == pl.col("revision").max().over("meter_id", "interval_start")),
    )
    assert first.height == last.height == found["interval_start"].n_unique()
    for channel in core.ENERGY_CHANNELS:
        deltas = found.group_by("interval_start").agg(pl.col(f"{channel}_delta_milli_wh").sum()).sort("interval_start")
        span = last[f"{channel}_milli_wh"].fill_null(0) - first[f"{channel}_milli_wh"].fill_null(0)
        assert deltas[f"{channel}_delta_milli_wh"].to_list() == span.to_list()
    assert_frame_equal(as_known(energy, found, LATER), energy)
    mixed = history(rows[::-1], changed[::-1])[1]
    assert_frame_equal(mixed, found)
    read, changed = readings(*rows), edits(*changed)
    for mark in range(900, 5400, 900):
        known = as_known(energy, found, at(mark)).select(
            "interval_start", *ENERGY, "readings_present", "readings_estimated", "quality_flags"
        )
        derived = energy_of(*known_at(read, changed, at(mark)), at(mark), *HOUR).select(known.columns)
        closed = derived.filter(pl.col("interval_start") + pl.duration(seconds=360) <= at(mark))
        told = known.filter(~pl.all_horizontal(pl.col(name).is_null() for name in ENERGY))
        assert_frame_equal(told, closed)

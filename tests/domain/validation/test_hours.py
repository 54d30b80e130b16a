from __future__ import annotations

import sys
from pathlib import Path

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from series import edit, estimated, estimates, readings
from vee_cases import HOUR, NOON, Ratings, evidence, examine, hours, meter, meters, ratings_frame, run, wobbling

from gridtokenx_pipeline.domain.aggregate import energy_15s, rollup

COUNTS = ("readings_expected", "readings_present", "readings_estimated")


def counts(row):
    return tuple(row[name] for name in COUNTS)


def test_a_complete_hour():
    (row,) = hours(evidence(*meter(), ratings=meters("M1")))
    assert counts(row) == (240, 240, 0)
    assert (row["readings_edited"], row["readings_late"], row["readings_rejected"]) == (0, 0, 0)
    assert (row["clock_offset_ms"], row["clock_offset_least_ms"]) == (1000, 1000)


def test_a_silent_meter_has_a_row_of_every_hour_that_has_begun_to_close():
    rows = hours(evidence(end=NOON + 3 * HOUR, closed=NOON + HOUR + 607))
    assert [counts(row) for row in rows] == [(240, 0, 0), (40, 0, 0)]
    assert [row["clock_offset_ms"] for row in rows] == [None, None]


def test_only_the_closed_part_is_counted():
    (row,) = hours(evidence(*meter(), closed=NOON + 600))
    assert counts(row) == (40, 40, 0)


def test_estimates_that_settlement_may_use_complete_an_interval():
    rows = meter(without=("charge",)) + run([0] * 240, channel="charge", start=NOON, missing=range(10))
    usable = [estimated(NOON + 15 * n, 0, "charge", usable=n < 4) for n in range(10)]
    (row,) = hours(evidence(*rows), estimates(*usable))
    assert counts(row) == (240, 230, 4)


def test_edits_stand_for_readings_and_refused_ones_are_counted():
    rows = meter(without=("charge",)) + run([0] * 240, channel="charge", start=NOON, missing=range(10))
    edited = [edit(NOON, energy=3, channel="charge"), edit(NOON + 15, "revert", channel="charge"), edit(NOON + 300, energy=3)]
    refused = [("charge", NOON + 15 * n, "out_of_range") for n in range(7)]
    (row,) = hours(evidence(*rows, edited=edited, refused=refused))
    assert counts(row) == (240, 231, 0)
    assert (row["readings_edited"], row["readings_rejected"]) == (2, 7)


def test_the_feeder_is_complete_with_import_and_export():
    ratings = ratings_frame([Ratings("PCC", "feeder", 2000, 0, 2000)])
    rows = run(wobbling(240), "PCC", "import", NOON) + run([0] * 239, "PCC", "export", NOON)
    (row,) = hours(evidence(*rows, ratings=ratings))
    assert counts(row) == (240, 239, 0)


@pytest.mark.parametrize("duration", [1, 5, 15, 60, 900])
def test_counts_agree_with_those_of_the_energy(duration):
    rows = meter(n=HOUR // duration, duration=duration)
    rows = [row for n, row in enumerate(rows) if n % 97]
    (row,) = hours(evidence(*rows))
    energy = rollup(energy_15s(readings(*rows)), 3600)
    assert counts(row)[:2] == energy.select(COUNTS[:2]).row(0)


def test_exceptions_are_counted_by_meter_and_hour():
    rows = [row for row in meter(n=480) if row["interval_start"].minute % 20 != 7]
    data = evidence(*rows, end=NOON + 2 * HOUR, ratings=meters("M1", "M2"))
    told = examine(data).group_by("meter_id", pl.col("interval_start").dt.truncate("1h")).len().sort("meter_id", "interval_start")
    assert [row["exceptions"] for row in hours(data)] == told["len"].to_list()

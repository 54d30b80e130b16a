from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from vee_cases import HOUR, NOON, evidence, examine, found, meter, run, wobbling


def test_a_channel_that_is_missing_is_told_with_its_name():
    rows = [row for row in meter() if not (row["channel"] == "charge" and 40 <= (row["received_at"].minute * 4) < 60)]
    (only,) = examine(evidence(*rows)).filter(code="sibling_missing").to_dicts()
    assert (only["channel"], only["detail"]) == ("all", "without charge")
    assert found(evidence(*rows), "sibling_missing") == [("M1", "all", NOON + 585, 300)]


def test_a_meter_that_is_silent_or_only_at_the_connection_misses_no_sibling():
    rows = [row for row in meter() if row["interval_start"].minute >= 10]
    assert found(evidence(*rows), "sibling_missing") == []
    rows = meter(without=("generation", "load", "charge", "discharge"))
    assert found(evidence(*rows), "sibling_missing") == []


def test_what_has_not_closed_may_still_come():
    rows = meter(without=("charge",))
    assert found(evidence(*rows, closed=NOON + 607), "sibling_missing") == [("M1", "all", NOON, 600)]


def test_channels_of_different_lengths_are_compared_over_the_longer():
    rows = meter(without=("load",)) + run(wobbling(4, 1_800_000), start=NOON, duration=900)
    assert found(evidence(*rows), "sibling_missing") == []
    rows = [row for row in rows if row["channel"] != "load" or row["interval_start"].minute != 15]
    assert found(evidence(*rows), "sibling_missing") == [("M1", "all", NOON + 900, 900)]


@pytest.mark.parametrize(("off", "told"), [(900, 0), (1100, 0), (12_000, 1), (-12_000, 1)])
def test_what_comes_in_goes_out_within_one_percent(off, told):
    """5 minutes of about 30 Wh in 15 s on the larger side: one percent is 6 Wh."""
    rows = meter()
    target = next(row for row in rows if row["channel"] == "load" and row["interval_start"].minute == 5)
    target["energy_milli_wh"] += off
    assert found(evidence(*rows), "sibling_imbalance") == [("M1", "all", NOON + 300, 300)] * told


def test_small_energies_may_differ_by_a_watt_hour():
    rows = run([10] * 20, channel="generation", start=NOON)
    for channel in ("load", "charge", "discharge", "import", "export"):
        rows += run([0] * 20, channel=channel, start=NOON)
    assert found(evidence(*rows), "sibling_imbalance") == []
    rows[0]["energy_milli_wh"] += 900
    assert len(found(evidence(*rows), "sibling_imbalance")) == 1


def test_five_minutes_with_a_gap_are_not_balanced():
    rows = [row for row in meter() if not (row["channel"] == "import" and row["interval_start"].minute == 5)]
    assert found(evidence(*rows), "sibling_imbalance") == []


@pytest.mark.parametrize("duration", [5, 60, 900])
def test_any_length(duration):
    n = HOUR // duration
    rows = meter(n=n, duration=duration, scale=duration / 15 if duration < 15 else duration // 15)
    for row in rows:
        row["energy_milli_wh"] = int(row["energy_milli_wh"])
    assert found(evidence(*rows), "sibling_imbalance") == []
    for row in rows[-n:]:
        row["energy_milli_wh"] += 100_000 * duration
    spans = {d for _, _, _, d in found(evidence(*rows), "sibling_imbalance")}
    assert spans == {max(duration, 300)}

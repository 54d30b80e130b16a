from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from vee_cases import HOUR, NOON, Ratings, Thresholds, evidence, examine, found, meter, ratings_frame, run

RATINGS = ratings_frame(
    [*(Ratings(name, "academic", 50, 30, 40) for name in ("M1", "M2")), Ratings("PCC", "feeder", 2000, 0, 2000, Thresholds())]
)


def feeder(factors, start=NOON - HOUR):
    """The feeder's import: what both meters import net, times a factor for each hour."""
    n = 240 * len(factors)
    rows = meter("M1", start, n) + meter("M2", start, n)
    net = {}
    for row in rows:
        sign = {"import": 1, "export": -1}.get(row["channel"], 0)
        net[row["interval_start"]] = net.get(row["interval_start"], 0) + sign * row["energy_milli_wh"]
    values = [int(net[moment] * factors[i // 240]) for i, moment in enumerate(sorted(net))]
    return [*rows, *run(values, "PCC", "import", start), *run([0] * n, "PCC", "export", start)]


@pytest.mark.parametrize(
    ("factors", "told"),
    [((1, 1), 0), ((1.02, 1.02), 0), ((1, 1.1), 0), ((1.1, 1), 0), ((1.1, 1.1), 1), ((0.9, 1.1), 1)],
)
def test_more_than_three_percent_in_two_hours_in_a_row(factors, told):
    data = evidence(*feeder(factors), ratings=RATINGS)
    assert found(data, "feeder_imbalance") == [("stanford", "all", NOON, HOUR)] * told


def test_it_is_an_error_of_the_zone_and_flags_no_energy():
    rows = examine(evidence(*feeder((1.1, 1.1, 1.1)), ratings=RATINGS, end=NOON + 2 * HOUR)).filter(code="feeder_imbalance")
    assert rows.select("severity", "quality_flags").rows() == [("error", 0)] * 2


def test_not_while_a_meter_is_missing_nor_without_a_feeder():
    rows = feeder((1.1, 1.1))
    some = [row for row in rows if row["meter_id"] != "M2" or row["interval_start"].minute >= 31]
    assert found(evidence(*some, ratings=RATINGS), "feeder_imbalance") == []
    enough = [row for row in rows if row["meter_id"] != "M2" or row["interval_start"].minute >= 30]
    assert len(found(evidence(*enough, ratings=RATINGS), "feeder_imbalance")) == 1
    assert found(evidence(*rows), "feeder_imbalance") == []


def test_a_meter_without_connection_channels_counts_by_what_is_behind_them():
    rows = [row for row in feeder((1, 1)) if row["meter_id"] != "M2" or row["channel"] not in ("import", "export")]
    assert found(evidence(*rows, ratings=RATINGS), "feeder_imbalance") == []
    for row in rows:
        if row["meter_id"] == "M2" and row["channel"] == "load":
            row["energy_milli_wh"] *= 2
    assert len(found(evidence(*rows, ratings=RATINGS), "feeder_imbalance")) == 1


def test_the_feeder_is_no_neighbour_and_has_no_siblings():
    rows = feeder((1, 1))
    data = evidence(*rows, ratings=RATINGS)
    assert found(data, "sibling_missing", "missing") == []

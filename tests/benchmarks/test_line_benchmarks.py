from __future__ import annotations

from gridtokenx_pipeline.benchmarks import fleet_messages, window
from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.domain.parse import parse_messages
from gridtokenx_pipeline.domain.thresholds import Ratings, ratings_frame
from gridtokenx_pipeline.domain.vee import Rules, validate


def test_a_small_fleet_is_measured_from_raw_to_energy() -> None:
    result = window.measure(meters=8, intervals=40)
    assert (result["meters"], result["messages"]) == (8, 320)
    assert 0 < result["parse_s"] + result["validate_s"] + result["examine_s"] + result["aggregate_s"] <= result["seconds"] + 0.02
    assert result["messages_per_s"] > 0


def test_the_fleet_posts_what_is_believed() -> None:
    """Energies that balance, and registers that rise by them over midnight."""
    meters = ["A", "B", "C"]
    ratings = ratings_frame(Ratings(meter, "academic", 50, 30, 40) for meter in meters)
    types = parse_messages(fleet_messages.declarations(meters)).reading_types
    result = validate(parse_messages(fleet_messages.posts(meters, 5758, 4)), types, core.READINGS.empty(), ratings, Rules())
    assert result.rejected.is_empty()
    assert int(result.outcomes["accepted"].sum()) == 3 * 4 * fleet_messages.READINGS
    for _, rows in result.readings.filter(channel="load").group_by("meter_id"):
        ordered = rows.sort("interval_start")
        assert ordered["register_milli_wh"].diff().drop_nulls().to_list() == ordered["energy_milli_wh"][1:].to_list()

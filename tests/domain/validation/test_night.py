from __future__ import annotations

import sys
from pathlib import Path

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from vee_cases import NOON, SITE, evidence, found, run

from gridtokenx_pipeline.domain.validation.sun import elevation_deg

MIDNIGHT_THERE = 8 * 3600


def test_solar_generation_at_midnight():
    rows = run([1100] * 4 + [0] * 4 + [1100] * 4, channel="generation", start=MIDNIGHT_THERE)
    night = [("M1", "generation", MIDNIGHT_THERE, 60), ("M1", "generation", MIDNIGHT_THERE + 120, 60)]
    assert found(evidence(*rows, start=MIDNIGHT_THERE), "night_generation") == night


@pytest.mark.parametrize(("channel", "energy", "start"), [("generation", 1041, MIDNIGHT_THERE), ("discharge", 9000, MIDNIGHT_THERE), ("generation", 9000, NOON)])  # fmt: skip
def test_a_little_or_something_else_or_by_day_is_no_matter(channel, energy, start):
    rows = run([energy, energy + 1], channel=channel, start=start)[:1]
    assert found(evidence(*rows, start=start), "night_generation") == []


def test_the_sun_has_to_be_down_for_the_whole_interval():
    """On 7 January it is 6 degrees below the horizon from 17:33 local time, 01:33 UTC."""
    quarters = [(1 * 3600 + 900 * n) for n in range(4)]
    rows = run([100_000] * 4, channel="generation", start=3600, duration=900)
    assert found(evidence(*rows, start=3600), "night_generation") == [("M1", "generation", quarters[3], 900)]
    rows = run([100_000] * 1, channel="generation", start=3600, duration=3600)
    assert found(evidence(*rows, start=3600), "night_generation") == []


def test_the_formula_agrees_with_pvlib():
    import pandas as pd
    from pvlib import solarposition

    times = pd.date_range("2024-01-01", "2036-01-01", freq="13h17min", tz="UTC")
    for latitude, longitude in ((SITE.latitude, SITE.longitude), (-33.9, 151.2), (64.1, -21.9)):
        theirs = solarposition.get_solarposition(times, latitude, longitude, method="nrel_numpy")["elevation"].to_numpy()
        at = pl.DataFrame({"at": times.as_unit("s").asi8})
        ours = at.select(elevation_deg(pl.col("at"), latitude, longitude)).to_series().to_numpy()
        assert abs(ours - theirs).max() < 0.05

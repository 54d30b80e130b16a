from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from campus_simulator.models import Building, Site

sys.path.insert(0, str(Path(__file__).parent))

CONFIG = tomllib.loads((Path(__file__).parents[2] / "config" / "stanford.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def site() -> Site:
    place = CONFIG["site"]
    return Site(place["latitude"], place["longitude"], place["altitude_m"], place["timezone"])


@pytest.fixture(scope="session")
def buildings() -> list[Building]:
    return [
        Building(m["id"], m["building"], m["building_type"], m["rated_kw"], m["battery_kwh"], m["baseline_kw"])
        for m in CONFIG["meters"]
    ]

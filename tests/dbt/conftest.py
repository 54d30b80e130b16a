from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from mart_lake import AUTUMN, DAY, SPRING, MartLake

from gridtokenx_pipeline import config

# What needs a whole line is tested there.
ELSEWHERE = ("source:certificates.*+", "source:settlement.*+", "fct_edits", "fct_estimates", "fct_energy_revisions")


@pytest.fixture(scope="session")
def marts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MartLake]:
    """A lake with two days on which the clocks change, and its marts. Not for writing."""
    lake = MartLake(config.load(data=tmp_path_factory.mktemp("marts")))
    lake.fill(SPRING, AUTUMN)
    lake.fill_market()
    lake.dbt("run", SPRING, SPRING + 2 * DAY, "--exclude", *ELSEWHERE)
    with lake.warehouse:
        lake.warehouse.connect().execute("CREATE OR REPLACE VIEW marts.kpi_energy AS SELECT 'of another time' AS zone")
    # The days of autumn by themselves: what was built for spring stays.
    again = ("fct_energy_5min", "fct_energy_hourly", "fct_completeness", "kpi_energy", "kpi_trading")
    lake.dbt("run", AUTUMN, AUTUMN + 2 * DAY, "--select", *again)
    yield lake
    lake.close()

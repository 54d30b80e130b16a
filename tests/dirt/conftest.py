"""The measured precision and recall of every check stand at the end of the test report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

PROPERTY = "detection"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, [])]
    tables = [value for report in reports for name, value in getattr(report, "user_properties", ()) if name == PROPERTY]
    if tables:
        terminalreporter.section("detection of injected defects")
        terminalreporter.write(tables[-1])


@pytest.fixture(scope="session")
def results() -> list[Any]:
    """(scenario, result) of every scenario."""
    import dirt_scenarios as scenarios

    made = (
        scenarios.simulated_day(),
        scenarios.replayed_night(),
        scenarios.legacy_noon(),
        scenarios.spikes_of_all_sizes(seed=3),
        scenarios.clean_summer_day(),
    )
    return [(scenario, scenario.result()) for scenario in made]

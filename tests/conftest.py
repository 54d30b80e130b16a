"""Spread over processes by folder or file: tests that share expensive fixtures stay together."""

from __future__ import annotations

from pathlib import Path

import pytest

TOGETHER = {"defs", "dbt", "e2e"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    root = Path(__file__).parent
    for item in items:
        place = item.path.relative_to(root)
        group = place.parts[0] if place.parts[0] in TOGETHER else str(place)
        item.add_marker(pytest.mark.xdist_group(group))

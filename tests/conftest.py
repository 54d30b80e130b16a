"""Spread over processes by folder or file: tests that share expensive fixtures stay together. Fixtures for all folders."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hypothesis
import pytest
from lxml import etree

sys.path.insert(0, str(Path(__file__).parent))

import sep_schemas

# How long an example takes is a matter of the machine and what else it does.
hypothesis.settings.register_profile("project", deadline=None)
hypothesis.settings.load_profile("project")

TOGETHER = {"defs", "dbt", "e2e"}
# The longest first, so that no process works on one of them alone when the others have finished.
LONGEST = ("e2e", "defs", "interop", "warehouse", "ingest_server")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    root = Path(__file__).parent
    for item in items:
        place = item.path.relative_to(root)
        group = place.parts[0] if place.parts[0] in TOGETHER else str(place)
        item.add_marker(pytest.mark.xdist_group(group))
    if "PYTEST_XDIST_WORKER" in os.environ:
        rank = {folder: number for number, folder in enumerate(LONGEST)}
        items.sort(key=lambda item: rank.get(item.path.relative_to(root).parts[0], len(rank)))


def _schema(name: str) -> etree.XMLSchema:
    try:
        return sep_schemas.schema(name)
    except sep_schemas.SchemaUnavailable as error:
        pytest.skip(f"NOT VALIDATED against the standard's XML schema: {error}")


@pytest.fixture(scope="session")
def sep_schema() -> etree.XMLSchema:
    """The schema of IEEE 2030.5-2018; documents with extensions do not validate against it."""
    return _schema("sep.xsd")


@pytest.fixture(scope="session")
def csip_aus_schema() -> etree.XMLSchema:
    """The same with the elements of CSIP-AUS, where DERCapability must have some."""
    return _schema("csipaus-core.xsd")

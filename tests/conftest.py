"""Spread over processes by folder or file: tests that share expensive fixtures stay together. Fixtures for all folders."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

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
    if "PYTEST_XDIST_WORKER" in os.environ:
        rank = {folder: number for number, folder in enumerate(LONGEST)}
        items.sort(key=lambda item: rank.get(item.path.relative_to(root).parts[0], len(rank)))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each process whole files, and whole folders of those in `TOGETHER`.

    xdist's own groups say so by a suffix of the test's name, which names of pytest 9.2 no longer take.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByPlace(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            place = Path(nodeid.partition("::")[0]).parts
            return place[1] if len(place) > 2 and place[1] in TOGETHER else "/".join(place)

    return ByPlace(config, log)


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

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from gridtokenx_pipeline.contracts import core, market, ops, raw
from gridtokenx_pipeline.warehouse import Replace, Warehouse
from gridtokenx_pipeline.warehouse.extensions import ensure_extension_directory

USED = (raw.MESSAGES, core.READINGS, core.MESSAGE_OUTCOMES, market.INTERVALS, ops.WATERMARKS)


@pytest.fixture(scope="session")
def extensions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_extension_directory(tmp_path_factory.mktemp("extensions"))


@pytest.fixture(scope="session")
def shared_lake(tmp_path_factory: pytest.TempPathFactory, extensions: Path) -> Iterator[Warehouse]:
    with Warehouse(tmp_path_factory.mktemp("lake"), extensions) as warehouse:
        yield warehouse


@pytest.fixture
def lake(shared_lake: Warehouse) -> Warehouse:
    """A warehouse whose used tables are empty."""
    shared_lake.commit(*(Replace(table, table.empty()) for table in USED))
    return shared_lake


@pytest.fixture
def snapshots(lake: Warehouse) -> Callable[[], int]:
    """How many snapshots there are: every commit that wrote something makes one."""
    return lambda: lake.query("SELECT count(*) FROM lake.snapshots()").item()

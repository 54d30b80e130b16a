from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gridtokenx_pipeline.defs.resources import Stores
from gridtokenx_pipeline.warehouse import Replace, Warehouse
from ingest_server.operational.registry import Device, Registry
from ingest_server.operational.resources import ResourceStore

# A server in this process, over real TLS.
sys.path.insert(0, str(Path(__file__).parents[1] / "ingest_server"))
sys.path.insert(0, str(Path(__file__).parent))

from published_campus import METERS, TABLES, campus_stores


@pytest.fixture
def store(tmp_path: Path) -> ResourceStore:
    url = f"sqlite:///{tmp_path / 'operational.sqlite'}"
    registry = Registry(url)
    registry.create_all()
    registry.close()
    return ResourceStore(url)


@pytest.fixture(scope="session")
def shared_lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with Warehouse(tmp_path_factory.mktemp("lake")) as warehouse:
        yield warehouse


@pytest.fixture
def campus(tmp_path: Path, shared_lake: Warehouse) -> Callable[..., Stores]:
    """Makes the stores of a campus whose market is empty."""
    shared_lake.commit(*(Replace(table, table.empty()) for table in TABLES))
    return lambda tariffs="": campus_stores(tmp_path, shared_lake, tariffs)


@pytest.fixture
def stores(campus: Callable[..., Stores]) -> Stores:
    """A campus whose three meters have a device each, with LFDIs of their numbers."""
    made = campus()
    made.registry.register(Device(f"{number:040X}", number, meter, "stanford", 111115) for number, meter in enumerate(METERS, 1))
    return made

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gridtokenx_pipeline.contracts import market
from gridtokenx_pipeline.defs.resources import Stores
from gridtokenx_pipeline.warehouse import Replace, Warehouse
from ingest_server.operational.registry import Device, Registry
from ingest_server.operational.resources import ResourceStore

# A server in this process, over real TLS.
sys.path.insert(0, str(Path(__file__).parents[1] / "ingest_server"))
sys.path.insert(0, str(Path(__file__).parent))

METERS = ("SUN", "LAB", "GYM")
TABLES = (market.INTERVALS, market.TRADES, market.GRID_SETTLEMENTS)
CONFIG = """
zone = "stanford"

[site]
name = "Stanford"
latitude = 37.4
longitude = -122.2
timezone = "America/Los_Angeles"

[market]
feed_in_micro_per_kwh = 80000
retail_micro_per_kwh = 280000
"""
METER = """
[[meters]]
id = "{id}"
building = "{id}"
building_type = "research"
rated_kw = 50
battery_kwh = 0
baseline_kw = 40
"""


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


def campus_stores(directory: Path, lake: Warehouse, tariffs: str = "") -> Stores:
    """The stores of a campus of three meters on a shared warehouse; `tariffs` is more of its configuration."""
    path = directory / "campus.toml"
    path.write_text(CONFIG + tariffs + "".join(METER.format(id=meter) for meter in METERS), encoding="utf-8")
    stores = Stores(data=str(directory), config=str(path))
    if not stores.settings.warehouse_dir.exists():
        stores.settings.warehouse_dir.symlink_to(lake.directory)
    # Dagster makes stores of its own, which open the same lake.
    stores.__dict__["warehouse"] = lake
    return stores


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

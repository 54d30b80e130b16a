"""A campus of three meters, whose market is published."""

from __future__ import annotations

from pathlib import Path

from gridtokenx_pipeline.contracts import market
from gridtokenx_pipeline.defs.resources import Stores
from gridtokenx_pipeline.warehouse import Warehouse

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

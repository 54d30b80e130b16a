"""The one resource: the settings, and the stores they name."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import dagster as dg

from gridtokenx_pipeline.config import Settings, load
from gridtokenx_pipeline.warehouse import Warehouse

if TYPE_CHECKING:
    from gridtokenx_pipeline.solana.outbox import Outbox
    from ingest_server.landing.store import LandingReader
    from ingest_server.operational.registry import Registry
    from ingest_server.operational.resources import ResourceStore


class Stores(dg.ConfigurableResource):
    """Settings, warehouse, landing reader, device registry, published resources and outbox, each opened on first use.

    `data` and `config` override the environment (`GRIDTOKENX_DATA`, `GRIDTOKENX_CONFIG`) where they are not empty.
    """

    data: str = ""
    config: str = ""

    @cached_property
    def settings(self) -> Settings:
        """The settings of this run."""
        overrides: dict[str, Any] = {name: value for name, value in (("data", self.data), ("config", self.config)) if value}
        return load(**overrides)

    @cached_property
    def warehouse(self) -> Warehouse:
        """The warehouse, for reading and writing."""
        return Warehouse(self.settings.warehouse_dir)

    @cached_property
    def landing(self) -> LandingReader:
        """What the ingest server acknowledged."""
        from ingest_server.landing.sqlite import SqliteLandingReader

        return SqliteLandingReader(self.settings.landing_dir)

    @cached_property
    def registry(self) -> Registry:
        """The device registry."""
        from ingest_server.operational.registry import Registry

        registry = Registry(self.settings.operational_url)
        registry.create_all()
        return registry

    @cached_property
    def resources(self) -> ResourceStore:
        """What is published for devices."""
        from ingest_server.operational.resources import ResourceStore

        # The registry makes the tables of both.
        assert self.registry
        return ResourceStore(self.settings.operational_url)

    @cached_property
    def outbox(self) -> Outbox:
        """Batches on their way to the chain."""
        from gridtokenx_pipeline.solana.outbox import Outbox

        outbox = Outbox(self.settings.operational_url)
        outbox.create_all()
        return outbox

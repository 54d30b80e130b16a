"""dbt's models and tests as assets and asset checks, run in this process, a range of days at a time."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, dbt_assets
from dagster_dbt.core.dbt_cli_event import DbtCoreCliEventMessage

from ..lineage import model_lineage
from ..partitions import DAYS, SINGLE_RUN, window
from ..resources import Stores
from ..specs import OWNERS, RETRY, WAREHOUSE_POOL, retried_where_it_helps, tags_of
from . import project


class Translator(DagsterDbtTranslator):
    """Model `marts.fct_trades` is the asset `marts/fct_trades`, in the group of its schema."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """Return schema and name for a model; sources carry their key as metadata."""
        if dbt_resource_props["resource_type"] == "model":
            return dg.AssetKey([dbt_resource_props["schema"], dbt_resource_props["name"]])
        return super().get_asset_key(dbt_resource_props)

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """Return the schema."""
        return dbt_resource_props["schema"]

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        """Return the owners of everything here."""
        return OWNERS

    def get_tags(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, str]:
        """Return the tags of every asset here."""
        own = super().get_tags(dbt_resource_props)
        return {**own, **tags_of(dbt_resource_props["schema"], dbt_resource_props["columns"])}


def build(manifest: Mapping[str, Any]) -> dg.AssetsDefinition:
    """Return the assets of the dbt project whose manifest this is."""
    translator = Translator()
    lineages = {
        unique: model_lineage(node, manifest) for unique, node in manifest["nodes"].items() if node["resource_type"] == "model"
    }

    @dbt_assets(
        manifest=manifest,
        name="build_marts",
        dagster_dbt_translator=translator,
        partitions_def=DAYS,
        backfill_policy=SINGLE_RUN,
        pool=WAREHOUSE_POOL,
        retry_policy=RETRY,
    )
    @retried_where_it_helps
    def build_marts(context: dg.AssetExecutionContext, stores: Stores) -> Iterator[Any]:
        start, end = window(context)
        # The warehouse's connection would hold a snapshot open beside dbt's own.
        stores.warehouse.connect()
        stores.warehouse.close()
        for event in project.build(stores.settings, start.date(), end.date()):
            message = DbtCoreCliEventMessage(raw_event=event, event_history_metadata={})
            for made in message.to_default_asset_events(manifest, translator, context, project.target_dir(stores.settings)):
                yield _with_lineage(made, message, lineages)

    return build_marts


def _with_lineage(made: Any, message: DbtCoreCliEventMessage, lineages: Mapping[str, dg.TableColumnLineage]) -> Any:
    """Say of a built model which columns its columns are made of."""
    unique = message.raw_event.get("data", {}).get("node_info", {}).get("unique_id")
    if not isinstance(made, dg.Output | dg.AssetMaterialization) or unique not in lineages:
        return made
    return made.with_metadata({**made.metadata, "dagster/column_lineage": lineages[unique]})

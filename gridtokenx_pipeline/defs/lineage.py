"""Which columns every column is made of, as Dagster shows it.

A column comes from the columns of the same name in its table's upstream tables, and from what `_DERIVED` says. What comes from
no table at all is in `UNTRACED`, so that a new column has to be placed somewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from gridtokenx_pipeline.contracts import TABLES, Table, certificates, core, market, raw, settlement
from gridtokenx_pipeline.contracts.core import ENERGY_CHANNELS

_BY_NAME = {table.full_name: table for table in TABLES}
_MESSAGE_BODY = ("raw.messages.body",)
_EVIDENCE = ("core.readings.energy_wh", "core.readings.register_wh", "core.readings.interval_start")

# The tables a table is made of. What a run reads besides to find its rows (watermarks, earlier rows of the table) is not of it.
UPSTREAM: Mapping[Table, tuple[Table, ...]] = {
    raw.MESSAGES: (),
    core.METERS: (),
    core.EDITS: (),
    **dict.fromkeys((*core.readings.TABLES, *core.documents.TABLES), (raw.MESSAGES,)),
    **dict.fromkeys((core.VEE_EXCEPTIONS, core.ESTIMATES, core.METER_HOURS), (core.READINGS, core.REJECTED_READINGS, core.EDITS)),
    **dict.fromkeys(core.energy.TABLES, (core.READINGS, core.VEE_EXCEPTIONS, core.ESTIMATES, core.EDITS)),
    **dict.fromkeys(market.INPUTS, (core.P2P_DOCUMENTS,)),
    **dict.fromkeys(market.SETTLEMENTS, (core.ENERGY_5MIN, *market.INPUTS)),
    market.PAIRS: (),
    **dict.fromkeys(certificates.ISSUES, (core.ENERGY_5MIN, market.INTERVALS, market.TRADES)),
    certificates.DEVICES: (),
    **dict.fromkeys(
        (settlement.ITEMS, settlement.BATCHES),
        (core.ENERGY_5MIN, market.INTERVALS, market.TRADES, market.GRID_SETTLEMENTS, certificates.BUNDLES),
    ),
    settlement.ACTIONS: (settlement.ITEMS, settlement.BATCHES, certificates.EVENTS),
    **dict.fromkeys((settlement.NETS, settlement.NETTED), (settlement.BATCHES, market.TRADES, certificates.EVENTS)),
    settlement.TRANSACTIONS: (settlement.ACTIONS,),
}

# Columns that no table holds the content of: configuration, constants of the stage, what the chain answered.
UNTRACED: Mapping[str, frozenset[str]] = {
    "core.vee_exceptions": frozenset({"severity"}),
    "core.energy_revisions": frozenset({"revision"}),
    "market.intervals": frozenset({"mechanism", "version", "currency", "tariff"}),
    "market.trades": frozenset({"mechanism"}),
    "market.agreements": frozenset({"source"}),
    "certificates.bundles": frozenset({"carrier", "source", "origin"}),
    "certificates.events": frozenset({"number", "actor", "purpose"}),
    "certificates.storage": frozenset({"efficiency_ppm", "late"}),
    "settlement.items": frozenset({"leaf_index"}),
    "settlement.actions": frozenset({"stage", "state", "signature", "error_code", "error"}),
    "settlement.nets": frozenset({"number"}),
    "settlement.transactions": frozenset({"signature", "slot", "fee_lamports", "compute_units", "size_bytes", "state", "error"}),
}


def _energy(table: Table) -> dict[str, tuple[str, ...]]:
    values = ("core.readings.energy_wh", "core.estimates.energy_wh", "core.edits.energy_wh")
    counted = ("core.readings.interval_start", "core.readings.duration_s")
    found: dict[str, tuple[str, ...]] = {}
    for channel in ENERGY_CHANNELS:
        found |= {
            f"{channel}_wh": values,
            f"{channel}_delta_wh": values,
            f"{channel}_register_wh": ("core.readings.register_wh", "core.estimates.register_wh"),
        }
    found |= {
        "readings_expected": counted,
        "readings_present": (*counted, "core.readings.channel"),
        "readings_estimated": ("core.estimates.usable",),
        "known_from": ("core.readings.received_at", "core.edits.edited_at"),
    }
    return {name: sources for name, sources in found.items() if name in table.by_name}


_NET = tuple(f"core.energy_5min.{channel}_register_wh" for channel in ("generation", "load", "charge", "discharge"))
_AGREED = ("market.agreements.max_wh", "market.agreements.price_micro_per_kwh", "market.offers.price_limit_micro_per_kwh")
_FROM_NET = {
    **dict.fromkeys(("supply_wh", "demand_wh", "net_wh"), _NET),
    **dict.fromkeys(
        ("traded_wh", "capped_wh", "energy_wh", "amount_micro", "price_micro_per_kwh", "loss_wh", "wheeling_micro"),
        (*_NET, *_AGREED),
    ),
}
_FEEDER = ("core.energy_5min.import_register_wh", "core.energy_5min.export_register_wh")
_STORED = tuple(f"core.energy_5min.{channel}_register_wh" for channel in ("generation", "load", "charge", "discharge"))
_P2P_TERMS = (
    "core.p2p_documents.status",
    "core.p2p_documents.received_at",
    "core.p2p_documents.starts_at",
    "core.p2p_documents.ends_at",
)
_PARTIES = ("core.p2p_documents.meter_id", "core.p2p_documents.counterparty_lfdi", "core.p2p_documents.side")
_COMPLETE = ("core.energy_5min.readings_expected", "core.energy_5min.readings_present", "core.energy_5min.readings_estimated")
_REGISTER = ("core.energy_5min.generation_register_wh", "core.energy_5min.generation_wh")
_ISSUED = (*_COMPLETE, "core.energy_5min.quality_flags", "market.intervals.state")
_LEAVES = (
    "core.energy_5min.meter_id",
    "market.trades.trade_id",
    "market.grid_settlements.grid_settlement_id",
    "certificates.bundles.bundle_id",
)
_PAYLOAD = (
    *_NET,
    "market.trades.energy_wh",
    "market.trades.amount_micro",
    "market.grid_settlements.energy_wh",
    "market.grid_settlements.amount_micro",
    "certificates.bundles.energy_wh",
)
_ACTED = ("settlement.items.natural_key", "settlement.batches.batch_id", "certificates.events.event_id")
_WINDOW_IDS = ("market.intervals.zone", "market.intervals.interval_start", "market.intervals.version")

_DERIVED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    **{
        table.full_name: {
            column.name: _MESSAGE_BODY for column in table.columns if column.name not in raw.MESSAGES.by_name or column.name == "meter_id"
        }
        for table in (*core.readings.TABLES, *core.documents.TABLES)
    },
    "core.vee_exceptions": {"code": _EVIDENCE, "detail": _EVIDENCE},
    "core.estimates": {
        "method": _EVIDENCE,
        "usable": ("core.readings.interval_start",),
        "gap_start": ("core.readings.interval_start", "core.readings.duration_s"),
        "gap_end": ("core.readings.interval_start",),
    },
    "core.meter_hours": {
        "readings_expected": ("core.readings.duration_s",),
        "readings_present": ("core.readings.interval_start", "core.readings.channel"),
        "readings_estimated": ("core.readings.interval_start",),
        "readings_edited": ("core.edits.edit_id",),
        "readings_late": ("core.readings.received_at", "core.readings.interval_start"),
        "readings_rejected": ("core.rejected_readings.parts",),
        "exceptions": _EVIDENCE,
        "clock_offset_ms": ("core.readings.received_at", "core.readings.interval_start"),
        "clock_offset_least_ms": ("core.readings.received_at", "core.readings.interval_start"),
    },
    **{table.full_name: _energy(table) for table in core.energy.TABLES},
    "market.intervals": {
        **_FROM_NET,
        "feed_in_micro_per_kwh": ("core.energy_5min.interval_start",),
        "retail_micro_per_kwh": ("core.energy_5min.interval_start",),
        "meters": ("core.energy_5min.meter_id",),
        "meters_grid_only": _COMPLETE,
        "state": ("core.energy_5min.interval_start",),
    },
    "market.trades": {
        **_FROM_NET,
        "trade_id": ("core.energy_5min.zone", "core.energy_5min.interval_start", "core.energy_5min.meter_id"),
        "seller_meter_id": ("core.energy_5min.meter_id",),
        "buyer_meter_id": ("core.energy_5min.meter_id",),
        "kind": _NET,
    },
    "market.grid_settlements": {
        **_FROM_NET,
        "grid_settlement_id": ("core.energy_5min.zone", "core.energy_5min.interval_start", "core.energy_5min.meter_id"),
        "reason": _COMPLETE,
    },
    "market.campus_balances": {
        **dict.fromkeys(("net_wh",), _NET),
        **dict.fromkeys(
            ("export_wh", "import_wh", "loss_wh", "trade_amount_micro", "wheeling_micro", "grid_amount_micro"), (*_NET, *_AGREED)
        ),
        "version": ("core.energy_5min.interval_start",),
        "meters": ("core.energy_5min.meter_id",),
        "feeder_net_wh": _FEEDER,
        "unaccounted_wh": (*_NET, *_FEEDER),
    },
    "market.agreements": {
        "agreement_id": (*_PARTIES, *_P2P_TERMS),
        **dict.fromkeys(("seller_meter_id", "buyer_meter_id"), _PARTIES),
        "max_wh": ("core.p2p_documents.energy_limit_wh",),
        **dict.fromkeys(("valid_from", "valid_until", "state", "reason"), _P2P_TERMS),
        **dict.fromkeys(("seller_message_id", "buyer_message_id"), ("core.p2p_documents.message_id",)),
    },
    "market.offers": {
        "offer_id": ("core.p2p_documents.mrid", "core.p2p_documents.meter_id"),
        "price_limit_micro_per_kwh": ("core.p2p_documents.price_micro_per_kwh",),
        **dict.fromkeys(("valid_from", "valid_until", "state", "reason"), _P2P_TERMS),
    },
    "certificates.bundles": {
        "bundle_id": ("core.energy_5min.meter_id", "core.energy_5min.interval_start"),
        "interval_end": ("core.energy_5min.interval_start", "core.energy_5min.duration_s"),
        "energy_wh": _REGISTER,
        "first_wh": _REGISTER,
        "last_wh": _REGISTER,
        "state": _ISSUED,
        "owner": ("core.energy_5min.meter_id",),
        "version": ("market.intervals.version",),
    },
    "certificates.events": {
        "event_id": ("core.energy_5min.meter_id", "core.energy_5min.interval_start"),
        "bundle_id": ("core.energy_5min.meter_id", "core.energy_5min.interval_start"),
        "kind": (*_ISSUED, *_STORED, "market.trades.trade_id"),
        **dict.fromkeys(("energy_wh", "first_wh", "last_wh"), (*_STORED, "market.trades.energy_wh")),
        **dict.fromkeys(("owner", "from_owner", "beneficiary"), ("core.energy_5min.meter_id", "market.trades.buyer_meter_id")),
        "reason": _ISSUED,
        **dict.fromkeys(("bundle_interval_start", "period_start"), ("core.energy_5min.interval_start",)),
        "period_end": ("core.energy_5min.interval_start", "core.energy_5min.duration_s"),
        "trade_id": ("market.trades.trade_id",),
        "counter_bundle_id": ("core.energy_5min.meter_id", "core.energy_5min.interval_start"),
        "version": ("market.intervals.version",),
    },
    "certificates.holdings": {
        **dict.fromkeys(("bundle_id", "meter_id"), ("core.energy_5min.meter_id", "core.energy_5min.interval_start")),
        **dict.fromkeys(("first_wh", "last_wh", "energy_wh"), (*_STORED, "market.trades.energy_wh")),
        "owner": ("core.energy_5min.meter_id", "market.trades.buyer_meter_id"),
        **dict.fromkeys(("state", "events"), (*_ISSUED, *_STORED, "market.trades.trade_id")),
    },
    "certificates.storage": dict.fromkeys(("charge_wh", "green_in_wh", "grey_in_wh", "discharge_wh", "used_wh", "green_used_wh", "green_out_wh", "green_wh", "grey_wh"), _STORED),
    "settlement.items": {
        "item_id": _LEAVES,
        "batch_id": _WINDOW_IDS,
        "window_start": ("market.intervals.interval_start",),
        "kind": _LEAVES,
        "natural_key": _LEAVES,
        "payload": _PAYLOAD,
        "leaf_sha256": _PAYLOAD,
        "proof": _PAYLOAD,
    },
    "settlement.actions": {
        "action_id": _ACTED,
        "kind": ("settlement.items.kind", "certificates.events.kind"),
        "natural_key": _ACTED,
        "arguments": ("settlement.items.payload", "settlement.batches.memo", "certificates.events.energy_wh"),
    },
    "settlement.nets": {
        "net_id": ("settlement.batches.zone", "settlement.batches.window_start"),
        "period_start": ("settlement.batches.window_start",),
        "period_end": ("settlement.batches.window_start",),
        "meter_id": ("market.trades.seller_meter_id", "market.trades.buyer_meter_id"),
        "energy_wh": ("market.trades.energy_wh",),
        "amount_micro": ("market.trades.amount_micro",),
        "certified_wh": ("certificates.events.energy_wh",),
    },
    "settlement.netted": {"net_id": ("settlement.batches.window_start",)},
    "settlement.transactions": {"actions": ("settlement.actions.action_id",)},
    "settlement.batches": {
        "batch_id": _WINDOW_IDS,
        "window_start": ("market.intervals.interval_start",),
        "items": _LEAVES,
        "merkle_root": _PAYLOAD,
        "traded_wh": ("market.trades.energy_wh",),
        "amount_micro": ("market.trades.amount_micro",),
        "certificate_wh": ("certificates.bundles.energy_wh",),
        "memo": _PAYLOAD,
    },
}  # fmt: skip


def column_lineage(table: Table) -> dg.TableColumnLineage:
    """Return what each column of `table` is made of; empty for tables that begin a line."""
    derived = _DERIVED.get(table.full_name, {})
    untraced = UNTRACED.get(table.full_name, frozenset())
    deps: dict[str, list[dg.TableColumnDep]] = {}
    for column in table.columns:
        if column.name in untraced:
            continue
        if column.name in derived:
            sources = [source.rsplit(".", 1) for source in derived[column.name]]
        else:
            sources = [[up.full_name, column.name] for up in UPSTREAM[table] if column.name in up.by_name]
        found = [dg.TableColumnDep(dg.AssetKey(name.split(".")), source) for name, source in sources]
        if found:
            deps[column.name] = found
    return dg.TableColumnLineage(deps)


def model_lineage(node: Mapping[str, Any], manifest: Mapping[str, Any]) -> dg.TableColumnLineage:
    """Return what each described column of a dbt model is made of: the columns of its name in the models and sources it reads.

    Models and sources are those of dbt's manifest. A column that is renamed or computed in the model has no entry.
    """
    parents = [manifest["sources"].get(unique) or manifest["nodes"].get(unique) for unique in node["depends_on"]["nodes"]]
    deps: dict[str, list[dg.TableColumnDep]] = {}
    for name in node["columns"]:
        found = [dg.TableColumnDep(dg.AssetKey([p["schema"], p["name"]]), name) for p in parents if p and name in _columns(p)]
        if found:
            deps[name] = found
    return dg.TableColumnLineage(deps)


def _columns(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """The columns of a source, which is a table of the contracts, or those a model describes."""
    table = _BY_NAME.get(f"{node['schema']}.{node['name']}")
    return table.by_name if table else node["columns"]

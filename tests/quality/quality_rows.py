"""A few good rows of every table that has a suite."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl

from gridtokenx_pipeline.contracts import TABLES, Table, Type, core
from gridtokenx_pipeline.domain.ids import derived_id

ROWS = 8
START = dt.datetime(2026, 1, 15, 18, tzinfo=dt.UTC)
BY_NAME = {table.full_name: table for table in TABLES}
EACH = {
    "meter_id": "M1", "device_lfdi": "0A" * 20, "sender_lfdi": None, "mmr_mrid": "0B" * 16, "mup_mrid": None, "channel": "generation",
    "body_sha256": "0c" * 32, "merkle_root": "0d" * 32, "source": "sep2", "method": "POST", "duration_s": 15, "quality_flags": 1, "version": 1,
    "parts": 2, "power_of_ten": 0, "interval_length_s": 15, "currency": "USD", "mechanism": "sdr_bilateral/1", "attributes": "{}",
    "readings_expected": 20, "readings_present": 18, "readings_estimated": 2,
}  # fmt: skip
OF_TABLE: dict[str, dict[str, Any]] = {
    "core.rejected_readings": {"reason": "negative", "detail": "-1 < 0"},
    "core.telemetry": {"uom": 38, "value": -5},
    "core.message_outcomes": {"readings_total": 6, "accepted": 3, "rejected": 2, "telemetry": 1},
    "core.der_documents": {"document": "DERStatus", "operational_mode": 2, "storage_mode": 1, "state_of_charge_pct": 50},
    "core.vee_exceptions": {"code": "spike", "severity": "warning", "quality_flags": 16, "duration_s": 3600, "channel": "all"},
    "core.estimates": {"method": "interpolated", "quality_flags": 8, "gap_start": START, "gap_end": START + dt.timedelta(hours=1)},
    "core.edits": {"action": "replace", "energy_milli_wh": 5, "edited_by": "ana", "reason": "meter was tested"},
    "core.meter_hours": {"clock_offset_ms": 900, "clock_offset_least_ms": 400, "readings_expected": 240},
    "core.energy_15s": {"readings_expected": 1, "readings_present": 1, "readings_estimated": 0},
    **{table.full_name: {"duration_s": length} for table, length in core.LEVELS if length > 15},
    "core.energy_revisions": {"duration_s": 300, "revision": 1, "known_from": START + dt.timedelta(hours=1)},
    "market.intervals": {
        "duration_s": 300, "state": "closed", "supply_wh": 90, "demand_wh": 70, "traded_wh": 60, "price_micro_per_kwh": 100, "feed_in_micro_per_kwh": 50,
        "retail_micro_per_kwh": 200, "meters": 5, "meters_grid_only": 2,
    },
    "market.trades": {"kind": "pool", "energy_wh": 10, "price_micro_per_kwh": 93_245, "amount_micro": 932, "seller_meter_id": "S"},
    "market.grid_settlements": {"net_wh": -30, "traded_wh": -10, "energy_wh": -20, "amount_micro": -4, "reason": "residual"},
    "certificates.bundles": {
        "energy_wh": 10, "first_wh": 90, "last_wh": 99, "state": "issued", "carrier": "electricity", "source": "solar",
        "interval_end": START + dt.timedelta(hours=1), "origin": "production",
    },
    "certificates.holdings": {"energy_wh": 10, "first_wh": 90, "last_wh": 99, "state": "active", "events": 1},
    "certificates.storage": {
        "charge_wh": 10, "green_in_wh": 6, "grey_in_wh": 4, "discharge_wh": 8, "used_wh": 9, "green_used_wh": 5, "green_out_wh": 4,
    },
    "market.campus_balances": {"net_wh": -20, "loss_wh": 2, "export_wh": 8, "import_wh": 30},
    "certificates.events": {"kind": "issued", "number": 1, "energy_wh": 10},
    "settlement.batches": {"state": "pending", "items": 4, "memo": "gtx1"},
}  # fmt: skip
IDS = ("trade_id", "grid_settlement_id", "bundle_id", "event_id", "batch_id")


def good(name: str, part: int = 0) -> pl.DataFrame:
    """`ROWS` rows that meet every expectation of the table `name`; all rows of all parts differ in time and id."""
    table = BY_NAME[name]
    numbers = range(part * ROWS, (part + 1) * ROWS)
    return table.conform(pl.DataFrame([_row(table, number) for number in numbers], schema=table.frame_schema()))


def _row(table: Table, number: int) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for column in table.columns:
        if column.name in IDS:
            row[column.frame_name] = derived_id("test", column.name, number)
        elif column.type is Type.TIMESTAMP:
            row[column.frame_name] = START + dt.timedelta(seconds=15 * number)
        else:
            plain = {Type.TEXT: f"t-{number}", Type.BYTES: b"<x/>", Type.BOOLEAN: True}.get(column.type, number + 1)
            row[column.frame_name] = None if column.nullable and column.type is not Type.ENERGY else plain
    row |= {name: value for name, value in (EACH | OF_TABLE.get(table.full_name, {})).items() if name in row}
    if table is core.REVISIONS:
        row |= {name: None for name in row if "delta" in name}
    if table is core.READINGS and number % ROWS == 0:
        row |= {"channel": "state_of_charge", "energy_milli_wh": None, "register_milli_wh": None, "state_of_charge_pct": 50}
    if table is core.READINGS and number % ROWS == 1:
        row |= {"findings": "clock_snapped,tare", "energy_milli_wh": -3}
    return row

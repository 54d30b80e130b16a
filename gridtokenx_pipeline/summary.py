"""What the warehouse holds, as the few numbers an operator asks for first."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from gridtokenx_pipeline.warehouse import Warehouse

CHANNELS = ("generation", "load", "charge", "discharge", "import", "export")


@dataclass(frozen=True)
class Summary:
    """Numbers of one span. Energy in Wh (exact text), money in micro-currency."""

    messages: int
    accepted: int
    rejected: int
    telemetry: int
    rejected_by_reason: dict[str, int]
    energy_wh: dict[str, str]
    meters: int
    intervals: int
    trades: int
    traded_wh: int
    amount_micro: int
    price_min: int | None
    price_max: int | None
    certificates: int
    certificate_wh: int
    pending_wh: int
    batches: int
    actions: int
    actions_done: int
    transactions: int
    fee_lamports: int
    root_signatures: list[str]


def landed(warehouse: Warehouse, since: dt.datetime) -> dict[str, Any]:
    """Return messages received since `since` and what became of their readings."""
    row = warehouse.query(
        "SELECT count(*) AS messages, coalesce(sum(accepted), 0)::BIGINT AS accepted, coalesce(sum(rejected), 0)::BIGINT AS rejected, "
        "coalesce(sum(telemetry), 0)::BIGINT AS telemetry FROM core.message_outcomes WHERE received_at >= ?",
        (since,),
    ).row(0, named=True)
    reasons = warehouse.query(
        "SELECT reason, sum(parts)::BIGINT AS parts FROM core.rejected_readings WHERE received_at >= ? GROUP BY reason ORDER BY reason",
        (since,),
    )
    return {**row, "rejected_by_reason": dict(reasons.iter_rows())}


def summarize(warehouse: Warehouse, since: dt.datetime, start: dt.datetime, end: dt.datetime) -> Summary:
    """Return the numbers of messages received since `since`, and of the event span `start` to `end`."""
    span = (start, end)
    energy = warehouse.query(
        f"SELECT count(DISTINCT meter_id) AS meters, count(DISTINCT interval_start) AS intervals, "
        f"{', '.join(f'coalesce(sum({c}_wh), 0) AS {c}' for c in CHANNELS)} "
        "FROM core.energy_15s WHERE interval_start >= ? AND interval_start < ?",
        span,
    ).row(0, named=True)
    trades = warehouse.query(
        "SELECT count(*) AS trades, coalesce(sum(energy_wh), 0)::BIGINT AS traded_wh, coalesce(sum(amount_micro), 0)::BIGINT AS amount_micro, "
        "min(price_micro_per_kwh) AS price_min, max(price_micro_per_kwh) AS price_max FROM market.trades WHERE interval_start >= ? AND interval_start < ?",
        span,
    ).row(0, named=True)
    bundles = warehouse.query(
        "SELECT count(*) FILTER (state = 'issued') AS certificates, coalesce(sum(energy_wh) FILTER (state = 'issued'), 0)::BIGINT AS certificate_wh, "
        "coalesce(sum(energy_wh) FILTER (state = 'pending'), 0)::BIGINT AS pending_wh FROM certificates.bundles WHERE interval_start >= ? AND interval_start < ?",
        span,
    ).row(0, named=True)
    transactions = warehouse.query(
        "SELECT count(*) AS transactions, coalesce(sum(fee_lamports), 0)::BIGINT AS fee_lamports, "
        "list(signature ORDER BY window_start) FILTER (kind LIKE '%record_batch%' OR kind = 'memo') AS root_signatures "
        "FROM settlement.transactions WHERE state = 'confirmed' AND window_start >= ? AND window_start < ?",
        span,
    ).row(0, named=True)
    actions = warehouse.query(
        "SELECT count(*) AS actions, count(*) FILTER (state = 'done') AS actions_done FROM settlement.actions "
        "WHERE window_start >= ? AND window_start < ?",
        span,
    ).row(0, named=True)
    batches = warehouse.query("SELECT count(*) FROM settlement.batches WHERE window_start >= ? AND window_start < ?", span).item()
    return Summary(
        **landed(warehouse, since),
        energy_wh={channel: str(energy[channel]) for channel in CHANNELS},
        meters=energy["meters"],
        intervals=energy["intervals"],
        **trades,
        **bundles,
        batches=batches,
        **transactions | {"root_signatures": transactions["root_signatures"] or []},
        **actions,
    )

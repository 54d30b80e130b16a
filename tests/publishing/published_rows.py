"""Rows of the market's tables for tests: what a test does not say is the same every time."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl

from gridtokenx_pipeline.contracts import market

ZONE = "stanford"
FIVE_MIN = dt.timedelta(minutes=5)
FEED_IN, RETAIL, PRICE = 80_000, 280_000, 180_000


def interval(start: dt.datetime, **values: Any) -> dict[str, Any]:
    return {
        "zone": ZONE, "interval_start": start, "duration_s": 300, "supply_wh": 1000, "demand_wh": 800, "traded_wh": 800,
        "capped_wh": 0, "price_micro_per_kwh": PRICE, "feed_in_micro_per_kwh": FEED_IN, "retail_micro_per_kwh": RETAIL,
        "meters": 2, "meters_grid_only": 0, "mechanism": "sdr_bilateral/1", "version": 1, "state": "settled",
        "currency": "USD", "tariff": "flat", "loss_wh": 0, "wheeling_micro": 0, **values,
    }  # fmt: skip


def trade(start: dt.datetime, seller: str, buyer: str, energy_wh: int, **values: Any) -> dict[str, Any]:
    row = {
        "trade_id": f"{start:%d%H%M}-{seller}-{buyer}", "zone": ZONE, "interval_start": start, "seller_meter_id": seller,
        "buyer_meter_id": buyer, "energy_wh": energy_wh, "price_micro_per_kwh": PRICE,
        "amount_micro": (energy_wh * PRICE + 500) // 1000, "kind": "pool", "mechanism": "sdr_bilateral/1", "version": 1,
        "quality_flags": 0, "loss_wh": 0, "wheeling_micro": 0, "agreement_id": None,
    }  # fmt: skip
    return {**row, **values}


def grid(start: dt.datetime, meter: str, energy_wh: int, traded_wh: int = 0, **values: Any) -> dict[str, Any]:
    amount = (energy_wh * FEED_IN + 500) // 1000 if energy_wh >= 0 else -((-energy_wh * RETAIL + 500) // 1000)
    version = values.get("version", 1)
    row = {
        "grid_settlement_id": f"{start:%Y%m%d%H%M}-{version}-{meter}", "zone": ZONE, "interval_start": start, "meter_id": meter,
        "net_wh": energy_wh + traded_wh, "traded_wh": traded_wh, "energy_wh": energy_wh, "amount_micro": amount,
        "reason": "residual", "version": version, "quality_flags": 0,
    }  # fmt: skip
    return {**row, **values}


def intervals(*rows: dict[str, Any]) -> pl.DataFrame:
    return market.INTERVALS.conform(pl.DataFrame(list(rows), schema=market.INTERVALS.frame_schema()))


def trades(*rows: dict[str, Any]) -> pl.DataFrame:
    return market.TRADES.conform(pl.DataFrame(list(rows), schema=market.TRADES.frame_schema()))


def grid_settlements(*rows: dict[str, Any]) -> pl.DataFrame:
    return market.GRID_SETTLEMENTS.conform(pl.DataFrame(list(rows), schema=market.GRID_SETTLEMENTS.frame_schema()))

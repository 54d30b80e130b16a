"""Past energy of the worked cases: a deficit, a surplus five minutes later, an interval that is still open, and a day after."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl

from gridtokenx_pipeline.contracts import core, market, ops
from gridtokenx_pipeline.warehouse import Replace, Warehouse

START = dt.datetime(2026, 11, 21, 20, tzinfo=dt.UTC)
STEP, DAY = dt.timedelta(minutes=5), dt.timedelta(days=1)
NEXT_DAY = START + DAY
# Generation, load, charge and discharge in Wh.
DEFICIT = (
    ("M1", 3200, 1200, 500, 0),
    ("M2", 1000, 299, 0, 0),
    ("M3", 0, 1951, 0, 0),
    ("M4", 250, 1296, 0, 0),
    ("M5", 0, 600, 0, 800),
)
SURPLUS = (
    ("M1", 3200, 1200, 0, 0),
    ("M2", 1000, 299, 0, 0),
    ("M3", 500, 1451, 0, 0),
    ("M4", 250, 996, 0, 0),
    ("M5", 0, 201, 0, 200),
)
AGREED_DAY = START + 2 * DAY
"""A deficit in which M1 sells up to 500 Wh to M4 at 150,000 micro per kWh."""
OPEN = AGREED_DAY + STEP
CHANNELS = ("generation", "load", "charge", "discharge")


def energy(start: dt.datetime, meters: tuple[tuple[Any, ...], ...]) -> list[dict[str, Any]]:
    return [
        {
            "zone": "stanford", "meter_id": meter, "interval_start": start, "duration_s": 300, "readings_expected": 20, "readings_present": 20,
            "readings_estimated": 0, "quality_flags": 1, "version": 1, "state_of_charge_pct": None,
            **{f"{c}_milli_wh": 0 for c in core.ENERGY_CHANNELS},
            **{f"{c}_register_milli_wh": 0 for c in core.ENERGY_CHANNELS},
            **{f"{c}_milli_wh": wh * 1000 for c, wh in zip(CHANNELS, energies, strict=True)},
            **{f"{c}_register_milli_wh": wh * 1000 for c, wh in zip(CHANNELS, energies, strict=True)},
        }
        for meter, *energies in meters
    ]  # fmt: skip


def write(directory: Path) -> None:
    rows = [
        row
        for start, meters in (
            (START, DEFICIT),
            (START + STEP, SURPLUS),
            (NEXT_DAY, DEFICIT),
            (AGREED_DAY, DEFICIT),
            (OPEN, DEFICIT),
        )
        for row in energy(start, meters)
    ]
    mark = {"zone": "stanford", "stage": "readings", "complete_until": OPEN + dt.timedelta(minutes=3)}
    agreement = {
        "agreement_id": "a1", "zone": "stanford", "seller_meter_id": "M1", "buyer_meter_id": "M4", "priority": 1, "max_wh": 500,
        "price_micro_per_kwh": 150_000, "valid_from": AGREED_DAY, "valid_until": None, "source": "file", "state": "in_force", "reason": None,
        "seller_message_id": None, "buyer_message_id": None,
    }  # fmt: skip
    with Warehouse(directory) as warehouse:
        warehouse.commit(
            Replace(core.ENERGY_5MIN, pl.DataFrame(rows, schema=core.ENERGY_5MIN.frame_schema(), orient="row")),
            Replace(ops.WATERMARKS, pl.DataFrame([mark], schema=ops.WATERMARKS.frame_schema())),
            Replace(market.AGREEMENTS, pl.DataFrame([agreement], schema=market.AGREEMENTS.frame_schema())),
        )

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from gridtokenx_pipeline.contracts import core

START = dt.datetime(2026, 11, 22, 20, tzinfo=dt.UTC)
Frame = Callable[..., pl.DataFrame]


@pytest.fixture(scope="session")
def energy_frame() -> Frame:
    """Build a `core.ENERGY_5MIN` frame: keyword defaults for all rows, a mapping of deviations for each row.

    Energies and registers are milli-Wh; a register not given ends where its energy does.
    """

    def build(*rows: dict[str, Any], **defaults: Any) -> pl.DataFrame:
        full = []
        for given in rows:
            row: dict[str, Any] = {
                "zone": "stanford",
                "meter_id": "M1",
                "interval_start": START,
                "duration_s": 300,
                **{f"{channel}_milli_wh": 0 for channel in core.ENERGY_CHANNELS},
                "state_of_charge_pct": None,
                "readings_expected": 20,
                "readings_present": 20,
                "readings_estimated": 0,
                "quality_flags": 1,
                "version": 1,
                **defaults,
                **given,
            }
            for channel in core.ENERGY_CHANNELS:
                row.setdefault(f"{channel}_register_milli_wh", row[f"{channel}_milli_wh"])
            full.append(row)
        return core.ENERGY_5MIN.conform(pl.DataFrame(full, schema=core.ENERGY_5MIN.frame_schema(), orient="row"))

    return build


@pytest.fixture(scope="session")
def position_frame(energy_frame: Frame) -> Frame:
    """Positions of meters given as (meter_id, generation, load, charge, discharge) in Wh, in one interval."""
    from gridtokenx_pipeline.domain.market import positions

    def build(*meters: tuple[Any, ...], **defaults: Any) -> pl.DataFrame:
        names = ("generation", "load", "charge", "discharge")
        rows = [
            {"meter_id": meter, **{f"{name}_milli_wh": wh * 1000 for name, wh in zip(names, energies, strict=True)}}
            for meter, *energies in meters
        ]
        return positions(energy_frame(*rows, **defaults), 100)

    return build

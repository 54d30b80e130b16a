"""The energy of those who take part in the market: all meters but the feeder's, which measures them once more together."""

from __future__ import annotations

import datetime as dt

import polars as pl

from gridtokenx_pipeline.contracts import core

from ..resources import Stores


def participants_energy(stores: Stores, start: dt.datetime, end: dt.datetime) -> pl.DataFrame:
    """Return core.energy_5min of the event hours without the feeder's meter."""
    return campus_energy(stores, start, end)[0]


def campus_energy(stores: Stores, start: dt.datetime, end: dt.datetime) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Return core.energy_5min of the event hours: of the meters, and of the feeder's meter (None where there is none)."""
    energy = stores.warehouse.read_window(core.ENERGY_5MIN, start, end)
    feeder = stores.settings.vee.feeder_meter
    if feeder is None:
        return energy, None
    return energy.filter(pl.col("meter_id") != feeder), energy.filter(pl.col("meter_id") == feeder)

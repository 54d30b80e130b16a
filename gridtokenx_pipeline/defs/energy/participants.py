"""The energy of those who take part in the market: all meters but the feeder's, which measures them once more together."""

from __future__ import annotations

import datetime as dt

import polars as pl

from gridtokenx_pipeline.contracts import core

from ..resources import Stores


def participants_energy(stores: Stores, start: dt.datetime, end: dt.datetime) -> pl.DataFrame:
    """Return core.energy_5min of the event hours without the feeder's meter."""
    energy = stores.warehouse.read_window(core.ENERGY_5MIN, start, end)
    feeder = stores.settings.vee.feeder_meter
    return energy if feeder is None else energy.filter(pl.col("meter_id") != feeder)

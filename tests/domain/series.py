"""Readings of meters as core.readings frames, as they come from validation."""

from __future__ import annotations

import datetime as dt

import polars as pl

from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.domain.thresholds import Ratings, Thresholds, ratings_frame

MIDNIGHT = dt.datetime(2026, 1, 7, tzinfo=dt.UTC)
MARKET = ("generation", "load", "charge", "discharge")


def at(seconds: int) -> dt.datetime:
    return MIDNIGHT + dt.timedelta(seconds=seconds)


def reading(meter="M1", channel="load", start=0, energy=10, register=None, duration=15, **more):
    values = {
        "zone": "stanford", "meter_id": meter, "device_lfdi": "A" * 40, "channel": channel, "interval_start": at(start), "duration_s": duration,
        "energy_milli_wh": energy, "register_milli_wh": register, "state_of_charge_pct": None, "quality_flags": 1, "device_quality_flags": None,
        "version": 1, "parts": 1, "message_id": "m", "received_at": at(start + duration + 1), "findings": None,
    }  # fmt: skip
    return {**values, **more}


def run(energies, meter="M1", channel="load", start=0, duration=15, register=0, missing=(), registers=True, **more):
    """Readings one after the other; those whose number is in `missing` are left out, but the register counts them."""
    rows = []
    for number, energy in enumerate(energies):
        register += energy
        if number not in missing:
            moment = start + number * duration
            rows.append(reading(meter, channel, moment, energy, register if registers else None, duration, **more))
    return rows


def readings(*rows) -> pl.DataFrame:
    return core.READINGS.conform(pl.DataFrame(list(rows), schema=core.READINGS.frame_schema(), orient="row"))


def edit(start=0, action="replace", energy=None, channel="load", meter="M1", duration=15, edited_at=10**6, **more):
    values = {
        "edit_id": f"{meter}{channel}{start}{edited_at}", "zone": "stanford", "meter_id": meter, "channel": channel, "interval_start": at(start),
        "duration_s": duration, "action": action, "energy_milli_wh": energy, "before_energy_milli_wh": None, "before_quality_flags": None,
        "before_version": None, "edited_by": "ada", "reason": "test", "edited_at": at(edited_at),
    }  # fmt: skip
    return {**values, **more}


def edits(*rows) -> pl.DataFrame:
    return core.EDITS.conform(pl.DataFrame(list(rows), schema=core.EDITS.frame_schema(), orient="row"))


def exception(start=0, duration=15, channel="load", meter="M1", code="spike", flags=16):
    return {
        "zone": "stanford", "meter_id": meter, "channel": channel, "interval_start": at(start), "duration_s": duration, "code": code,
        "severity": "warning", "quality_flags": flags, "detail": "test",
    }  # fmt: skip


def exceptions(*rows) -> pl.DataFrame:
    return core.VEE_EXCEPTIONS.conform(pl.DataFrame(list(rows), schema=core.VEE_EXCEPTIONS.frame_schema(), orient="row"))


def estimated(
    start=0, energy=10, channel="load", meter="M1", method="register_exact", flags=33, usable=True, duration=15, register=None
):
    return {
        "zone": "stanford", "meter_id": meter, "channel": channel, "interval_start": at(start), "duration_s": duration, "energy_milli_wh": energy,
        "register_milli_wh": register, "method": method, "quality_flags": flags, "usable": usable, "gap_start": at(start), "gap_end": at(start + duration),
    }  # fmt: skip


def estimates(*rows) -> pl.DataFrame:
    return core.ESTIMATES.conform(pl.DataFrame(list(rows), schema=core.ESTIMATES.frame_schema(), orient="row"))


DEFAULTS = Thresholds()


def meters(*names, thresholds=DEFAULTS, rated_kw=50.0) -> pl.DataFrame:
    return ratings_frame(Ratings(name, "academic", rated_kw, 50.0, 50.0, thresholds) for name in names or ("M1",))

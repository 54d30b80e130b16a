"""How fast a day's energy and trades become certificates with their events and holdings, and how that grows."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import numpy as np
import polars as pl

from gridtokenx_pipeline.contracts import core, market

_ROUNDS = 3
_INTERVALS = 288
_START = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
_STEP = dt.timedelta(seconds=300)


def run(meters: int = 25) -> dict[str, Any]:
    """Certify a campus day of `meters` meters with stores and trades, from energy to events and holdings.

    Returns meters, intervals, bundles, events and holdings (counts of the day), seconds_day and cpu_seconds_day (best of three),
    and growth_meters and growth_days: how many times the processor time four times the meters, and four days, take.
    """
    day, cpu, counts = _timed(meters, 1)
    return {
        "meters": meters,
        "intervals": _INTERVALS,
        **counts,
        "seconds_day": round(day, 3),
        "cpu_seconds_day": round(cpu, 3),
        "growth_meters": round(_timed(4 * meters, 1)[1] / cpu, 2),
        "growth_days": round(_timed(meters, 4)[1] / cpu, 2),
    }


def _timed(meters: int, days: int) -> tuple[float, float, dict[str, int]]:
    from gridtokenx_pipeline.domain.certificates import Rules, Standing, certify, fold

    energy, intervals, trades = campus(meters, days)
    walls, cpus = [], []
    for _ in range(_ROUNDS):
        began, used = time.perf_counter(), time.process_time()
        made = certify(energy, intervals, trades, Standing.nothing(), Rules())
        holdings = fold(made.events, made.bundles)
        walls.append(time.perf_counter() - began)
        cpus.append(time.process_time() - used)
    return min(walls), min(cpus), {"bundles": len(made.bundles), "events": len(made.events), "holdings": len(holdings)}


def campus(meters: int, days: int) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return energy (core.ENERGY_5MIN), intervals and trades (contracts.market) of a synthetic campus.

    Every meter charges a part of its surplus by day and gives it back in the evening. Who has some over sells to the meters
    after it.
    """
    count = _INTERVALS * days
    random = np.random.default_rng(7)
    hour = np.arange(count) % _INTERVALS / 12
    sun = np.clip(np.sin((hour - 6) / 12 * np.pi), 0, None)
    size = random.integers(2_000, 6_000, meters)
    generation = (sun[None, :] * size[:, None]).astype(np.int64)
    load = random.integers(300, 1_500, (meters, count))
    surplus = np.clip(generation - load, 0, None)
    charge = surplus // 4
    evening = (hour >= 18) & (hour < 22)
    discharge = np.where(evening[None, :], charge.sum(axis=1)[:, None] // days * 9 // 10 // 48, 0)
    starts = [_START + number * _STEP for number in range(count)]
    ids = [f"BENCH_{number:03d}" for number in range(meters)]
    columns: dict[str, Any] = {"zone": "bench", "meter_id": np.repeat(ids, count), "interval_start": starts * meters}
    energies = {"generation": generation, "load": load, "charge": charge, "discharge": discharge}
    for channel in core.ENERGY_CHANNELS:
        wh = energies.get(channel, np.zeros_like(generation))
        columns[f"{channel}_milli_wh"] = wh.ravel() * 1000
        columns[f"{channel}_register_milli_wh"] = wh.cumsum(axis=1).ravel() * 1000
    constants = {"duration_s": 300, "readings_expected": 20, "readings_present": 20, "readings_estimated": 0}
    schema = core.ENERGY_5MIN.frame_schema()
    energy = (
        pl.DataFrame(columns)
        .with_columns(pl.col("interval_start").cast(schema["interval_start"]), state_of_charge_pct=pl.lit(None))
        .with_columns(**{name: pl.lit(value) for name, value in (constants | {"quality_flags": 1, "version": 1}).items()})
    )
    states = {"zone": "bench", "interval_start": starts, "duration_s": 300, "version": 1, "state": "closed"}
    return (
        _filled(energy, schema),
        _filled(pl.DataFrame(states), market.INTERVALS.frame_schema()),
        _filled(_trades(ids, starts, surplus - charge + discharge), market.TRADES.frame_schema()),
    )


def _trades(ids: list[str], starts: list[dt.datetime], offered: np.ndarray) -> pl.DataFrame:
    """Each meter sells what it has to the two after it, a third of it each."""
    meters, intervals = np.nonzero(offered >= 3)
    parts = []
    for step in (1, 2):
        buyers = (meters + step) % len(ids)
        parts.append(
            pl.DataFrame(
                {
                    "trade_id": [f"{m}/{i}/{step}" for m, i in zip(meters.tolist(), intervals.tolist(), strict=True)],
                    "zone": "bench",
                    "interval_start": [starts[i] for i in intervals.tolist()],
                    "seller_meter_id": [ids[m] for m in meters.tolist()],
                    "buyer_meter_id": [ids[m] for m in buyers.tolist()],
                    "energy_wh": offered[meters, intervals] // 3,
                    "loss_wh": offered[meters, intervals] // 300,
                    "version": 1,
                    "kind": "pool",
                }
            )
        )
    return pl.concat(parts)


def _filled(frame: pl.DataFrame, schema: dict[str, Any]) -> pl.DataFrame:
    """The frame with all columns of a table; those it lacks say nothing."""
    lacking = {
        name: pl.lit("" if kind == pl.String else 0).cast(kind) for name, kind in schema.items() if name not in frame.columns
    }
    return frame.with_columns(**lacking).select(list(schema)).cast(schema)  # type: ignore[arg-type]

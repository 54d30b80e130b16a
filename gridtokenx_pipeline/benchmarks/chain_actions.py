"""What the chain has to do for one interval of a synthetic campus, from energy to actions, by the pipeline's own functions."""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from gridtokenx_pipeline.contracts import core

STEP_S = 300
SELLERS = 0.4
_SEED = 25


class Interval(NamedTuple):
    """Frames of `contracts.settlement`: the interval's BATCHES, and its ACTIONS with nothing netted."""

    batches: pl.DataFrame
    actions: pl.DataFrame


def meter_ids(meters: int) -> list[str]:
    """Return the ids of the campus's meters."""
    return [f"BENCH_{number:05d}" for number in range(meters)]


def interval(meters: int, start: dt.datetime) -> Interval:
    """Return an interval of `meters` meters: 40 % generate 1 to 500 Wh more than they use, the others lack as much."""
    from gridtokenx_pipeline.domain.certificates import Rules, Standing, certify
    from gridtokenx_pipeline.domain.market import Tariff, clear, positions
    from gridtokenx_pipeline.domain.settlement import actions_of, plan

    energy = _energy(meters, start)
    placed = positions(energy, 95)
    cleared = clear(placed, Tariff(80_000, 280_000), closed_before=start + dt.timedelta(days=1))
    certified = certify(energy, cleared.intervals, cleared.trades, Standing.nothing(), Rules())
    planned = plan(placed, cleared.trades, cleared.grid_settlements, certified.bundles, cleared.intervals)
    actions = actions_of(
        planned.items, planned.batches, cleared.intervals, certified.bundles, certified.events, profile="gridtokenx"
    )
    return Interval(planned.batches, actions)


def _energy(meters: int, start: dt.datetime) -> pl.DataFrame:
    random = np.random.default_rng(_SEED)
    load = random.integers(100, 1_000, meters)
    over = random.integers(1, 501, meters)
    sells = random.random(meters) < SELLERS
    energies = {"generation": np.where(sells, load + over, 0), "load": np.where(sells, load, over)}
    given: dict[str, Any] = {"zone": "bench", "meter_id": meter_ids(meters), "interval_start": start}
    for channel in core.ENERGY_CHANNELS:
        wh = energies.get(channel, np.zeros(meters, dtype=np.int64)) * 1000
        given |= {f"{channel}_milli_wh": wh, f"{channel}_register_milli_wh": wh + 1_000_000}
    constants = {
        "duration_s": STEP_S,
        "readings_expected": 20,
        "readings_present": 20,
        "readings_estimated": 0,
        "quality_flags": 1,
        "version": 1,
    }
    schema = core.ENERGY_5MIN.frame_schema()
    frame = pl.DataFrame(given).with_columns(pl.lit(value).alias(name) for name, value in constants.items())
    return frame.with_columns(pl.lit(None).alias("state_of_charge_pct")).select(
        pl.col(name).cast(kind) for name, kind in schema.items()
    )

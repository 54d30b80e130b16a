"""Invariants of aggregation: the same energy at every interval length, to the milli-watt-hour."""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.contracts import core

from .violations import collected, violations

_CHANNELS = [f"{channel}_milli_wh" for channel in core.ENERGY_CHANNELS]
_KEY = ["zone", "meter_id", "interval_start"]


def energy_violations(
    energy_15s: pl.DataFrame,
    energy_5min: pl.DataFrame,
    energy_15min: pl.DataFrame,
    energy_1h: pl.DataFrame | None = None,
    energy_1d: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Return what is wrong with frames of `contracts.core.ENERGY_*` of the same span, with the columns `VIOLATIONS`.

    Names: `energy_5min_sum` (15 s against 5 min), `energy_15min_sum` (5 min against 15 min), `energy_15min_from_15s`,
    `energy_1h_sum` (15 min against 1 h) and `energy_1d_sum` (1 h against 1 day, so both have to be of whole days): energies are
    compared for each meter, interval and channel, and a null (not known) agrees with a null only. `energy_negative`: an energy
    below 0 at any level. `energy_counts`: more readings present and estimated than expected. Levels that
    are not given are not looked at.
    """
    found = [
        *_disagreements("energy_5min_sum", energy_15s, energy_5min, 300),
        *_disagreements("energy_15min_sum", energy_5min, energy_15min, 900),
        *_disagreements("energy_15min_from_15s", energy_15s, energy_15min, 900),
    ]
    if energy_1h is not None:
        found += _disagreements("energy_1h_sum", energy_15min, energy_1h, 3600)
        if energy_1d is not None:
            found += _disagreements("energy_1d_sum", energy_1h, energy_1d, 86_400)
    for energy in (energy_15s, energy_5min, energy_15min, energy_1h, energy_1d):
        if energy is not None:
            found += _impossible(energy)
    return collected(found)


def day_violations(energy_1h: pl.DataFrame, energy_1d: pl.DataFrame) -> pl.DataFrame:
    """Return where core.energy_1d of whole days is not the sum of core.energy_1h, as `energy_1d_sum`, or cannot be."""
    return collected([*_disagreements("energy_1d_sum", energy_1h, energy_1d, 86_400), *_impossible(energy_1d)])


def register_violations(energy: pl.DataFrame) -> pl.DataFrame:
    """Return where the energy of an interval is not what its register rose by since the interval before (`energy_register`).

    `energy` is of any level. Only intervals that follow each other, both with a register, are compared: a rollover,
    another meter, an edit and energy that the registers do not bound show here.
    """
    rows = energy.sort("meter_id", "interval_start")
    follows = (pl.col("interval_start") - pl.duration(seconds="duration_s")) == pl.col("interval_start").shift(1).over("meter_id")
    found = []
    for channel in core.ENERGY_CHANNELS:
        name, register = f"{channel}_milli_wh", f"{channel}_register_milli_wh"
        risen = (pl.col(register) - pl.col(register).shift(1).over("meter_id")).alias("risen")
        broken = rows.with_columns(risen).filter(
            follows & pl.col("risen").is_not_null() & pl.col("risen").ne_missing(pl.col(name))
        )
        text = "{} " + name + " is {}, its register rose by {}"
        found.append(violations("energy_register", broken, text, "meter_id", name, "risen"))
    return collected(found)


def _impossible(energy: pl.DataFrame) -> list[pl.DataFrame]:
    counted = pl.col("readings_present") + pl.col("readings_estimated")
    more = energy.filter(counted > pl.col("readings_expected"))
    text = "{} has {} readings present and {} estimated of {} expected in {} s"
    counts = ("readings_present", "readings_estimated", "readings_expected")
    found = [violations("energy_counts", more, text, "meter_id", *counts, "duration_s")]
    for channel in _CHANNELS:
        below = energy.filter(pl.col(channel) < 0)
        found.append(violations("energy_negative", below, "{} " + channel + " is {} in {} s", "meter_id", channel, "duration_s"))
    return found


def _disagreements(name: str, fine: pl.DataFrame, coarse: pl.DataFrame, coarse_s: int) -> list[pl.DataFrame]:
    start = pl.col("interval_start").dt.truncate(f"{coarse_s}s")
    sums = fine.group_by("zone", "meter_id", start).agg(
        # a sum of nothing measured is not 0 Wh
        pl.when(pl.col(channel).count() > 0).then(pl.col(channel).sum()).alias(f"{channel}_sum")
        for channel in _CHANNELS
    )
    both = coarse.select(*_KEY, *_CHANNELS).join(sums, on=_KEY, how="full", coalesce=True)
    found = []
    for channel in _CHANNELS:
        broken = both.filter(pl.col(channel).ne_missing(pl.col(f"{channel}_sum")))
        text = "{} " + channel + " is {}, its parts sum to {}"
        found.append(violations(name, broken, text, "meter_id", channel, f"{channel}_sum"))
    return found

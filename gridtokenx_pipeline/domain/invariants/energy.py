"""Invariants of aggregation: the same energy at every interval length, to the milli-watt-hour."""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.contracts import core

from .violations import collected, violations

_CHANNELS = [f"{channel}_milli_wh" for channel in core.ENERGY_CHANNELS]
_KEY = ["zone", "meter_id", "interval_start"]


def energy_violations(energy_15s: pl.DataFrame, energy_5min: pl.DataFrame, energy_15min: pl.DataFrame) -> pl.DataFrame:
    """Return where frames of `contracts.core.ENERGY_*` of the same span disagree, with the columns `VIOLATIONS`.

    Names: `energy_5min_sum` (15 s against 5 min), `energy_15min_sum` (5 min against 15 min) and
    `energy_15min_from_15s`. Energies are compared
    for each meter, interval and channel; a null (not measured) agrees with a null only.
    """
    return collected(
        [
            *_disagreements("energy_5min_sum", energy_15s, energy_5min, 300),
            *_disagreements("energy_15min_sum", energy_5min, energy_15min, 900),
            *_disagreements("energy_15min_from_15s", energy_15s, energy_15min, 900),
        ]
    )


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

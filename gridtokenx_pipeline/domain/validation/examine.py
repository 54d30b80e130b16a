"""All checks of event hours."""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.contracts.core import VEE_EXCEPTIONS

from .clock import clock_drift, late, posts
from .evidence import Evidence
from .feeder import feeder_imbalance
from .missing import missing, prolonged_estimation
from .night import night_generation
from .overcounting import overcounting
from .receipt import edit_contradicted, found_at_receipt
from .registers import register_mismatch
from .series import prepare
from .siblings import sibling_imbalance, sibling_missing
from .spikes import spike
from .stale import stuck, zero_generation, zero_load


def examine(evidence: Evidence) -> pl.DataFrame:
    """Return core.vee_exceptions of the event hours, sorted by key; no row crosses an hour.

    What an hour gets depends on its own readings, those of LOOKBACK before it and history, not on later hours.
    """
    series = prepare(evidence)
    received = posts(series)
    checks = (
        found_at_receipt,
        edit_contradicted,
        register_mismatch,
        overcounting,
        spike,
        zero_generation,
        zero_load,
        stuck,
        night_generation,
        sibling_missing,
        sibling_imbalance,
        missing,
        prolonged_estimation,
        feeder_imbalance,
    )
    found = [check(series) for check in checks] + [clock_drift(series, received), late(series, received)]
    rows = pl.concat(found).filter(pl.col("interval_start") >= evidence.start, pl.col("interval_start") < evidence.end)
    # Readings of two lengths may be at fault over the same time; that is one finding.
    rows = rows.sort(*VEE_EXCEPTIONS.key, "detail").unique(VEE_EXCEPTIONS.key, keep="first", maintain_order=True)
    return VEE_EXCEPTIONS.conform(rows)

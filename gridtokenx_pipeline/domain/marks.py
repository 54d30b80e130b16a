"""What receipt finds in rows that it accepts, as bits of one number, and what the bits make of quality flags and texts."""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.domain.findings import DERIVED, QUESTIONABLE, VALID, Finding

FINDINGS = (Finding.CONFLICT, Finding.CLOCK_SNAPPED, Finding.REGISTER_ROLLOVER, Finding.METER_SWAP, Finding.TARE)
CONFLICT, CLOCK_SNAPPED, REGISTER_ROLLOVER, METER_SWAP, TARE = (1 << place for place in range(len(FINDINGS)))

# Device flags that say a value is worse than measured: estimated by reference day, interpolated, questionable, projected.
WORSE = 4 | 8 | 16 | 64


def _of(mask: int) -> list[Finding]:
    return [finding for place, finding in enumerate(FINDINGS) if mask >> place & 1]


def _flags(mask: int) -> int:
    flags = 0
    for finding in _of(mask):
        flags |= finding.flags
    return flags


_ALL = range(1 << len(FINDINGS))
_FLAGS = pl.Series([_flags(mask) for mask in _ALL], dtype=pl.Int32)
_TEXTS = pl.Series([",".join(sorted(_of(mask))) or None for mask in _ALL], dtype=pl.String)


def texts(masks: pl.Series) -> pl.Series:
    """Return core.readings.findings of `masks`: sorted codes, joined by commas, null for none."""
    return _TEXTS.gather(masks)


def quality(masks: pl.Series, derived: pl.Series, device_flags: pl.Series) -> pl.Series:
    """Return core.readings.quality_flags (Int32): valid unless questionable or, by its device, worse than measured."""
    frame = pl.DataFrame({"found": _FLAGS.gather(masks), "derived": derived, "device": device_flags})
    flags = (
        pl.col("found")
        | pl.when("derived").then(DERIVED).otherwise(0).cast(pl.Int32)
        | (pl.col("device").fill_null(0).cast(pl.Int32) & WORSE)
    )
    valid = pl.when(flags & (WORSE | QUESTIONABLE) == 0).then(VALID).otherwise(0).cast(pl.Int32)
    return frame.select((flags | valid).alias("quality_flags")).to_series()

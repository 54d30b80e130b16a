"""The frame that every check returns."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

VIOLATIONS: dict[str, pl.DataType | type[pl.DataType]] = {
    "name": pl.String,
    "zone": pl.String,
    "interval_start": pl.Datetime("us", "UTC"),
    "detail": pl.String,
}


def violations(name: str, broken: pl.DataFrame, detail: str, *columns: str) -> pl.DataFrame:
    """Return `broken` rows (zone, interval_start and `columns`) as violations of invariant `name`.

    `detail` is a template with one `{}` for each of `columns`; a null reads `null`.
    """
    texts = [pl.col(column).cast(pl.String).fill_null("null") for column in columns]
    return broken.select(
        pl.lit(name, dtype=pl.String).alias("name"),
        pl.col("zone"),
        pl.col("interval_start"),
        (pl.format(detail, *texts) if texts else pl.lit(detail, dtype=pl.String)).alias("detail"),
    )


def collected(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Return all violations in one frame with the columns `VIOLATIONS`, sorted."""
    empty = pl.DataFrame(schema=VIOLATIONS)
    return pl.concat([empty, *(frame.select(list(VIOLATIONS)) for frame in frames)]).sort(list(VIOLATIONS))

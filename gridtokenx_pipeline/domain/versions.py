"""What a row adds to what was accepted before: nothing (a duplicate), the missing half, or another value (a new version).

Rows of one meter, channel, start and length are taken in order of receipt. A row is a duplicate if its energy and register, or
the one of them that it has, were accepted for the interval before, in whichever version: a message sent twice never changes
anything, not even after a correction. Otherwise it is the next version. It is questionable if energy or register contradict any
value received before; a register that completes an interval value contradicts nothing.

Quality counts: a value that its device marks as estimated, questionable or projected neither replaces one that it did not mark
so (it is refused), nor does it make the same value without such a mark a duplicate.
"""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.domain.marks import WORSE
from gridtokenx_pipeline.domain.numbers import at
from gridtokenx_pipeline.domain.reasons import Reason

KEY = ["series", "start_s", "length_s"]


def number_versions(rows: pl.DataFrame, prior: pl.DataFrame) -> pl.DataFrame:
    """Add version (Int32), reason (String: duplicate, lower_quality or null) and conflict (Boolean) to `rows`.

    `rows` have the schema `merge.CANDIDATE` and energy set; `prior` has it too and version (Int32): rows accepted earlier. The
    version of a refused row means nothing. The order of rows is not kept.
    """
    start = at("series", "start_s").alias("start")
    rows = rows.with_columns(start)
    shared = prior.with_columns(start)
    if len(shared):
        shared = shared.join(rows.select("start"), on="start", how="semi")
    first = (pl.lit(1, pl.Int32).alias("version"), pl.lit(None, pl.String).alias("reason"), pl.lit(False).alias("conflict"))
    if shared.is_empty() and rows["start"].n_unique() == len(rows):
        return rows.drop("start").with_columns(*first)
    both = pl.concat(
        [
            shared.with_columns(pl.lit(True).alias("old")),
            rows.with_columns(pl.lit(None, pl.Int32).alias("version"), pl.lit(False).alias("old")).select(*shared.columns, "old"),
        ]
    )
    several = both["start"].is_duplicated()
    # A row alone at its start needs no comparison: it is version 1.
    single = both.filter(~several & ~both["old"]).drop("version", "old").with_columns(*first)
    return pl.concat([single, _number(both.filter(several)).select(single.columns)]).drop("start")


def _number(grouped: pl.DataFrame) -> pl.DataFrame:
    register, sound, old, counts = (pl.col(name) for name in ("register", "sound", "old", "counts"))
    better_before = sound.cast(pl.Int8).cum_max().shift(1).over(KEY).fill_null(0) == 1
    ordered = (
        grouped.with_columns(((pl.col("device_quality_flags").fill_null(0) & WORSE) == 0).alias("sound"))
        .sort(*KEY, "seq", ~old, "lone", "position")
        .with_columns((old | sound | ~better_before).alias("counts"))
    )

    def met_before(*columns: str) -> pl.Expr:
        """Whether the same was accepted before, at no lower quality."""

        def earlier(rows: pl.Expr) -> pl.Expr:
            number = rows.cast(pl.Int32)
            return number.cum_sum().over(*KEY, *columns) - number > 0

        return pl.when(sound).then(earlier(sound)).otherwise(earlier(counts))

    def several_values(column: str) -> pl.Expr:
        said = pl.when(counts).then(column)
        return (said.cum_min().over(KEY) != said.cum_max().over(KEY)).fill_null(False)

    duplicate = (
        pl.when(register.is_null())
        .then(met_before("energy"))
        .when("lone")
        .then(met_before("register"))
        .otherwise(met_before("energy", "register"))
    )
    reason = pl.when(~old & duplicate).then(pl.lit(Reason.DUPLICATE.value)).when(~counts).then(pl.lit(Reason.LOWER_QUALITY.value))
    ordered = ordered.with_columns(
        reason.alias("reason"), (several_values("energy") | several_values("register")).alias("conflict")
    )
    new = (~old & pl.col("reason").is_null()).cast(pl.Int32)
    before = pl.col("version").max().over(KEY).fill_null(0)
    return ordered.with_columns((before + new.cum_sum().over(KEY)).cast(pl.Int32).alias("version")).filter(~old)

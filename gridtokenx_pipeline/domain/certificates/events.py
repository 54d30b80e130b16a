"""Events of certificates from what happened: their order within a bundle and interval, and their ids."""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.contracts import certificates as tables

from .names import HELD, ISSUED, PIPELINE, derived_ids, iso_text

_PLACE = ["bundle_id", "interval_start"]


def events_of(happened: pl.DataFrame, before: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return a frame of `contracts.certificates.EVENTS`, sorted by zone, interval, bundle and number.

    `happened` has bundle_id, zone, interval_start (in which it happened), bundle_interval_start, version, kind, energy_wh, owner,
    `step` (Int32: the order of things that happen to a bundle in one interval; ranges of one step are in order of first_wh)
    and any other columns of EVENTS; those it lacks are null, and the actor is the pipeline. Numbers go on from those of
    `before`, events that already are. An id is made of bundle, kind and number; after issue also of the interval and range.
    """
    schema = tables.EVENTS.frame_schema()
    lacking = [name for name in schema if name not in happened.columns and name not in ("event_id", "number", "actor")]
    rows = happened.with_columns(*(pl.lit(None, dtype=schema[name]).alias(name) for name in lacking))
    if "actor" not in rows.columns:
        rows = rows.with_columns(actor=pl.lit(PIPELINE))
    rows = rows.sort("zone", "interval_start", "bundle_id", "step", "first_wh", "last_wh", nulls_last=True)
    number = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over(_PLACE)
    if before is None or before.is_empty():
        rows = rows.with_columns(number=number)
    else:
        last = before.group_by(_PLACE).agg(base=pl.col("number").max())
        rows = rows.join(last, on=_PLACE, how="left", maintain_order="left").with_columns(
            number=number + pl.col("base").fill_null(0)
        )
    short = pl.format('["{}","{}",{}]', "bundle_id", "kind", "number")
    whole = pl.format(
        '["{}","{}",{},"{}",{},{}]',
        "bundle_id",
        "kind",
        "number",
        iso_text("interval_start"),
        pl.coalesce("first_wh", pl.lit(-1)),
        pl.coalesce("last_wh", pl.lit(-1)),
    )
    keys = rows.select(pl.when(pl.col("kind").is_in([ISSUED, HELD])).then(short).otherwise(whole)).to_series()
    rows = rows.with_columns(event_id=derived_ids("certificate_event", keys))
    return tables.EVENTS.conform(rows.select(list(schema)).cast(schema))  # type: ignore[arg-type]

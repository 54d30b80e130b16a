"""The state of every certificate: the fold of its bundle's events."""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.contracts import certificates as tables

from .names import (
    ACTIVE,
    CANCELLED,
    CLAIMED,
    CORRECTION,
    EXPIRED,
    HELD,
    ISSUED,
    LOCKED,
    PENDING,
    RETIRED,
    SHORTFALL,
    TRANSFERRED,
    WITHDRAWN,
    CertificateError,
)

_NOTHING = ""
# What a certificate is before an event of each kind may happen to it, and after it.
_BECOMES = {ISSUED: ACTIVE, HELD: PENDING, TRANSFERRED: ACTIVE}
_ALLOWED = {
    HELD: (_NOTHING, PENDING),
    ISSUED: (_NOTHING, PENDING),
    LOCKED: (ACTIVE,),
    CANCELLED: (LOCKED,),
    TRANSFERRED: (ACTIVE,),
    CLAIMED: (ACTIVE,),
    RETIRED: (ACTIVE,),
    # the issuer takes back; of the pending, what never was
    WITHDRAWN: (ACTIVE, PENDING),
    EXPIRED: (ACTIVE,),
}
_LEGAL = pl.DataFrame(
    [(before, kind) for kind, befores in _ALLOWED.items() for before in befores],
    schema={"before": pl.String, "kind": pl.String},
    orient="row",
)


def fold(events: pl.DataFrame, bundles: pl.DataFrame) -> pl.DataFrame:
    """Return the holdings (`contracts.certificates.HOLDINGS`) that `events` make of `bundles`, sorted by bundle and first id.

    Both are frames of `contracts.certificates`, EVENTS of these bundles alone. Events of a bundle happen in order of interval,
    number and id. Every certificate of a bundle is in exactly one row, and neighbours that share owner and state are one row.
    An event without a range (rows of before there were any) is about the whole bundle; a `shortfall` is about none.

    Raises `CertificateError` naming the event for one that may not happen to a certificate as it is: final states are final, but
    a correction may withdraw what the producer claimed; what is locked can only be cancelled; only the owner's can be
    transferred, claimed or retired; ids outside the bundle. Also for a bundle without events and an event without bundle.
    """
    ranges = _ranges(events, bundles)
    pieces = _pieces(ranges, bundles)
    touched = _touched(ranges, pieces)
    _check(touched)
    last = touched.group_by("piece").agg(pl.col("state", "owner").last())
    counts = ranges.group_by("bundle_id").agg(events=pl.len().cast(pl.Int32))
    found = pieces.join(last, on="piece", how="left", maintain_order="left").join(
        counts, on="bundle_id", how="left", maintain_order="left"
    )
    untouched = found.filter(pl.col("state").is_null())
    if not untouched.is_empty():
        raise CertificateError(f"certificates that no event issued: {untouched.row(0, named=True)}")
    run = pl.struct("bundle_id", "owner", "state").rle_id()
    return tables.HOLDINGS.conform(
        found.group_by(run.alias("run"), maintain_order=True)
        .agg(
            pl.col("bundle_id").first(),
            pl.col("first_wh").first(),
            pl.col("last_wh").last(),
            pl.col("zone", "meter_id", "interval_start", "owner", "state", "events").first(),
        )
        .with_columns(energy_wh=pl.col("last_wh") - pl.col("first_wh") + 1)
        .select(list(tables.HOLDINGS.frame_schema()))
    )


def in_order(events: pl.DataFrame) -> pl.DataFrame:
    """Return events of each bundle in the order in which they happened."""
    return events.sort("bundle_id", "interval_start", "number", "event_id")


def _ranges(events: pl.DataFrame, bundles: pl.DataFrame) -> pl.DataFrame:
    """The events that are about ranges, in order, each with the ids it is about and those of its bundle."""
    stray = events.join(bundles, on="bundle_id", how="anti")
    if not stray.is_empty():
        raise CertificateError(f"event of no bundle: {stray.row(0, named=True)}")
    own = bundles.select("bundle_id", low="first_wh", high="last_wh")
    # what a pending bundle was held with may have been other ids than those it was issued with
    whole = pl.col("kind") == HELD
    ranges = in_order(events.filter(pl.col("kind") != SHORTFALL)).join(own, on="bundle_id", maintain_order="left")
    ranges = ranges.with_columns(
        first_wh=pl.when(whole).then(pl.col("low")).otherwise(pl.col("first_wh").fill_null(pl.col("low"))),
        last_wh=pl.when(whole).then(pl.col("high")).otherwise(pl.col("last_wh").fill_null(pl.col("high"))),
    )
    first, last = pl.col("first_wh"), pl.col("last_wh")
    outside = (first < pl.col("low")) | (last > pl.col("high")) | (first > last)
    partly = (pl.col("kind") == ISSUED) & ((first != pl.col("low")) | (last != pl.col("high")))
    wrong_size = (pl.col("kind") != HELD) & (pl.col("energy_wh") != last - first + 1)
    for problem, broken in (
        ("ids outside the bundle", outside),
        ("issue of other ids than the bundle's", partly),
        ("energy other than its ids", wrong_size),
    ):
        rows = ranges.filter(broken)
        if not rows.is_empty():
            raise CertificateError(f"{problem}: event {rows.row(0, named=True)}")
    return ranges


def _pieces(ranges: pl.DataFrame, bundles: pl.DataFrame) -> pl.DataFrame:
    """The ranges of certificates that shared every event so far, numbered in order of bundle and id."""
    cuts = pl.concat(
        [
            ranges.select("bundle_id", first_wh="first_wh"),
            ranges.select("bundle_id", first_wh=pl.col("last_wh") + 1),
            bundles.select("bundle_id", first_wh="first_wh"),
            bundles.select("bundle_id", first_wh=pl.col("last_wh") + 1),
        ]
    ).unique()
    return (
        cuts.sort("bundle_id", "first_wh")
        .with_columns(last_wh=pl.col("first_wh").shift(-1).over("bundle_id") - 1)
        .drop_nulls("last_wh")
        .with_row_index("piece")
        .join(bundles.select("bundle_id", "zone", "meter_id", "interval_start"), on="bundle_id", maintain_order="left")
    )


def _touched(ranges: pl.DataFrame, pieces: pl.DataFrame) -> pl.DataFrame:
    """Every piece of every event, in order of pieces and events, with the state and owner before and after."""
    starts = pieces.select("bundle_id", "first_wh", low_piece=pl.col("piece").cast(pl.Int64))
    ends = pieces.select("bundle_id", "last_wh", high_piece=pl.col("piece").cast(pl.Int64))
    touched = (
        ranges.with_row_index("order")
        .join(starts, on=["bundle_id", "first_wh"], maintain_order="left")
        .join(ends, on=["bundle_id", "last_wh"], maintain_order="left")
        .with_columns(piece=pl.int_ranges("low_piece", pl.col("high_piece") + 1))
        .explode("piece")
        .sort("piece", "order")
    )
    state = pl.col("kind").replace(_BECOMES)
    return touched.with_columns(pl.col("piece").cast(pl.UInt32), state=state).with_columns(
        before=pl.col("state").shift(1).over("piece").fill_null(_NOTHING),
        owner_before=pl.col("owner").shift(1).over("piece"),
    )


def _check(touched: pl.DataFrame) -> None:
    unclaimed = (
        (pl.col("kind") == WITHDRAWN) & (pl.col("before") == CLAIMED) & (pl.col("reason") == CORRECTION).fill_null(value=False)
    )
    illegal = touched.filter(~unclaimed).join(_LEGAL, on=["before", "kind"], how="anti", maintain_order="left")
    # a transfer names both owners; nothing else changes one
    holder = pl.when(pl.col("kind") == TRANSFERRED).then(pl.col("from_owner")).otherwise(pl.col("owner"))
    foreign = touched.filter((pl.col("before") != _NOTHING) & pl.col("owner_before").ne_missing(holder))
    for problem, rows in (("cannot happen", illegal), ("not the owner's", foreign)):
        if not rows.is_empty():
            row = rows.row(0, named=True)
            raise CertificateError(
                f"{problem}: event {row['event_id']} ({row['kind']}, {row['owner']}) of certificates {row['first_wh']} to "
                f"{row['last_wh']} of bundle {row['bundle_id']}, which are {row['before'] or 'not issued'} and "
                f"{row['owner_before']}'s"
            )

"""States, kinds of events, reasons and ids of certificates."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable

import polars as pl

from ..ids import derived_id, iso, namespace

PIPELINE = "pipeline"
PRODUCTION, STORAGE_DISCHARGE = "production", "storage_discharge"

# what a bundle is as of issue: of what was generated, of what a store gave back, or held back
ISSUED, RELEASED, PENDING = "issued", "released", "pending"
# kinds of events besides `issued`
HELD = "held"
LOCKED, CANCELLED = "locked", "cancelled"
TRANSFERRED, CLAIMED, RETIRED, WITHDRAWN, EXPIRED = "transferred", "claimed", "retired", "withdrawn", "expired"
SHORTFALL = "shortfall"
# what certificates are while they can still change hands
ACTIVE = "active"
FINAL = (CANCELLED, CLAIMED, RETIRED, WITHDRAWN, EXPIRED)

CORRECTION = "correction"
GRID_LOSS = "grid loss"
GRID = "grid"
ID_OVERLAP = "id_overlap"
NOT_COMMISSIONED = "not_commissioned"

METER = ["zone", "meter_id"]
KEY = [*METER, "interval_start"]


class CertificateError(ValueError):
    """An event that no certificate may undergo, or certificates that do not add up; the message names it."""


def bundle_id(meter_id: str, start: dt.datetime, end: dt.datetime, carrier: str, *more: str | int) -> str:
    """Return the id of a meter's bundle for an interval: the same in every run.

    `more` is `storage_discharge` for what came out of a store, and `correction` with the interval's version for a
    bundle that a correction added.
    """
    return derived_id("certificate_bundle", meter_id, iso(start), iso(end), carrier, *more)


def shortfall_of(short_bundle_id: str) -> str:
    """Return the reason of a withdrawal that makes up for another bundle's shortfall."""
    return f"shortfall of {short_bundle_id}"


def derived_ids(kind: str, keys: Iterable[str]) -> pl.Series:
    """Return the ids (String) of natural keys encoded as `ids.derived_id` does, many times faster than one by one."""
    prefix = namespace(kind).bytes
    hashed = [hashlib.sha1(prefix + key.encode(), usedforsecurity=False).hexdigest() for key in keys]
    text = pl.Series("text", hashed, dtype=pl.String)
    at = pl.col("text").str.slice
    # RFC 9562: version 5, and the variant 10 in two bits of the ninth byte
    variant = at(16, 1).replace({digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"})
    parts = (at(0, 8), pl.lit("-"), at(8, 4), pl.lit("-5"), at(13, 3), pl.lit("-"), variant, at(17, 3), pl.lit("-"), at(20, 12))
    return text.to_frame().select(pl.concat_str(parts)).to_series()


def iso_text(moment: str) -> pl.Expr:
    """`ids.iso` of a column of UTC moments."""
    return pl.col(moment).dt.strftime("%Y-%m-%dT%H:%M:%SZ")

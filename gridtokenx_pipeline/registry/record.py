"""Decisions about certificates on record: events are appended, and the holdings of their bundles follow in the same commit."""

from __future__ import annotations

import datetime as dt
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import polars as pl

from gridtokenx_pipeline.contracts import certificates as tables
from gridtokenx_pipeline.domain.certificates import CertificateError, fold
from gridtokenx_pipeline.warehouse import Append, Replace, Warehouse

_ATTEMPTS = 5


@dataclass(frozen=True)
class Recorded:
    """What a decision did: holdings of its bundles before and after (`contracts.certificates.HOLDINGS`), and its new events."""

    before: pl.DataFrame
    after: pl.DataFrame
    events: pl.DataFrame


@contextmanager
def deciding(warehouse: Warehouse) -> Iterator[None]:
    """Be the only one who decides: two decisions at once could be about the same certificates.

    The lock is the operating system's and ends with its holder. Raises `CertificateError` while somebody else has it.
    """
    with (warehouse.directory / "decisions.lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CertificateError("somebody else is deciding about certificates: try again when they have") from None
        yield


def record(warehouse: Warehouse, events: pl.DataFrame) -> Recorded:
    """Append `events` (a frame of `contracts.certificates.EVENTS`) and replace the holdings of the bundles that they touch.

    An event that is on record already is not added again: its id says what it did to which certificates. Raises
    `CertificateError`, with nothing written, where an event cannot happen to the certificates as they are. A run of the pipeline
    may write events of the same bundles at the same moment; so what was written is read again until it is the fold of all events.
    """
    tables.EVENTS.conform(events)
    touched = sorted(set(events["bundle_id"]))
    before = _of(warehouse, tables.HOLDINGS, touched)
    bundles, stored = (_of(warehouse, table, touched) for table in (tables.BUNDLES, tables.EVENTS))
    new = events.join(stored, on="event_id", how="anti", maintain_order="left")
    if new.is_empty():
        return Recorded(before, before, new)
    after = fold(pl.concat([stored, new]), bundles)
    for _ in range(_ATTEMPTS):
        warehouse.commit(Append(tables.EVENTS, new), _replaced(after, bundles, touched))
        bundles, stored = (_of(warehouse, table, touched) for table in (tables.BUNDLES, tables.EVENTS))
        present = fold(stored, bundles)
        if present.equals(after):
            return Recorded(before, after, new)
        after = present
    raise CertificateError("the pipeline keeps writing events of these bundles: try again in a moment")


def _of(warehouse: Warehouse, table: tables.Table, bundle_ids: list[str]) -> pl.DataFrame:
    return warehouse.read(table, "list_contains(?::VARCHAR[], bundle_id)", (bundle_ids,))


def _replaced(holdings: pl.DataFrame, bundles: pl.DataFrame, bundle_ids: list[str]) -> Replace:
    """The holdings of these bundles, which nobody can say otherwise than by their ids (UUIDs), within their intervals."""
    starts = bundles["interval_start"]
    first: dt.datetime = starts.min()  # type: ignore[assignment]
    last: dt.datetime = starts.max()  # type: ignore[assignment]
    names = ", ".join(f"'{bundle_id}'" for bundle_id in bundle_ids)
    return Replace(tables.HOLDINGS, holdings, first, last + dt.timedelta(microseconds=1), f"bundle_id IN ({names})")

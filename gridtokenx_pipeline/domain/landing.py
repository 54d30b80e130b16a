"""From landed messages to `raw.messages` frames, and how far a receipt hour was read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Protocol

import polars as pl

from gridtokenx_pipeline.contracts import ops, raw

HOUR = dt.timedelta(hours=1)


class Landed(Protocol):
    """A message of the landing store."""

    message_id: str
    sequence: int
    received_at: dt.datetime
    device_lfdi: str
    method: str
    path: str
    content_type: str
    body: bytes
    body_sha256: str
    source: str
    meter_id: str
    zone: str


def frame(segment: str, messages: Sequence[Landed]) -> pl.DataFrame:
    """Return a `raw.messages` frame of `messages`, all of one segment."""
    return pl.DataFrame(
        {
            "message_id": [m.message_id for m in messages],
            "received_at": [m.received_at for m in messages],
            "zone": [m.zone for m in messages],
            "device_lfdi": [m.device_lfdi for m in messages],
            "meter_id": [m.meter_id for m in messages],
            "method": [m.method for m in messages],
            "path": [m.path for m in messages],
            "content_type": [m.content_type for m in messages],
            "body": [m.body for m in messages],
            "body_sha256": [m.body_sha256 for m in messages],
            "source": [m.source for m in messages],
            "segment": [segment] * len(messages),
            "sequence": [m.sequence for m in messages],
        },
        schema=raw.MESSAGES.frame_schema(),
    )


def watermarks(zone: str, stage: str, receipt_hours: Iterable[dt.datetime], read_at: dt.datetime) -> pl.DataFrame:
    """Return `ops.watermarks` rows: each hour is complete until its end, or until it was read where that came first.

    Hours that had not begun at `read_at` get no row.
    """
    rows = [(zone, stage, hour, min(read_at, hour + HOUR)) for hour in receipt_hours if hour < read_at]
    return pl.DataFrame(rows, schema=ops.WATERMARKS.frame_schema(), orient="row")


def closed_before(marks: pl.DataFrame, start: dt.datetime, end: dt.datetime, tolerance: dt.timedelta) -> dt.datetime:
    """Return the moment before which, within `start` to `end`, intervals have closed.

    `marks` are `ops.watermarks` rows of one stage. An interval has closed when every receipt hour from its own to
    the one that holds its end plus `tolerance` was read up to that moment; the last hour of the window therefore
    needs the beginning of the hour after it.
    """
    until = {hour: moment for hour, moment in marks.select("receipt_hour", "complete_until").iter_rows()}
    hour, reached = start, start
    while hour <= end:
        if hour not in until:
            break
        reached = until[hour]
        if reached < hour + HOUR:
            break
        hour += HOUR
    return min(reached - tolerance, end)

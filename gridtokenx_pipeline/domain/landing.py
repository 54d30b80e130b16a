"""From landed messages to `raw.messages` frames, and how far a stage has read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from gridtokenx_pipeline.contracts import ops, raw

if TYPE_CHECKING:
    from ingest_server.landing.store import LandedMessage


def frame(segment: str, messages: Sequence[LandedMessage]) -> pl.DataFrame:
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
            "sender_lfdi": [m.sender_lfdi or None for m in messages],
            "body_removed_at": [None] * len(messages),
        },
        schema=raw.MESSAGES.frame_schema(),
    )


def watermark(zone: str, stage: str, before: dt.datetime | None, reached: dt.datetime, *, gap: bool) -> pl.DataFrame:
    """Return the `ops.watermarks` row of a stage after a run: no row where nothing is known to be complete yet.

    `before` is the stage's watermark until now and `reached` how far the run read. With a `gap` (something received between the
    two was not read) the watermark stays; it never goes back.
    """
    until = before if gap else max(filter(None, (before, reached)))
    rows = [] if until is None else [(zone, stage, until)]
    return pl.DataFrame(rows, schema=ops.WATERMARKS.frame_schema(), orient="row")

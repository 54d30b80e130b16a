"""The contract between those who land messages and those who read them.

A message is acknowledged to its sender only after `LandingStore.append` returned, and it returns only after a
durable commit. Readers keep a high-water mark per segment, so each message is loaded once and a reload is harmless.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


class LandingUnavailable(Exception):
    """The store could not make the message durable; the sender must try again."""


class SegmentInUse(Exception):
    """Another process writes this worker's segments."""


class SegmentDamaged(Exception):
    """A segment cannot be read beyond some message: its file was truncated or overwritten."""


@dataclass(slots=True, frozen=True)
class RawMessage:
    """One request as received.

    `received_at` is aware UTC with microseconds, `device_lfdi` 40 upper-case hex digits, `path` without the query,
    `body` unchanged, `body_sha256` lower-case hex, `source` one of sep2, gateway, replay. `meter_id` and `zone` are
    what the registry said at receipt; empty where the writer does not know. `sender_lfdi` is the certificate that posted where
    that is not the device itself (an aggregator's, for one), else empty.
    """

    received_at: dt.datetime
    device_lfdi: str
    method: str
    path: str
    content_type: str
    body: bytes
    body_sha256: str
    source: str = "sep2"
    meter_id: str = ""
    zone: str = ""
    sender_lfdi: str = ""


@dataclass(slots=True, frozen=True)
class LandedMessage:
    """A `RawMessage` with its place: `message_id` is unique for ever, `sequence` counts from 1 within the segment."""

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
    sender_lfdi: str = ""


@dataclass(slots=True, frozen=True, order=True)
class Segment:
    """A run of messages received in the hour that starts at `hour` (aware UTC) by one worker."""

    hour: dt.datetime
    name: str


@runtime_checkable
class LandingStore(Protocol):
    """The writer's side."""

    async def append(self, message: RawMessage) -> str:
        """Return the message id after a durable commit; raise `LandingUnavailable` if there was none."""
        ...

    def close(self) -> None:
        """Commit what is queued and release the store; further appends raise `LandingUnavailable`."""
        ...


@runtime_checkable
class LandingReader(Protocol):
    """The reader's side; safe while writers are active."""

    def segments(self) -> list[Segment]:
        """Return every segment, oldest hour first."""
        ...

    def read(self, segment: Segment | str, after: int = 0, limit: int = 10_000) -> list[LandedMessage]:
        """Return at most `limit` committed messages with a sequence above `after`, in sequence.

        Of a damaged segment it returns what can still be read; raises `SegmentDamaged` where nothing above `after` can.
        """
        ...

    def damage(self, segment: Segment | str) -> str | None:
        """Return what is wrong with a segment's file, having looked at all of it; None for nothing."""
        ...

"""What a device posted lately, straight from the landing segments of every worker: the newest messages first.

For reading back: a message is seen here as soon as it is acknowledged. It looks back a bounded time and takes a bounded amount,
because a device that fell silent would otherwise cost a look into every segment there is.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .sqlite import SqliteLandingReader, message_id
from .store import Segment

_HOUR = dt.timedelta(hours=1)
_MARK = "SELECT max(sequence) FROM messages WHERE device_lfdi = ? AND path = ?"
_LATEST = """
SELECT sequence, received_at_us, method, path, body FROM messages
WHERE device_lfdi = ? AND path = ? ORDER BY sequence DESC LIMIT ?
"""

Mark = tuple[str, str, int]


@dataclass(slots=True, frozen=True)
class PastMessage:
    """A landed message; `received_at_us` is microseconds since the epoch. In order of (received_at_us, message_id)."""

    received_at_us: int
    message_id: str
    method: str
    path: str
    body: bytes


class SqliteHistory:
    """Reads the segments under `directory`; opens files read-only and one call at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = Path(directory)
        self._reader = SqliteLandingReader(directory)

    def marks(self, device_lfdi: str, paths: Sequence[str], *, since: dt.datetime) -> tuple[Mark, ...]:
        """Return (segment, path, last sequence) wherever the device has messages in the hours from that of `since` (aware) on.

        As long as it is the same, there is nothing new.
        """
        found = []
        for segment in self._segments(since):
            with self._opened(segment) as connection:
                if connection is None:
                    continue
                for path in paths:
                    [last] = connection.execute(_MARK, (device_lfdi, path)).fetchone()
                    if last is not None:
                        found.append((segment.name, path, last))
        return tuple(found)

    def latest(
        self, device_lfdi: str, paths: Sequence[str], *, since: dt.datetime, limit: int, max_bytes: int
    ) -> list[PastMessage]:
        """Return the newest messages of a device at `paths`, newest first, from the hour of `since` (aware) on.

        `limit` messages at most of each path, and no further one once their bodies make up `max_bytes`.
        """
        found: dict[str, list[PastMessage]] = {path: [] for path in paths}
        hour: dt.datetime | None = None
        for segment in self._segments(since):
            # Within an hour the workers' messages are mixed, so it is read whole before it is enough.
            if segment.hour != hour:
                hour = segment.hour
                wanted = [path for path in paths if len(found[path]) < limit]
                if not wanted or sum(len(one.body) for messages in found.values() for one in messages) >= max_bytes:
                    break
            with self._opened(segment) as connection:
                if connection is None:
                    continue
                for path in wanted:
                    found[path] += _newest(connection, segment.name, (device_lfdi, path, limit), max_bytes)
        merged = []
        for messages in found.values():
            messages.sort(key=_place, reverse=True)
            merged += messages[:limit]
        merged.sort(key=_place, reverse=True)
        return _within(merged, max_bytes)

    def _segments(self, since: dt.datetime) -> list[Segment]:
        """Segments from the hour of `since` on, the newest first."""
        earliest = since.astimezone(dt.UTC) - _HOUR
        return [segment for segment in reversed(self._reader.segments()) if segment.hour > earliest]

    @contextmanager
    def _opened(self, segment: Segment) -> Iterator[sqlite3.Connection | None]:
        """A connection, or None for a segment that is gone, or whose writer was killed while it made the file."""
        path = self._directory / f"{segment.name}.sqlite"
        try:
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=10.0)
        except sqlite3.OperationalError:
            if path.exists():
                raise
            yield None
            return
        try:
            made = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'messages'").fetchone()
            yield connection if made else None
        finally:
            connection.close()


def _newest(connection: sqlite3.Connection, segment: str, values: tuple[str, str, int], max_bytes: int) -> list[PastMessage]:
    found = []
    size = 0
    for sequence, received_at_us, method, path, body in connection.execute(_LATEST, values):
        found.append(PastMessage(received_at_us, message_id(segment, sequence), method, path, body))
        size += len(body)
        if size >= max_bytes:
            break
    return found


def _within(messages: list[PastMessage], max_bytes: int) -> list[PastMessage]:
    size = 0
    for count, message in enumerate(messages, 1):
        size += len(message.body)
        if size >= max_bytes:
            return messages[:count]
    return messages


def _place(message: PastMessage) -> tuple[int, str]:
    return message.received_at_us, message.message_id

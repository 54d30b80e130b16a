"""Landing in SQLite: one file per worker and receipt hour, group commit, no server to run.

A file is `<YYYYMMDDTHH>-w<worker>.sqlite`, in WAL mode with `synchronous=FULL`: a commit that returned survives a
power cut. One thread owns the connection; whatever waits is committed in one transaction. Sequences have no gaps, and
`received_at` is always within the segment's hour.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import fcntl
import hashlib
import logging
import os
import queue
import re
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from .store import LandedMessage, LandingUnavailable, RawMessage, Segment, SegmentDamaged, SegmentInUse

log = logging.getLogger(__name__)

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_HOUR_FORMAT = "%Y%m%dT%H"
_NAME = re.compile(r"(\d{8}T\d{2})-w(\d+)")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    received_at_us INTEGER NOT NULL,
    device_lfdi TEXT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    content_type TEXT NOT NULL,
    body BLOB NOT NULL,
    body_sha256 TEXT NOT NULL,
    source TEXT NOT NULL,
    meter_id TEXT NOT NULL,
    zone TEXT NOT NULL,
    sender_lfdi TEXT NOT NULL DEFAULT ''
)
"""
# For reading back what a device posted. Segments of before have neither this nor the sender, unless their writer is restarted.
_INDEX = "CREATE INDEX IF NOT EXISTS messages_device_path ON messages (device_lfdi, path)"
_COLUMNS = "received_at_us, device_lfdi, method, path, content_type, body, body_sha256, source, meter_id, zone, sender_lfdi"
_INSERT = f"INSERT INTO messages ({_COLUMNS}) VALUES "
_ROW = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
# Eleven values each, and SQLite binds 32,766 at most.
_MAX_ROWS = 2900
_STATEMENTS = 128
_SELECT = "SELECT sequence, {columns} FROM messages WHERE sequence > ? ORDER BY sequence LIMIT ?"


def message_id(segment: str, sequence: int) -> str:
    """Return the id of the message at `sequence` of the segment named `segment`."""
    return f"{segment}-{sequence:09d}"


def _hour_of(name: str) -> dt.datetime:
    return dt.datetime.strptime(name.partition("-")[0], _HOUR_FORMAT).replace(tzinfo=dt.UTC)


class _Pending(NamedTuple):
    message: RawMessage
    future: asyncio.Future[str]


class SqliteLandingStore:
    """The writer of one worker's segments.

    `max_group` messages at most share a commit; the first of a group waits at most `max_wait_s` for company. No wait is
    the default: while one group is being committed the next one gathers by itself, and waiting only adds latency (25
    senders: 12,000 messages a second without, 2,000 with 10 ms). What an event loop appends in one turn is handed over
    together, at its end: a busy loop makes few large groups of it, at the cost of a turn.
    Creates `directory`. Raises `SegmentInUse` if another process holds the worker's lock for longer than
    `lock_wait_s`.
    """

    def __init__(
        self, directory: Path, worker: int = 0, *, max_group: int = 512, max_wait_s: float = 0.0, lock_wait_s: float = 0.0
    ) -> None:
        self._directory = Path(directory)
        self._worker = worker
        self._max_group = min(max_group, _MAX_ROWS)
        self._max_wait_s = max_wait_s
        self._directory.mkdir(parents=True, exist_ok=True)
        self._lock = self._take_lock(lock_wait_s)
        self._connection: sqlite3.Connection | None = None
        self._segment = self._latest_segment()
        self._hour = (_EPOCH, _EPOCH)
        self._turns: dict[asyncio.AbstractEventLoop, list[_Pending]] = {}
        self._queue: queue.SimpleQueue[list[_Pending] | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"landing-w{worker}", daemon=True)
        self._thread.start()

    async def append(self, message: RawMessage) -> str:
        """Return the message id after a durable commit.

        Raises `LandingUnavailable` when the store is closed or the commit failed (disk full, for one).
        """
        if message.received_at.tzinfo is None:
            raise ValueError("received_at must be aware")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[str] = loop.create_future()
        with self._gate:
            if self._closed:
                raise LandingUnavailable("the landing store is closed")
            turn = self._turns.get(loop)
            if turn is None:
                turn = self._turns[loop] = []
                loop.call_soon(self._hand_over, loop)
            turn.append(_Pending(message, future))
        return await future

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._gate:
            turn = self._turns.pop(loop, None)
            if turn:
                self._queue.put(turn)

    def close(self) -> None:
        """Commit what is queued, close the segment and release the worker's lock. Idempotent; blocks."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
            for turn in self._turns.values():
                self._queue.put(turn)
            self._turns.clear()
            self._queue.put(None)
        self._thread.join()
        os.close(self._lock)

    def _take_lock(self, wait_s: float) -> int:
        path = self._directory / f"w{self._worker}.lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(0.05)
                    continue
                os.close(descriptor)
                raise SegmentInUse(f"worker {self._worker} of {self._directory} is written by another process ({path})") from None
            return descriptor

    def _latest_segment(self) -> str:
        suffix = f"-w{self._worker}"
        names = [p.stem for p in self._directory.glob(f"*{suffix}.sqlite") if _NAME.fullmatch(p.stem)]
        return max(names, default="")

    def _run(self) -> None:
        while True:
            first = self._queue.get()
            if first is None:
                break
            group, last = self._gather(first)
            try:
                self._land(group)
            except Exception as error:
                # Without this thread every sender would wait for ever, so no message may end it.
                log.exception("landing failed: messages=%d", len(group))
                self._fail(group, f"{type(error).__name__}: {error}")
            if last:
                break
        self._close_connection()

    def _gather(self, first: list[_Pending]) -> tuple[list[_Pending], bool]:
        group = first
        deadline = time.monotonic() + self._max_wait_s
        while len(group) < self._max_group:
            try:
                item = self._queue.get_nowait() if self._queue.qsize() else self._wait(deadline)
            except queue.Empty:
                break
            if item is None:
                return group, True
            group += item
        return group, False

    def _wait(self, deadline: float) -> list[_Pending] | None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise queue.Empty
        return self._queue.get(timeout=left)

    def _segment_for(self, received_at: dt.datetime) -> str:
        if self._hour[0] <= received_at < self._hour[1]:
            return self._segment
        wanted = f"{received_at.astimezone(dt.UTC):{_HOUR_FORMAT}}-w{self._worker}"
        if wanted >= self._segment:
            return wanted
        # A clock that steps back must not reopen an hour whose readers may have moved on.
        log.warning("the clock is behind the landing store: now %s, segment %s", wanted, self._segment)
        return self._segment

    def _land(self, group: list[_Pending]) -> None:
        start = 0
        while start < len(group):
            segment = self._segment_for(group[start].message.received_at)
            end = start + 1
            most = min(len(group), start + self._max_group)
            while end < most and self._segment_for(group[end].message.received_at) == segment:
                end += 1
            self._commit(segment, group[start:end])
            start = end

    def _commit(self, segment: str, group: list[_Pending]) -> None:
        try:
            connection = self._open(segment)
            hour = self._hour[0]
            values = [value for pending in group for value in _row(pending.message, hour)]
            # One statement is one transaction, and one time of giving up the interpreter lock for the event loop to take.
            last = connection.execute(_INSERT + ", ".join([_ROW] * len(group)), values).lastrowid or 0
        except (sqlite3.Error, OSError) as error:
            log.error("landing failed: segment=%s messages=%d error=%s", segment, len(group), error)
            self._close_connection()
            self._fail(group, f"{segment}: {error}")
        else:
            # AUTOINCREMENT in one statement of the only writer: the rows follow each other.
            first = last - len(group) + 1
            self._resolve(group, lambda future, index: future.set_result(message_id(segment, first + index)))

    def _fail(self, group: list[_Pending], reason: str) -> None:
        failure = LandingUnavailable(reason)
        self._resolve(group, lambda future, _: future.set_exception(failure))

    @staticmethod
    def _resolve(group: list[_Pending], settle: Callable[[asyncio.Future[str], int], None]) -> None:
        def run(loop: asyncio.AbstractEventLoop) -> None:
            for index, (_, future) in enumerate(group):
                if not future.done() and future.get_loop() is loop:
                    settle(future, index)

        for loop in {pending.future.get_loop() for pending in group}:
            # A loop that has gone takes its waiters along; the messages are landed all the same.
            if not loop.is_closed():
                loop.call_soon_threadsafe(run, loop)

    def _open(self, segment: str) -> sqlite3.Connection:
        if self._connection is not None and self._segment == segment:
            return self._connection
        self._close_connection()
        connection = sqlite3.connect(
            self._directory / f"{segment}.sqlite",
            isolation_level=None, check_same_thread=False, timeout=10.0, cached_statements=_STATEMENTS,
        )  # fmt: skip
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(_SCHEMA)
            _complete(connection)
        except sqlite3.Error:
            connection.close()
            raise
        hour = _hour_of(segment)
        self._connection, self._segment, self._hour = connection, segment, (hour, hour + dt.timedelta(hours=1))
        return connection

    def _close_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error as error:
                log.error("closing a landing segment failed: %s", error)


def _row(message: RawMessage, hour: dt.datetime) -> tuple[int | str | bytes, ...]:
    return (
        (max(message.received_at, hour) - _EPOCH) // _MICROSECOND,
        message.device_lfdi,
        message.method,
        message.path,
        message.content_type,
        message.body,
        message.body_sha256,
        message.source,
        message.meter_id,
        message.zone,
        message.sender_lfdi,
    )


def _complete(connection: sqlite3.Connection) -> None:
    """Give a segment of before, to be continued after an upgrade, what new ones have."""
    if not _has_sender(connection):
        connection.execute("ALTER TABLE messages ADD COLUMN sender_lfdi TEXT NOT NULL DEFAULT ''")
    connection.execute(_INDEX)


class SqliteLandingReader:
    """Reads the segments of every worker under `directory`; opens files read-only and one call at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = Path(directory)

    def segments(self) -> list[Segment]:
        """Return every segment by hour, then name; empty when nothing has landed yet."""
        names = (path.stem for path in self._directory.glob("*.sqlite"))
        return sorted(Segment(_hour_of(name), name) for name in names if _NAME.fullmatch(name))

    def read(self, segment: Segment | str, after: int = 0, limit: int = 10_000) -> list[LandedMessage]:
        """Return at most `limit` committed messages with a sequence above `after`, in sequence.

        Of a damaged segment it returns what can still be read. Raises `SegmentDamaged` where nothing above `after` can,
        `FileNotFoundError` for a segment that is not there and `ValueError` for a name that is none.
        """
        name, connection = self._connect(segment)
        try:
            rows = _rows(connection, after, limit) if _has_messages(connection) else []
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                # Locked or out of reach, which another try may find otherwise.
                raise
            rows = _salvaged(connection, after, limit)
            log.error("landing segment %s is damaged after message %d: %s", name, after, error)
            if not rows:
                raise SegmentDamaged(f"{name}: {error}") from error
        finally:
            connection.close()
        return [LandedMessage(message_id(name, row[0]), row[0], _EPOCH + row[1] * _MICROSECOND, *row[2:]) for row in rows]

    def damage(self, segment: Segment | str) -> str | None:
        """Return what SQLite finds wrong with a segment's file, None for nothing. Reads the whole file.

        Raises `FileNotFoundError` for a segment that is not there and `ValueError` for a name that is none.
        """
        name, connection = self._connect(segment)
        try:
            found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        except sqlite3.DatabaseError as error:
            found = str(error)
        finally:
            connection.close()
        return None if found == "ok" else f"{name}: {found}"

    def _connect(self, segment: Segment | str) -> tuple[str, sqlite3.Connection]:
        name = segment if isinstance(segment, str) else segment.name
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a landing segment: {name!r}")
        path = self._directory / f"{name}.sqlite"
        if not path.exists():
            raise FileNotFoundError(path)
        uri = f"{path.absolute().as_uri()}?mode=ro"
        return name, sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10.0)


def _rows(connection: sqlite3.Connection, after: int, limit: int) -> list[tuple[Any, ...]]:
    columns = _COLUMNS if _has_sender(connection) else _COLUMNS.replace("sender_lfdi", "''")
    return connection.execute(_SELECT.format(columns=columns), (after, limit)).fetchall()


def _salvaged(connection: sqlite3.Connection, after: int, limit: int) -> list[tuple[Any, ...]]:
    """The messages of the next `limit` numbers that lie on pages which can be read, with the bodies that their hashes name."""
    found = []
    # Without it SQLite refuses every page of a file that is shorter than its header says; nothing is written.
    connection.execute("PRAGMA writable_schema=ON")
    for number in range(after, after + limit):
        with contextlib.suppress(sqlite3.DatabaseError):
            found += [row for row in _rows(connection, number, 1) if row[0] == number + 1]
    # A page that the file's end cuts is read as if zeros followed.
    place = 1 + _COLUMNS.split(", ").index("body")
    return [row for row in found if hashlib.sha256(row[place]).hexdigest() == row[place + 1]]


def _has_sender(connection: sqlite3.Connection) -> bool:
    return any(column[1] == "sender_lfdi" for column in connection.execute("PRAGMA table_info(messages)"))


def _has_messages(connection: sqlite3.Connection) -> bool:
    # A writer killed while it made the file leaves one without the table.
    return connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'messages'").fetchone() is not None

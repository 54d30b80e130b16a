"""One submitter for each fee payer at a time.

The lock belongs to the operating system (SQLite outbox: a locked file beside it) or to the database session (PostgreSQL: an
advisory lock), so it ends with its holder, kill -9 included, and never has to time out.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import sqlalchemy as sa

from .outbox import Outbox

_POLL_S = 0.1


class SubmitterBusy(Exception):
    """Another submitter holds the payer. The message names the payer."""


@asynccontextmanager
async def submission_lease(outbox: Outbox, payer: str, *, wait_s: float) -> AsyncIterator[None]:
    """Hold `payer` for submission from `outbox`, waiting up to `wait_s` seconds for it. Raises `SubmitterBusy`."""
    deadline = time.monotonic() + wait_s
    lock = _FileLock(outbox, payer) if outbox.engine.dialect.name == "sqlite" else _SessionLock(outbox, payer)
    try:
        while not lock.try_acquire():
            if time.monotonic() >= deadline:
                raise SubmitterBusy(f"another submitter is sending for payer {payer} (waited {wait_s:g} s)")
            await asyncio.sleep(_POLL_S)
        yield
    finally:
        lock.close()


class _FileLock:
    def __init__(self, outbox: Outbox, payer: str):
        database = Path(str(outbox.url.database))
        # The file stays: unlinking it while another waits on it would give two holders two files.
        self._handle = os.open(database.with_name(f"{database.name}.{payer}.lock"), os.O_RDWR | os.O_CREAT, 0o600)

    def try_acquire(self) -> bool:
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        os.close(self._handle)


class _SessionLock:
    def __init__(self, outbox: Outbox, payer: str):
        # Autocommit: an idle transaction held for minutes would keep vacuum from its work.
        self._connection = outbox.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._key = int.from_bytes(hashlib.sha256(f"outbox:{payer}".encode()).digest()[:8], "big", signed=True)

    def try_acquire(self) -> bool:
        return bool(self._connection.scalar(sa.select(sa.func.pg_try_advisory_lock(self._key))))

    def close(self) -> None:
        # A pooled connection would keep the session, and with it the lock.
        self._connection.invalidate()
        self._connection.close()

"""The outbox: which batches must reach the chain, and every signature that ever carried one.

A signed transaction lands at most once, so its signature is its idempotency key; what could double a batch is a second
signature while the first may still land. The table forbids that: a batch has one open (`sent`) attempt at most, by a
unique index, and a settled batch takes no attempt.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gridtokenx_pipeline import clock

BatchState = Literal["pending", "submitted", "confirmed", "failed"]
AttemptState = Literal["sent", "confirmed", "failed", "expired"]
_CHUNK = 400


class _Utc(sa.TypeDecorator[dt.datetime]):
    """Aware UTC in Python, naive UTC in the database (SQLite has no zones)."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        return None if value is None else value.astimezone(dt.UTC).replace(tzinfo=None)

    def process_result_value(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        return None if value is None else value.replace(tzinfo=dt.UTC)


metadata = sa.MetaData()

BATCHES = sa.Table(
    "outbox_batches",
    metadata,
    sa.Column("batch_id", sa.Text, primary_key=True),
    sa.Column("zone", sa.Text, nullable=False),
    sa.Column("window_start", _Utc, nullable=False),
    sa.Column("memo", sa.Text, nullable=False),
    sa.Column("payload_sha256", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("created_at", _Utc, nullable=False),
    sa.Column("updated_at", _Utc, nullable=False),
    sa.CheckConstraint("state IN ('pending', 'submitted', 'confirmed', 'failed')", name="outbox_batch_state"),
    sa.Index("outbox_batches_by_state", "state", "window_start"),
)
ATTEMPTS = sa.Table(
    "outbox_attempts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("batch_id", sa.Text, sa.ForeignKey(BATCHES.c.batch_id), nullable=False),
    sa.Column("signature", sa.Text, nullable=False, unique=True),
    sa.Column("payer", sa.Text, nullable=False),
    sa.Column("raw_tx", sa.LargeBinary, nullable=False),
    sa.Column("last_valid_block_height", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("slot", sa.BigInteger),
    sa.Column("fee_lamports", sa.BigInteger),
    sa.Column("compute_units", sa.BigInteger),
    sa.Column("error", sa.Text),
    sa.Column("created_at", _Utc, nullable=False),
    sa.CheckConstraint("state IN ('sent', 'confirmed', 'failed', 'expired')", name="outbox_attempt_state"),
)
# Partial: expired attempts of a batch may be many, attempts that can still land or have landed may not.
_LIVE = ATTEMPTS.c.state.in_(("sent", "confirmed"))
sa.Index("outbox_attempts_one_live", ATTEMPTS.c.batch_id, unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE)
sa.Index("outbox_attempts_by_batch", ATTEMPTS.c.batch_id)


class OutboxConflict(Exception):
    """A batch id came again with another payload, a batch got a second live attempt, or a settled attempt changed its mind."""


@dataclass(frozen=True)
class Batch:
    """What is to be settled: the text for the chain, for one zone and market interval (aware UTC start)."""

    batch_id: str
    zone: str
    window_start: dt.datetime
    memo: str

    @property
    def payload_sha256(self) -> str:
        """Digest that tells a repeated batch from a conflicting one."""
        window = self.window_start.astimezone(dt.UTC).isoformat()
        return hashlib.sha256(json.dumps([self.zone, window, self.memo]).encode()).hexdigest()


@dataclass(frozen=True)
class Attempt:
    """One signed transaction for a batch."""

    id: int
    batch_id: str
    signature: str
    payer: str
    raw_tx: bytes
    last_valid_block_height: int
    state: AttemptState
    slot: int | None
    fee_lamports: int | None
    compute_units: int | None
    error: str | None
    created_at: dt.datetime


@dataclass(frozen=True)
class Receipt:
    """How a batch stands: its state, with the signature that settled it or, before that, the latest one."""

    batch_id: str
    signature: str | None
    slot: int | None
    fee_lamports: int | None
    compute_units: int | None
    state: BatchState
    error: str | None


class Outbox:
    """The two tables at an SQLAlchemy URL (SQLite file or PostgreSQL). Every method is one transaction."""

    def __init__(self, url: str):
        """Connect and create what is missing. Raises `ValueError` for an in-memory database, which could not outlive a crash."""
        self.url = sa.make_url(url)
        if self.url.get_backend_name() == "sqlite":
            if self.url.database in (None, "", ":memory:"):
                raise ValueError("the outbox needs a database file: what it holds must outlive the process")
            Path(str(self.url.database)).parent.mkdir(parents=True, exist_ok=True)
            self.engine = sa.create_engine(self.url)
            sa.event.listen(self.engine, "connect", _tune_sqlite)
            # Without this a transaction that reads before it writes fails at once when another process writes in between.
            sa.event.listen(self.engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        else:
            self.engine = sa.create_engine(self.url, pool_pre_ping=True)
        self.create_all()

    def create_all(self) -> None:
        """Create the tables and indexes that are missing; the constructor has done so already."""
        metadata.create_all(self.engine)

    def close(self) -> None:
        """Return all connections."""
        self.engine.dispose()

    def enqueue(self, batches: Iterable[Batch]) -> int:
        """Add the batches that are not there yet as `pending`; return how many were new.

        Raises `OutboxConflict`, adding none, where an id is there with another payload.
        """
        wanted = list(batches)
        now, added = clock.now(), 0
        insert = sqlite.insert if self.engine.dialect.name == "sqlite" else postgresql.insert
        with self.engine.begin() as connection:
            for chunk in _chunks(wanted):
                rows = [
                    {
                        "batch_id": batch.batch_id,
                        "zone": batch.zone,
                        "window_start": batch.window_start,
                        "memo": batch.memo,
                        "payload_sha256": batch.payload_sha256,
                        "state": "pending",
                        "created_at": now,
                        "updated_at": now,
                    }
                    for batch in chunk
                ]
                ids = [batch.batch_id for batch in chunk]
                query = sa.select(BATCHES.c.batch_id, BATCHES.c.payload_sha256).where(BATCHES.c.batch_id.in_(ids))
                before = connection.execute(query).all()
                connection.execute(insert(BATCHES).on_conflict_do_nothing(index_elements=["batch_id"]), rows)
                stored = dict(connection.execute(query).tuples().all())
                for batch in chunk:
                    if stored[batch.batch_id] != batch.payload_sha256:
                        raise OutboxConflict(f"batch {batch.batch_id} is in the outbox with another payload")
                added += len(stored) - len(before)
        return added

    def batches(self, batch_ids: Sequence[str] | None = None, state: BatchState | None = None) -> list[Batch]:
        """Return batches, oldest window first: all, or those of `batch_ids` and `state`."""
        columns = (BATCHES.c.batch_id, BATCHES.c.zone, BATCHES.c.window_start, BATCHES.c.memo)
        found = [Batch(**row) for row in self._select(columns, BATCHES.c.batch_id, batch_ids, BATCHES.c.state, state)]
        return sorted(found, key=lambda batch: (batch.window_start, batch.zone, batch.batch_id))

    def attempts(self, batch_ids: Sequence[str] | None = None, state: AttemptState | None = None) -> list[Attempt]:
        """Return attempts in the order they were made: all, or those of `batch_ids` and `state`."""
        rows = self._select(ATTEMPTS.c, ATTEMPTS.c.batch_id, batch_ids, ATTEMPTS.c.state, state)
        return sorted((Attempt(**row) for row in rows), key=lambda attempt: attempt.id)

    def open_attempts(self) -> list[Attempt]:
        """Return the attempts whose end is not known yet."""
        return self.attempts(state="sent")

    def record_attempt(
        self, batch_id: str, *, signature: str, payer: str, raw_tx: bytes, last_valid_block_height: int
    ) -> Attempt:
        """Store a signed transaction before it is sent; the batch becomes `submitted`.

        Raises `OutboxConflict` where the batch is unknown, settled, or has an attempt that may still land.
        """
        now = clock.now()
        values = {
            "batch_id": batch_id,
            "signature": signature,
            "payer": payer,
            "raw_tx": raw_tx,
            "last_valid_block_height": last_valid_block_height,
            "state": "sent",
            "created_at": now,
        }
        try:
            with self.engine.begin() as connection:
                if not self._move_batch(connection, batch_id, "submitted", from_states=("pending",)):
                    raise OutboxConflict(f"batch {batch_id} is not pending, so it takes no new transaction")
                key = connection.execute(ATTEMPTS.insert().values(values)).inserted_primary_key
        except sa.exc.IntegrityError as error:
            raise OutboxConflict(f"batch {batch_id} has a transaction that may still land") from error
        number = key[0] if key is not None else 0
        return Attempt(**values, id=number, slot=None, fee_lamports=None, compute_units=None, error=None)  # type: ignore[arg-type]

    def confirm_attempt(self, attempt_id: int, *, slot: int, fee_lamports: int | None, compute_units: int | None) -> None:
        """The transaction landed and succeeded: attempt and batch become `confirmed`. Repeating it changes nothing."""
        outcome = {"slot": slot, "fee_lamports": fee_lamports, "compute_units": compute_units}
        self._settle(attempt_id, "confirmed", "confirmed", outcome)

    def fail_attempt(
        self,
        attempt_id: int,
        *,
        error: str,
        slot: int | None = None,
        fee_lamports: int | None = None,
        compute_units: int | None = None,
    ) -> None:
        """The chain refused the transaction for good: attempt and batch become `failed`. Repeating it changes nothing."""
        outcome = {"slot": slot, "fee_lamports": fee_lamports, "compute_units": compute_units, "error": error}
        self._settle(attempt_id, "failed", "failed", outcome)

    def expire_attempt(self, attempt_id: int) -> None:
        """The transaction can never land any more: the attempt becomes `expired`, its batch `pending` again."""
        self._settle(attempt_id, "expired", "pending", {"error": "blockhash expired"})

    def fail_batch(self, batch_id: str, error: str) -> None:
        """The batch cannot be made into a transaction the chain would take. Raises `OutboxConflict` unless it is pending."""
        with self.engine.begin() as connection:
            if not self._move_batch(connection, batch_id, "failed", from_states=("pending",), error=error):
                raise OutboxConflict(f"batch {batch_id} is not pending, so it cannot fail before it is sent")

    def requeue(self, batch_ids: Sequence[str]) -> int:
        """Make failed batches `pending` again, after the reason was removed; return how many were failed."""
        with self.engine.begin() as connection:
            return sum(self._move_batch(connection, batch_id, "pending", from_states=("failed",)) for batch_id in batch_ids)

    def receipts(self, batch_ids: Sequence[str]) -> list[Receipt]:
        """Return one receipt for each known id, in the order given."""
        latest: dict[str, Attempt] = {}
        for attempt in self.attempts(batch_ids):
            if attempt.batch_id not in latest or latest[attempt.batch_id].state != "confirmed":
                latest[attempt.batch_id] = attempt
        columns = (BATCHES.c.batch_id, BATCHES.c.state, BATCHES.c.error)
        found = {row["batch_id"]: row for row in self._select(columns, BATCHES.c.batch_id, batch_ids)}
        receipts = []
        for batch_id in dict.fromkeys(batch_ids):
            if batch_id in found:
                row, last = found[batch_id], latest.get(batch_id)
                receipts.append(
                    Receipt(
                        batch_id=batch_id,
                        signature=last.signature if last else None,
                        slot=last.slot if last else None,
                        fee_lamports=last.fee_lamports if last else None,
                        compute_units=last.compute_units if last else None,
                        state=row["state"],
                        error=row["error"],
                    )
                )
        return receipts

    def _select(
        self,
        columns: Iterable[sa.Column[Any]],
        key: sa.Column[Any],
        keys: Sequence[str] | None,
        state_column: sa.Column[Any] | None = None,
        state: str | None = None,
    ) -> Iterator[dict[str, Any]]:
        query = sa.select(*columns)
        if state_column is not None and state is not None:
            query = query.where(state_column == state)
        parts = [query] if keys is None else [query.where(key.in_(chunk)) for chunk in _chunks(list(dict.fromkeys(keys)))]
        with self.engine.begin() as connection:
            rows = [dict(row) for part in parts for row in connection.execute(part).mappings()]
        return iter(rows)

    def _settle(self, attempt_id: int, state: AttemptState, batch_state: BatchState, outcome: dict[str, Any]) -> None:
        with self.engine.begin() as connection:
            row = connection.execute(
                sa.select(ATTEMPTS.c.batch_id, ATTEMPTS.c.state, ATTEMPTS.c.signature).where(ATTEMPTS.c.id == attempt_id)
            ).one_or_none()
            if row is None:
                raise OutboxConflict(f"attempt {attempt_id} is not in the outbox")
            if row.state == state:
                return
            if row.state != "sent":
                raise OutboxConflict(f"transaction {row.signature} is {row.state}, so it cannot become {state}")
            connection.execute(ATTEMPTS.update().where(ATTEMPTS.c.id == attempt_id).values(state=state, **outcome))
            error = outcome.get("error") if batch_state == "failed" else None
            self._move_batch(connection, row.batch_id, batch_state, from_states=("submitted",), error=error)

    @staticmethod
    def _move_batch(
        connection: sa.Connection,
        batch_id: str,
        state: BatchState,
        *,
        from_states: tuple[BatchState, ...],
        error: str | None = None,
    ) -> bool:
        moved = connection.execute(
            BATCHES.update()
            .where(BATCHES.c.batch_id == batch_id, BATCHES.c.state.in_(from_states))
            .values(state=state, error=error, updated_at=clock.now())
        )
        return moved.rowcount == 1


def _tune_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy's "begin" event begins, not the driver
    cursor = connection.cursor()
    for pragma in ("busy_timeout = 30000", "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _chunks(values: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]

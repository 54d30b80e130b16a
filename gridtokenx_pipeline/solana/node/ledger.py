"""The node's durable memory: genesis with its programs, and every transaction that landed, in one SQLite file.

The bank's state is a fold over this ledger, so a commit here is what makes a transaction true. Programs are kept as they
were at genesis, so that what ran against them replays the same after their images have changed.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 3
_READABLE = (1, 2, 3)  # ledgers of schema 1 have no programs at genesis; those before 3 begin without slot hashes

_DDL = """
CREATE TABLE IF NOT EXISTS genesis (
    one INTEGER PRIMARY KEY CHECK (one = 1), schema_version INTEGER NOT NULL, time_ms INTEGER NOT NULL, seed BLOB NOT NULL,
    slot_ms INTEGER NOT NULL, slot_hashes_from_seq INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS genesis_programs (
    program_id TEXT PRIMARY KEY, image BLOB NOT NULL, authority TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS transactions (
    seq INTEGER PRIMARY KEY, signature TEXT NOT NULL UNIQUE, slot INTEGER NOT NULL, block_time INTEGER NOT NULL,
    raw BLOB NOT NULL, err TEXT, fee_lamports INTEGER NOT NULL, compute_units INTEGER NOT NULL, detail TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS transaction_accounts (
    address TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (address, seq)
) WITHOUT ROWID;
"""
_COLUMNS = "seq, signature, slot, block_time, raw, err, fee_lamports, compute_units, detail"


class LedgerError(Exception):
    """The ledger is in use, of another schema or slot length, or does not replay. The message names the directory."""


@dataclass(frozen=True)
class Genesis:
    """When slot 0 began (milliseconds since the epoch), what every blockhash and the faucet derive from, and the slot length.

    `slot_hashes_from_seq` is the first transaction that ran, or will run, with the SlotHashes sysvar kept: 1, or in a ledger
    that an earlier version founded the first one after it was opened by this one.
    """

    time_ms: int
    seed: bytes
    slot_ms: int
    slot_hashes_from_seq: int


@dataclass(frozen=True)
class GenesisProgram:
    """A program that is there from slot 0: its id, its image, and the key that may upgrade it (both keys in base58)."""

    program_id: str
    image: bytes
    authority: str


@dataclass(frozen=True)
class Entry:
    """One landed transaction. `err` and `detail` are in the RPC's JSON form; `block_time` is Unix seconds."""

    seq: int
    signature: str
    slot: int
    block_time: int
    raw: bytes
    err: Any
    fee_lamports: int
    compute_units: int
    detail: dict[str, Any]


class Ledger:
    """`<directory>/ledger.sqlite`. One process at a time; every `append` is on disk when it returns."""

    def __init__(
        self,
        directory: Path,
        *,
        now_ms: int,
        slot_ms: int | None = None,
        programs: Callable[[], Sequence[GenesisProgram]] = tuple,
    ):
        """Open or found the ledger; `slot_ms` (400 for a new one) must agree with the ledger's. Raises `LedgerError`.

        `programs` is asked for the programs at genesis where a ledger is founded, and for nothing where there is one.
        """
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(directory / "ledger.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise LedgerError(f"{directory}: another node is using this ledger") from error
        self._db = sqlite3.connect(directory / "ledger.sqlite", isolation_level=None)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_DDL)
            self._found(now_ms, slot_ms, programs)
            self.genesis = self._genesis(slot_ms)
        except BaseException:
            self.close()
            raise

    def _found(self, now_ms: int, slot_ms: int | None, programs: Callable[[], Sequence[GenesisProgram]]) -> None:
        if self._db.execute("SELECT 1 FROM genesis").fetchone():
            return
        loaded = [(each.program_id, each.image, each.authority) for each in programs()]
        with self._transaction():
            self._db.execute(
                "INSERT INTO genesis VALUES (1, ?, ?, ?, ?, 1)", (SCHEMA_VERSION, now_ms, secrets.token_bytes(32), slot_ms or 400)
            )
            self._db.executemany("INSERT INTO genesis_programs VALUES (?, ?, ?)", loaded)

    def _genesis(self, slot_ms: int | None) -> Genesis:
        version, time_ms, seed, slots = self._db.execute("SELECT schema_version, time_ms, seed, slot_ms FROM genesis").fetchone()
        if version not in _READABLE:
            raise LedgerError(f"{self.directory}: ledger schema {version}, this node reads {SCHEMA_VERSION}")
        if slot_ms is not None and slot_ms != slots:
            raise LedgerError(
                f"{self.directory}: the ledger has slots of {slots} ms, not {slot_ms}; the slot length is fixed at genesis"
            )
        if version < SCHEMA_VERSION:
            self._upgrade()
        (listed,) = self._db.execute("SELECT slot_hashes_from_seq FROM genesis").fetchone()
        return Genesis(time_ms, bytes(seed), slots, listed)

    def _upgrade(self) -> None:
        with self._transaction():
            self._db.execute("ALTER TABLE genesis ADD COLUMN slot_hashes_from_seq INTEGER NOT NULL DEFAULT 1")
            self._db.execute(
                """UPDATE genesis SET schema_version = ?,
                slot_hashes_from_seq = (SELECT coalesce(max(seq), 0) + 1 FROM transactions)""",
                (SCHEMA_VERSION,),
            )

    def close(self) -> None:
        """Release the file and the directory; safe to call twice."""
        self._db.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def append(self, entry: Entry, accounts: Sequence[str]) -> None:
        """Commit one landed transaction and the addresses it names. Raises `sqlite3.Error`; then nothing of it is stored."""
        row = (
            entry.seq,
            entry.signature,
            entry.slot,
            entry.block_time,
            entry.raw,
            None if entry.err is None else json.dumps(entry.err),
            entry.fee_lamports,
            entry.compute_units,
            json.dumps(entry.detail),
        )
        with self._transaction():
            self._db.execute(f"INSERT INTO transactions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            self._db.executemany("INSERT OR IGNORE INTO transaction_accounts VALUES (?, ?)", [(a, entry.seq) for a in accounts])

    def programs(self) -> list[GenesisProgram]:
        """Return the programs that are there from slot 0."""
        rows = self._db.execute("SELECT program_id, image, authority FROM genesis_programs ORDER BY program_id")
        return [GenesisProgram(program, bytes(image), authority) for program, image, authority in rows]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def entry(self, signature: str) -> Entry | None:
        """Return the landed transaction of `signature`, or `None`."""
        row = self._db.execute(f"SELECT {_COLUMNS} FROM transactions WHERE signature = ?", (signature,)).fetchone()
        return row and _entry(row)

    def entries(self) -> Iterator[Entry]:
        """Yield every landed transaction in the order it executed."""
        for row in self._db.execute(f"SELECT {_COLUMNS} FROM transactions ORDER BY seq"):
            yield _entry(row)

    def last(self) -> tuple[int, int]:
        """Return (number of transactions, slot of the last one); (0, 0) for an empty ledger."""
        row: tuple[int, int] = self._db.execute(
            "SELECT coalesce(max(seq), 0), coalesce(max(slot), 0) FROM transactions"
        ).fetchone()
        return row

    def of_address(self, address: str, *, before: str | None, until: str | None, limit: int) -> list[Entry]:
        """Return the newest `limit` transactions that name `address`, newest first, strictly between `until` and `before`."""
        rows = self._db.execute(
            f"""SELECT {_COLUMNS} FROM transactions JOIN transaction_accounts USING (seq)
            WHERE address = ? AND seq < coalesce((SELECT seq FROM transactions WHERE signature = ?), 9223372036854775807)
              AND seq > coalesce((SELECT seq FROM transactions WHERE signature = ?), 0)
            ORDER BY seq DESC LIMIT ?""",
            (address, before, until, limit),
        )
        return [_entry(row) for row in rows]


def _entry(row: tuple[Any, ...]) -> Entry:
    seq, signature, slot, block_time, raw, err, fee, units, detail = row
    return Entry(
        seq, signature, slot, block_time, bytes(raw), None if err is None else json.loads(err), fee, units, json.loads(detail)
    )

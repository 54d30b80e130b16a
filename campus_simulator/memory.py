"""What simulated meters remember between runs, like the non-volatile registers of a real meter.

A meter never contradicts itself: a window that was simulated before starts from the memory it started from then, and gives the
same readings; a window after everything recorded goes on from the last memory; anything else would make registers jump or run
back, and is refused.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from .meter import MeterMemory
from .models import Building, Site, Window
from .orders import NO_ORDERS, Orders

MODEL = 1
"""Version of the physics: raise it when the same seed gives other readings."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS windows (
    meter_id TEXT NOT NULL,
    start_s INTEGER NOT NULL,
    end_s INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    told TEXT NOT NULL DEFAULT '[]',
    PRIMARY KEY (meter_id, start_s)
) WITHOUT ROWID
"""
_ADD_TOLD = "ALTER TABLE windows ADD COLUMN told TEXT NOT NULL DEFAULT '[]'"


class MemoryConflict(ValueError):
    """The window cannot be simulated without contradicting what the meter has already measured."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A simulated window, epoch seconds, with the memory before and after it, and what the meter was told in it."""

    start_s: int
    end_s: int
    fingerprint: str
    before: MeterMemory
    after: MeterMemory
    told: Orders = NO_ORDERS


@dataclass(frozen=True, slots=True)
class Entry:
    """A window to record: `before` and `after` are the meter's memory at its start and at `end_s`, `told` what it followed."""

    building: Building
    start_s: int
    end_s: int
    fingerprint: str
    before: MeterMemory
    after: MeterMemory
    told: Orders = NO_ORDERS


def fingerprint(building: Building, site: Site, interval_s: int, seed: int) -> str:
    """Return what readings depend on besides memory and time, as a hash."""
    facts = {"model": MODEL, "building": asdict(building), "site": asdict(site), "interval_s": interval_s, "seed": seed}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _text(epoch_s: int) -> str:
    return dt.datetime.fromtimestamp(epoch_s, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


class MeterStore:
    """The memories of a fleet in `<directory>/meters.sqlite`; the directory is made if it is missing."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / "meters.sqlite"
        with self._connect() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(_SCHEMA)
            if "told" not in {row[1] for row in connection.execute("PRAGMA table_info(windows)")}:
                connection.execute(_ADD_TOLD)

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=30)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    def history(self, meter_id: str) -> list[Recorded]:
        """Return the recorded windows of a meter, by start."""
        query = "SELECT start_s, end_s, fingerprint, before, after, told FROM windows WHERE meter_id = ? ORDER BY start_s"
        with self._connect() as connection:
            rows = connection.execute(query, (meter_id,)).fetchall()
        return [
            Recorded(s, e, print_, MeterMemory.from_json(b), MeterMemory.from_json(a), Orders.from_json(t))
            for s, e, print_, b, a, t in rows
        ]

    def recall(self, building: Building, site: Site, window: Window, seed: int) -> MeterMemory:
        """Return the memory that `window` starts from.

        Raises `MemoryConflict` when the window overlaps or precedes the meter's history without beginning where a recorded window
        began, when that one was simulated with another seed, interval or building, or when the window would run on from it across
        a gap into later history.
        """
        history = self.history(building.meter_id)
        last = max(history, key=lambda recorded: recorded.end_s, default=None)
        if last is None:
            return MeterMemory.first(building, seed)
        if window.start_s >= last.end_s:
            return last.after
        print_ = fingerprint(building, site, window.interval_s, seed)
        same = next((recorded for recorded in history if recorded.start_s == window.start_s), None)
        asked = f"{building.meter_id}: {_text(window.start_s)} to {_text(window.end_s)}"
        if same is None:
            raise MemoryConflict(
                f"{asked} overlaps or precedes what this meter measured up to {_text(last.end_s)}, and begins at none of its "
                f"recorded windows; start at {_text(last.end_s)} or later, or repeat a recorded window"
            )
        if same.fingerprint != print_:
            raise MemoryConflict(
                f"{asked} was measured before with another seed, interval, building or site; choose a later window"
            )
        reach, _ = _chain(history, same)
        if window.end_s > reach and reach < last.end_s:
            raise MemoryConflict(
                f"{asked} runs past {_text(reach)} into a time that this meter skipped before going on to {_text(last.end_s)}; "
                f"end at {_text(reach)} or earlier, or start at {_text(last.end_s)} or later"
            )
        return same.before

    def told(self, building: Building, window: Window, orders: Orders) -> Orders:
        """Return what the meter follows in `window`: what it followed when it first measured it, and `orders` from there on."""
        history = self.history(building.meter_id)
        same = next((recorded for recorded in history if recorded.start_s == window.start_s), None)
        if same is None:
            return orders.between(window.start_s, window.end_s)
        reach, followed = _chain(history, same)
        return followed.between(window.start_s, window.end_s).then(orders.between(max(reach, window.start_s), window.end_s))

    def latest(self, meter_id: str) -> Recorded | None:
        """Return the recorded window that ends last; None for a new meter."""
        return max(self.history(meter_id), key=lambda recorded: recorded.end_s, default=None)

    def record(self, entries: Iterable[Entry]) -> None:
        """Write windows in one transaction; a window recorded before keeps its start and the later of the two ends."""
        rows = [
            (e.building.meter_id, e.start_s, e.end_s, e.fingerprint, e.before.to_json(), e.after.to_json(), e.told.to_json())
            for e in entries
        ]
        with self._connect() as connection:
            connection.executemany(
                "INSERT INTO windows VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (meter_id, start_s) DO UPDATE "
                "SET end_s = excluded.end_s, after = excluded.after, told = excluded.told WHERE excluded.end_s > end_s",
                rows,
            )


def _chain(history: Iterable[Recorded], first: Recorded) -> tuple[int, Orders]:
    """How far the recorded windows reach without a gap from `first` on, and what was followed until there."""
    reach, followed = first.end_s, first.told
    for recorded in history:
        if recorded.fingerprint == first.fingerprint and recorded.start_s <= reach and recorded.end_s > reach:
            followed = followed.then(recorded.told.between(reach, recorded.end_s))
            reach = recorded.end_s
    return reach, followed

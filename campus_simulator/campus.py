"""A campus of meters that report: a window of the past as fast as the server takes it, or live."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ieee2030_5.client import ClientError
from ieee2030_5.keyfiles import PkiError, lfdi_of_file
from ieee2030_5.xml import encode

from . import noise
from .device import interval_readings
from .following import Following, new_following, orders_known
from .memory import Entry, MemoryConflict, MeterStore, fingerprint
from .meter import MeterMemory, Series, simulate
from .models import Window
from .orders import NO_ORDERS, Orders
from .session import Device, MeterOutcome, Options, Session

log = logging.getLogger(__name__)

Progress = Callable[[MeterOutcome], None]
_EXPECTED = (ClientError, PkiError, OSError, sqlite3.Error)


@dataclass(frozen=True, slots=True)
class CampusReport:
    """Outcomes by meter id, in the fleet's order."""

    meters: dict[str, MeterOutcome]

    @property
    def posted(self) -> int:
        """Intervals acknowledged."""
        return sum(outcome.posted for outcome in self.meters.values())

    @property
    def retried(self) -> int:
        """Requests that were sent again."""
        return sum(outcome.retried for outcome in self.meters.values())

    @property
    def refused(self) -> int:
        """Intervals that the server refused; the outcomes say why."""
        return sum(len(outcome.refused) for outcome in self.meters.values())

    @property
    def failures(self) -> dict[str, str]:
        """Meters that stopped early, with the reason."""
        return {meter: outcome.failure for meter, outcome in self.meters.items() if outcome.failure is not None}


def _ignore(_: MeterOutcome) -> None:
    pass


def check(fleet: Iterable[Device], window: Window, options: Options) -> None:
    """Raise `MemoryConflict` for a window that a meter of the fleet cannot measure."""
    store = MeterStore(options.memory_dir)
    for device in fleet:
        store.recall(device.building, options.site, window, options.seed)


def measure(device: Device, window: Window, options: Options, orders: Orders = NO_ORDERS) -> tuple[Series, Orders]:
    """Simulate a window for a meter that is given `orders` and record it in its memory; returns what it followed as well.

    A meter that measured the window before followed what it was told then. Raises `MemoryConflict` for a window that it cannot
    measure.
    """
    store = MeterStore(options.memory_dir)
    building = device.building
    before = store.recall(building, options.site, window, options.seed)
    told = store.told(building, window, orders)
    series = simulate(building, options.site, window, options.seed, before, told)
    print_ = fingerprint(building, options.site, window.interval_s, options.seed)
    store.record([Entry(building, window.start_s, window.end_s, print_, before, series.memory, told)])
    return series, told


async def run_window(
    fleet: Sequence[Device], window: Window, options: Options, on_progress: Progress | None = None
) -> CampusReport:
    """Post every interval of `window` from every meter, meters side by side, each meter's intervals in order.

    Controls and prices are read once, before, and followed where they fall into the window. Repeating a window posts the same
    bytes again. `on_progress` is called after each interval with the meter's outcome so far. A meter that fails does not stop the
    others: see `CampusReport.failures`. Raises `MemoryConflict` before anything is posted.
    """
    progress = on_progress or _ignore
    await asyncio.to_thread(check, fleet, window, options)
    outcomes = {device.building.meter_id: MeterOutcome(device.building.meter_id, window.intervals) for device in fleet}

    async def post(device: Device) -> None:
        outcome = outcomes[device.building.meter_id]
        try:
            following = new_following(lfdi_of_file(device.cert)) if options.follow else None
            async with Session(device, options, window.interval_s, outcome, following=following) as session:
                orders = await session.orders(window)
                series, told = await asyncio.to_thread(measure, device, window, options, orders)
                start_s = window.start_s
                for document in interval_readings(series, session.lfdi):
                    await session.send(encode(document), start_s)
                    start_s += window.interval_s
                    progress(outcome)
                await session.conclude(series, told)
        except Exception as error:
            # Whatever is wrong with one meter, the others have readings to deliver; what nobody foresaw leaves its traceback.
            outcome.failure = _reason(error)
            log.error(
                "meter %s stopped after %d intervals: %s",
                outcome.meter_id,
                outcome.posted,
                outcome.failure,
                exc_info=None if isinstance(error, _EXPECTED) else error,
            )
            progress(outcome)

    async with asyncio.TaskGroup() as tasks:
        for device in fleet:
            tasks.create_task(post(device), name=device.building.meter_id)
    return CampusReport(outcomes)


async def run_live(
    fleet: Sequence[Device],
    options: Options,
    on_progress: Progress | None = None,
    *,
    interval_s: int = 15,
    now: Callable[[], float] = time.time,
) -> None:
    """Post each interval when it has ended, from every meter, until cancelled.

    Each meter keeps to the server's time and posts at its own moment within `options.jitter_s`. While the server is away a meter
    holds its readings and sends all of them, in order, when it is back; a reading leaves the meter's memory only once it was
    acknowledged, so that a restarted fleet goes on where it was. Meters follow the controls and prices of their programs from
    when they know of them. Raises `MemoryConflict` when a meter has measured a time ahead of the clock.
    """
    store = MeterStore(options.memory_dir)
    meters = [_LiveMeter(device, options, interval_s, store, now, on_progress or _ignore) for device in fleet]
    await asyncio.to_thread(lambda: [meter.measure() for meter in meters])
    async with asyncio.TaskGroup() as tasks:
        for meter in meters:
            tasks.create_task(meter.run(), name=meter.outcome.meter_id)


class _LiveMeter:
    """A meter in real time: `start_s` is the interval it will post next, `memory` is what it knows at that moment."""

    def __init__(
        self, device: Device, options: Options, interval_s: int, store: MeterStore, now: Callable[[], float], progress: Progress
    ) -> None:
        self.outcome = MeterOutcome(device.building.meter_id)
        self._device, self._options, self._interval_s = device, options, interval_s
        self._store, self._now, self._progress = store, now, progress
        self._delay = noise.uniform(0, f"post {self.outcome.meter_id}") * min(options.jitter_s, interval_s)
        self._fingerprint = fingerprint(device.building, options.site, interval_s, options.seed)
        self._following: Following | None = None
        self.start_s, self.memory = self._resume()
        self._first = (self.start_s, self.memory)
        self._told = NO_ORDERS

    def _resume(self) -> tuple[int, MeterMemory]:
        moment = self._now()
        current = int(moment) // self._interval_s * self._interval_s
        latest = self._store.latest(self.outcome.meter_id)
        if latest is None:
            return current, MeterMemory.first(self._device.building, self._options.seed)
        free = -(-latest.end_s // self._interval_s) * self._interval_s
        if free > current:
            raise MemoryConflict(
                f"{self.outcome.meter_id} has measured up to {dt.datetime.fromtimestamp(latest.end_s, dt.UTC).isoformat()}, "
                "which is ahead of the clock; it cannot measure that time again"
            )
        return (free if moment - free <= self._options.resume_s else current), latest.after

    def measure(self) -> tuple[Series, Orders]:
        """Measure the interval that is next; returns what the meter followed in it as well."""
        building, options = self._device.building, self._options
        window = Window(dt.datetime.fromtimestamp(self.start_s, dt.UTC), 1, self._interval_s)
        orders = orders_known(self._following, building, self.start_s, self._interval_s)
        return simulate(building, options.site, window, options.seed, self.memory, orders), orders

    async def run(self) -> None:
        """Post intervals as they end; after any failure connect anew and go on with the same interval."""
        failed = 0
        while True:
            posted = self.outcome.posted
            try:
                if self._following is None and self._options.follow:
                    self._following = new_following(lfdi_of_file(self._device.cert))
                async with self._session() as session:
                    await session.follow()
                    while True:
                        await self._next(session)
            except _EXPECTED as error:
                failed = 1 if self.outcome.posted > posted else failed + 1
                self.outcome.failure = _reason(error)
                log.warning("meter %s waits: %s", self.outcome.meter_id, self.outcome.failure)
                self._progress(self.outcome)
                await asyncio.sleep(self._options.retry.wait_s(failed))

    def _session(self) -> Session:
        return Session(self._device, self._options, self._interval_s, self.outcome, self._now, self._following)

    async def _next(self, session: Session) -> None:
        end_s = self.start_s + self._interval_s
        wait_s = end_s + self._delay - (self._now() + self.outcome.clock_offset_s)
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        series, orders = self.measure()
        (document,) = interval_readings(series, session.lfdi)
        await session.send(encode(document), self.start_s)
        first_s, before = self._first
        told = self._told.then(orders)
        entry = Entry(self._device.building, first_s, end_s, self._fingerprint, before, series.memory, told)
        await asyncio.to_thread(self._store.record, [entry])
        self.start_s, self.memory, self._told = end_s, series.memory, told
        self.outcome.failure = None
        self._progress(self.outcome)
        await session.interval_done(series, orders)


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__

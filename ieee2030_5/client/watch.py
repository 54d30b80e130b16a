"""A device's schedules, kept current: by polling at the server's rate, and at once when a notification comes.

`EventBook` is what the device remembers and outlives connections; `Watch` reads for it, answers for it and subscribes for it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from yarl import URL

from ieee2030_5.enums import EventStatusCode
from ieee2030_5.events import Candidate, Schedule, effective_period, schedule
from ieee2030_5.resources import DefaultDERControl, EndDevice, EventStatus, Notification

from .errors import ClientError, NotTrusted, ProtocolError, Refused
from .notifications import NotificationListener, subscribe
from .programs import Abilities, Found, Price, ProgramReader
from .responses import post_response
from .session import Client

log = logging.getLogger(__name__)

KEEP_S = 86_400
"""How long an event and its price are remembered after its end: for answers still owed, and as what prices compare with."""
HORIZON_S = 86_400
_JITTER = 0.1
_SHORTEST_S = 1.0


@dataclass(slots=True)
class EventBook:
    """What a device knows of its events. `seen` and `sent` are by mRID: when first seen, and statuses answered.

    `defaults_since` is when the default controls were first read as they are.
    """

    seed: str
    seen: dict[str, int] = field(default_factory=dict)
    sent: dict[str, set[int]] = field(default_factory=dict)
    prices: dict[str, Price] = field(default_factory=dict)
    defaults: list[tuple[int, DefaultDERControl]] = field(default_factory=list)
    defaults_since: int = 0
    schedule: Schedule = field(default_factory=Schedule)
    _known: dict[str, Candidate] = field(default_factory=dict)

    def update(self, found: Found, now: float) -> None:
        """Take in a reading of the programs.

        An event that is no longer listed although it is not over was withdrawn, and counts as cancelled now: servers are to keep
        cancelled events listed (EventStatus), but not all do.
        """
        moment = int(now)
        listed = {candidate.mrid: candidate for candidate in found.candidates}
        for mrid, candidate in list(self._known.items()):
            course = self.schedule.courses.get(mrid)
            if mrid not in listed and course is not None and moment < course.end and not _called_off(candidate):
                self._known[mrid] = replace(candidate, event=_cancelled(candidate.event, moment))
            if course is not None and course.end + KEEP_S < moment and mrid not in listed:
                self._forget(mrid)
        self._known.update(listed)
        for mrid in listed:
            self.seen.setdefault(mrid, moment)
        self.prices.update((price.mrid, price) for price in found.prices)
        if found.defaults != self.defaults:
            self.defaults, self.defaults_since = found.defaults, moment
        self.schedule = schedule(self._known.values(), seed=self.seed)

    def _forget(self, mrid: str) -> None:
        for memory in (self._known, self.seen, self.sent, self.prices):
            memory.pop(mrid, None)  # type: ignore[attr-defined]


class Watch:
    """Reads a device's programs into its book. `on_update` is called after each reading with what it found."""

    def __init__(
        self,
        client: Client,
        device: EndDevice,
        abilities: Abilities,
        book: EventBook,
        on_update: Callable[[Found], None] | None = None,
    ) -> None:
        self.book = book
        self.poll_rate_s = 0
        self._client = client
        self._device = device
        self._reader = ProgramReader(client, device, abilities)
        self._on_update = on_update
        self._changed = asyncio.Event()
        self._listener: NotificationListener | None = None
        self._subscriptions: dict[str, str] = {}

    async def refresh(
        self, start: float | None = None, end: float | None = None, *, now: float | None = None, within: bool = False
    ) -> Found:
        """Read the programs once: prices that bear on [start, end), from now and a day ahead unless told otherwise.

        With `within`, events outside of that time are left out as well.
        """
        moment = self._client.now() if now is None else now
        first, last = moment if start is None else start, moment + HORIZON_S if end is None else end
        found = await self._reader.read(first, last)
        if within:
            found.candidates = [c for c in found.candidates if _overlaps(c, first, last, self.book.seed)]
        self.book.update(found, moment)
        self.poll_rate_s = found.poll_rate_s
        if self._listener is not None:
            await self._subscribe(found.watched)
        if self._on_update is not None:
            self._on_update(found)
        return found

    async def respond(self, now: float | None = None) -> int:
        """Post the responses that are due and return how many. One that the server refuses is not tried again."""
        moment = self._client.now() if now is None else now
        posted = 0
        for due in self.book.schedule.due(moment, self.book.seen, self.book.sent):
            try:
                await post_response(self._client, due)
                posted += 1
            except Refused as refused:
                log.warning("response %s to %s refused: %s", due.status.name, due.candidate.mrid, refused)
            self.book.sent.setdefault(due.candidate.mrid, set()).add(due.status)
        return posted

    def wake(self) -> None:
        """Make `run` read at once."""
        self._changed.set()

    def listen(self, listener: NotificationListener) -> None:
        """From the next reading on, subscribe to what is read; notifications that `listener` receives make `run` read at once."""
        self._listener = listener
        listener.on_notification = self._notified

    def _notified(self, notification: Notification) -> None:
        if notification.status:
            # The subscription has ended: the next reading makes a new one where the resource is still there.
            ended = URL(notification.subscription_uri or "").path
            self._subscriptions = {href: at for href, at in self._subscriptions.items() if URL(at).path != ended}
        self.wake()

    async def run(self) -> None:
        """Read and respond until cancelled: at the server's poll rate, jittered so that devices do not come all at once,
        when a notification comes, and when an event starts or ends. A server that does not answer is asked again later.
        """
        due_s = 0.0
        while True:
            try:
                if self._client.now() >= due_s or self._changed.is_set():
                    self._changed.clear()
                    await self.refresh()
                    jitter = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads load, guards nothing
                    due_s = self._client.now() + max(self.poll_rate_s, _SHORTEST_S) * jitter
                await self.respond()
            except NotTrusted:
                raise
            except ClientError as error:
                log.warning("programs of %s not read: %s", self._client.lfdi, error)
                due_s = max(due_s, self._client.now() + self._client.retry.max_s)
            await self._wait(due_s)

    async def _wait(self, due_s: float) -> None:
        now = self._client.now()
        changes = self.book.schedule.changes(int(now), int(due_s))
        until = min([due_s, *changes])
        try:
            await asyncio.wait_for(self._changed.wait(), max(until - now, _SHORTEST_S))
        except TimeoutError:
            pass

    async def _subscribe(self, hrefs: list[str]) -> None:
        assert self._listener is not None
        for href in hrefs:
            if href in self._subscriptions:
                continue
            try:
                self._subscriptions[href] = await subscribe(self._client, self._device, href, self._listener.uri)
            except (Refused, ProtocolError) as refused:
                # Polling goes on in any case: a refused subscription costs nothing but time.
                log.info("no subscription to %s: %s", href, refused)
                self._subscriptions[href] = ""

    async def unsubscribe(self) -> None:
        """Delete the subscriptions made here."""
        for location in filter(None, self._subscriptions.values()):
            await self._client.delete(location)
        self._subscriptions.clear()


def _overlaps(candidate: Candidate, start: float, end: float, seed: str) -> bool:
    interval = candidate.event.interval
    if interval is None or interval.start is None or interval.duration is None:
        return False
    begin, finish = effective_period(candidate.event, seed)
    return begin < end and finish > start


def _called_off(candidate: Candidate) -> bool:
    status = candidate.event.event_status
    return status is not None and (status.current_status or 0) >= EventStatusCode.CANCELLED


def _cancelled(event: Any, now: int) -> Any:
    return replace(event, event_status=EventStatus(current_status=EventStatusCode.CANCELLED, date_time=now))

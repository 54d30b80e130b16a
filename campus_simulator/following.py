"""A meter that follows its programs: reads them, answers events, and tells the server how its building is doing.

A server may lack any of the function sets used here: what it refuses is not offered again in the same session, and never keeps a
meter from posting its readings.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from ieee2030_5.client import Client, ClientError, NotTrusted, Refused
from ieee2030_5.client.notifications import NotificationListener
from ieee2030_5.client.programs import Found
from ieee2030_5.client.watch import EventBook, Watch
from ieee2030_5.events import PRICE, Course
from ieee2030_5.resources import DER, DERList, EndDevice, Link, TextMessage

from . import der
from .meter import Series
from .models import Building, Site, Window
from .orders import NO_ORDERS, Orders, abilities_of, orders_of

log = logging.getLogger(__name__)

REPORT_S = 300
"""How often a meter tells its status where the list of its DER has no pollRate."""


@dataclass(slots=True)
class Following:
    """What a meter remembers of being controlled, from one connection to the next."""

    book: EventBook
    logged: set[tuple[str, int]] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    """Addresses and identifiers of what is told once: capabilities, load shed availability, requests."""
    reported_s: float = float("-inf")


class Follower:
    """Follows the programs of one connected meter. Calls raise `NotTrusted`; other failures are logged and left for later."""

    def __init__(self, client: Client, device: EndDevice, building: Building, site: Site, following: Following) -> None:
        self._client, self._device = client, device
        self._building, self._site = building, site
        self._following = following
        self._watch = Watch(client, device, abilities_of(building), following.book, self._programs_read)
        self._der: DER | None = None
        self._report_every_s = REPORT_S
        self._refused: set[str] = set()
        self._load_programs: list[str] = []
        self._running: asyncio.Task[None] | None = None

    async def describe(self, at_s: int) -> None:
        """Tell once what the building's inverter and battery can do, as of `at_s`."""

        async def tell() -> None:
            link = self._device.der_list_link
            if link is not None and link.href and link.all != 0:
                page = await self._client.read_list(link.href, DERList)
                self._der = page.items[0] if page.items else None
                self._report_every_s = page.poll_rate_s or REPORT_S
            if self._der is not None and "der" not in self._following.told:
                await self._put(self._der.der_capability_link, der.capability(self._building))
                await self._put(self._der.der_settings_link, der.settings(self._building, at_s))
                self._following.told.add("der")

        await self._tolerant("description", tell)

    async def orders(self, window: Window) -> Orders:
        """Read the programs once, as if at the start of `window`, and return what holds in it; nothing if they cannot be read."""

        async def read() -> None:
            await self._watch.refresh(window.start_s, window.end_s, now=window.start_s, within=True)

        await self._tolerant("programs", read)
        return orders_of(self._following.book, self._building, window.start_s, window.end_s, window.interval_s)

    async def conclude(self, series: Series, orders: Orders) -> None:
        """After a window: answer its events and report, as of its end."""
        await self._tolerant("responses", lambda: self._watch.respond(series.window.end_s))
        await self._after(series, orders, series.window.end_s)
        await self._report(series, orders)

    def start(self, listener: NotificationListener | None = None) -> None:
        """Keep the programs current in the background, by notifications besides polling where there is a listener."""
        if listener is not None:
            self._watch.listen(listener)
        self._running = asyncio.create_task(self._watch.run(), name=f"programs of {self._client.lfdi}")
        self._running.add_done_callback(_log_failure)

    async def stop(self) -> None:
        """End what `start` began."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            self._running = None

    async def interval_done(self, series: Series, orders: Orders) -> None:
        """After a live interval: log what began and ended, and report where it is time to."""
        end = series.window.end_s
        await self._after(series, orders, end)
        if end - self._following.reported_s >= self._report_every_s:
            await self._report(series, orders)

    async def _after(self, series: Series, orders: Orders, now: int) -> None:
        await self._tolerant("log events", lambda: self._log(now))
        await self._tolerant("load shed availability", self._offer_load)
        await self._tolerant("flow reservation", lambda: self._reserve(series))

    async def _report(self, series: Series, orders: Orders) -> None:
        async def report() -> None:
            last = orders.at(series.window.end_s - series.window.interval_s)
            if self._der is not None:
                await self._put(self._der.der_status_link, der.status(self._building, series, last))
                await self._put(self._der.der_availability_link, der.availability(self._building, series))
            await self._put(self._device.power_status_link, der.power_status(self._building, series))

        await self._tolerant("status", report)
        self._following.reported_s = series.window.end_s

    async def _log(self, now: int) -> None:
        link = self._device.log_event_list_link
        for mrid, course in list(self._following.book.schedule.courses.items()):
            for code, at in _transitions(course, now, self._following.book.seen.get(mrid, now)):
                if (mrid, code) not in self._following.logged:
                    await self._post(link, der.log_event(course, code, at))
                    self._following.logged.add((mrid, code))

    async def _offer_load(self) -> None:
        for href in self._load_programs:
            if href not in self._following.told:
                await self._post(self._device.load_shed_availability_list_link, der.load_shed(self._building, href))
                self._following.told.add(href)

    async def _reserve(self, series: Series) -> None:
        for request in der.evening_requests(self._building, self._site, series, self._client.lfdi):
            assert request.mrid is not None
            if request.mrid not in self._following.told:
                await self._post(self._device.flow_reservation_request_list_link, request)
                self._following.told.add(request.mrid)

    def _programs_read(self, found: Found) -> None:
        self._load_programs = [program.href for program in found.load_programs if program.href]

    async def _put(self, link: Link | None, document: Any) -> None:
        await self._offer(link, document, self._client.put)

    async def _post(self, link: Link | None, document: Any) -> None:
        await self._offer(link, document, self._client.post)

    async def _offer(self, link: Link | None, document: Any, send: Callable[[str, Any], Awaitable[Any]]) -> None:
        if link is None or not link.href or link.href in self._refused:
            return
        try:
            await send(link.href, document)
        except Refused as refused:
            self._refused.add(link.href)
            log.info("%s not taken: %s", type(document).__name__, refused)

    async def _tolerant(self, what: str, act: Callable[[], Awaitable[Any]]) -> None:
        try:
            await act()
        except NotTrusted:
            raise
        except ClientError as error:
            log.warning("%s of %s: %s", what, self._building.meter_id, error)


def new_following(lfdi: str) -> Following:
    """The memory of a meter that has not been controlled yet. Its random choices follow from its LFDI."""
    return Following(EventBook(lfdi))


def orders_known(following: Following | None, building: Building, start_s: int, interval_s: int) -> Orders:
    """What holds in the interval at `start_s`, of what the meter knew by then."""
    if following is None:
        return NO_ORDERS
    return orders_of(following.book, building, start_s, start_s + interval_s, interval_s, as_known=True)


def _transitions(course: Course, now: int, seen: int) -> list[tuple[int, int]]:
    """(code, time) of the beginning and the end of a control that the meter followed; messages and prices are none."""
    event = course.candidate.event
    if not course.runs or course.end <= seen or isinstance(event, TextMessage) or PRICE in course.candidate.targets:
        return []
    found = [(der.ENTERED, max(course.start, seen))] if course.start <= now else []
    return [*found, (der.LEFT, course.end)] if course.end <= now else found


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("%s stopped", task.get_name(), exc_info=task.exception())

"""One meter's session with the server: discovery, registration, posting."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from ieee2030_5.client import Client, NotRegistered, Refused, Retry
from ieee2030_5.client.notifications import NotificationListener

from .device import mirror_usage_point
from .following import Follower, Following
from .meter import Series
from .models import Building, Site, Window
from .offers import offer
from .orders import NO_ORDERS, Orders

log = logging.getLogger(__name__)

_NOT_FOUND = 404
_ACCESS = (401, 403)


@dataclass(frozen=True, slots=True)
class Device:
    """A building's meter and its certificate and key (PEM files). With a `pin` it works for no server that shows another."""

    building: Building
    cert: Path
    key: Path
    pin: int | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """How a fleet is simulated and where it reports.

    `seed` fixes every reading; `memory_dir` is where meters remember. Live meters spread their posts over `jitter_s` after an
    interval's end, and go on where they stopped if that was at most `resume_s` ago.

    With `follow`, meters obey the controls and prices of their programs and report on their inverters and batteries; with
    `subscribe`, live ones are told of changes on a port of their own (on `listen_host`, this machine's address if None) besides
    polling for them. With `offer_band`, each meter makes a standing offer to the peer-to-peer pool for each day, at a price
    between its bounds (millionths of the currency unit per kWh).
    """

    base_url: str
    ca: Path
    site: Site
    memory_dir: Path
    seed: int = 42
    timeout_s: float = 30.0
    retry: Retry = field(default_factory=Retry)
    jitter_s: float = 3.0
    resume_s: float = 3600.0
    follow: bool = True
    subscribe: bool = False
    listen_host: str | None = None
    offer_band: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """An interval the server would not take; `start_s` in epoch seconds."""

    start_s: int
    status: int
    reason_code: int | None
    text: str


@dataclass(slots=True)
class MeterOutcome:
    """What became of a meter's intervals so far.

    `total` is None for a live meter. `posted` intervals were acknowledged, `refused` ones answered with an error; `retried`
    counts requests that had to be sent again. `failure` says why the meter stopped (or, live, why it waits) and is None while
    all is well. `clock_offset_s` is the server's time minus ours.
    """

    meter_id: str
    total: int | None = None
    posted: int = 0
    retried: int = 0
    refused: list[Refusal] = field(default_factory=list)
    failure: str | None = None
    lfdi: str | None = None
    location: str | None = None
    clock_offset_s: float = 0.0


class Session:
    """A connected meter; use it as `async with Session(...) as session`.

    Entering discovers the server from its device capability, takes its time, finds the meter's own EndDevice and posts its mirror
    usage point. With `following` the meter then follows its programs: `orders` and `conclude` do so for a window of the past,
    `follow` and `interval_done` for a live meter. Raises `ieee2030_5.client.ClientError`, or `OSError` or
    `ieee2030_5.keyfiles.PkiError` for bad certificate files.
    """

    def __init__(
        self,
        device: Device,
        options: Options,
        interval_s: int,
        outcome: MeterOutcome,
        now: Callable[[], float] = time.time,
        following: Following | None = None,
    ) -> None:
        self.outcome = outcome
        self._device = device
        self._options = options
        self._interval_s = interval_s
        self._location = ""
        self._counted = 0
        self._following = following
        self._follower: Follower | None = None
        self._offered_day: int | None = None
        self._listener: NotificationListener | None = None
        self._client = Client(
            options.base_url,
            ca=options.ca,
            cert=device.cert,
            key=device.key,
            timeout_s=options.timeout_s,
            retry=options.retry,
            clock=now,
        )

    @property
    def lfdi(self) -> str:
        """LFDI of the meter's certificate."""
        return self._client.lfdi

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        try:
            self.outcome.lfdi = self.lfdi
            self.outcome.clock_offset_s = await self._client.synchronize()
            try:
                end_device = await self._client.register(pin=self._device.pin, in_band=False)
            except NotRegistered as error:
                raise NotRegistered(f"{self.outcome.meter_id}: {error}") from None
            await self._register()
            if self._following is not None:
                building, site = self._device.building, self._options.site
                self._follower = Follower(self._client, end_device, building, site, self._following)
        except BaseException:
            self._count()
            await self._client.close()
            raise
        self._count()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._follower is not None:
            await self._follower.stop()
        if self._listener is not None:
            await self._listener.close()
        await self._client.close()

    async def orders(self, window: Window) -> Orders:
        """Describe the building to the server, and return what its programs order for a window of the past."""
        if self._follower is None:
            return NO_ORDERS
        await self._follower.describe(window.start_s)
        orders = await self._follower.orders(window)
        self._count()
        return orders

    async def conclude(self, series: Series, orders: Orders) -> None:
        """Answer and report on a window whose readings are posted."""
        if self._follower is not None:
            await self._follower.conclude(series, orders)
            await self._offer(series.window.start_s)
            self._count()

    async def follow(self) -> None:
        """Describe the building to the server and follow its programs in the background."""
        if self._follower is None:
            return
        await self._follower.describe(int(self._client.now()))
        if self._options.subscribe:
            self._listener = NotificationListener(
                self._options.base_url,
                ca=self._options.ca,
                cert=self._device.cert,
                key=self._device.key,
                host=self._options.listen_host,
                # The server tells only the host that subscribes.
                advertised=self._client.local_address,
            )
            try:
                await self._listener.start()
            except OSError as error:
                log.warning("meter %s is not notified, it polls: %s", self.outcome.meter_id, error)
                self._listener = None
        self._follower.start(self._listener)

    async def interval_done(self, series: Series, orders: Orders) -> None:
        """Log and report after a live interval whose readings are posted."""
        if self._follower is not None:
            await self._follower.interval_done(series, orders)
            await self._offer(series.window.start_s)
            self._count()

    async def _offer(self, at_s: int) -> None:
        day = at_s // 86_400
        if self._options.offer_band is not None and day != self._offered_day:
            await offer(self._client, self._device.building, at_s, self._options.offer_band, self._options.seed)
            self._offered_day = day

    async def _register(self) -> None:
        point = mirror_usage_point(self._device.building, self.lfdi, self._interval_s)
        self._location = self.outcome.location = await self._client.post_mirror_usage_point(point)

    async def send(self, document: bytes, start_s: int) -> None:
        """Post the readings of the interval that starts at `start_s` and count it as posted or refused.

        A server that has forgotten the usage point is told again, once. Raises `ClientError` where nothing was decided: no
        answer, or no access.
        """
        try:
            try:
                await self._client.post_readings(self._location, document)
            except Refused as refused:
                if refused.status != _NOT_FOUND:
                    raise
                await self._register()
                await self._client.post_readings(self._location, document)
        except Refused as refused:
            if refused.status in _ACCESS:
                raise
            self.outcome.refused.append(Refusal(start_s, refused.status, refused.reason_code, refused.text))
        else:
            self.outcome.posted += 1
        finally:
            self._count()

    def _count(self) -> None:
        self.outcome.retried += self._client.retries - self._counted
        self._counted = self._client.retries

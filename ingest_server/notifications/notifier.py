"""The loop that tells subscribers what changed: gather, render as the subscriber would read it, post, try again later."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
from collections.abc import Mapping

from sqlalchemy.exc import SQLAlchemyError

from ieee2030_5.enums import NotificationStatus
from ieee2030_5.function_sets import find
from ieee2030_5.resources import Notification, Resource, Subscription
from ieee2030_5.xml import decode, encode, parse

from ..access import Peer
from ..operational.registry import Device
from ..operational.resources import StoredResource
from ..rendering import View, render
from ..replies import MAX_LIMIT, Page, Refusal
from ..state import State
from .outbox import Due, Outbox, subscription_of
from .post import NotDelivered, Sender, WrongReceiver

log = logging.getLogger(__name__)

GIVE_UP = dt.timedelta(hours=24)
"""A subscriber that could not be reached for so long has its subscription ended; it may subscribe again."""
_POLL_S = 1.0
_AT_ONCE = 16
_GONE = (404, 410)


class Notifier:
    """Delivers notifications until it is cancelled. One runs at a time, whatever the number of workers."""

    def __init__(self, state: State, outbox: Outbox, sender: Sender, poll_s: float = _POLL_S) -> None:
        self._state = state
        self._outbox = outbox
        self._sender = sender
        self._poll_s = poll_s

    async def run(self) -> None:
        """Gather and deliver, again and again."""
        while True:
            try:
                await self.step()
            except SQLAlchemyError:
                log.exception("notifications wait for their tables")
            await asyncio.sleep(self._poll_s)

    async def step(self) -> int:
        """Deliver what is due now; returns how many notifications arrived."""
        now = self._state.now()
        while await asyncio.to_thread(self._outbox.gather, now):
            pass
        due = await asyncio.to_thread(self._outbox.due, now)
        gate = asyncio.Semaphore(_AT_ONCE)

        async def deliver(notification: Due) -> bool:
            async with gate:
                return await self._deliver(notification, now)

        return sum(await asyncio.gather(*(deliver(notification) for notification in due)))

    async def _deliver(self, due: Due, now: dt.datetime) -> bool:
        state = self._state
        row = await asyncio.to_thread(state.resources.get, due.subscription_path)
        device = await asyncio.to_thread(state.registry.by_lfdi, row.owner) if row is not None else None
        if row is None or device is None or not device.in_force(now):
            await asyncio.to_thread(self._outbox.dropped, due)
            return False
        subscription = subscription_of(row)
        uri = subscription.notification_uri or ""
        fields = {"subscription": row.path, "resource": due.subscribed_path, "to": uri}
        try:
            status = await self._sender.post(uri, await self._body(due, subscription, device), device.lfdi)
        except WrongReceiver as error:
            await state.access.report("foreign_notification", lfdi=device.lfdi, remote=uri, detail=str(error))
            await self._failed(due, row, now, fields | {"reason": str(error)})
        except NotDelivered as error:
            await self._failed(due, row, now, fields | {"reason": str(error)})
        else:
            if 200 <= status < 300:
                await asyncio.to_thread(self._outbox.delivered, due)
                log.info("notified", extra={"fields": {**fields, "status": status}})
                if due.removed:
                    await self._end(row, due)
                return True
            if status in _GONE:
                log.info("subscription ended: the subscriber does not know it", extra={"fields": {**fields, "status": status}})
                await self._end(row, due)
            else:
                await self._failed(due, row, now, {**fields, "status": status})
        return False

    async def _body(self, due: Due, subscription: Subscription, device: Device) -> bytes:
        """The notification, with the resource as the subscriber would read it now; without it where it cannot be read."""
        notification = Notification(
            subscribed_resource=due.subscribed_path,
            status=NotificationStatus.RESOURCE_DELETED if due.removed else NotificationStatus.DEFAULT,
            subscription_uri=due.subscription_path,
        )
        view = await self._view(due, device)
        if not due.removed:
            with contextlib.suppress(Refusal):
                notification.resource = await self._resource(due.subscribed_path, view, subscription.limit or 1)
        return encode(notification, view.extensions)

    async def _view(self, due: Due, device: Device) -> View:
        fleet = frozenset[str]()
        if device.role == "aggregator":
            fleet = await asyncio.to_thread(self._state.registry.fleet_of, device.lfdi)
        peer = Peer(device.lfdi, device.sfdi, "", device, fleet)
        parts = due.subscribed_path.split("/")
        if parts[1] == "edev" and len(parts) > 2:
            with contextlib.suppress(Refusal):
                subject = await self._state.access.subject(peer, parts[2])
                return View(peer, subject, (subject.lfdi,))
        return View(peer, None, peer.scope.lfdis)

    async def _resource(self, path: str, view: View, limit: int) -> Resource | None:
        node = find(path)
        if node is None:
            return None
        body = await render(self._state, node, view, path, Page(0, min(limit, MAX_LIMIT)))
        resource: Resource = decode(parse(body), node.cls)
        return resource

    async def _failed(self, due: Due, row: StoredResource, now: dt.datetime, fields: Mapping[str, object]) -> None:
        if now - due.created_at > GIVE_UP:
            log.warning("subscription ended: the subscriber was not reached", extra={"fields": fields})
            await self._end(row, due)
            return
        until = await asyncio.to_thread(self._outbox.failed, due, now)
        log.warning("not notified", extra={"fields": {**fields, "again_at": until.isoformat()}})

    async def _end(self, row: StoredResource, due: Due) -> None:
        await asyncio.to_thread(self._outbox.dropped, due)
        await asyncio.to_thread(self._state.resources.retract, [row.path])

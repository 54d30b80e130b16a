"""Which notifications are due: changes meet subscriptions here, and what could not be delivered waits here."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from ieee2030_5.function_sets import BY_PATH, find
from ieee2030_5.resources import Subscription
from ieee2030_5.xml import decode, document, parse

from ..operational.engine import engine_of, insert_for
from ..operational.resource_tables import CHANGES, MARKS, NOTIFICATIONS
from ..operational.resources import EVERYONE, Change, ResourceStore, StoredResource

READER = "notifications"
_BATCH = 1000
BASE_WAIT = dt.timedelta(seconds=5)
MAX_WAIT = dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Due:
    """A notification to deliver: `removed` where the resource that was subscribed to is gone."""

    subscription_path: str
    subscribed_path: str
    removed: bool
    attempts: int
    created_at: dt.datetime
    due_at: dt.datetime


class Outbox:
    """The notifications behind an SQLAlchemy URL. Thread-safe; one process gathers and delivers at a time."""

    def __init__(self, url: str, resources: ResourceStore) -> None:
        self._engine = engine_of(url)
        self._resources = resources

    def close(self) -> None:
        """Close the pooled connections."""
        self._engine.dispose()

    def gather(self, now: dt.datetime) -> int:
        """Read the changes since the last call and note a notification for each subscription they concern.

        The first call ever starts at the present: nobody was subscribed before. Returns how many changes were read.
        """
        mark = self._mark()
        changes = self._resources.changes(mark, _BATCH)
        if not changes:
            return 0
        rows = _notified(changes, self._resources.owned("Subscription"), now)
        with self._engine.begin() as connection:
            if rows:
                statement = insert_for(self._engine.dialect)(NOTIFICATIONS)
                fresh = {"removed": statement.excluded.removed, "due_at": statement.excluded.due_at, "attempts": 0}
                connection.execute(
                    statement.on_conflict_do_update(index_elements=["subscription_path"], set_=fresh), list(rows.values())
                )
            connection.execute(update(MARKS).where(MARKS.c.reader == READER).values(change_id=changes[-1].id))
        return len(changes)

    def due(self, now: dt.datetime, limit: int = 100) -> list[Due]:
        """Return notifications whose time has come, the longest waiting first."""
        query = select(NOTIFICATIONS).where(NOTIFICATIONS.c.due_at <= now).order_by(NOTIFICATIONS.c.due_at).limit(limit)
        with self._engine.connect() as connection:
            return [Due(**row._mapping) for row in connection.execute(query)]

    def delivered(self, sent: Due) -> None:
        """Forget a notification, unless the resource has changed again since it was read."""
        self._forget(sent, same=True)

    def dropped(self, sent: Due) -> None:
        """Forget a notification that is not to be delivered any more."""
        self._forget(sent, same=False)

    def failed(self, sent: Due, now: dt.datetime) -> dt.datetime:
        """Put a notification off, twice as long each time up to an hour; returns until when."""
        until = now + min(MAX_WAIT, BASE_WAIT * 2 ** min(sent.attempts, 16))
        where = (NOTIFICATIONS.c.subscription_path == sent.subscription_path, NOTIFICATIONS.c.due_at == sent.due_at)
        with self._engine.begin() as connection:
            connection.execute(update(NOTIFICATIONS).where(*where).values(attempts=sent.attempts + 1, due_at=until))
        return until

    def waiting(self) -> int:
        """Return how many notifications are not delivered yet."""
        with self._engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(NOTIFICATIONS)).scalar_one()

    def _mark(self) -> int:
        with self._engine.begin() as connection:
            mark = connection.execute(select(MARKS.c.change_id).where(MARKS.c.reader == READER)).scalar_one_or_none()
            if mark is None:
                mark = connection.execute(select(func.coalesce(func.max(CHANGES.c.id), 0))).scalar_one()
                connection.execute(insert(MARKS), {"reader": READER, "change_id": mark})
        return mark

    def _forget(self, sent: Due, *, same: bool) -> None:
        where = [NOTIFICATIONS.c.subscription_path == sent.subscription_path]
        if same:
            where.append(NOTIFICATIONS.c.due_at == sent.due_at)
        with self._engine.begin() as connection:
            connection.execute(delete(NOTIFICATIONS).where(*where))


def subscription_of(row: StoredResource) -> Subscription:
    """The subscription that a stored resource is."""
    return decode(parse(document(row.fragment)), Subscription)


def _notified(changes: list[Change], subscriptions: list[StoredResource], now: dt.datetime) -> dict[str, dict[str, Any]]:
    wanted: dict[str, list[StoredResource]] = {}
    for row in subscriptions:
        path = (subscription_of(row).subscribed_resource or "").partition("?")[0]
        wanted.setdefault(path, []).append(row)
    found: dict[str, dict[str, Any]] = {}
    for change in changes:
        for path in _concerned(change):
            for row in wanted.get(path, ()):
                if change.owner in (EVERYONE, row.owner):
                    found[row.path] = {
                        "subscription_path": row.path,
                        "subscribed_path": path,
                        "removed": change.removed and path == change.path,
                        "attempts": 0,
                        "created_at": now,
                        "due_at": now,
                    }
    return found


def _concerned(change: Change) -> list[str]:
    """Addresses of what a change shows in: the resource, its list, and the list of active events beside that."""
    paths = [change.path]
    if change.list_path:
        paths.append(change.list_path)
        node = find(change.list_path)
        above, _, name = change.list_path.rpartition("/")
        template = node.parent if node is not None else None
        paths += [
            f"{above}/{other.path.rpartition('/')[2]}"
            for other in BY_PATH.values()
            if other.active_of == name and other.parent == template
        ]
    return paths

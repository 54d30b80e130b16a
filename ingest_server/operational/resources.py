"""The published resources: what assets and operators publish for devices, and what devices put there themselves.

The server renders, pages and orders rows of this store and knows nothing of what they mean. Publishing is idempotent: a row whose
content is the same is left alone, and only what changed leaves a trace for subscribers.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, func, insert, or_, select

from ieee2030_5.function_sets import BY_PATH, NODES, Node, find
from ieee2030_5.namespaces import CSIP_AUS
from ieee2030_5.ordering import sort_key
from ieee2030_5.xml import encode_fragment

from .engine import engine_of, insert_for
from .resource_tables import CHANGES, RESOURCES

EVERYONE = ""
ALL_EXTENSIONS = frozenset({CSIP_AUS})
_CANCELLED = (2, 3, 4)
"""EventStatus.currentStatus: cancelled, cancelled with randomization, superseded."""
_LAST = (1 << 63) - 1
_CHUNK = 500
_KEEP_CHANGES = dt.timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Publication:
    """A resource for an address. `owner` is the LFDI of the device that may see it, empty for every device."""

    path: str
    resource: Any
    owner: str = EVERYONE


@dataclass(frozen=True, slots=True)
class StoredResource:
    """A row of `resources`; times of events are epoch seconds."""

    path: str
    owner: str
    list_path: str
    kind: str
    sort_key: str
    at: int | None
    starts_at: int | None
    ends_at: int | None
    event_status: int | None
    extended: bool
    fragment: str
    sha256: str
    created_at: dt.datetime
    updated_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Listed:
    """An item of a list, without its content; times are epoch seconds."""

    path: str
    owner: str
    at: int | None
    ends_at: int | None
    event_status: int | None


@dataclass(frozen=True, slots=True)
class Change:
    """A row of `resource_changes`."""

    id: int
    at: dt.datetime
    path: str
    list_path: str
    owner: str
    removed: bool


class ResourceStore:
    """The published resources behind an SQLAlchemy URL. Thread-safe.

    `owners` of its methods is whose resources to look at besides everyone's; None looks at all.
    """

    def __init__(self, url: str) -> None:
        self._engine = engine_of(url)

    def close(self) -> None:
        """Close the pooled connections."""
        self._engine.dispose()

    def publish(self, publications: Iterable[Publication]) -> list[str]:
        """Insert or overwrite resources and return the addresses whose content changed.

        Sets each resource's `href` to its address. Raises `ValueError` for an address that is none of `function_sets.NODES`, or
        a resource of another class than the address has, and `xml.InvalidResource` for one that cannot be written.
        """
        return self._write([_row(p, dt.datetime.now(dt.UTC)) for p in publications], remove=None)

    def changed(self, publications: Iterable[Publication]) -> list[Publication]:
        """Return those that `publish` would write: new ones, and those whose content or owner differs. Raises as `publish`."""
        items = list(publications)
        now = dt.datetime.now(dt.UTC)
        rows = [_row(item, now) for item in items]
        with self._engine.connect() as connection:
            known = _known(connection, [row["path"] for row in rows])
        return [item for item, row in zip(items, rows, strict=True) if known.get(row["path"]) != (row["sha256"], row["owner"])]

    def replace(self, list_path: str, publications: Iterable[Publication], owners: Collection[str] | None = None) -> list[str]:
        """Make a list hold exactly these items, in one transaction; returns the addresses that changed or went.

        Only items of `owners` (all where None) are removed; what stood below a removed item goes with it. Raises as `publish`,
        and `ValueError` for an item of another list.
        """
        rows = [_row(p, dt.datetime.now(dt.UTC)) for p in publications]
        strangers = [row["path"] for row in rows if row["list_path"] != list_path]
        if strangers:
            raise ValueError(f"not items of {list_path}: {', '.join(strangers[:3])}")
        gone = RESOURCES.c.list_path == list_path
        if owners is not None:
            gone = and_(gone, RESOURCES.c.owner.in_(list(owners)))
        return self._write(rows, remove=gone)

    def retract(self, paths: Collection[str]) -> list[str]:
        """Remove resources and what stands below them; returns the addresses that went."""
        removed: list[str] = []
        with self._engine.begin() as connection:
            for path in paths:
                removed += _remove(connection, _below(path))
        return removed

    def expire(self, kinds: Collection[str], before: int) -> list[str]:
        """Remove resources of these kinds whose time (`at`) is before an epoch second; returns the addresses that went.

        What stands below them stays, unless it is of the kinds too.
        """
        with self._engine.begin() as connection:
            return _remove(connection, and_(RESOURCES.c.kind.in_(list(kinds)), RESOURCES.c.at < before))

    def listed(self, list_path: str) -> list[Listed]:
        """Return every item of a list, whoever owns it and whether or not it has ended, by address."""
        columns = [RESOURCES.c[name] for name in ("path", "owner", "at", "ends_at", "event_status")]
        query = select(*columns).where(RESOURCES.c.list_path == list_path).order_by(RESOURCES.c.path)
        with self._engine.connect() as connection:
            return [Listed(**row._mapping) for row in connection.execute(query)]

    def latest(self, list_path: str) -> int | None:
        """Return the latest time (`at`, epoch seconds) of a list's items, None where it has none."""
        query = select(func.max(RESOURCES.c.at)).where(RESOURCES.c.list_path == list_path)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar_one()

    def get(self, path: str, owners: Collection[str] | None = None) -> StoredResource | None:
        """Return the resource at an address, or None where there is none or it is another's."""
        query = select(RESOURCES).where(RESOURCES.c.path == path, _visible(owners))
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else StoredResource(**row._mapping)

    def page(
        self,
        list_path: str,
        owners: Collection[str] | None,
        *,
        now: int,
        start: int = 0,
        limit: int | None = None,
        after: int | None = None,
        active: bool = False,
    ) -> tuple[int, list[StoredResource]]:
        """Return how many items a list has and those from `start`, in the list's order.

        Events that have ended are not shown. `after` keeps items later than that time, `active` events in progress.
        """
        where = _listed(list_path, owners, now, active)
        if after:
            where = and_(where, or_(RESOURCES.c.at.is_(None), RESOURCES.c.at > after))
        query = select(RESOURCES).where(where).order_by(RESOURCES.c.sort_key, RESOURCES.c.path).offset(start).limit(limit)
        with self._engine.connect() as connection:
            total = connection.execute(select(func.count()).select_from(RESOURCES).where(where)).scalar_one()
            rows = connection.execute(query).all() if total > start and limit != 0 else []
        return total, [StoredResource(**row._mapping) for row in rows]

    def counts(self, list_paths: Collection[str], owners: Collection[str] | None, *, now: int) -> dict[str, int]:
        """Return how many items each list shows."""
        active = {path: _base_of(path) for path in list_paths}
        found: dict[str, int] = {}
        with self._engine.connect() as connection:
            for plain in (True, False):
                wanted = {path: base for path, base in active.items() if (path == base) is plain}
                if not wanted:
                    continue
                where = _listed(list(wanted.values()), owners, now, not plain)
                query: Select[Any] = select(RESOURCES.c.list_path, func.count()).where(where).group_by(RESOURCES.c.list_path)
                totals = dict(connection.execute(query).tuples().all())
                found.update({path: totals.get(base, 0) for path, base in wanted.items()})
        return found

    def owned(self, kind: str) -> list[StoredResource]:
        """Return every resource of a kind, by address."""
        query = select(RESOURCES).where(RESOURCES.c.kind == kind).order_by(RESOURCES.c.path)
        with self._engine.connect() as connection:
            return [StoredResource(**row._mapping) for row in connection.execute(query)]

    def changes(self, after: int = 0, limit: int = 1000) -> list[Change]:
        """Return changes with an id above `after`, oldest first."""
        query = select(CHANGES).where(CHANGES.c.id > after).order_by(CHANGES.c.id).limit(limit)
        with self._engine.connect() as connection:
            return [Change(**row._mapping) for row in connection.execute(query)]

    def last_change(self) -> int:
        """Return the id of the latest change, 0 before the first."""
        with self._engine.connect() as connection:
            return connection.execute(select(func.max(CHANGES.c.id))).scalar_one() or 0

    def prune_changes(self, before: dt.datetime | None = None) -> int:
        """Forget changes older than `before` (a week ago unless given); returns how many."""
        limit = before or dt.datetime.now(dt.UTC) - _KEEP_CHANGES
        with self._engine.begin() as connection:
            return connection.execute(delete(CHANGES).where(CHANGES.c.at < limit)).rowcount

    def _write(self, rows: list[dict[str, Any]], remove: ColumnElement[bool] | None) -> list[str]:
        by_path = {row["path"]: row for row in rows}
        with self._engine.begin() as connection:
            known = _known(connection, list(by_path))
            gone: list[str] = []
            if remove is not None:
                present = connection.execute(select(RESOURCES.c.path).where(remove)).scalars().all()
                for path in present:
                    if path not in by_path:
                        gone += _remove(connection, _below(path))
            changed = [row for path, row in by_path.items() if known.get(path) != (row["sha256"], row["owner"])]
            if changed:
                statement = insert_for(self._engine.dialect)(RESOURCES)
                updated = {n: statement.excluded[n] for n in changed[0] if n not in ("path", "created_at")}
                connection.execute(statement.on_conflict_do_update(index_elements=["path"], set_=updated), changed)
                _trace(connection, changed, removed=False)
        return [*gone, *(row["path"] for row in changed)]


def _row(publication: Publication, now: dt.datetime) -> dict[str, Any]:
    path, resource = publication.path, publication.resource
    node = find(path)
    if node is None:
        raise ValueError(f"no such resource: {path}")
    kind = type(resource).__name__
    if kind != node.type and kind not in node.accepts:
        raise ValueError(f"{path} is a {node.type}, not a {kind}")
    resource.href = path
    fragment = encode_fragment(resource, ALL_EXTENSIONS)
    start, end = _span(resource)
    return {
        "path": path,
        "owner": publication.owner,
        "list_path": _list_of(node, path),
        "kind": kind,
        "sort_key": sort_key(resource),
        "at": _time_of(resource),
        "starts_at": start,
        "ends_at": end,
        "event_status": getattr(getattr(resource, "event_status", None), "current_status", None),
        "extended": fragment != encode_fragment(resource),
        "fragment": fragment,
        "sha256": hashlib.sha256(fragment.encode()).hexdigest(),
        "created_at": now,
        "updated_at": now,
    }


def _known(connection: Any, paths: list[str]) -> dict[str, tuple[str, str]]:
    """Hash and owner of those of the addresses where something is."""
    known: dict[str, tuple[str, str]] = {}
    for chunk in _chunks(paths):
        query = select(RESOURCES.c.path, RESOURCES.c.sha256, RESOURCES.c.owner).where(RESOURCES.c.path.in_(chunk))
        known.update({path: (sha256, owner) for path, sha256, owner in connection.execute(query).tuples()})
    return known


def _list_of(node: Node, path: str) -> str:
    above = path.rpartition("/")[0]
    parent = BY_PATH.get(node.parent or "")
    return above if parent is not None and parent.is_list and parent.item == node.type else ""


def _base_of(list_path: str) -> str:
    """The list whose rows a list shows: its own, or those of the list it shows the active events of."""
    node = find(list_path)
    return f"{list_path.rpartition('/')[0]}/{node.active_of}" if node is not None and node.active_of else list_path


def _span(resource: Any) -> tuple[int | None, int | None]:
    """First and last moment of an event or a billing period, whatever the randomisation of either end."""
    interval = getattr(resource, "interval", None)
    if interval is None or interval.start is None or not (hasattr(resource, "event_status") or hasattr(resource, "bill_to_date")):
        return None, None
    early = min(0, getattr(resource, "randomize_start", None) or 0)
    late = max(0, getattr(resource, "randomize_start", None) or 0) + max(0, getattr(resource, "randomize_duration", None) or 0)
    # A time is an Int64 and so is a column, but not the sum of one and a duration.
    return max(interval.start + early, -_LAST), min(interval.start + (interval.duration or 0) + late, _LAST)


def _time_of(resource: Any) -> int | None:
    for name in ("interval", "interval_requested", "time_period"):
        period = getattr(resource, name, None)
        if period is not None:
            return period.start  # type: ignore[no-any-return]
    return getattr(resource, "created_date_time", None) or getattr(resource, "creation_time", None)


def _visible(owners: Collection[str] | None) -> ColumnElement[bool]:
    if owners is None:
        return RESOURCES.c.path.is_not(None)
    return RESOURCES.c.owner.in_([EVERYONE, *owners])


def _listed(paths: str | list[str], owners: Collection[str] | None, now: int, active: bool) -> ColumnElement[bool]:
    one = isinstance(paths, str)
    place = RESOURCES.c.list_path == paths if one else RESOURCES.c.list_path.in_(paths)
    # A billing period is no event: it has a status of its own, and past ones are what bills are made of.
    current = or_(RESOURCES.c.ends_at.is_(None), RESOURCES.c.ends_at > now)
    if active:
        status = or_(RESOURCES.c.event_status.is_(None), RESOURCES.c.event_status.not_in(_CANCELLED))
        return and_(place, _visible(owners), RESOURCES.c.starts_at <= now, current, status)
    return and_(place, _visible(owners), or_(current, RESOURCES.c.kind == "BillingPeriod"))


def _below(path: str) -> ColumnElement[bool]:
    node = find(path)
    if node is not None and not any(other.path.startswith(f"{node.path}/") for other in NODES):
        return RESOURCES.c.path == path
    prefix = f"{path}/"
    # Not LIKE: SQLite's does not tell cases apart.
    return or_(RESOURCES.c.path == path, func.substr(RESOURCES.c.path, 1, len(prefix)) == prefix)


def _remove(connection: Any, where: ColumnElement[bool]) -> list[str]:
    columns = select(RESOURCES.c.path, RESOURCES.c.list_path, RESOURCES.c.owner).where(where)
    rows: list[Mapping[str, Any]] = [dict(row._mapping) for row in connection.execute(columns)]
    if rows:
        connection.execute(delete(RESOURCES).where(where))
        _trace(connection, rows, removed=True)
    return [row["path"] for row in rows]


def _trace(connection: Any, rows: Iterable[Mapping[str, Any]], *, removed: bool) -> None:
    now = dt.datetime.now(dt.UTC)
    values = [{"at": now, "removed": removed, **{n: row[n] for n in ("path", "list_path", "owner")}} for row in rows]
    connection.execute(insert(CHANGES), values)


def _chunks(items: list[str]) -> Iterable[list[str]]:
    return (items[i : i + _CHUNK] for i in range(0, len(items), _CHUNK))

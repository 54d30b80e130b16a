"""Forgetting an owner: the name is gone everywhere, device data of the time of ownership is gone, and no settled sum changes.

What goes: name and contact; telemetry and device documents of the owner's meters; the bodies of their raw messages, in the lake
and in landing segments. What stays: readings' energy, energy at every length, trades, certificates, settlement, and of each
message its id, hash and outcome, so that an auditor can still show what was counted. The lake's history before the erasure goes
too, because it would show what was erased.

Messages of hours that may still be derived again are left until they no longer are: `finish` erases the rest, from the nightly
maintenance.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass

from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.contracts import core, ops, raw
from gridtokenx_pipeline.warehouse import Warehouse
from gridtokenx_pipeline.warehouse.maintenance import change, maintain

from .owners import Owner, Owners, Ownership
from .removed import REMOVED
from .retention import DOCUMENTS, delete_rows, remove_bodies

# The five-minute line reads the hour that runs and the one before; a message may be landed and not yet loaded.
SETTLING = dt.timedelta(hours=2)
# When what a document is about is told by itself; late ones belong to the owner of that time.
_ABOUT = {
    core.TELEMETRY.name: "measured_at",
    core.DER_DOCUMENTS.name: "coalesce(measured_at, received_at)",
    core.FLOW_RESERVATIONS.name: "coalesce(requested_at, received_at)",
    core.RESPONSES.name: "coalesce(responded_at, received_at)",
    core.LOG_EVENTS.name: "coalesce(logged_at, received_at)",
}
_NEVER = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Erased:
    """What was erased: rows by table, bodies in the lake and in landing segments. `whole` where nothing is left for later."""

    rows: dict[str, int]
    bodies: int
    landed: int
    whole: bool


def forget(
    settings: Settings,
    owner_ref: str,
    *,
    by: str,
    reason: str,
    now: dt.datetime,
    progress: Callable[[str], None] = lambda _: None,
) -> Erased:
    """Forget an owner; once more for one that is forgotten erases what could not be erased then.

    Raises `KeyError` for an unknown pseudonym, `MaintenanceFailed` or `TimeoutError` when files could not be written anew because
    others use them: then run it again.
    """
    owners = Owners(settings.operational_url)
    try:
        owners.create_all()
        progress("name and contact")
        owners.forget(owner_ref, by=by, reason=reason, now=now)
        with Warehouse(settings.warehouse_dir) as warehouse:
            # The pseudonym is the tie between the lake and the person: it goes at once, not with the next run of the marts.
            _untie(warehouse, owner_ref)
            erased = _erase(settings, warehouse, owners, owner_ref, now, progress)
            maintain(warehouse, now, dt.timedelta(0), thorough=True, progress=progress)
        progress("write the operational database anew")
        owners.write_anew()
    finally:
        owners.close()
    return erased


def unfinished(owners: Owners) -> list[Owner]:
    """Return the forgotten owners of whom something is left to erase."""
    open_refs = {ownership.owner_ref for ownership in owners.ownerships()}
    return [owner for owner in owners.owners() if owner.forgotten_at is not None and owner.owner_ref in open_refs]


def finish(settings: Settings, now: dt.datetime, progress: Callable[[str], None] = lambda _: None) -> list[Erased]:
    """Erase what was left of owners who were forgotten; files are written anew once for all of them."""
    owners = Owners(settings.operational_url)
    try:
        owners.create_all()
        if not unfinished(owners):
            return []
        with Warehouse(settings.warehouse_dir) as warehouse:
            until = _settled(settings, warehouse, now)
            due = [owner for owner in unfinished(owners) if owner.erased_until is None or owner.erased_until < until]
            if not due:
                return []
            done = [_erase(settings, warehouse, owners, owner.owner_ref, now, progress) for owner in due]
            maintain(warehouse, now, dt.timedelta(0), thorough=True, progress=progress)
        owners.write_anew()
        return done
    finally:
        owners.close()


def _settled(settings: Settings, warehouse: Warehouse, now: dt.datetime) -> dt.datetime:
    """Return the hour before which every message is examined and no run is to come that would look again."""
    marks = warehouse.read(ops.WATERMARKS, "zone = ? AND stage = 'readings'", (settings.zone,))["complete_until"]
    return min(now - SETTLING, marks[0] if len(marks) else _NEVER).replace(minute=0, second=0, microsecond=0)


def _untie(warehouse: Warehouse, owner_ref: str) -> None:
    change(warehouse, f"UPDATE {core.METERS.full_name} SET owner_ref = NULL WHERE owner_ref = ?", (owner_ref,))
    built = "SELECT count(*) FROM duckdb_columns() WHERE database_name = 'lake' AND schema_name = 'marts'"
    if warehouse.query(f"{built} AND table_name = 'dim_meter' AND column_name = 'owner_ref'").item():
        change(warehouse, "UPDATE marts.dim_meter SET owner_ref = NULL WHERE owner_ref = ?", (owner_ref,))


def _erase(
    settings: Settings, warehouse: Warehouse, owners: Owners, owner_ref: str, now: dt.datetime, progress: Callable[[str], None]
) -> Erased:
    """Erase device data of the ownerships of one owner, up to the hours that may still be derived again."""
    until = _settled(settings, warehouse, now)
    rows: Counter[str] = Counter()
    bodies = landed = 0
    ownerships = owners.ownerships(owner_ref)
    for ownership in ownerships:
        # Of an ownership that ends in the future, or that runs, nothing beyond now is known yet.
        end = min(ownership.end or until, until)
        progress(f"device data of {ownership.meter_id}")
        for table in DOCUMENTS:
            where = f"meter_id = ? AND {_ABOUT[table.name]} >= ? AND {_ABOUT[table.name]} < ? AND received_at < ?"
            rows[table.full_name] += delete_rows(warehouse, table, where, (ownership.meter_id, ownership.start, end, until))
        bodies += _remove_bodies_of(warehouse, ownership, end, now)
        landed += _empty_segments(settings, warehouse, ownership.start, end)
    whole = all(ownership.end is not None and ownership.end <= until for ownership in ownerships)
    owners.erased(owner_ref, until, whole=whole)
    return Erased(dict(rows), bodies, landed, whole)


def _remove_bodies_of(warehouse: Warehouse, ownership: Ownership, end: dt.datetime, now: dt.datetime) -> int:
    """Bodies of a meter's messages; of a message about several meters as well, which has no body for part of them."""
    span = "received_at >= ? AND received_at < ?"
    tables = (core.READINGS, core.REJECTED_READINGS)
    several = " UNION ALL ".join(f"SELECT message_id FROM {t.full_name} WHERE meter_id = ? AND {span}" for t in tables)
    where = f"{span} AND (meter_id = ? OR (meter_id = '' AND message_id IN ({several})))"
    period = (ownership.start, end)
    one = (ownership.meter_id, *period)
    return remove_bodies(warehouse, where, (*period, ownership.meter_id, *one, *one), now)


def _empty_segments(settings: Settings, warehouse: Warehouse, start: dt.datetime, end: dt.datetime) -> int:
    """Empty what has no body in the lake any more in its landing segment too; those are of hours that their writers have left."""
    gone = warehouse.query(
        f"SELECT segment, list(sequence) FROM {raw.MESSAGES.full_name} WHERE {REMOVED} AND received_at >= ? AND received_at < ? "
        "GROUP BY segment ORDER BY segment",
        (start, end),
    )
    emptied = 0
    for name, sequences in gone.iter_rows():
        path = settings.landing_dir / f"{name}.sqlite"
        if not path.exists():
            continue
        with closing(sqlite3.connect(path, timeout=20.0, isolation_level=None)) as segment:
            segment.execute("PRAGMA secure_delete=ON")
            segment.execute("BEGIN IMMEDIATE")
            sql = "UPDATE messages SET body = x'' WHERE sequence = ? AND body <> x''"
            done = segment.executemany(sql, ((sequence,) for sequence in sequences)).rowcount
            segment.execute("COMMIT")
            if done:
                segment.execute("VACUUM")
                segment.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                emptied += done
    return emptied


def total(erased: Iterable[Erased]) -> Erased:
    """Return the sum of several."""
    all_of = list(erased)
    rows: Counter[str] = Counter()
    for one in all_of:
        rows.update(one.rows)
    return Erased(dict(rows), sum(e.bodies for e in all_of), sum(e.landed for e in all_of), all(e.whole for e in all_of))

"""Whether each stage keeps up with what arrives: late is a failure, stopped is not.

A check here looks at the moment, not at an hour, and costs a query. The sensor `freshness` evaluates all of them in the code
server; the job of the same name does so by hand.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.contracts import Table, core, raw
from gridtokenx_pipeline.warehouse import Warehouse, WarehouseMissing
from ingest_server.landing.store import LandingReader, Segment, SegmentDamaged

from . import watermarks
from .resources import Stores
from .specs import key

# Two ticks: what is older and unread was passed over.
LANDING_LAG = dt.timedelta(minutes=10)
# Interval, watermark and two ticks.
ENERGY_LAG = dt.timedelta(minutes=20)
MARTS_LAG = dt.timedelta(hours=1)
# Meters post every 15 s; when none has for so long, there is nothing to be late with.
SILENCE = dt.timedelta(minutes=10)
# An operator's outage of longer than this is for the sensors of old hours, not for freshness.
WITHIN = dt.timedelta(days=7)

Finding = dict[str, Any]
BODIES: dict[str, tuple[dg.AssetKey, Callable[[Stores], Finding]]] = {}


def _check(asset: dg.AssetKey, description: str) -> Callable[[Callable[[Stores], Finding]], dg.AssetChecksDefinition]:
    def decorate(body: Callable[[Stores], Finding]) -> dg.AssetChecksDefinition:
        @dg.asset_check(asset=asset, name=body.__name__, description=description)
        def check(stores: Stores) -> dg.AssetCheckResult:
            found = body(stores)
            return dg.AssetCheckResult(
                passed=found["state"] != "late", severity=dg.AssetCheckSeverity.WARN, metadata=_metadata(found)
            )

        BODIES[body.__name__] = (asset, body)
        return check

    return decorate


def evaluations(stores: Stores) -> list[dg.AssetCheckEvaluation]:
    """Evaluate every check of freshness. Raises nothing a missing warehouse or a damaged segment would explain."""
    found = [(name, asset, body(stores)) for name, (asset, body) in BODIES.items()]
    return [
        dg.AssetCheckEvaluation(
            asset_key=asset,
            check_name=name,
            passed=finding["state"] != "late",
            severity=dg.AssetCheckSeverity.WARN,
            metadata=_metadata(finding),
        )
        for name, asset, finding in found
    ]


def _metadata(finding: Finding) -> dict[str, Any]:
    return {
        name: str(value) if isinstance(value, dt.datetime | dt.timedelta) else value
        for name, value in finding.items()
        if value is not None
    }


def _of(table: Table, description: str) -> Callable[[Callable[[Stores], Finding]], dg.AssetChecksDefinition]:
    return _check(key(table), description)


@_of(raw.MESSAGES, "No message has waited in the landing segments for more than 10 minutes.")
def landing_is_fresh(stores: Stores) -> Finding:
    """Look for a message above the high-water mark of its segment, in every segment of the last week that may hold one."""
    oldest, unread = _unread(stores)
    if oldest is None:
        newest = max((segment.hour for segment in stores.landing.segments()), default=None)
        quiet = newest is None or clock.now() - newest > dt.timedelta(hours=1) + SILENCE
        return {"state": "stopped" if quiet else "fresh", "newest_segment": newest}
    state = "late" if clock.now() - oldest > LANDING_LAG else "fresh"
    return {"state": state, "unread_segments": unread, "oldest_unread": oldest}


@_of(core.READINGS, "Everything that was loaded was parsed and validated within 10 minutes.")
def readings_are_fresh(stores: Stores) -> Finding:
    """Compare the newest message with how far the readings have come."""

    def look(warehouse: Warehouse) -> Finding:
        newest, reached = (
            _newest_message(warehouse),
            watermarks.complete_until(warehouse, stores.settings.zone, watermarks.READINGS),
        )
        unparsed = warehouse.query(
            "SELECT min(received_at) FROM raw.messages ANTI JOIN core.message_outcomes USING (message_id) WHERE received_at >= ?",
            (clock.now() - WITHIN,),
        ).item()
        finding = {"newest_message": newest, "complete_until": reached, "oldest_unparsed": unparsed}
        if unparsed is not None:
            return {"state": "late" if clock.now() - unparsed > LANDING_LAG else "fresh", **finding}
        return {"state": _quiet(newest) or "fresh", **finding}

    return _with_warehouse(stores, look)


@_of(core.ENERGY_5MIN, "While meters post, the newest 5 minutes of energy are no older than 20 minutes.")
def energy_is_fresh(stores: Stores) -> Finding:
    """Compare the newest interval of the energy with the clock."""
    return _with_warehouse(stores, lambda warehouse: _progress(stores, warehouse, "core", "energy_5min", ENERGY_LAG))


@_check(dg.AssetKey(["marts", "fct_energy_5min"]), "While meters post, the marts are no older than an hour.")
def marts_are_fresh(stores: Stores) -> Finding:
    """Compare the newest interval of the marts with the clock: a build takes in everything that had its energy by then."""
    return _with_warehouse(stores, lambda warehouse: _progress(stores, warehouse, "marts", "fct_energy_5min", MARTS_LAG))


def _progress(stores: Stores, warehouse: Warehouse, schema: str, name: str, lag: dt.timedelta) -> Finding:
    """How far a table with `interval_start` has come, where messages came before and after `lag` ago."""
    now = clock.now()
    exists = warehouse.query(
        "SELECT count(*) > 0 FROM duckdb_tables() WHERE database_name = 'lake' AND schema_name = ? AND table_name = ?",
        (schema, name),
    ).item()
    reached = (
        warehouse.query(f"SELECT max(interval_start) FROM {schema}.{name} WHERE interval_start <= ?", (now,)).item()
        if exists
        else None
    )
    newest, finding = _newest_message(warehouse), {"newest_interval": reached}
    finding["newest_message"] = newest
    oldest, _ = _unread(stores)
    if oldest is not None and now - oldest > LANDING_LAG:
        return {"state": "late", "why": "landing is", **finding}
    if quiet := _quiet(newest):
        return {"state": quiet, **finding}
    posted_before = warehouse.query(
        "SELECT count(*) > 0 FROM raw.messages WHERE received_at >= ? AND received_at < ?", (now - lag - SILENCE, now - lag)
    ).item()
    if not posted_before:
        return {"state": "fresh", "why": "meters have begun to post", **finding}
    return {"state": "late" if reached is None or now - reached > lag else "fresh", **finding}


FRESHNESS = [landing_is_fresh, readings_are_fresh, energy_is_fresh, marts_are_fresh]


def _with_warehouse(stores: Stores, look: Callable[[Warehouse], Finding]) -> Finding:
    try:
        with Warehouse(stores.settings.warehouse_dir, read_only=True) as warehouse:
            return look(warehouse)
    except WarehouseMissing:
        return {"state": "stopped", "why": "there is no warehouse yet"}


def _newest_message(warehouse: Warehouse) -> dt.datetime | None:
    return warehouse.query("SELECT max(received_at) FROM raw.messages WHERE received_at >= ?", (clock.now() - WITHIN,)).item()


def _quiet(newest: dt.datetime | None) -> str | None:
    """Say `stopped` where no meter has posted lately: nothing new can be expected of any stage."""
    return "stopped" if newest is None or clock.now() - newest > SILENCE else None


def _unread(stores: Stores) -> tuple[dt.datetime | None, int]:
    """When the oldest message was received that was not loaded, and how many segments have such; of the last week."""
    segments = [segment for segment in stores.landing.segments() if segment.hour >= clock.now() - WITHIN]
    marks: dict[str, int] = {}
    with contextlib.suppress(WarehouseMissing), Warehouse(stores.settings.warehouse_dir, read_only=True) as warehouse:
        marks = loaded_marks(warehouse, segments)
    waiting = [first for segment in segments if (first := first_unread(stores.landing, segment, marks)) is not None]
    return min(waiting, default=None), len(waiting)


def loaded_marks(warehouse: Warehouse, segments: Sequence[Segment]) -> dict[str, int]:
    """Return the highest loaded sequence of each segment that has one."""
    if not segments:
        return {}
    sql = "SELECT segment, max(sequence) FROM raw.messages WHERE received_at >= ? GROUP BY segment"
    return dict(warehouse.query(sql, (min(segment.hour for segment in segments),)).iter_rows())


def first_unread(landing: LandingReader, segment: Segment, marks: Mapping[str, int]) -> dt.datetime | None:
    """Return when the first message above the segment's mark was received; None where there is none that can be read."""
    try:
        messages = landing.read(segment, after=marks.get(segment.name, 0), limit=1)
    except (SegmentDamaged, FileNotFoundError):
        return None
    return messages[0].received_at if messages else None

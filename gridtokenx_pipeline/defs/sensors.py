"""What the tick does not cover: segments nobody read, late data, late reading types. Each asks for exactly the hours it touched.

A sensor asks for a day's hours in one run and for `HOURS_AT_ONCE` hours at a look; what is left it asks for at the next one. Its
cursor says how far it has asked, and a run's key what it was asked for, so that nothing is asked for twice.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.warehouse import Warehouse, WarehouseMissing
from ingest_server.landing.store import Segment

from . import late
from .freshness import evaluations, first_unread, loaded_marks
from .partitions import hour_key, one_run, ranges
from .resources import Stores
from .schedules import TICK, first_hour

# A day's run takes a minute or so: two days at a look keep the queue short enough for what is more urgent.
HOURS_AT_ONCE = 50
# A file's time may be a moment before the look that missed its last message.
MTIME_MARGIN_S = 600
EPOCH = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def requests(name: str, hours: Iterable[dt.datetime], why: str, job: str | None = None) -> Iterator[dg.RunRequest]:
    """Yield a run for every range of consecutive hours. `why` tells this asking from others for the same hours."""
    for first, last in ranges(hours):
        partition, tags = one_run(hour_key(first), hour_key(last))
        key = f"{name}-{hour_key(first)}-{hour_key(last)}-{why}"
        yield dg.RunRequest(run_key=key, partition_key=partition, tags={**tags, "gridtokenx/asked_by": name}, job_name=job)


def build_sensors(jobs: dict[str, UnresolvedAssetJobDefinition]) -> list[dg.SensorDefinition]:
    """Return the sensors."""

    @dg.sensor(jobs=[jobs["settle"]], minimum_interval_seconds=60)
    def late_readings(context: dg.SensorEvaluationContext, stores: Stores) -> Iterator[dg.RunRequest | dg.SkipReason]:
        """Request the event hours that readings or edits since the last look belong to, and gaps that readings have closed.

        Hours that the tick covered when the reading came are left to it.
        """
        cursor = _cursor(context)
        received, edited = (dt.datetime.fromisoformat(cursor.get(name, EPOCH.isoformat())) for name in ("received", "edited"))
        try:
            with Warehouse(stores.settings.warehouse_dir, read_only=True) as warehouse:
                readings = late.readings_since(warehouse, received, HOURS_AT_ONCE)
                edits = late.edits_since(warehouse, edited)
        except WarehouseMissing as missing:
            yield dg.SkipReason(str(missing))
            return
        now = {"received": readings.until.isoformat(), "edited": edits.until.isoformat()}
        hours = readings.hours | edits.hours
        if hours:
            yield from requests("late", hours, _digest(now), "settle")
        else:
            yield dg.SkipReason("no late readings")
        if now != cursor:
            context.update_cursor(json.dumps(now))

    @dg.sensor(jobs=[jobs["line"], jobs["settle"]], minimum_interval_seconds=300)
    def new_segments(context: dg.SensorEvaluationContext, stores: Stores) -> Iterator[dg.RunRequest | dg.SkipReason]:
        """Request the receipt hours of landing segments with unread messages that the tick will not read.

        Those are hours before the tick's, as after a restored backup or an outage of more than a week; all hours, while the
        five-minute schedule is off. When they have been read, the event hours that their late readings belong to follow.
        """
        cursor = _cursor(context)
        waiting = {dt.datetime.fromisoformat(hour) for hour in cursor.get("waiting", [])}
        covered = first_hour(stores, clock.now()) if _tick_is_on(context) else None
        segments = [s for s in stores.landing.segments() if covered is None or s.hour < covered]
        looked = clock.now()
        read: set[dt.datetime] = set()
        touched: set[dt.datetime] = set()
        try:
            with Warehouse(stores.settings.warehouse_dir, read_only=True) as warehouse:
                unread = _unread(stores, segments, loaded_marks(warehouse, segments), cursor.get("looked"), waiting)
                read = {hour for hour in waiting if hour not in unread and late.is_read(warehouse, hour)}
                touched = late.touched_by_receipts(warehouse, read)
        except WarehouseMissing:
            unread = _unread(stores, segments, {}, None, waiting)
        asked = sorted(unread)[:HOURS_AT_ONCE]
        if asked:
            yield from requests("segments", asked, _digest([unread[hour] for hour in asked]), "line")
        if touched:
            yield from requests("segments-late", touched, _digest(sorted(map(str, read))), "settle")
        if not asked and not touched:
            yield dg.SkipReason("every segment is read, or left to the tick")
        now = {"waiting": sorted(hour.isoformat() for hour in waiting - read | set(asked))}
        # What was seen but not asked for yet must be looked at again, however old its file.
        context.update_cursor(json.dumps(now | ({} if len(unread) > len(asked) else {"looked": looked.isoformat()})))

    @dg.sensor(jobs=[jobs["intake"], jobs["settle"]], minimum_interval_seconds=120)
    def late_types(context: dg.SensorEvaluationContext, stores: Stores) -> Iterator[dg.RunRequest | dg.SkipReason]:
        """Request the receipt hours of readings that were refused for want of a ReadingType which has come since.

        When none of an event hour's readings waits for it any more, the event hour follows.
        """
        waiting = {dt.datetime.fromisoformat(hour) for hour in _cursor(context).get("waiting", [])}
        try:
            with Warehouse(stores.settings.warehouse_dir, read_only=True) as warehouse:
                refused = late.types_that_came(warehouse, stores.settings.vee.late_type_s, HOURS_AT_ONCE)
        except WarehouseMissing as missing:
            yield dg.SkipReason(str(missing))
            return
        done = waiting - refused.event_hours
        if refused.receipt_hours:
            yield from requests("types", refused.receipt_hours, refused.digest, "intake")
        if done:
            yield from requests("types-late", done, _digest([context.cursor, sorted(map(str, done))]), "settle")
        if not refused.receipt_hours and not done:
            yield dg.SkipReason("no reading waits for its type")
        waiting = (waiting - done) | refused.event_hours
        context.update_cursor(json.dumps({"waiting": sorted(hour.isoformat() for hour in waiting)}))

    @dg.sensor(minimum_interval_seconds=300)
    def freshness(context: dg.SensorEvaluationContext, stores: Stores) -> dg.SensorResult:
        """Evaluate the checks of freshness here, which costs a query each where a run would cost seconds of start-up."""
        found = evaluations(stores)
        said = "; ".join(f"{evaluation.check_name}: {evaluation.metadata['state'].value}" for evaluation in found)
        return dg.SensorResult(asset_events=found, skip_reason=said)

    return [late_readings, new_segments, late_types, freshness]


def _cursor(context: dg.SensorEvaluationContext) -> dict[str, Any]:
    """The cursor as an object. One of an earlier version, or that was edited by hand into nonsense, begins again."""
    try:
        cursor = json.loads(context.cursor or "{}")
    except json.JSONDecodeError:
        cursor = {"received": context.cursor} if _is_moment(context.cursor or "") else {}
    return cursor if isinstance(cursor, dict) else {}


def _is_moment(text: str) -> bool:
    try:
        return dt.datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _tick_is_on(context: dg.SensorEvaluationContext) -> bool:
    if context.instance.schedule_storage is None:
        return False
    states = context.instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
    return any(state.instigator_name == TICK and state.is_running for state in states)


def _unread(
    stores: Stores, segments: Iterable[Segment], marks: Mapping[str, int], looked: str | None, waiting: set[dt.datetime]
) -> dict[dt.datetime, list[str]]:
    """Hours with messages above the marks: segment and mark of each. Files that nobody wrote to since the last look are passed over."""
    since = dt.datetime.fromisoformat(looked).timestamp() - MTIME_MARGIN_S if looked else 0.0
    found: dict[dt.datetime, list[str]] = {}
    for segment in segments:
        known = segment.name in marks and segment.hour not in waiting
        if known and _modified(stores.settings.landing_dir, segment.name) < since:
            continue
        if first_unread(stores.landing, segment, marks) is not None:
            found.setdefault(segment.hour, []).append(f"{segment.name}:{marks.get(segment.name, 0)}")
    return found


def _modified(directory: Path, name: str) -> float:
    files = (directory / f"{name}.sqlite", directory / f"{name}.sqlite-wal")
    return max((file.stat().st_mtime for file in files if file.exists()), default=0.0)


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

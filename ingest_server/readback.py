"""The meter readings of a mirror, made of what was landed lately: what a usage point shows (IEEE 2030.5-2018, 10.10 and 10.11).

A MirrorReadingSet becomes a ReadingSet, and readings posted without a set are gathered in one set an hour. A reading posted again
(same meter reading, set, start, localID, block and tier) replaces the earlier one. A meter reading shows what came since its
current reading type was declared. It ends where its mirror was deleted. All of this stays in the landing store either way.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from ieee2030_5.regular import single_readings
from ieee2030_5.resources import (
    DateTimeInterval,
    MirrorMeterReading,
    MirrorMeterReadingList,
    MirrorReadingSet,
    MirrorUsagePoint,
    Reading,
    ReadingType,
)
from ieee2030_5.xml import XmlError, decode, document, local_name, parse

from .landing.history import Mark, PastMessage, SqliteHistory
from .operational.meter_readings import MeterReadings, StoredReadingType
from .operational.registry import StoredMirrorUsagePoint
from .provisioning import PEN

MAX_MESSAGES = 250
"""Messages of a mirror that are read back: an hour of a post every 15 s."""
_MAX_BYTES = 2 * 1024 * 1024
_LOOK_BACK = dt.timedelta(hours=72)
_CREATION = dt.timedelta(minutes=5)
"""More than the time from the receipt of a mirror's first message to its row in the registry."""
_HOUR = dt.timedelta(hours=1)
_CACHED_MIRRORS = 8
_HOUR_S = 3600
_INT64_MIN = -(1 << 63)
_UINT32_MAX = 0xFFFF_FFFF
_MICROSECONDS = 1_000_000
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


Place = tuple[int, ...]
"""By which a reading is known within its set, and by which the set is ordered."""


@dataclass(slots=True)
class SetReadBack:
    """A set of readings: `id` is its path element.

    `readings`, without href, are in order of localID, block, tier, then start, each behind these: its place.
    """

    id: str
    mrid: str
    period: DateTimeInterval
    description: str | None = None
    version: int | None = None
    readings: list[tuple[Place, Reading]] = field(default_factory=list)


@dataclass(slots=True)
class MeterReadBack:
    """A meter reading: `id` is its path element, `sets` are the latest first, `latest` is the reading that started last."""

    id: str
    mrid: str
    description: str | None = None
    version: int | None = None
    reading_type: ReadingType | None = None
    sets: list[SetReadBack] = field(default_factory=list)
    latest: Reading | None = None


def meter_reading_id(mrid: str) -> str:
    """Return the path element of a meter reading: six characters, the same for ever."""
    return _short_id(mrid, 6)


def reading_id(place: Place) -> str:
    """Return the path element of a reading within its set: eight characters."""
    return _short_id(repr(place), 8)


@lru_cache(maxsize=65_536)
def _short_id(text: str, length: int) -> str:
    # Six bits a character: clients in the field keep a list's address in 64 bytes.
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()[:6])[:length].decode()


class ReadBack:
    """Reads mirrors back. Thread-safe, and blocking: it opens files and parses what may be hundreds of messages."""

    def __init__(self, history: SqliteHistory, meter_readings: MeterReadings) -> None:
        self._history = history
        self._meter_readings = meter_readings
        self._gate = threading.Lock()
        self._views: OrderedDict[str, tuple[_Basis, list[MeterReadBack]]] = OrderedDict()

    def meter_readings(self, mirror: StoredMirrorUsagePoint, now: dt.datetime) -> list[MeterReadBack]:
        """Return the meter readings of a mirror by mRID, descending: all that is acknowledged by now, within the bounds."""
        versions = self._meter_readings.versions([mirror.mup_id])
        paths = (f"/mup/{mirror.mup_id}", "/mup")
        # Marked before it is read: what arrives in between is read once too often rather than not at all. A message of the
        # last hour may still land when its successor has begun.
        marks = self._history.marks(mirror.lfdi, paths, since=now - _HOUR)
        basis = _Basis(mirror.created_at, marks, versions)
        with self._gate:
            known = self._views.get(mirror.mup_id)
        if known is not None and known[0] == basis:
            back = known[1]
        else:
            # What came well before the mirror was made belongs to one of the same mRID that was deleted.
            since = max(now - _LOOK_BACK, mirror.created_at - _CREATION)
            messages = self._history.latest(mirror.lfdi, paths, since=since, limit=MAX_MESSAGES, max_bytes=_MAX_BYTES)
            earliest_us = _microseconds(since)
            back = assemble(mirror.mrid, (one for one in messages if one.received_at_us >= earliest_us), versions)
        with self._gate:
            self._views[mirror.mup_id] = basis, back
            self._views.move_to_end(mirror.mup_id)
            if len(self._views) > _CACHED_MIRRORS:
                self._views.popitem(last=False)
        return back


@dataclass(slots=True, frozen=True)
class _Basis:
    """What a view was made of: as long as it is the same, so is the view."""

    created_at: dt.datetime
    marks: tuple[Mark, ...]
    versions: list[StoredReadingType]


def assemble(mup_mrid: str, messages: Iterable[PastMessage], versions: Iterable[StoredReadingType] = ()) -> list[MeterReadBack]:
    """Return the meter readings of the mirror `mup_mrid` by mRID, descending.

    `messages` are those of its device, newest first: to the mirror, and to the list of mirrors, where others' are passed
    over. `versions` are those of its reading types, by mRID and time.
    """
    meters: dict[str, _Meter] = {}
    for version in versions:
        meter = meters.setdefault(version.mrid, _Meter(version.mrid))
        meter.declared(version)
    for message in messages:
        if message.method == "DELETE":
            break
        for posted in _posted(message, mup_mrid):
            assert posted.mrid is not None
            if posted.mrid not in meters:
                meters[posted.mrid] = _Meter(posted.mrid)
            meters[posted.mrid].add(posted, message.received_at_us)
    return [meters[mrid].finished() for mrid in sorted(meters, reverse=True)]


class _Meter:
    """A meter reading in the making; messages come newest first, so what is there already stands."""

    def __init__(self, mrid: str) -> None:
        self._back = MeterReadBack(meter_reading_id(mrid), mrid)
        self._since_us: int | None = None
        self._current: str | None = None
        self._named = False
        self._sets: dict[tuple[str, str | int], SetReadBack] = {}
        self._readings: dict[tuple[str, str | int], dict[Place, tuple[int, Reading]]] = {}

    def declared(self, version: StoredReadingType) -> None:
        """Take a version of the reading type, later than those before. Only a change shuts out what came before it."""
        if self._current is not None and version.reading_type != self._current:
            self._since_us = _microseconds(version.since)
        if version.reading_type != self._current:
            self._back.reading_type = decode(parse(document(version.reading_type)), ReadingType)
        self._current = version.reading_type
        self._back.description = version.description

    def add(self, posted: MirrorMeterReading, received_at_us: int) -> None:
        """Take what a message says of this meter reading."""
        if self._since_us is not None and received_at_us < self._since_us:
            return
        if not self._named and (posted.description is not None or posted.version is not None):
            self._named = True
            self._back.description, self._back.version = posted.description or self._back.description, posted.version
        received_at = received_at_us // _MICROSECONDS
        if posted.reading is not None:
            reading = _complete(posted.reading)
            start = _start(reading, received_at)
            hour = max(start - start % _HOUR_S, _INT64_MIN)
            key = ("hour", hour)
            if key not in self._sets:
                mrid = _server_mrid(f"{self._back.mrid}|{hour}")
                self._sets[key] = SetReadBack(_set_id(key), mrid, DateTimeInterval(start=hour, duration=_HOUR_S))
            self._put(key, reading, start)
        for mirrored in posted.mirror_reading_sets:
            self._add_set(mirrored, received_at)

    def _add_set(self, mirrored: MirrorReadingSet, received_at: int) -> None:
        readings = [_complete(reading) for reading in mirrored.readings]
        period = _period(mirrored.time_period) or _span(readings, received_at)
        assert period.start is not None
        mrid = mirrored.mrid or _server_mrid(f"{self._back.mrid}|{period.start}|{period.duration}")
        key = ("set", mrid)
        if key not in self._sets:
            self._sets[key] = SetReadBack(_set_id(key), mrid, period, mirrored.description, mirrored.version)
            self._readings[key] = {}
        for reading in readings:
            self._put(key, reading, _start(reading, period.start))

    def _put(self, key: tuple[str, str | int], reading: Reading, start: int) -> None:
        self._readings.setdefault(key, {}).setdefault(_place(reading, start), (start, reading))

    def finished(self) -> MeterReadBack:
        """Return it with its lists in the standard's order."""
        latest: tuple[int, Reading] | None = None
        for key, back in self._sets.items():
            readings = self._readings[key]
            back.readings = [(place, readings[place][1]) for place in sorted(readings)]
            for start, reading in readings.values():
                if latest is None or start > latest[0]:
                    latest = start, reading
        self._back.sets = sorted(self._sets.values(), key=lambda back: (back.period.start or 0, back.mrid), reverse=True)
        self._back.latest = latest[1] if latest is not None else None
        return self._back


def _posted(message: PastMessage, mup_mrid: str) -> Iterator[MirrorMeterReading]:
    """The mirror meter readings of a message about the mirror; nothing of a message about another or of another kind."""
    regular = single_readings(message.body)
    if regular is not None:
        yield from map(_regular, regular)
        return
    try:
        root = parse(message.body, max_bytes=len(message.body))
        name = local_name(root)
        if name == "MirrorUsagePoint":
            mirror = decode(root, MirrorUsagePoint)
            if mirror.mrid == mup_mrid:
                yield from _identified(mirror.mirror_meter_readings)
        elif name == "MirrorMeterReadingList":
            yield from _identified(decode(root, MirrorMeterReadingList).mirror_meter_readings)
        elif name == "MirrorMeterReading":
            yield from _identified([decode(root, MirrorMeterReading)])
    except XmlError:
        # What an earlier version accepted and this one does not cannot be shown; it is landed and judged elsewhere.
        return


def _identified(posted: list[MirrorMeterReading]) -> Iterator[MirrorMeterReading]:
    return (one for one in posted if one.mrid is not None)


def _regular(texts: tuple[str, str, str, str, str, str]) -> MirrorMeterReading:
    mrid, flags, duration, start, value, local_id = texts
    return MirrorMeterReading(
        mrid=mrid.upper().rjust(32, "0"),
        reading=Reading(
            quality_flags=int(flags, 16) if flags else None,
            time_period=DateTimeInterval(duration=int(duration), start=int(start)),
            value=int(value),
            local_id=int(local_id, 16) if local_id else None,
        ),
    )


def _complete(reading: Reading) -> Reading:
    """The reading as it can be served: a period is whole or left out, and attributes are the server's."""
    reading.href = reading.subscribable = None
    reading.time_period = _period(reading.time_period)
    return reading


def _period(period: DateTimeInterval | None) -> DateTimeInterval | None:
    if period is None or period.start is None:
        return None
    return period if period.duration is not None else DateTimeInterval(start=period.start, duration=0)


def _span(readings: list[Reading], received_at: int) -> DateTimeInterval:
    """The period that the readings of a set cover, for a set that does not say; an instant where they do not either."""
    periods = [(one.time_period.start or 0, one.time_period.duration or 0) for one in readings if one.time_period is not None]
    if not periods:
        return DateTimeInterval(start=received_at, duration=0)
    start = min(start for start, _ in periods)
    end = max(start + duration for start, duration in periods)
    return DateTimeInterval(start=start, duration=min(end - start, _UINT32_MAX))


def _start(reading: Reading, default: int) -> int:
    period = reading.time_period
    return default if period is None or period.start is None else period.start


def _place(reading: Reading, start: int) -> Place:
    return (
        -1 if reading.local_id is None else reading.local_id,
        -1 if reading.consumption_block is None else reading.consumption_block,
        -1 if reading.tou_tier is None else reading.tou_tier,
        start,
    )


def _server_mrid(text: str) -> str:
    """An mRID for what its device gave none, the same each time."""
    return hashlib.sha256(text.encode()).hexdigest()[:24].upper() + PEN


def _microseconds(time: dt.datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND


def _set_id(key: tuple[str, str | int]) -> str:
    return _short_id(repr(key), 7)

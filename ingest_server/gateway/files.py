"""Files of legacy readings into the landing store: JSON arrays and JSON lines, in bodies as the gateway would have received them.

The text of a reading is landed as it stands in the file. A body holds up to 100 readings of one zone; what was landed from a file
before, in whichever order, is not landed again: bodies are known by their SHA-256 among those this importer has landed.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..landing.store import LandingReader, LandingStore, RawMessage
from ..operational.gateway import LegacyMeter
from .documents import DLMS_PATH, JSON_LINES, MAX_ITEMS, NO_DEVICE, READINGS_PATH, BadDocument, LegacyReading, load, read_item

IMPORT_WORKER = 9_000
"""Worker number of the importer's landing segments; servers have nothing like as many workers."""
METHOD = "IMPORT"
_PAGE = 1_000
_SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(slots=True, frozen=True)
class Batch:
    """A body to land, the readings in it, and how many bytes of the file it accounts for."""

    body: bytes
    content_type: str
    readings: tuple[LegacyReading, ...]
    file_bytes: int


def batches(path: Path, max_items: int = MAX_ITEMS) -> Iterator[Batch]:
    """Cut a file into bodies. Raises `BadDocument` naming the first item that is not a reading; an array file is read whole."""
    with path.open("rb") as file:
        first = next((byte for byte in iter(lambda: file.read(1), b"") if not byte.isspace()), b"")
    yield from _array(path, max_items) if first == b"[" else _lines(path, max_items)


def _lines(path: Path, max_items: int) -> Iterator[Batch]:
    lines: list[bytes] = []
    readings: list[LegacyReading] = []
    with path.open("rb") as file:
        for number, line in enumerate(file):
            if not line.strip():
                continue
            text = line.rstrip(b"\r\n")
            readings.append(read_item(load(text, number), number))
            lines.append(text)
            if len(lines) == max_items:
                yield _of_lines(lines, readings)
                lines, readings = [], []
    if lines:
        yield _of_lines(lines, readings)


def _of_lines(lines: list[bytes], readings: list[LegacyReading]) -> Batch:
    body = b"\n".join(lines)
    return Batch(body, JSON_LINES, tuple(readings), len(body) + 1)


def _array(path: Path, max_items: int) -> Iterator[Batch]:
    content = path.read_bytes()
    # The whole is checked first: the cutting below relies on it.
    items = load(content)
    if not isinstance(items, list):
        raise BadDocument("an array is expected", code="invalid_json")
    slices = _slices(content.decode("utf-8"), len(items))
    for start in range(0, len(items), max_items):
        readings = tuple(read_item(items[i], i) for i in range(start, min(start + max_items, len(items))))
        texts = slices[start : start + max_items]
        body = ("[" + ",".join(texts) + "]").encode()
        yield Batch(body, "application/json", readings, len(body))


def _slices(text: str, count: int) -> list[str]:
    """The text of each item of a JSON array that is known to be one."""
    decoder = json.JSONDecoder()
    position = text.index("[") + 1
    found = []
    for _ in range(count):
        start = _skip(text, position)
        _, end = decoder.raw_decode(text, start)
        found.append(text[start:end])
        position = _skip(text, end) + 1
    return found


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def landed_bodies(reader: LandingReader) -> set[str]:
    """SHA-256 of every body that the importer has landed under a store's directory."""
    known: set[str] = set()
    for segment in reader.segments():
        if not segment.name.endswith(f"-w{IMPORT_WORKER}"):
            continue
        after = 0
        while page := reader.read(segment, after=after, limit=_PAGE):
            known.update(message.body_sha256 for message in page)
            after = page[-1].sequence
    return known


class NotImported(Exception):
    """A file of which nothing was landed; the message says why."""


@dataclass(slots=True)
class Imported:
    """What an import did: bodies landed now and known before, and the readings in them."""

    landed: int = 0
    known: int = 0
    readings: int = 0
    known_readings: int = 0


def check_file(path: Path, meter: Callable[[str], LegacyMeter | None], on_progress: Callable[[int], None]) -> None:
    """Read a file to its end before anything of it is landed. Raises `NotImported` naming the first item that cannot be taken.

    `meter` looks a meter up; all must be in the registry and of one zone. `on_progress` is told bytes as they are done.
    """
    seen: dict[str, LegacyMeter | None] = {}
    number = 0
    try:
        for batch in batches(path):
            for reading in batch.readings:
                if reading.meter_id not in seen:
                    seen[reading.meter_id] = meter(reading.meter_id)
                if seen[reading.meter_id] is None:
                    raise NotImported(f"{path}: reading {number}: meter {reading.meter_id} is not in the registry")
                number += 1
            on_progress(batch.file_bytes)
    except BadDocument as error:
        raise NotImported(f"{path}: {error}") from None
    zones = sorted({found.zone for found in seen.values() if found is not None})
    if len(zones) > 1:
        raise NotImported(f"{path}: meters of several zones: {', '.join(zones)}")
    if not number:
        raise NotImported(f"{path}: no readings")


async def import_file(
    path: Path,
    store: LandingStore,
    known: set[str],
    zone: str,
    now: Callable[[], dt.datetime],
    on_progress: Callable[[int], None],
) -> Imported:
    """Land a file that `check_file` passed; `known` (`landed_bodies`) grows by what is landed. Raises `LandingUnavailable`."""
    result = Imported()
    for batch in batches(path):
        digest = hashlib.sha256(batch.body).hexdigest()
        if digest in known:
            result.known += 1
            result.known_readings += len(batch.readings)
        else:
            meters = {reading.meter_id for reading in batch.readings}
            message = RawMessage(
                received_at=now(),
                device_lfdi=NO_DEVICE,
                method=METHOD,
                path=DLMS_PATH if batch.readings[0].shape == "dlms" else READINGS_PATH,
                content_type=batch.content_type,
                body=batch.body,
                body_sha256=digest,
                source="gateway",
                meter_id=meters.pop() if len(meters) == 1 else "",
                zone=zone,
            )
            await store.append(message)
            known.add(digest)
            result.landed += 1
            result.readings += len(batch.readings)
        on_progress(batch.file_bytes)
    return result

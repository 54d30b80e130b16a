"""One document to rows of text: which reading, of which mirror meter reading, says what; which types it declares.

Belongs here: the shapes in which IEEE 2030.5-2018 clause 10.11 lets a device post readings. Does not belong here: what the
texts mean (`parse`, `reading_types`) and whether they are believed (`vee`). Structure is read, values are not: they are cast in
columns, all messages at once. What is read therefore depends on which elements hold a text, never on the text, and `shapes`
relies on that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from gridtokenx_pipeline.domain.device_texts import DeviceText, device_texts
from ieee2030_5 import xml
from ieee2030_5.namespaces import CSIP_AUS, P2P

LIST = "MirrorMeterReadingList"
USAGE_POINT = "MirrorUsagePoint"
METER_READING = "MirrorMeterReading"
READING_SET = "MirrorReadingSet"
READING = "Reading"
READING_TYPE = "ReadingType"
_PERIOD = "timePeriod"

# Columns of a reading whose text is that of an element in the Reading.
_IN_READING = ("value", "qualityFlags", "localID", "consumptionBlock", "touTier")
READING_TEXTS = ("mrid", "duration", "start", "set_start", "value", "flags", "local_id", "block", "tier")

# Texts of a ReadingType as they are in `Rows.types`, after those of what it is in.
TYPE_CODES = (
    "accumulationBehaviour", "commodity", "dataQualifier", "flowDirection", "intervalLength", "kind", "powerOfTenMultiplier",
    "uom", "phase", "subIntervalLength", "supplyLimit", "tieredConsumptionBlocks", "numberOfConsumptionBlocks",
    "numberOfTouTiers", "maxNumberOfIntervals",
)  # fmt: skip
TYPE_QUANTITIES = ("calorificValue", "conversionFactor")
QUANTITY_PARTS = ("multiplier", "unit", "value")
TYPE_TEXTS = (
    "mrid", "mup_mrid", "description", "roleFlags", *TYPE_CODES,
    *(f"{name} {part}" for name in TYPE_QUANTITIES for part in QUANTITY_PARTS),
)  # fmt: skip

_HOLDERS = frozenset((METER_READING, READING_SET, READING, READING_TYPE, _PERIOD, *TYPE_QUANTITIES))
_NAMES = (
    "mRID", "description", "roleFlags", METER_READING, READING_SET, READING, READING_TYPE, _PERIOD, "start", "duration",
    *_IN_READING, *TYPE_CODES, *TYPE_QUANTITIES, *QUANTITY_PARTS,
)  # fmt: skip
_LOCAL = {f"{{{namespace}}}{name}": name for namespace in xml.NAMESPACES for name in _NAMES}
# What the server lands: the standard's documents, and those of the extensions, which hold no readings.
_LANDED = (*xml.NAMESPACES, CSIP_AUS, P2P)


@dataclass
class Rows:
    """What documents say, as texts. `message` is the caller's number of the message; an absent text is None.

    `readings`: (message, position from 0 in the message, set_index: place in its MirrorReadingSet or None, *READING_TEXTS).
    `types`: (message, order from 0 in the message, *TYPE_TEXTS). `devices`: documents outside metering.
    """

    readings: list[tuple[Any, ...]] = field(default_factory=list)
    types: list[tuple[Any, ...]] = field(default_factory=list)
    devices: list[DeviceText] = field(default_factory=list)


def _schema(numbers: tuple[str, ...], texts: tuple[str, ...]) -> dict[str, Any]:
    return {**dict.fromkeys(numbers, pl.Int32), **dict.fromkeys(texts, pl.String)}


READING_ROWS = _schema(("message", "position", "set_index"), READING_TEXTS)
TYPE_ROWS = _schema(("message", "order"), TYPE_TEXTS)


def read_document(body: bytes, message: int, rows: Rows) -> str:
    """Append the readings, reading types and device documents of any document and return the local name of its root.

    Understood roots of readings are MirrorUsagePoint, MirrorMeterReading, MirrorMeterReadingList, and MirrorReadingSet or Reading
    alone (whose readings then belong to no MirrorMeterReading). Raises `ieee2030_5.xml.MalformedXml` and
    `ieee2030_5.xml.UnknownNamespace`.
    """
    root = xml.parse(body, namespaces=_LANDED)
    name = xml.local_name(root)
    reader = _Reader(message, rows)
    if name == LIST:
        for child in root:
            if _LOCAL.get(child.tag) == METER_READING:
                reader.meter_reading(child)
    elif name == USAGE_POINT:
        reader.usage_point(root)
    elif name == METER_READING:
        reader.meter_reading(root)
    elif name == READING_SET:
        reader.reading_set(root, None)
    elif name == READING:
        reader.reading(root, None, None, None)
    else:
        rows.devices += device_texts(root, message)
    return name


class _Reader:
    """Reads the elements of one message, in one walk. Of an element given twice the last with a text counts."""

    def __init__(self, message: int, rows: Rows) -> None:
        self.message = message
        self.rows = rows
        self.position = 0
        self.order = 0

    def usage_point(self, element: Any) -> None:
        texts, children = _split(element)
        for name, child in children:
            if name == METER_READING:
                self.meter_reading(child, texts.get("mRID"), texts.get("roleFlags"))

    def meter_reading(self, element: Any, mup_mrid: str | None = None, role_flags: str | None = None) -> None:
        texts, children = _split(element)
        mrid = texts.get("mRID")
        for name, child in children:
            if name == READING:
                self.reading(child, mrid, None, None)
            elif name == READING_SET:
                self.reading_set(child, mrid)
            elif name == READING_TYPE and mrid:
                self.reading_type(child, mrid, mup_mrid, texts.get("description"), role_flags)

    def reading_set(self, element: Any, mrid: str | None) -> None:
        _, children = _split(element)
        set_start = next((_texts(child).get("start") for name, child in children if name == _PERIOD), None)
        readings = [child for name, child in children if name == READING]
        for index, child in enumerate(readings):
            self.reading(child, mrid, set_start, index)

    def reading(self, element: Any, mrid: str | None, set_start: str | None, set_index: int | None) -> None:
        texts: dict[str, str] = {}
        period: dict[str, str] = {}
        local = _LOCAL
        for child in element:
            name = local.get(child.tag)
            if name == _PERIOD:
                period = _texts(child)
            elif name is not None and (text := child.text) and (text := text.strip()):
                texts[name] = text
        get = texts.get
        self.rows.readings.append(
            (self.message, self.position, set_index, mrid, period.get("duration"), period.get("start"), set_start,
             get("value"), get("qualityFlags"), get("localID"), get("consumptionBlock"), get("touTier"))
        )  # fmt: skip
        self.position += 1

    def reading_type(
        self, element: Any, mrid: str, mup_mrid: str | None, description: str | None, role_flags: str | None
    ) -> None:
        texts, children = _split(element)
        quantities: dict[str, dict[str, str]] = {name: _texts(child) for name, child in children if name in TYPE_QUANTITIES}
        self.rows.types.append(
            (self.message, self.order, mrid, mup_mrid, description, role_flags, *map(texts.get, TYPE_CODES),
             *(quantities.get(name, {}).get(part) for name in TYPE_QUANTITIES for part in QUANTITY_PARTS))
        )  # fmt: skip
        self.order += 1


def _texts(element: Any) -> dict[str, str]:
    """Texts of an element's known children by name."""
    texts: dict[str, str] = {}
    local = _LOCAL
    for child in element:
        name = local.get(child.tag)
        if name is not None and (text := child.text) and (text := text.strip()):
            texts[name] = text
    return texts


def _split(element: Any) -> tuple[dict[str, str], list[tuple[str, Any]]]:
    """Texts of an element's known children by name, and the known children that hold elements, in order."""
    texts: dict[str, str] = {}
    children: list[tuple[str, Any]] = []
    local = _LOCAL
    for child in element:
        name = local.get(child.tag)
        if name in _HOLDERS:
            children.append((name, child))
        elif name is not None and (text := child.text) and (text := text.strip()):
            texts[name] = text
    return texts, children

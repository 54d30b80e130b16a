"""One metering document to rows of text: which reading, of which mirror meter reading, says what.

Belongs here: the shapes in which IEEE 2030.5-2018 clause 10.11 lets a device post readings. Does not belong here: what the
texts mean (`parse`) and whether they are believed (`vee`). Structure is read, values are not: they are cast in columns, all
messages at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gridtokenx_pipeline.domain.channels import resolve_channel
from ieee2030_5 import xml
from ieee2030_5.namespaces import CSIP_AUS, P2P
from ieee2030_5.regular import single_readings

LIST = "MirrorMeterReadingList"
USAGE_POINT = "MirrorUsagePoint"
METER_READING = "MirrorMeterReading"
READING_SET = "MirrorReadingSet"
READING = "Reading"

_NAMES = (
    "mRID", "description", "roleFlags", METER_READING, READING_SET, READING, "ReadingType", "timePeriod", "start", "duration",
    "value", "qualityFlags", "localID", "consumptionBlock", "touTier", "accumulationBehaviour", "commodity", "dataQualifier",
    "flowDirection", "intervalLength", "kind", "powerOfTenMultiplier", "uom",
)  # fmt: skip
_LOCAL = {f"{{{namespace}}}{name}": name for namespace in xml.NAMESPACES for name in _NAMES}

_TYPE_CODES = {
    "accumulationBehaviour": "accumulation_behaviour",
    "commodity": "commodity",
    "dataQualifier": "data_qualifier",
    "flowDirection": "flow_direction",
    "intervalLength": "interval_length_s",
    "kind": "kind",
    "powerOfTenMultiplier": "power_of_ten",
    "uom": "uom",
}
_INT32_MAX = 2**31 - 1
# What the server lands: the standard's documents, and those of the extensions, which hold no readings.
_LANDED = (*xml.NAMESPACES, CSIP_AUS, P2P)


@dataclass
class Rows:
    """Columns of the wire readings met so far, and the reading types declared.

    `message` is the caller's number of the message. An absent text is None; absent flags and local ids may be empty as well.
    """

    message: list[int] = field(default_factory=list)
    position: list[int] = field(default_factory=list)
    mrid: list[str | None] = field(default_factory=list)
    duration: list[str | None] = field(default_factory=list)
    start: list[str | None] = field(default_factory=list)
    value: list[str | None] = field(default_factory=list)
    set_start: list[str | None] = field(default_factory=list)
    set_index: list[int | None] = field(default_factory=list)
    flags: list[str | None] = field(default_factory=list)
    local_id: list[str | None] = field(default_factory=list)
    share: list[str | None] = field(default_factory=list)
    types: list[dict[str, Any]] = field(default_factory=list)


def read_regular(body: bytes, message: int, rows: Rows) -> bool:
    """Append the readings of a message in the form meters send most. Returns False, with `rows` untouched, for any other."""
    found = single_readings(body) if len(body) <= xml.MAX_BYTES else None
    if found is None:
        return False
    if found:
        mrid, flags, duration, start, value, local_id = zip(*found, strict=True)
        count = len(found)
        rows.message += [message] * count
        rows.position += range(count)
        rows.mrid += mrid
        rows.duration += duration
        rows.start += start
        rows.value += value
        rows.flags += flags
        rows.local_id += local_id
        rows.set_start += [None] * count
        rows.set_index += [None] * count
        rows.share += [None] * count
    return True


def read_document(body: bytes, message: int, rows: Rows) -> str:
    """Append the readings and reading types of any document and return the local name of its root.

    Understood roots are MirrorUsagePoint, MirrorMeterReading, MirrorMeterReadingList, and MirrorReadingSet or Reading alone
    (whose readings then belong to no MirrorMeterReading); a document of another function set holds none. Raises
    `ieee2030_5.xml.MalformedXml` and `ieee2030_5.xml.UnknownNamespace`.
    """
    root = xml.parse(body, namespaces=_LANDED)
    name = xml.local_name(root)
    reader = _Reader(message, rows)
    if name == USAGE_POINT:
        reader.usage_point(root)
    elif name == METER_READING:
        reader.meter_reading(root)
    elif name == LIST:
        for child in root:
            if _LOCAL.get(child.tag) == METER_READING:
                reader.meter_reading(child)
    elif name == READING_SET:
        reader.reading_set(root, None)
    elif name == READING:
        reader.reading(root, None, None, None)
    rows.types += reader.types.values()
    return name


class _Reader:
    def __init__(self, message: int, rows: Rows) -> None:
        self.message = message
        self.rows = rows
        self.position = 0
        # By mRID: a type declared twice in one message counts as declared last.
        self.types: dict[str, dict[str, Any]] = {}

    def usage_point(self, element: Any) -> None:
        texts, children = _split(element)
        mup_mrid = texts.get("mRID")
        role_flags = _whole(texts.get("roleFlags"), 16)
        for name, child in children:
            if name == METER_READING:
                self.meter_reading(child, normal_mrid(mup_mrid), role_flags)

    def meter_reading(self, element: Any, mup_mrid: str | None = None, role_flags: int | None = None) -> None:
        texts, children = _split(element)
        mrid = texts.get("mRID")
        for name, child in children:
            if name == READING:
                self.reading(child, mrid, None, None)
            elif name == READING_SET:
                self.reading_set(child, mrid)
            elif name == "ReadingType" and mrid:
                self.reading_type(child, normal_mrid(mrid), mup_mrid, role_flags, texts.get("description"))

    def reading_set(self, element: Any, mrid: str | None) -> None:
        _, children = _split(element)
        set_start = next((_split(child)[0].get("start") for name, child in children if name == "timePeriod"), None)
        readings = [child for name, child in children if name == READING]
        for index, child in enumerate(readings):
            self.reading(child, mrid, set_start, index)

    def reading(self, element: Any, mrid: str | None, set_start: str | None, set_index: int | None) -> None:
        texts, children = _split(element)
        period: dict[str, str] = {}
        for name, child in children:
            if name == "timePeriod":
                period = _split(child)[0]
        shares = [f"{name} {texts[name]}" for name in ("consumptionBlock", "touTier") if texts.get(name, "0") != "0"]
        rows = self.rows
        rows.message.append(self.message)
        rows.position.append(self.position)
        rows.mrid.append(mrid)
        rows.duration.append(period.get("duration"))
        rows.start.append(period.get("start"))
        rows.value.append(texts.get("value"))
        rows.set_start.append(set_start)
        rows.set_index.append(set_index)
        rows.flags.append(texts.get("qualityFlags"))
        rows.local_id.append(texts.get("localID"))
        rows.share.append(", ".join(shares) or None)
        self.position += 1

    def reading_type(
        self, element: Any, mrid: str | None, mup_mrid: str | None, role_flags: int | None, description: str | None
    ) -> None:
        texts, _ = _split(element)
        codes = {column: _whole(texts.get(name)) for name, column in _TYPE_CODES.items()}
        self.types[mrid or ""] = {
            "message": self.message,
            "mmr_mrid": mrid,
            "mup_mrid": mup_mrid,
            "description": description,
            "role_flags": role_flags,
            **codes,
            "channel": resolve_channel(
                description, role_flags, codes["flow_direction"], codes["uom"], codes["kind"], codes["accumulation_behaviour"]
            ),
        }


def normal_mrid(text: str | None) -> str | None:
    """An mRID at full width: 32 upper-case digits. Some clients drop leading zero bytes."""
    return text.upper().rjust(32, "0") if text else None


def _split(element: Any) -> tuple[dict[str, str], list[tuple[str, Any]]]:
    """Texts of an element's known children by name, and the known children in order."""
    texts: dict[str, str] = {}
    children: list[tuple[str, Any]] = []
    for child in element:
        name = _LOCAL.get(child.tag)
        if name is not None:
            text = (child.text or "").strip()
            if text:
                texts[name] = text
            children.append((name, child))
    return texts, children


def _whole(text: str | None, base: int = 10) -> int | None:
    """A code as an integer; None where it is missing, no number or too large for any code."""
    try:
        number = int(text or "", base)
    except ValueError:
        return None
    return number if abs(number) <= _INT32_MAX else None

"""What devices say outside metering: their DER, the energy they ask for, responses to events, their log.

A document becomes a row of columns that are asked for often, and whole it becomes a JSON object. What is missing, malformed or
out of its column's bounds is null in the column and as sent in the object: a device may write what it likes, nothing is raised.
Codes of the draft schema (`ieee2030_5.draft`) get the standard's names; its texts stay as sent, and `@xmlns` tells them apart.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

import polars as pl

from gridtokenx_pipeline.contracts.core import DER_DOCUMENTS, FLOW_RESERVATIONS, LOG_EVENTS, RESPONSES
from gridtokenx_pipeline.contracts.table import Table
from ieee2030_5 import draft, resources
from ieee2030_5.namespaces import DRAFT, PREFIXES, SEP, XSI
from ieee2030_5.resources.fields import mappings

_XSI_TYPE = f"{{{XSI}}}type"
_RESPONSES = frozenset(
    ("Response", "DERControlResponse", "DrResponse", "PriceResponse", "TextResponse", "FlowReservationResponseResponse")
)
_TABLES: dict[str, Table] = {
    **dict.fromkeys(("DERCapability", "DERSettings", "DERStatus", "DERAvailability"), DER_DOCUMENTS),
    "FlowReservationRequest": FLOW_RESERVATIONS,
    **dict.fromkeys(_RESPONSES, RESPONSES),
    "LogEvent": LOG_EVENTS,
}
_LOCAL = {f"{{{namespace}}}{name}": name for namespace in (SEP, DRAFT) for name in _TABLES}
_LISTS = frozenset(f"{{{namespace}}}{name}List" for namespace in (SEP, DRAFT) for name in _TABLES)
_INT32_MAX, _UINT32_MAX, _INT64_MAX = 2**31 - 1, 2**32 - 1, 2**63 - 1
_MILLI_WH_MAX = 10**18 - 1  # DECIMAL(18,3)
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_HUNDREDTHS = 10_000
_LARGEST_POWER = 127  # multipliers are Int8
_NUMBERS = {10: re.compile("[+-]?[0-9]{1,19}"), 16: re.compile("[0-9A-Fa-f]{1,16}")}
_HEX = re.compile("[0-9A-Fa-f]+")


class DeviceText(NamedTuple):
    """A document of the message with the caller's number `message`: its class, and its elements as texts, objects and lists."""

    message: int
    name: str
    attributes: dict[str, Any]


@dataclass(frozen=True)
class DeviceDocuments:
    """Frames of the contracts core.der_documents, core.flow_reservations, core.responses and core.log_events."""

    der_documents: pl.DataFrame
    flow_reservations: pl.DataFrame
    responses: pl.DataFrame
    log_events: pl.DataFrame


def device_texts(root: Any, message: int) -> list[DeviceText]:
    """Return the device documents in a message with the root element `root`: itself, or the items of the list that it is."""
    if root.tag in _LOCAL:
        return [_device_text(root, message)]
    if root.tag not in _LISTS:
        return []
    return [_device_text(child, message) for child in root if child.tag in _LOCAL]


def device_documents(texts: Iterable[DeviceText], headers: pl.DataFrame) -> DeviceDocuments:
    """Make the frames of device documents, in the order of `texts`.

    `headers` has message_id, received_at, zone and meter_id of each message, in the row that is its number.
    """
    tables = (DER_DOCUMENTS, FLOW_RESERVATIONS, RESPONSES, LOG_EVENTS)
    rows: dict[str, list[dict[str, Any]]] = {table.name: [] for table in tables}
    met: Counter[tuple[int, str]] = Counter()
    for message, name, attributes in texts:
        table = _TABLES[name].name
        header = headers.row(message, named=True)
        rows[table].append(
            {
                **{column: header[column] for column in ("message_id", "received_at", "zone", "meter_id")},
                "position": met[message, table],
                "attributes": json.dumps(attributes, ensure_ascii=False, separators=(",", ":")),
                **_COLUMNS[table](name, attributes),
            }
        )
        met[message, table] += 1
    return DeviceDocuments(
        **{
            table.name: table.conform(pl.DataFrame(rows[table.name], schema=table.frame_schema(), orient="row"))
            if rows[table.name]
            else table.empty()
            for table in tables
        }
    )


def _device_text(element: Any, message: int) -> DeviceText:
    namespace, _, name = element.tag.removeprefix("{").rpartition("}")
    if name in _RESPONSES:
        # An item of a ResponseList is called Response and names its class.
        kind = element.get(_XSI_TYPE, "").strip().rpartition(":")[2]
        name = kind if kind in _RESPONSES else name
    content = _content(element)
    attributes: dict[str, Any] = content if isinstance(content, dict) else {}
    if namespace == DRAFT:
        renamed = _renamed(name)
        attributes = {"@xmlns": DRAFT, **{renamed.get(key, key): value for key, value in attributes.items()}}
    return DeviceText(message, name, attributes)


@cache
def _renamed(name: str) -> Mapping[str, str]:
    """The standard's name of each element that the draft names otherwise, in class `name`."""
    fields = draft.RENAMED.get(name, {})
    if not fields:
        return {}
    names = {attribute: mapping.name for attribute, mapping in mappings(getattr(resources, name))}
    return {drafted: names[attribute] for drafted, attribute in fields.items()}


def _content(element: Any) -> Any:
    """The text of an element without children, else its children by name, several of a name as a list."""
    content: dict[str, Any] = {}
    for child in element:
        name, value = _key(child.tag), _content(child)
        if name not in content:
            content[name] = value
        elif isinstance(content[name], list):
            content[name].append(value)
        else:
            content[name] = [content[name], value]
    return content if len(element) else (element.text or "").strip()


def _key(tag: str) -> str:
    namespace, _, name = tag.removeprefix("{").rpartition("}")
    if namespace in (SEP, DRAFT):
        return name
    return f"{PREFIXES[namespace]}:{name}" if namespace in PREFIXES else tag


def _der(name: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    def status(element: str, base: int = 10) -> int | None:
        return _whole(_at(attributes, element, "value"), base=base)

    connected = status("genConnectStatus", 16)
    charge = _whole(_at(attributes, "stateOfChargeStatus", "value"))
    power = {"DERCapability": "rtgMaxW", "DERSettings": "setMaxW", "DERAvailability": "statWAvail"}.get(name, "")
    return {
        "document": name,
        "measured_at": _moment(attributes.get("updatedTime" if name == "DERSettings" else "readingTime")),
        "operational_mode": status("operationalModeStatus"),
        "connect_status": status("storConnectStatus", 16) if connected is None else connected,
        "inverter_status": status("inverterStatus"),
        "storage_mode": status("storageModeStatus"),
        "state_of_charge_pct": None if charge is None or not 0 <= charge <= _HUNDREDTHS else Decimal(charge).scaleb(-2),
        "alarm_status": _whole(attributes.get("alarmStatus"), base=16),
        "max_w": _scaled(attributes.get(power), 0, _INT64_MAX),
    }


def _flow_reservation(name: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "mrid": _identifier(attributes.get("mRID"), 32),
        "requested_at": _moment(attributes.get("creationTime")),
        "status": _whole(_at(attributes, "RequestStatus", "requestStatus")),
        "interval_start": _moment(_at(attributes, "intervalRequested", "start")),
        "duration_s": _whole(_at(attributes, "intervalRequested", "duration"), low=0),
        "duration_requested_s": _whole(attributes.get("durationRequested"), low=0),
        "energy_milli_wh": _scaled(attributes.get("energyRequested"), 3, _MILLI_WH_MAX),
        "power_w": _scaled(attributes.get("powerRequested"), 0, _INT64_MAX),
    }


def _response(name: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "document": name,
        "subject": _identifier(attributes.get("subject"), 32),
        "status": _whole(attributes.get("status")),
        "responded_at": _moment(attributes.get("createdDateTime")),
        "end_device_lfdi": _identifier(attributes.get("endDeviceLFDI"), 40),
    }


def _log_event(name: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    details = attributes.get("details")
    return {
        "logged_at": _moment(attributes.get("createdDateTime")),
        "function_set": _whole(attributes.get("functionSet")),
        "code": _whole(attributes.get("logEventCode")),
        "event_id": _whole(attributes.get("logEventID")),
        "profile_id": _whole(attributes.get("profileID")),
        "pen": _whole(attributes.get("logEventPEN"), low=0, high=_UINT32_MAX),
        "details": details if isinstance(details, str) and details else None,
    }


_COLUMNS: dict[str, Callable[[str, Mapping[str, Any]], dict[str, Any]]] = {
    DER_DOCUMENTS.name: _der,
    FLOW_RESERVATIONS.name: _flow_reservation,
    RESPONSES.name: _response,
    LOG_EVENTS.name: _log_event,
}


def _at(attributes: Mapping[str, Any], outer: str, inner: str) -> Any:
    element = attributes.get(outer)
    return element.get(inner) if isinstance(element, dict) else None


def _whole(text: Any, *, base: int = 10, low: int = -_INT32_MAX, high: int = _INT32_MAX) -> int | None:
    """The number of a text of digits, None where it is none or out of bounds."""
    if not isinstance(text, str) or not _NUMBERS[base].fullmatch(text):
        return None
    number = int(text, base)
    return number if low <= number <= high else None


def _moment(text: Any) -> dt.datetime | None:
    seconds = _whole(text, low=0, high=_LAST_SECOND)
    return None if seconds is None else _EPOCH + dt.timedelta(seconds=seconds)


def _identifier(text: Any, digits: int) -> str | None:
    """A number in hex at its full width of `digits`, upper case."""
    if not isinstance(text, str) or not 0 < len(text) <= digits or not _HEX.fullmatch(text):
        return None
    return text.upper().rjust(digits, "0")


def _scaled(quantity: Any, power: int, most: int) -> int | None:
    """value x 10^(multiplier + power) as a whole number within +-`most`, else None. The standard has no quantity without both."""
    parts = quantity if isinstance(quantity, dict) else {}
    value = _whole(parts.get("value"), low=-_INT64_MAX, high=_INT64_MAX)
    multiplier = _whole(parts.get("multiplier"), low=-_LARGEST_POWER - 1, high=_LARGEST_POWER)
    if value is None or multiplier is None:
        return None
    exponent = multiplier + power
    if exponent < 0:
        scaled, rest = divmod(value, 10**-exponent)
        return scaled if rest == 0 and abs(scaled) <= most else None
    scaled = value * 10**exponent
    return scaled if abs(scaled) <= most else None

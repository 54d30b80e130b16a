"""Documents of devices as texts, before any becomes a row: elements by name, and what the texts stand for.

A device may write what it likes: a text that is no number, moment or identifier, or out of bounds, is None; nothing is raised.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from ieee2030_5 import draft, resources
from ieee2030_5.namespaces import DRAFT, P2P, PREFIXES, SEP, XSI
from ieee2030_5.resources.fields import mappings

RESPONSES = frozenset(
    ("Response", "DERControlResponse", "DrResponse", "PriceResponse", "TextResponse", "FlowReservationResponseResponse")
)
DER = ("DERCapability", "DERSettings", "DERStatus", "DERAvailability")
OFFER, AGREEMENT = "StandingOffer", "BilateralAgreement"
INT32_MAX, UINT32_MAX, INT64_MAX = 2**31 - 1, 2**32 - 1, 2**63 - 1
MILLI_WH_MAX = 10**18 - 1  # DECIMAL(18,3)

_NAMES = (*DER, "FlowReservationRequest", *RESPONSES, "LogEvent")
_LOCAL = frozenset(f"{{{namespace}}}{name}" for namespace in (SEP, DRAFT) for name in _NAMES)
_P2P = frozenset(f"{{{P2P}}}{name}" for name in (OFFER, AGREEMENT))
_LISTS = frozenset(f"{{{namespace}}}{name}List" for namespace in (SEP, DRAFT) for name in _NAMES)
_XSI_TYPE = f"{{{XSI}}}type"
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LARGEST_POWER = 127  # multipliers are Int8
_NUMBERS = {10: re.compile("[+-]?[0-9]{1,19}"), 16: re.compile("[0-9A-Fa-f]{1,16}")}
_HEX = re.compile("[0-9A-Fa-f]+")


class DeviceText(NamedTuple):
    """A document of the message with the caller's number `message`: its class, and its elements as texts, objects and lists."""

    message: int
    name: str
    attributes: dict[str, Any]


def device_texts(root: Any, message: int) -> list[DeviceText]:
    """Return the device documents in a message with the root element `root`: itself, or the items of the list that it is."""
    if root.tag in _LOCAL or root.tag in _P2P:
        return [_device_text(root, message)]
    if root.tag not in _LISTS:
        return []
    return [_device_text(child, message) for child in root if child.tag in _LOCAL]


def _device_text(element: Any, message: int) -> DeviceText:
    namespace, _, name = element.tag.removeprefix("{").rpartition("}")
    if name in RESPONSES:
        # An item of a ResponseList is called Response and names its class.
        kind = element.get(_XSI_TYPE, "").strip().rpartition(":")[2]
        name = kind if kind in RESPONSES else name
    content = _content(element, namespace)
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


def _content(element: Any, own: str) -> Any:
    """The text of an element without children, else its children by name, several of a name as a list.

    Names of the standard and of the document's `own` namespace are plain, those of extensions in it are not.
    """
    content: dict[str, Any] = {}
    for child in element:
        name, value = _key(child.tag, own), _content(child, own)
        if name not in content:
            content[name] = value
        elif isinstance(content[name], list):
            content[name].append(value)
        else:
            content[name] = [content[name], value]
    return content if len(element) else (element.text or "").strip()


def _key(tag: str, own: str) -> str:
    namespace, _, name = tag.removeprefix("{").rpartition("}")
    if namespace in (SEP, DRAFT, own):
        return name
    return f"{PREFIXES[namespace]}:{name}" if namespace in PREFIXES else tag


def at(attributes: Mapping[str, Any], outer: str, inner: str) -> Any:
    """What the element `inner` of the element `outer` holds, None where there is none."""
    element = attributes.get(outer)
    return element.get(inner) if isinstance(element, dict) else None


def whole(text: Any, *, base: int = 10, low: int = -INT32_MAX, high: int = INT32_MAX) -> int | None:
    """The number of a text of digits, None where it is none or out of bounds."""
    if not isinstance(text, str) or not _NUMBERS[base].fullmatch(text):
        return None
    number = int(text, base)
    return number if low <= number <= high else None


def moment(text: Any) -> dt.datetime | None:
    """The time (aware UTC) of a text of seconds since 1970."""
    seconds = whole(text, low=0, high=_LAST_SECOND)
    return None if seconds is None else _EPOCH + dt.timedelta(seconds=seconds)


def identifier(text: Any, digits: int) -> str | None:
    """A number in hex at its full width of `digits`, upper case."""
    if not isinstance(text, str) or not 0 < len(text) <= digits or not _HEX.fullmatch(text):
        return None
    return text.upper().rjust(digits, "0")


def scaled(quantity: Any, power: int, most: int) -> int | None:
    """value x 10^(multiplier + power) as a whole number within +-`most`, else None. The standard has no quantity without both."""
    parts = quantity if isinstance(quantity, dict) else {}
    value = whole(parts.get("value"), low=-INT64_MAX, high=INT64_MAX)
    multiplier = whole(parts.get("multiplier"), low=-_LARGEST_POWER - 1, high=_LARGEST_POWER)
    if value is None or multiplier is None:
        return None
    exponent = multiplier + power
    if exponent < 0:
        scaled, rest = divmod(value, 10**-exponent)
        return scaled if rest == 0 and abs(scaled) <= most else None
    scaled = value * 10**exponent
    return scaled if abs(scaled) <= most else None

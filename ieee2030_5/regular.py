"""The regular part of the metering language: posts of readings that a regular expression takes whole.

Meters write nearly all of their posts in one form: a MirrorMeterReading or a list of them (IEEE 2030.5-2018, 10.11), in the
default namespace, elements in the schema's order, no attribute below the root. The grammar here accepts just that form. It is
a subset of well-formed XML in which a regular expression and a parser cannot differ: ASCII without entities, comments, CDATA,
prefixes or empty-element tags. It is made from the resource classes, and its bounds are inside those of their types, so a match
says what `xml.parse`, `xml.decode` and the presence of each mRID would say, at a twentieth of the cost. What does not match may
be fine all the same: only the parser can tell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from ieee2030_5 import xml
from ieee2030_5.resources import MirrorMeterReading, types
from ieee2030_5.resources.fields import mappings
from ieee2030_5.resources.types import SimpleType

# Every repetition is possessive or bounded: matching takes time linear in the document, whatever a sender makes up.
_SPACE = "[ \t\r\n]*+"
_DECLARATION = r"(?:<\?xml version=['\"]1\.0['\"] encoding=['\"][Uu][Tt][Ff]-8['\"]\?>)?+"
_NAMESPACES = "|".join(re.escape(namespace) for namespace in xml.NAMESPACES)
_UINT32 = "[0-9]{1,9}+(?![0-9])|[1-3][0-9]{9}"
_INT64 = "-?+[0-9]{1,18}+"
_COUNTS = "".join(f'(?: {name}="(?:{_UINT32})")?+' for name in ("all", "results"))

# Decimal digits are bounded below the type's limit rather than at it: what lies between is for the parser.
_VALUES: Mapping[SimpleType, str] = {
    types.BOOLEAN: "true|false|[01]",
    types.UINT8: "[0-9]{1,2}+(?![0-9])|1[0-9]{2}|2[0-4][0-9]",
    types.UINT16: "[0-9]{1,4}+",
    types.UINT32: _UINT32,
    types.UINT48: "[0-9]{1,14}+",
    types.INT8: "-?+[0-9]{1,2}+",
    types.INT16: "-?+[0-9]{1,4}+",
    types.INT32: "-?+[0-9]{1,9}+",
    types.INT48: "-?+[0-9]{1,14}+",
    types.INT64: _INT64,
    types.HEX8: "[0-9A-Fa-f]{1,2}+",
    types.HEX16: "[0-9A-Fa-f]{1,4}+",
    types.HEX32: "[0-9A-Fa-f]{1,8}+",
    types.MRID: "[0-9A-Fa-f]{1,32}+",
    types.LFDI: "[0-9A-Fa-f]{1,40}+",
    types.STRING32: "[ !-%'-;=?-~]{1,32}+",
}
_TYPE = b"<ReadingType>"
_HEAD = re.compile(rb"<mRID>([0-9A-Fa-f]+)</mRID>[ \t\r\n]*(<description>[^<]*</description>)?")
_REQUIRED = ((MirrorMeterReading, "mRID"),)


def _content(cls: type) -> str:
    """Return the pattern of what is inside an element of class `cls`: its elements in order, each at most once unless a list.

    Elements of a type that is not in `_VALUES` are left out, so that documents with them go to the parser.
    """
    parts = [_SPACE]
    for _, mapping in mappings(cls):
        if mapping.is_attribute:
            continue
        inner = _VALUES.get(mapping.type) if isinstance(mapping.type, SimpleType) else _content(mapping.type)
        if inner is None:
            continue
        # The space after an element belongs to it, so that no two parts compete for the same characters.
        text = f"<{mapping.name}>(?:{inner})</{mapping.name}>{_SPACE}"
        required = (cls, mapping.name) in _REQUIRED
        parts.append(text if required else f"(?:{text}){'*+' if mapping.many else '?+'}")
    return "".join(parts)


@cache
def _posts() -> re.Pattern[bytes]:
    reading = _content(MirrorMeterReading)
    return re.compile(
        (
            f"{_DECLARATION}{_SPACE}<MirrorMeterReading(?:"
            f'List xmlns="(?:{_NAMESPACES})"{_COUNTS}>{_SPACE}'
            f"(?:<MirrorMeterReading>{reading}</MirrorMeterReading>{_SPACE})*+</MirrorMeterReadingList>"
            f'| xmlns="(?:{_NAMESPACES})">{reading}</MirrorMeterReading>'
            f"){_SPACE}"
        ).encode()
    )


def is_reading_post(body: bytes) -> bool:
    """Whether `body` is a MirrorMeterReading, or a MirrorMeterReadingList, of the regular form.

    True means that `xml.parse` and `xml.decode` accept it and that every MirrorMeterReading in it has an mRID. False means
    nothing. The caller bounds the size.
    """
    return _posts().fullmatch(body) is not None


def declared_types(body: bytes) -> dict[bytes, bytes]:
    """Return what a document that `is_reading_post` accepted declares: description and ReadingType, as written, by mRID.

    An mRID is 32 upper-case hex digits here; one declared twice counts as declared last. Empty where it declares nothing.
    """
    found: dict[bytes, bytes] = {}
    if _TYPE in body:
        for item in body.split(b"</MirrorMeterReading>"):
            head, _, rest = item.partition(_TYPE)
            if rest:
                # The first mRID of an item is its own: those of reading sets come later.
                named = _HEAD.search(head)
                assert named is not None
                mrid = named[1].upper().rjust(32, b"0")
                found[mrid] = (named[2] or b"") + _TYPE + rest.rstrip()
    return found


_ITEM = _SPACE.join(
    (
        "<MirrorMeterReading>", f"<mRID>({_VALUES[types.MRID]})</mRID>", "<Reading>",
        f"(?:<qualityFlags>({_VALUES[types.HEX16]})</qualityFlags>)?+", "<timePeriod>",
        f"<duration>({_UINT32})</duration>", f"<start>({_INT64})</start>", "</timePeriod>",
        f"<value>({_VALUES[types.INT48]})</value>", f"(?:<localID>({_VALUES[types.HEX16]})</localID>)?+",
        "</Reading>", "</MirrorMeterReading>", "",
    )
)  # fmt: skip


@cache
def _items() -> tuple[re.Pattern[bytes], re.Pattern[str]]:
    item = re.sub(r"\((?!\?)", "(?:", _ITEM)
    whole = f'{_DECLARATION}{_SPACE}<MirrorMeterReadingList xmlns="(?:{_NAMESPACES})"{_COUNTS}>{_SPACE}(?:{item})*+'
    return re.compile(f"{whole}</MirrorMeterReadingList>{_SPACE}".encode()), re.compile(_ITEM)


def single_readings(body: bytes) -> list[tuple[str, str, str, str, str, str]] | None:
    """Read a MirrorMeterReadingList of the regular form whose items are an mRID and one Reading with period and value.

    Returns (mRID, qualityFlags, duration, start, value, localID) of each item as texts, "" for an absent one; None where `body`
    is anything else. The caller bounds the size.
    """
    whole, item = _items()
    return item.findall(body.decode("ascii")) if whole.fullmatch(body) is not None else None

"""Simple types of the schema: how a value is written, read and bounded (IEEE 2030.5-2018, B.2.3.3 and B.2.3.4)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ieee2030_5.identity import LFDI_OCTETS, MRID_OCTETS, normalize_hex

_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
# Characters XML 1.0 has no way to carry.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True, eq=False)
class SimpleType:
    """A simple type. `write` gives unescaped text (None: leave the element out), `read` the value; both raise `ValueError`.

    `escape` says whether written text may hold characters that XML must escape.
    """

    name: str
    write: Callable[[Any], str | None]
    read: Callable[[str], Any]
    escape: bool = False


def _integer(name: str, low: int, high: int) -> SimpleType:
    def check(value: int) -> int:
        if not low <= value <= high:
            raise ValueError(f"{value} is outside {name} ({low}..{high})")
        return value

    def write(value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{value!r} is not an integer")
        return str(int(check(value)))

    def read(text: str) -> int:
        # Nearly all are plain digits. Others need the pattern: int() would take underscores and digits of any script too.
        if not (text.isdecimal() and text.isascii() and len(text) <= 20):
            text = text.strip()
            if not _INTEGER.fullmatch(text):
                raise ValueError(f"{text[:64]!r} is not an integer")
        value = int(text)
        return value if low <= value <= high else check(value)

    return SimpleType(name, write, read)


def _unsigned(bits: int) -> SimpleType:
    return _integer(f"UInt{bits}", 0, (1 << bits) - 1)


def _signed(bits: int) -> SimpleType:
    # The schema lets Int48 reach 2^47 either way, which 48 bits cannot hold: binary encodings and devices stop one short.
    high = (1 << (bits - 1)) - 1
    return _integer(f"Int{bits}", -high if bits == 48 else -high - 1, high)


def _flags(octets: int) -> SimpleType:
    high = (1 << 8 * octets) - 1

    def write(value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= high:
            raise ValueError(f"{value!r} does not fit {octets} octets")
        text = f"{int(value):X}"
        # Whole octets and no more, as the schema asks; clients compare what they wrote as text.
        return text if len(text) % 2 == 0 else f"0{text}"

    def read(text: str) -> int:
        return int(normalize_hex(text, octets), 16)

    return SimpleType(f"HexBinary{8 * octets}", write, read)


def _identifier(octets: int, name: str | None = None) -> SimpleType:
    def convert(text: Any) -> str:
        if not isinstance(text, str):
            raise ValueError(f"{text!r} is not a hex string")
        return normalize_hex(text, octets)

    return SimpleType(name or f"HexBinary{8 * octets}", convert, convert)


def _string(name: str, longest: int) -> SimpleType:
    def check(text: Any) -> str | None:
        if not isinstance(text, str):
            raise ValueError(f"{text!r} is not a string")
        if len(text.encode()) > longest:
            raise ValueError(f"longer than {longest} octets: {text[:64]!r}")
        if not (text.isascii() and text.isprintable()) and _NOT_XML.search(text):
            raise ValueError(f"holds a character that XML cannot carry: {text[:64]!r}")
        # Clients in the field fail on an empty simple element, so an empty string counts as absent both ways.
        return text or None

    return SimpleType(name, check, check, escape=True)


def one_of(values: type[StrEnum]) -> SimpleType:
    """A type whose values are those of `values`, read as plain strings; of extensions, since the standard has codes."""
    allowed = frozenset(str(value) for value in values)
    listed = "|".join(str(value) for value in values)

    def check(text: Any) -> str:
        if not isinstance(text, str) or text.strip() not in allowed:
            raise ValueError(f"{str(text)[:64]!r} is not one of {listed}")
        return str(text.strip())

    return SimpleType(listed, check, check)


def _write_boolean(value: Any) -> str:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is not a boolean")
    return "true" if value else "false"


def _read_boolean(text: str) -> bool:
    try:
        return {"true": True, "1": True, "false": False, "0": False}[text.strip()]
    except KeyError:
        raise ValueError(f"{text[:64]!r} is not a boolean") from None


BOOLEAN = SimpleType("boolean", _write_boolean, _read_boolean)
UINT8 = _unsigned(8)
UINT16 = _unsigned(16)
UINT32 = _unsigned(32)
UINT40 = _unsigned(40)
UINT48 = _unsigned(48)
INT8 = _signed(8)
INT16 = _signed(16)
INT32 = _signed(32)
INT48 = _signed(48)
INT64 = _signed(64)
HEX8 = _flags(1)
HEX16 = _flags(2)
HEX32 = _flags(4)
HEX64 = _flags(8)
MRID = _identifier(MRID_OCTETS)
LFDI = _identifier(LFDI_OCTETS)
HEX128 = _identifier(16)
"""An IPv6 address as 32 hex digits."""
EUI64 = _identifier(8, "EUI64")
STRING6 = _string("String6", 6)
STRING16 = _string("String16", 16)
STRING20 = _string("String20", 20)
STRING32 = _string("String32", 32)
STRING42 = _string("String42", 42)
STRING192 = _string("String192", 192)
TEXT = _string("String", 65535)
"""A text the schema does not bound."""
ANY_URI = _string("anyURI", 2048)
TIME = INT64
"""TimeType: UTC epoch seconds."""
PERCENT = UINT16
"""PerCent: hundredths of a percent, 10000 is all."""
SIGNED_PERCENT = INT16
"""SignedPerCent: hundredths of a percent, from -10000 to 10000."""

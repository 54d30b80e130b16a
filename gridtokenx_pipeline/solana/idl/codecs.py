"""Borsh of the language's own types: value <-> bytes, with exact refusals. Source: the Borsh specification, borsh.io."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any, Protocol

from solders.pubkey import Pubkey

from .errors import DecodeError, EncodeError
from .model import INTEGERS

_U32 = 2**32 - 1


class Codec(Protocol):
    """Writes and reads values of one type. `minimum` is the fewest bytes a value takes, `size` all it takes if fixed."""

    minimum: int
    size: int | None

    def encode(self, value: Any, out: bytearray) -> None:
        """Append the bytes of `value` to `out`; raise `EncodeError` where it is not of the type."""

    def decode(self, data: bytes, at: int) -> tuple[Any, int]:
        """Return the value that starts at `at` and where it ends; raise `DecodeError` where none does."""


def take(data: bytes, at: int, size: int) -> bytes:
    """Return `size` bytes from `at` or raise `DecodeError`."""
    if at + size > len(data):
        raise DecodeError(f"{size} bytes are wanted at {at}, {max(0, len(data) - at)} are left")
    return data[at : at + size]


def shown(value: Any) -> str:
    """Return a value for an error message, at most 60 characters of it."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


class Integer:
    """An integer, little-endian, two's complement where signed. Flags and floats are none."""

    def __init__(self, name: str) -> None:
        size, self.signed = INTEGERS[name]
        self.name = name
        self.size: int | None = size
        self.minimum = self.width = size
        self.article = "an" if self.signed else "a"

    def encode(self, value: Any, out: bytearray) -> None:
        """See `Codec.encode`."""
        if type(value) is not int:
            raise EncodeError(f"{shown(value)} is not {self.article} {self.name}")
        try:
            out += value.to_bytes(self.width, "little", signed=self.signed)
        except OverflowError:
            raise EncodeError(f"{shown(value)} is not {self.article} {self.name}") from None

    def decode(self, data: bytes, at: int) -> tuple[int, int]:
        """See `Codec.decode`."""
        return int.from_bytes(take(data, at, self.width), "little", signed=self.signed), at + self.width


class Bool:
    """True or false, in one byte of 1 or 0."""

    minimum = 1
    size: int | None = 1

    def encode(self, value: Any, out: bytearray) -> None:
        """See `Codec.encode`."""
        if not isinstance(value, bool):
            raise EncodeError(f"{shown(value)} is not a bool")
        out.append(value)

    def decode(self, data: bytes, at: int) -> tuple[bool, int]:
        """See `Codec.decode`."""
        (byte,) = take(data, at, 1)
        if byte > 1:
            raise DecodeError(f"the byte {byte} is not a bool")
        return byte == 1, at + 1


class Float:
    """An IEEE 754 number. Borsh has no NaN: Rust's deserialiser refuses it, so it is not sent."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.format = "<f" if name == "f32" else "<d"
        self.minimum = struct.calcsize(self.format)
        self.size: int | None = self.minimum

    def encode(self, value: Any, out: bytearray) -> None:
        """See `Codec.encode`."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise EncodeError(f"{shown(value)} is not an {self.name}")
        if value != value:
            raise EncodeError("NaN has no borsh form")
        try:
            out += struct.pack(self.format, value)
        except (OverflowError, struct.error):
            raise EncodeError(f"{shown(value)} is not an {self.name}") from None

    def decode(self, data: bytes, at: int) -> tuple[float, int]:
        """See `Codec.decode`."""
        (value,) = struct.unpack(self.format, take(data, at, self.minimum))
        if math.isnan(value):
            raise DecodeError("NaN has no borsh form")
        return value, at + self.minimum


class Key:
    """A public key: 32 bytes; as value a `Pubkey` or its base58 text."""

    minimum = 32
    size: int | None = 32

    def encode(self, value: Any, out: bytearray) -> None:
        """See `Codec.encode`."""
        if isinstance(value, str):
            try:
                value = Pubkey.from_string(value)
            except ValueError:
                raise EncodeError(f"{shown(value)} is not the base58 text of 32 bytes") from None
        if not isinstance(value, Pubkey):
            raise EncodeError(f"{shown(value)} is not a pubkey")
        out += bytes(value)

    def decode(self, data: bytes, at: int) -> tuple[Pubkey, int]:
        """See `Codec.decode`."""
        return Pubkey.from_bytes(take(data, at, 32)), at + 32


class Bytes:
    """Bytes after their u32 count."""

    minimum = 4
    size: int | None = None

    def encode(self, value: Any, out: bytearray) -> None:
        """See `Codec.encode`."""
        if not isinstance(value, bytes | bytearray):
            raise EncodeError(f"{shown(value)} is not bytes")
        out += count(len(value))
        out += value

    def decode(self, data: bytes, at: int) -> tuple[bytes, int]:
        """See `Codec.decode`."""
        length = int.from_bytes(take(data, at, 4), "little")
        return bytes(take(data, at + 4, length)), at + 4 + length


class Text:
    """UTF-8 after the u32 count of its bytes."""

    minimum = 4
    size: int | None = None

    def encode(self, value: Any, out: bytearray) -> None:
        """See `Codec.encode`."""
        if not isinstance(value, str):
            raise EncodeError(f"{shown(value)} is not a string")
        try:
            encoded = value.encode()
        except UnicodeEncodeError:
            raise EncodeError(f"{shown(value)} has no UTF-8 form") from None
        out += count(len(encoded))
        out += encoded

    def decode(self, data: bytes, at: int) -> tuple[str, int]:
        """See `Codec.decode`."""
        raw, end = Bytes().decode(data, at)
        try:
            return raw.decode(), end
        except UnicodeDecodeError as error:
            raise DecodeError(f"not UTF-8 at byte {error.start}") from None


def count(length: int) -> bytes:
    """Return the u32 count that precedes the items of text, bytes and vectors."""
    if length > _U32:
        raise EncodeError(f"{length} items, a u32 counts to {_U32}")
    return length.to_bytes(4, "little")


PRIMITIVE_CODECS: Mapping[str, Codec] = {
    **{name: Integer(name) for name in INTEGERS},
    "bool": Bool(),
    "f32": Float("f32"),
    "f64": Float("f64"),
    "pubkey": Key(),
    "bytes": Bytes(),
    "string": Text(),
}

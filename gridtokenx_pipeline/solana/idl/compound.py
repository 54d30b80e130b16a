"""Borsh of composed types: options, sequences, structs, enums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .codecs import Codec, Integer, count, shown, take
from .errors import CodecError, DecodeError, EncodeError


class OptionCodec:
    """`None`, or a value after a byte of 1."""

    minimum = 1
    size: int | None = None

    def __init__(self, item: Codec) -> None:
        self.item = item

    def encode(self, value: Any, out: bytearray) -> None:
        """See `Codec.encode`."""
        if value is None:
            out.append(0)
            return
        out.append(1)
        self.item.encode(value, out)

    def decode(self, data: bytes, at: int) -> tuple[Any, int]:
        """See `Codec.decode`."""
        (tag,) = take(data, at, 1)
        if tag > 1:
            raise DecodeError(f"an option starts with 0 or 1, not {tag}")
        return self.item.decode(data, at + 1) if tag else (None, at + 1)


class COptionCodec:
    """`None` or a value of fixed width after a u32; both take the same room, as in SPL token's accounts."""

    def __init__(self, item: Codec, width: int) -> None:
        self.item, self.width = item, width
        self.minimum = 4 + width
        self.size: int | None = self.minimum

    def encode(self, value: Any, out: bytearray) -> None:
        """See `Codec.encode`."""
        if value is None:
            out += bytes(self.minimum)
            return
        out += (1).to_bytes(4, "little")
        self.item.encode(value, out)

    def decode(self, data: bytes, at: int) -> tuple[Any, int]:
        """See `Codec.decode`."""
        tag = int.from_bytes(take(data, at, 4), "little")
        if tag > 1:
            raise DecodeError(f"a coption starts with 0 or 1, not {tag}")
        value = self.item.decode(data, at + 4)[0] if tag else None
        take(data, at, self.minimum)
        return value, at + self.minimum


class SequenceCodec:
    """Items one after another: a vector after its u32 count, or an array of fixed length.

    Sequences of u8 are `bytes` when read; written, any sequence of numbers will do.
    """

    def __init__(self, item: Codec, length: int | None) -> None:
        self.item, self.length = item, length
        self.of_bytes = isinstance(item, Integer) and item.name == "u8"
        self.minimum = 4 if length is None else length * item.minimum
        self.size: int | None = None if length is None or item.size is None else length * item.size

    def encode(self, value: Any, out: bytearray) -> None:
        """See `Codec.encode`."""
        if not isinstance(value, Sequence | bytearray) or isinstance(value, str):
            raise EncodeError(f"{shown(value)} is not a sequence")
        if self.length is None:
            out += count(len(value))
        elif len(value) != self.length:
            raise EncodeError(f"{self.length} items are wanted, not {len(value)}")
        if self.of_bytes and isinstance(value, bytes | bytearray):
            out += value
            return
        for number, item in enumerate(value):
            try:
                self.item.encode(item, out)
            except CodecError as error:
                raise error.within(f"[{number}]") from None

    def decode(self, data: bytes, at: int) -> tuple[Any, int]:
        """See `Codec.decode`."""
        length = self.length
        if length is None:
            length = int.from_bytes(take(data, at, 4), "little")
            at += 4
        if length * self.item.minimum > len(data) - at:
            # Before anything is allocated: a count is four bytes of anybody's choice.
            raise DecodeError(f"{length} items of {self.item.minimum} bytes or more, {max(0, len(data) - at)} bytes are left")
        if self.of_bytes:
            return bytes(data[at : at + length]), at + length
        items = []
        for number in range(length):
            try:
                item, at = self.item.decode(data, at)
            except CodecError as error:
                raise error.within(f"[{number}]") from None
            items.append(item)
        return items, at


class StructCodec:
    """Named fields from and to a mapping, in the IDL's order. Every field must be there and no other."""

    def __init__(self, fields: Sequence[tuple[str, Codec]], noun: str = "field") -> None:
        self.fields = tuple(fields)
        self.names = frozenset(name for name, _ in fields)
        self.noun = noun
        self.minimum = sum(codec.minimum for _, codec in fields)
        sizes = [codec.size for _, codec in fields]
        self.size: int | None = None if None in sizes else sum(size for size in sizes if size is not None)

    def encode(self, value: Any, out: bytearray) -> None:
        """See `Codec.encode`."""
        if not isinstance(value, Mapping):
            raise EncodeError(f"{shown(value)} is not a mapping of {self.noun}s")
        if value.keys() != self.names:
            raise EncodeError(_difference(self.noun, self.names, value))
        for name, codec in self.fields:
            try:
                codec.encode(value[name], out)
            except CodecError as error:
                raise error.within(f".{name}") from None

    def decode(self, data: bytes, at: int) -> tuple[dict[str, Any], int]:
        """See `Codec.decode`."""
        found = {}
        for name, codec in self.fields:
            try:
                found[name], at = codec.decode(data, at)
            except CodecError as error:
                raise error.within(f".{name}") from None
        return found, at


def _difference(noun: str, wanted: frozenset[str], given: Mapping[Any, Any]) -> str:
    missing = sorted(wanted - given.keys())
    unknown = sorted(map(str, given.keys() - wanted))
    parts = [f"missing {noun} {', '.join(missing)}"] if missing else []
    return "; ".join([*parts, f"unknown {noun} {', '.join(unknown)}"] if unknown else parts)


class TupleCodec:
    """Fields without names, from a sequence and to a tuple."""

    def __init__(self, items: Sequence[Codec]) -> None:
        self.items = tuple(items)
        self.minimum = sum(codec.minimum for codec in items)
        sizes = [codec.size for codec in items]
        self.size: int | None = None if None in sizes else sum(size for size in sizes if size is not None)

    def encode(self, value: Any, out: bytearray) -> None:
        """See `Codec.encode`."""
        if not isinstance(value, list | tuple):
            raise EncodeError(f"{shown(value)} is not a list of {len(self.items)} fields")
        if len(value) != len(self.items):
            raise EncodeError(f"{len(self.items)} fields are wanted, not {len(value)}")
        for number, (codec, item) in enumerate(zip(self.items, value, strict=True)):
            try:
                codec.encode(item, out)
            except CodecError as error:
                raise error.within(f"[{number}]") from None

    def decode(self, data: bytes, at: int) -> tuple[tuple[Any, ...], int]:
        """See `Codec.decode`."""
        found = []
        for number, codec in enumerate(self.items):
            try:
                item, at = codec.decode(data, at)
            except CodecError as error:
                raise error.within(f"[{number}]") from None
            found.append(item)
        return tuple(found), at


class EnumCodec:
    """One byte for the variant, then its fields.

    A unit variant is its name (`"Active"`, also Anchor's `{"Active": {}}`), one with fields `{"Move": {"x": 1}}` or
    `{"Write": ["text"]}`. Names are exactly those of the IDL.
    """

    size: int | None = None

    def __init__(self, variants: Sequence[tuple[str, Codec | None]]) -> None:
        self.variants = tuple(variants)
        self.numbers = {name: number for number, (name, _) in enumerate(variants)}
        self.minimum = 1 + min(codec.minimum if codec else 0 for _, codec in variants)

    def encode(self, value: Any, out: bytearray) -> None:
        """See `Codec.encode`."""
        if isinstance(value, Mapping) and len(value) == 1:
            ((name, fields),) = value.items()
        else:
            name, fields = value, {}
        if not isinstance(name, str) or name not in self.numbers:
            raise EncodeError(f"{shown(value)} is none of {', '.join(self.numbers)}")
        out.append(self.numbers[name])
        codec = self.variants[self.numbers[name]][1]
        if codec is not None:
            try:
                codec.encode(fields, out)
            except CodecError as error:
                raise error.within(f".{name}") from None
        elif fields:
            raise EncodeError(f"{name} has no fields")

    def decode(self, data: bytes, at: int) -> tuple[Any, int]:
        """See `Codec.decode`."""
        (number,) = take(data, at, 1)
        if number >= len(self.variants):
            raise DecodeError(f"{number} is no variant, there are {len(self.variants)}")
        name, codec = self.variants[number]
        if codec is None:
            return name, at + 1
        try:
            fields, at = codec.decode(data, at + 1)
        except CodecError as error:
            raise error.within(f".{name}") from None
        return {name: fields}, at

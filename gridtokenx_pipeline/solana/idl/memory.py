"""Zero-copy accounts: a C struct's memory read field by field. Source: the C layout in the Rust reference (`repr(C)`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .codecs import PRIMITIVE_CODECS, take
from .errors import CodecError, DecodeError, IdlError
from .model import INTEGERS, Alias, Array, Defined, Enum, Field, Idl, Primitive, Repr, Struct, Type, TypeDef
from .substitute import environment, substitute

_NATIVE = {"bool": 1, "pubkey": 1, "f32": 4, "f64": 8} | {name: size for name, (size, _) in INTEGERS.items() if size <= 16}
"""Primitive -> alignment. 256-bit integers are no types of Rust and have no layout."""


@dataclass(frozen=True)
class Memory:
    """How a type lies in memory: bytes, alignment, offsets of all its leaves, and how to read it."""

    size: int
    align: int
    offsets: tuple[int, ...]
    read: Callable[[bytes, int], Any]


def memory(idl: Idl, name: str) -> Memory:
    """Return the layout of a zero-copy type.

    Raises `IdlError` where it has none: text, vectors, options, a `repr` that leaves the order to the compiler, or
    a place that depends on whether the compiler aligned 128-bit integers to 8 or to 16 bytes.
    """
    new, old = (_Layouts(idl, align).of(Defined(name)) for align in (16, 8))
    if (new.size, new.offsets) != (old.size, old.offsets):
        raise IdlError(f"{name}: its layout depends on the alignment of 128-bit integers, 8 in older compilers and 16 in newer")
    return new


class _Layouts:
    def __init__(self, idl: Idl, align_128: int) -> None:
        self._idl, self._align_128 = idl, align_128
        self._open: list[str] = []

    def of(self, type_: Type) -> Memory:
        if isinstance(type_, Primitive) and type_.name in _NATIVE:
            return self._primitive(type_.name)
        if isinstance(type_, Array):
            assert isinstance(type_.length, int), "substituted before"
            return _array(self.of(type_.item), type_.length, type_.item == Primitive("u8"))
        if isinstance(type_, Defined):
            if type_.name in self._open:
                raise IdlError(f"{type_.name} contains itself")
            self._open.append(type_.name)
            try:
                return self._definition(self._idl.types[type_.name], type_)
            finally:
                self._open.pop()
        raise IdlError(f"{type_} has no layout in memory")

    def _primitive(self, name: str) -> Memory:
        codec = PRIMITIVE_CODECS[name]
        assert codec.size is not None
        align = self._align_128 if codec.size == 16 else _NATIVE[name]
        return Memory(codec.size, align, (0,), lambda data, at: codec.decode(data, at)[0])

    def _definition(self, definition: TypeDef, use: Defined) -> Memory:
        values = environment(definition, use)
        body = definition.body
        if isinstance(body, Alias):
            return self.of(substitute(body.type, values))
        if isinstance(body, Enum):
            return _enum(definition.name, body)
        fields = [Field(field.name, substitute(field.type, values)) for field in body.fields.items]
        return self._struct(definition, body, fields)

    def _struct(self, definition: TypeDef, body: Struct, fields: Sequence[Field]) -> Memory:
        representation = definition.repr or Repr("rust")
        if representation.kind == "rust" and not representation.packed:
            raise IdlError(f"{definition.name} is neither repr(C) nor packed: the order of its fields is the compiler's")
        offset, align = 0, representation.align or 1
        places: list[tuple[str, int, Memory]] = []
        for field in fields:
            inner = self.of(field.type)
            step = 1 if representation.packed else inner.align
            offset = _up(offset, step)
            places.append((field.name, offset, inner))
            offset, align = offset + inner.size, max(align, step)
        offsets = tuple(start + inner_offset for _, start, inner in places for inner_offset in inner.offsets)

        def read(data: bytes, at: int) -> Any:
            found: dict[str, Any] = {}
            for name, start, inner in places:
                try:
                    found[name] = inner.read(data, at + start)
                except CodecError as error:
                    raise error.within(f".{name}") from None
            return found if body.fields.named else tuple(found.values())

        return Memory(_up(offset, align), align, offsets, read)


def _enum(name: str, body: Enum) -> Memory:
    if any(variant.fields.items for variant in body.variants):
        raise IdlError(f"{name} is an enum with fields: it has no layout that its IDL tells")
    names = [variant.name for variant in body.variants]

    def read(data: bytes, at: int) -> str:
        (number,) = take(data, at, 1)
        if number >= len(names):
            raise DecodeError(f"{number} is no variant, there are {len(names)}")
        return names[number]

    return Memory(1, 1, (0,), read)


def _array(item: Memory, length: int, of_bytes: bool) -> Memory:
    def read(data: bytes, at: int) -> Any:
        if of_bytes:
            return bytes(take(data, at, length))
        found = []
        for number in range(length):
            try:
                found.append(item.read(data, at + number * item.size))
            except CodecError as error:
                raise error.within(f"[{number}]") from None
        return found

    # Two items tell the stride, which all others repeat.
    offsets = tuple(number * item.size + offset for number in range(min(length, 2)) for offset in item.offsets)
    return Memory(length * item.size, item.align, offsets, read)


def _up(offset: int, align: int) -> int:
    return -(-offset // align) * align

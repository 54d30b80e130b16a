"""Types of an IDL compiled to borsh codecs, each type once."""

from __future__ import annotations

from typing import Any

from .codecs import PRIMITIVE_CODECS, Codec
from .compound import COptionCodec, EnumCodec, OptionCodec, SequenceCodec, StructCodec, TupleCodec
from .errors import IdlError
from .model import Alias, Array, COption, Defined, Fields, Generic, Idl, Option, Primitive, Struct, Type, TypeDef, Vec
from .substitute import environment, substitute

_DEEPEST = 64


class Compiler:
    """Compiles the types of one IDL. A type that borsh cannot write raises `IdlError` when it is asked for, not before."""

    def __init__(self, idl: Idl) -> None:
        self._idl = idl
        self._done: dict[Defined, Codec] = {}
        # Definitions being compiled, outermost first; None marks an option or vector between two of them.
        self._open: list[Defined | None] = []

    def codec(self, type_: Type) -> Codec:
        """Return the codec of a type without open generic parameters."""
        match type_:
            case Primitive(name):
                return PRIMITIVE_CODECS[name]
            case Option(item):
                return self._option(item)
            case COption(item):
                inner = self.codec(item)
                if inner.size is None:
                    raise IdlError(f"coption of {item}, whose size is not fixed")
                return COptionCodec(inner, inner.size)
            case Vec(item):
                return self._sequence(self._behind(item), None, item)
            case Array(item, length):
                assert isinstance(length, int), "substituted before"
                return SequenceCodec(self.codec(item), length)
            case Defined():
                return self._defined(type_)
            case Generic(name):
                raise IdlError(f"the generic parameter {name} has no value here")

    def fields(self, fields: Fields, noun: str = "field") -> Codec:
        """Return the codec of fields: of a mapping if they are named, else of a sequence."""
        if fields.named:
            return StructCodec([(field.name, self.codec(field.type)) for field in fields.items], noun)
        return TupleCodec([self.codec(field.type) for field in fields.items])

    def _option(self, item: Type) -> Codec:
        inner = self._behind(item)
        if isinstance(inner, OptionCodec):
            raise IdlError(f"option of {item}: its two kinds of nothing are one None")
        return OptionCodec(inner)

    def _sequence(self, inner: Codec, length: int | None, item: Type) -> Codec:
        if inner.minimum == 0:
            # Four bytes would make four thousand million values of it; Rust's borsh refuses it as well.
            raise IdlError(f"vec of {item}, which takes no bytes")
        return SequenceCodec(inner, length)

    def _behind(self, item: Type) -> Codec:
        self._open.append(None)
        try:
            return self.codec(item)
        finally:
            self._open.pop()

    def _defined(self, type_: Defined) -> Codec:
        if type_ in self._done:
            return self._done[type_]
        if type_ in self._open:
            if None not in self._open[self._open.index(type_) :]:
                raise IdlError(f"{type_.name} contains itself without an option or vector between")
            return _Later(self, type_)
        if len(self._open) - self._open.count(None) > _DEEPEST:
            raise IdlError(f"{type_.name} is nested more than {_DEEPEST} deep")
        self._open.append(type_)
        try:
            codec = self._definition(self._idl.types[type_.name], type_)
        finally:
            self._open.pop()
        self._done[type_] = codec
        return codec

    def _definition(self, definition: TypeDef, use: Defined) -> Codec:
        if definition.serialization != "borsh":
            raise IdlError(f"{definition.name} is serialised by {definition.serialization}, not by borsh")
        values = environment(definition, use)

        def concrete(fields: Fields) -> Fields:
            items = tuple(type(field)(field.name, substitute(field.type, values)) for field in fields.items)
            return Fields(items, fields.named)

        body = definition.body
        if isinstance(body, Alias):
            return self.codec(substitute(body.type, values))
        if isinstance(body, Struct):
            return self.fields(concrete(body.fields))
        return EnumCodec(
            [(variant.name, self.fields(concrete(variant.fields)) if variant.fields.items else None) for variant in body.variants]
        )


class _Later:
    """Stands for a type inside itself, whose codec is not complete while this is made."""

    minimum = 1
    size: int | None = None

    def __init__(self, compiler: Compiler, type_: Defined) -> None:
        self._compiler, self._type = compiler, type_

    def encode(self, value: Any, out: bytearray) -> None:
        """See `Codec.encode`."""
        self._compiler.codec(self._type).encode(value, out)

    def decode(self, data: bytes, at: int) -> tuple[Any, int]:
        """See `Codec.decode`."""
        return self._compiler.codec(self._type).decode(data, at)

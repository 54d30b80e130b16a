"""Types of an IDL: parsed, and every name in them found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .errors import IdlError
from .json_walk import Node
from .model import (
    PRIMITIVES,
    Alias,
    Array,
    COption,
    Defined,
    Enum,
    Field,
    Fields,
    Generic,
    Instruction,
    Option,
    Parameter,
    Primitive,
    Repr,
    Struct,
    Type,
    TypeDef,
    Variant,
    Vec,
)

_WRAPPERS: Mapping[str, type[Option] | type[COption] | type[Vec]] = {"option": Option, "coption": COption, "vec": Vec}
_MAX_LENGTH = 2**32 - 1


def parse_type(node: Node) -> Type:
    """Return the type written at `node`."""
    if isinstance(node.value, str):
        if node.value in PRIMITIVES:
            return Primitive(node.value)
        old = "; IDLs of Anchor before 0.30 write publicKey, those of spec 0.1.0 pubkey" if node.value == "publicKey" else ""
        raise node.fail(f"no type is named {node.value!r}{old}")
    node.object("", "option coption vec array defined generic")
    if len(node.value) != 1:
        raise node.fail("a type has one key")
    (key,) = node.value
    inner = node.get(key)
    if wrapper := _WRAPPERS.get(key):
        return wrapper(parse_type(inner))
    if key == "generic":
        return Generic(inner.text())
    if key == "array":
        parts = list(inner.items())
        if len(parts) != 2:
            raise inner.fail("an array is [type, length]")
        return Array(parse_type(parts[0]), _array_length(parts[1]))
    inner.object("name", "generics")
    return Defined(inner.get("name").text(), tuple(_argument(item) for item in inner.get("generics").items()))


def _array_length(node: Node) -> int | Generic:
    if isinstance(node.value, dict):
        return Generic(node.object("generic").get("generic").text())
    return node.number(0, _MAX_LENGTH)


def _argument(node: Node) -> Type | int:
    node.object("kind", "type value")
    kind = node.get("kind").text()
    if kind == "type":
        return parse_type(node.get("type"))
    if kind != "const":
        raise node.fail(f"a generic argument is a type or a const, not {kind!r}")
    value = node.get("value").text()
    # A parameter handed on stands there by name, a number as text.
    return int(value) if value.isdecimal() else Generic(value)


def parse_fields(node: Node, named: bool | None = None) -> Fields:
    """Return fields: all named or all bare types (a tuple). `named` demands one of the two."""
    items = list(node.items())
    are_named = bool(items) and all(isinstance(item.value, dict) and "name" in item.value for item in items)
    if not items:
        return Fields()
    if not are_named:
        if named or any(isinstance(item.value, dict) and "name" in item.value for item in items):
            raise node.fail("every field needs a name, or none has one")
        return Fields(tuple(Field(str(number), parse_type(item)) for number, item in enumerate(items)), named=False)
    fields: dict[str, Field] = {}
    for item in items:
        item.object("name type", "docs")
        name = item.get("name").text()
        if name in fields:
            raise item.fail(f"the field {name} twice")
        fields[name] = Field(name, parse_type(item.get("type")))
    return Fields(tuple(fields.values()))


def parse_type_def(node: Node) -> TypeDef:
    """Return the type definition at `node`."""
    node.object("name type", "docs serialization repr generics")
    return TypeDef(
        name=node.get("name").text(),
        body=_body(node.get("type")),
        parameters=tuple(_parameter(item) for item in node.get("generics").items()),
        serialization=_serialization(node.get("serialization")),
        repr=_repr(node.get("repr")) if node.has("repr") else None,
    )


def _body(node: Node) -> Struct | Enum | Alias:
    node.object("kind", "fields variants alias")
    kind = node.get("kind").text()
    if kind == "struct":
        return Struct(parse_fields(node.object("kind", "fields").get("fields")))
    if kind == "type":
        return Alias(parse_type(node.object("kind alias").get("alias")))
    if kind != "enum":
        raise node.fail(f"a definition is a struct, an enum or a type, not {kind!r}")
    variants: dict[str, Variant] = {}
    for item in node.object("kind variants").get("variants").items():
        item.object("name", "fields docs")
        name = item.get("name").text()
        if name in variants:
            raise item.fail(f"the variant {name} twice")
        variants[name] = Variant(name, parse_fields(item.get("fields")))
    if not 1 <= len(variants) <= 256:
        raise node.fail(f"an enum has 1 to 256 variants, not {len(variants)}")
    return Enum(tuple(variants.values()))


def _parameter(node: Node) -> Parameter:
    node.object("kind name", "type")
    kind = node.get("kind").text()
    if kind not in ("type", "const"):
        raise node.fail(f"a generic parameter is a type or a const, not {kind!r}")
    return Parameter(node.get("name").text(), const=kind == "const")


def _serialization(node: Node) -> str:
    if node.value is None:
        return "borsh"
    if isinstance(node.value, dict):
        return f"custom: {node.object('custom').get('custom').text()}"
    if node.value not in ("borsh", "bytemuck", "bytemuckunsafe"):
        raise node.fail(f"no serialization is named {node.value!r}")
    return str(node.value)


def _repr(node: Node) -> Repr:
    node.object("kind", "packed align")
    kind = node.get("kind").text()
    if kind not in ("rust", "c", "transparent"):
        raise node.fail(f"a repr is rust, c or transparent, not {kind!r}")
    align = node.get("align").number(1, 2**29) if node.has("align") else None
    return Repr(kind, node.get("packed").flag(), align)  # type: ignore[arg-type]


def check_references(types: Mapping[str, TypeDef], instructions: Iterable[Instruction]) -> None:
    """Raise `IdlError` where a type names a definition or parameter that is not there, or gives it other arguments."""
    for definition in types.values():
        constants = {parameter.name: parameter.const for parameter in definition.parameters}
        if len(constants) < len(definition.parameters):
            raise IdlError(f"types.{definition.name}: a generic parameter twice")
        for place, type_ in _types_of(definition):
            _check(f"types.{definition.name}{place}", type_, types, constants)
    for instruction in instructions:
        for field in instruction.arguments.items:
            _check(f"instructions.{instruction.name}.{field.name}", field.type, types, {})


def _types_of(definition: TypeDef) -> Iterable[tuple[str, Type]]:
    body = definition.body
    if isinstance(body, Alias):
        yield "", body.type
    elif isinstance(body, Struct):
        yield from ((f".{field.name}", field.type) for field in body.fields.items)
    else:
        for variant in body.variants:
            yield from ((f".{variant.name}.{field.name}", field.type) for field in variant.fields.items)


def _check(place: str, type_: Type, types: Mapping[str, TypeDef], constants: Mapping[str, bool]) -> None:
    if isinstance(type_, Option | COption | Vec | Array):
        _check(place, type_.item, types, constants)
        if isinstance(type_, Array) and isinstance(type_.length, Generic) and not constants.get(type_.length.name):
            raise IdlError(f"{place}: {type_.length.name} is no const parameter of the definition")
    elif isinstance(type_, Generic):
        if constants.get(type_.name) is not False:
            raise IdlError(f"{place}: {type_.name} is no type parameter of the definition")
    elif isinstance(type_, Defined):
        definition = types.get(type_.name)
        if definition is None:
            raise IdlError(f"{place}: the type {type_.name} is not in the IDL")
        if len(definition.parameters) != len(type_.arguments):
            raise IdlError(
                f"{place}: {type_.name} takes {len(definition.parameters)} generic arguments, not {len(type_.arguments)}"
            )
        for parameter, argument in zip(definition.parameters, type_.arguments, strict=True):
            is_const = constants.get(argument.name) if isinstance(argument, Generic) else isinstance(argument, int)
            if is_const is not parameter.const:
                raise IdlError(f"{place}: {parameter.name} of {type_.name} is a {'number' if parameter.const else 'type'}")
            if not isinstance(argument, int | Generic):
                _check(place, argument, types, constants)

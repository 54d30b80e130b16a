"""Generic parameters of a type definition replaced by the arguments of its use."""

from __future__ import annotations

from collections.abc import Mapping

from .model import Array, COption, Defined, Generic, Option, Primitive, Type, TypeDef, Vec

Values = Mapping[str, Type | int]


def environment(definition: TypeDef, use: Defined) -> Values:
    """Return the arguments of `use` by the names of the definition's parameters (the parser has checked their number)."""
    return {parameter.name: value for parameter, value in zip(definition.parameters, use.arguments, strict=True)}


def substitute(type_: Type, values: Values) -> Type:
    """Return `type_` with every generic parameter replaced by its value."""
    if not values:
        return type_
    match type_:
        case Primitive():
            return type_
        case Option(item):
            return Option(substitute(item, values))
        case COption(item):
            return COption(substitute(item, values))
        case Vec(item):
            return Vec(substitute(item, values))
        case Array(item, length):
            return Array(substitute(item, values), _length(length, values))
        case Defined(name, arguments):
            return Defined(name, tuple(_argument(argument, values) for argument in arguments))
        case Generic(name):
            value = values[name]
            assert not isinstance(value, int), "the parser keeps types and lengths apart"
            return value


def _length(length: int | Generic, values: Values) -> int:
    if isinstance(length, int):
        return length
    value = values[length.name]
    assert isinstance(value, int), "the parser keeps types and lengths apart"
    return value


def _argument(argument: Type | int, values: Values) -> Type | int:
    # A parameter handed on can be a number: `Inner<N>` inside `Outer<const N>`.
    if isinstance(argument, Generic):
        return values[argument.name]
    return argument if isinstance(argument, int) else substitute(argument, values)

"""How a dataclass field maps to XML: an attribute, a simple element, or one or many nested elements.

Fields declare it in their annotation: `value: Annotated[int | None, element("value", INT48)] = None`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import get_type_hints

from .types import SimpleType


@dataclass(frozen=True, slots=True)
class Mapping:
    """Where a field goes. `type` is a `SimpleType`, or the dataclass of the nested element."""

    name: str
    type: SimpleType | type
    is_attribute: bool = False
    many: bool = False


def attribute(name: str, type: SimpleType) -> Mapping:
    """Declare an optional XML attribute."""
    return Mapping(name, type, is_attribute=True)


def element(name: str, type: SimpleType | type) -> Mapping:
    """Declare an optional element, simple or nested."""
    return Mapping(name, type)


def children(name: str, type: type) -> Mapping:
    """Declare a repeated nested element; the field is a list."""
    return Mapping(name, type, many=True)


def mappings(cls: type) -> list[tuple[str, Mapping]]:
    """Fields of a resource class with their mapping, in document order. Slow: readers keep the result."""
    hints = get_type_hints(cls, include_extras=True)
    return [(field.name, hints[field.name].__metadata__[0]) for field in dataclasses.fields(cls)]

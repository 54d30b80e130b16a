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
    """Where a field goes. `type` is a `SimpleType`, or the dataclass of the nested element.

    `namespace` is that of an extension's element, None for the document's own. The element of a `polymorphic` field may
    hold any subclass of `type`, named by its xsi:type. `aliases` are other names that are read.
    """

    name: str
    type: SimpleType | type
    is_attribute: bool = False
    many: bool = False
    namespace: str | None = None
    polymorphic: bool = False
    aliases: tuple[str, ...] = ()


def attribute(name: str, type: SimpleType) -> Mapping:
    """Declare an optional XML attribute."""
    return Mapping(name, type, is_attribute=True)


def element(
    name: str,
    type: SimpleType | type,
    *,
    namespace: str | None = None,
    polymorphic: bool = False,
    aliases: tuple[str, ...] = (),
) -> Mapping:
    """Declare an optional element, simple or nested; see `Mapping` for the options."""
    return Mapping(name, type, namespace=namespace, polymorphic=polymorphic, aliases=aliases)


def children(name: str, type: type, *, polymorphic: bool = False) -> Mapping:
    """Declare a repeated nested element; the field is a list."""
    return Mapping(name, type, many=True, polymorphic=polymorphic)


def mappings(cls: type) -> list[tuple[str, Mapping]]:
    """Fields of a resource class with their mapping, in document order. Slow: readers keep the result."""
    hints = get_type_hints(cls, include_extras=True)
    return [(field.name, hints[field.name].__metadata__[0]) for field in dataclasses.fields(cls)]

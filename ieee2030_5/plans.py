"""How the codec writes and reads each class: made from its mappings when the class is first met, then looked up."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from lxml import etree

from ieee2030_5 import draft
from ieee2030_5.namespaces import DRAFT, PREFIXES, XSI
from ieee2030_5.resources import find
from ieee2030_5.resources.fields import Mapping, mappings
from ieee2030_5.resources.types import SimpleType

XSI_TYPE = f"{{{XSI}}}type"
Special = Callable[[etree._Element], tuple[type, Callable[[Any], Any]]]


class Child(NamedTuple):
    """How a field is written: by `write` if it is a value, else as an element; `start` and `end` are its tags."""

    field: str
    name: str
    type: SimpleType | type
    write: Callable[[Any], str | None] | None
    escape: bool
    many: bool
    polymorphic: bool
    start: str
    end: str


class WritePlan(NamedTuple):
    """How a class is written: attributes as (field, name, type), then elements in order."""

    attributes: tuple[tuple[str, str, SimpleType], ...]
    children: tuple[Child, ...]


class WritePlans(dict[type, WritePlan]):
    """How classes are written, with the elements of some extensions."""

    def __init__(self, extensions: Collection[str]) -> None:
        super().__init__()
        self._extensions = extensions

    def __missing__(self, cls: type) -> WritePlan:
        attributes, nested = _split(cls)
        children = []
        for field, mapping in nested:
            if mapping.namespace is None:
                name = mapping.name
            elif mapping.namespace in self._extensions:
                name = f"{PREFIXES[mapping.namespace]}:{mapping.name}"
            else:
                continue
            kind = mapping.type
            simple = kind if isinstance(kind, SimpleType) else None
            write, escape = (simple.write, simple.escape) if simple else (None, False)
            tags = f"<{name}>", f"</{name}>"
            children.append(Child(field, name, kind, write, escape, mapping.many, mapping.polymorphic, *tags))
        plan = self[cls] = WritePlan(attributes, tuple(children))
        return plan


class Known(NamedTuple):
    """How an element is read: by `read` if it holds a value, else as a resource of class `type`.

    Where the class depends on the element, or the resource is not yet the field's value, `special` gives the class and what
    makes the value of the resource; it raises `ValueError`.
    """

    field: str
    name: str
    read: Callable[[str], Any] | None
    type: Any
    many: bool
    special: Special | None


class ReadPlan(NamedTuple):
    """How a class is read: attributes as (field, name, type), elements by qualified name."""

    attributes: tuple[tuple[str, str, SimpleType], ...]
    by_tag: dict[str, Known]


class ReadPlans(dict[type, ReadPlan]):
    """How classes are read in documents of one namespace; elements may stand in any of `namespaces`."""

    def __init__(self, *namespaces: str) -> None:
        super().__init__()
        self._namespaces = namespaces
        self._draft = namespaces[0] == DRAFT

    def __missing__(self, cls: type) -> ReadPlan:
        attributes, nested = _split(cls)
        fields = dict(nested)
        by_tag: dict[str, Known] = {}
        for field, mapping in nested:
            for name in (mapping.name, *mapping.aliases):
                for namespace in (mapping.namespace,) if mapping.namespace else self._namespaces:
                    by_tag[f"{{{namespace}}}{name}"] = self._known(cls, field, mapping, name)
        if self._draft:
            for name, field in draft.RENAMED.get(cls.__name__, {}).items():
                by_tag[f"{{{DRAFT}}}{name}"] = self._known(cls, field, fields[field], name)
        plan = self[cls] = ReadPlan(attributes, by_tag)
        return plan

    def _known(self, cls: type, field: str, mapping: Mapping, name: str) -> Known:
        kind = mapping.type
        if isinstance(kind, SimpleType):
            drafted = draft.VALUES.get((cls.__name__, field)) if self._draft else None
            return Known(field, name, drafted or kind.read, kind, mapping.many, None)
        special = _subclass_of(kind) if mapping.polymorphic else None
        if self._draft and (drafted_as := draft.NESTED.get((cls.__name__, name))):
            special = _always(drafted_as)
        return Known(field, name, None, kind, mapping.many, special)


def _subclass_of(base: type) -> Special:
    def special(element: etree._Element) -> tuple[type, Callable[[Any], Any]]:
        named = element.get(XSI_TYPE)
        cls = base if named is None else find(named.strip().rpartition(":")[2])
        if cls is None or not issubclass(cls, base):
            raise ValueError(f"xsi:type {str(named)[:64]!r} is not a kind of {base.__name__}")
        return cls, _as_it_is

    return special


def _as_it_is(resource: Any) -> Any:
    return resource


def _always(how: tuple[type, Callable[[Any], Any]]) -> Special:
    return lambda element: how


def _split(cls: type) -> tuple[tuple[tuple[str, str, SimpleType], ...], list[tuple[str, Mapping]]]:
    attributes: list[tuple[str, str, SimpleType]] = []
    nested: list[tuple[str, Mapping]] = []
    for field, mapping in mappings(cls):
        if mapping.is_attribute and isinstance(mapping.type, SimpleType):
            attributes.append((field, mapping.name, mapping.type))
        else:
            nested.append((field, mapping))
    return tuple(attributes), nested

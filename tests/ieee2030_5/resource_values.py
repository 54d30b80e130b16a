"""Resources of any class with made-up values, from their mappings."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

from ieee2030_5 import resources
from ieee2030_5.extensions import csip_aus, p2p
from ieee2030_5.resources import types
from ieee2030_5.resources.fields import mappings

STANDARD = [getattr(resources, name) for name in resources.__all__]
EXTENSION = [csip_aus.ConnectionPoint] + [
    cls for cls in vars(p2p).values() if getattr(cls, "__module__", "") == p2p.__name__ and hasattr(cls, "xml_namespace")
]
# Some of the many resources that a notification may carry.
_SUBCLASSES = {
    resources.Resource: [resources.Resource, resources.Time, resources.DERControlList, resources.ReadingType],
    resources.Response: [resources.Response, resources.DrResponse, resources.DERControlResponse],
}
_CHARACTERS = st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\ufffe\uffff").filter(
    lambda c: c >= " " or c in "\t\n\r"
)


@cache
def value(kind: types.SimpleType) -> st.SearchStrategy[Any]:
    """Any value of a simple type."""
    if kind.name == "boolean":
        return st.booleans()
    if kind.name == "anyURI":
        return st.text(_CHARACTERS, min_size=1, max_size=40)
    if kind.name.startswith("String"):
        longest = int(kind.name.removeprefix("String") or 300)
        return st.text(_CHARACTERS, min_size=1, max_size=longest).filter(lambda t: len(t.encode()) <= longest)
    if kind.name in ("HexBinary128", "HexBinary160", "EUI64"):
        octets = int(kind.name.removeprefix("HexBinary").removeprefix("EUI")) // 8
        return st.binary(min_size=octets, max_size=octets).map(lambda b: b.hex().upper())
    if kind.name.startswith("HexBinary"):
        return st.integers(0, 2 ** int(kind.name.removeprefix("HexBinary")) - 1)
    if "|" in kind.name:
        return st.sampled_from(kind.name.split("|"))
    bits = int(kind.name.removeprefix("U").removeprefix("Int"))
    if kind.name.startswith("U"):
        return st.integers(0, 2**bits - 1)
    return st.integers(-(2 ** (bits - 1)) + (bits == 48), 2 ** (bits - 1) - 1)


@cache
def resource(cls: type) -> st.SearchStrategy[Any]:
    """Any resource of a class; each field may be missing."""
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for name, mapping in mappings(cls):
        if isinstance(mapping.type, types.SimpleType):
            fields[name] = st.none() | value(mapping.type)
        else:
            nested = st.one_of([resource(sub) for sub in (_SUBCLASSES[mapping.type] if mapping.polymorphic else [mapping.type])])
            fields[name] = st.lists(nested, max_size=2) if mapping.many else st.none() | nested
    return st.builds(cls, **fields)


def full(cls: type, draw: int = 0) -> Any:
    """A resource with every field set, lists of two items; `draw` picks among the values at a type's ends and subclasses."""
    values: dict[str, Any] = {}
    for number, (name, mapping) in enumerate(mappings(cls), draw):
        if isinstance(mapping.type, types.SimpleType):
            values[name] = _at_an_end(mapping.type, number)
        else:
            kinds = _SUBCLASSES[mapping.type] if mapping.polymorphic else [mapping.type]
            one = full(kinds[number % len(kinds)], number)
            values[name] = [one, full(kinds[(number + 1) % len(kinds)], number + 1)] if mapping.many else one
    return cls(**values)


def _at_an_end(kind: types.SimpleType, number: int) -> Any:
    high = number % 2 == 0
    if kind.name == "boolean":
        return high
    if kind.name == "anyURI":
        return f"/a/{number}"
    if kind.name.startswith("String"):
        return '<é&">' if high else "x" * int(kind.name.removeprefix("String") or 300)
    if kind.name in ("HexBinary128", "HexBinary160", "EUI64"):
        return f"{number:02X}" * (int(kind.name.removeprefix("HexBinary").removeprefix("EUI")) // 8)
    if kind.name.startswith("HexBinary"):
        return 2 ** int(kind.name.removeprefix("HexBinary")) - 1 if high else 0
    if "|" in kind.name:
        return kind.name.split("|")[0]
    bits = int(kind.name.removeprefix("U").removeprefix("Int"))
    if kind.name.startswith("U"):
        return 2**bits - 1 if high else 0
    return 2 ** (bits - 1) - 1 if high else -(2 ** (bits - 1)) + (bits == 48)

from __future__ import annotations

from functools import cache
from operator import attrgetter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from resource_values import EXTENSION, STANDARD

from ieee2030_5.ordering import ORDER, rule_of, sort_key
from ieee2030_5.resources import (
    CustomerAccount,
    DateTimeInterval,
    DERControl,
    DERProgram,
    EndDevice,
    Reading,
    Resource,
    TextMessage,
    UnitValue,
)
from ieee2030_5.resources.fields import mappings
from ieee2030_5.resources.types import SimpleType

RESOURCES = [cls for cls in (*STANDARD, *EXTENSION) if issubclass(cls, Resource)]


def by_rule(item: Any) -> tuple[Any, ...]:
    """The rule itself as a key of Python's."""
    key: list[Any] = []
    for field in rule_of(type(item)):
        value = item
        for step in field.removeprefix("-").split("."):
            value = None if value is None else attrgetter(step)(value)
        if isinstance(value, str) and (step.endswith(("mrid", "lfdi", "eui64", "address", "source_route"))):
            value = int(value, 16)
        key.append((value is None, 0 if value is None else -value if field.startswith("-") else value))
    return tuple(key)


def _few(kind: SimpleType) -> list[Any]:
    """Few enough that items tie, with those that digits or signs would sort wrongly."""
    if kind.escape:
        return [None, "a", "a\t", "aé", "a/", "b"]
    bits = int("".join(filter(str.isdigit, kind.name)))
    if kind.name in ("HexBinary128", "HexBinary160", "EUI64"):
        return [None, *(f"{number:0{bits // 4}X}" for number in (0, 1, 10, 16, 2**bits - 1))]
    if kind.name.startswith("Int"):
        return [None, -(2 ** (bits - 1)), -1, 0, 10, 2 ** (bits - 1) - 1]
    return [None, 0, 9, 10, 16, 2**bits - 1]


@cache
def tying(cls: type) -> st.SearchStrategy[Any]:
    """Resources of a class with values of the fields that its order is by."""

    def of(kind: type, paths: list[list[str]]) -> st.SearchStrategy[Any]:
        types, fields = {name: m.type for name, m in mappings(kind)}, {}
        for name in {path[0] for path in paths}:
            below = [path[1:] for path in paths if path[0] == name and len(path) > 1]
            type_ = types[name]
            fields[name] = st.sampled_from(_few(type_)) if isinstance(type_, SimpleType) else st.none() | of(type_, below)
        return st.builds(kind, **fields)

    return of(cls, [field.removeprefix("-").split(".") for field in rule_of(cls)])


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(RESOURCES).flatmap(lambda cls: st.lists(tying(cls), min_size=2, max_size=4)))
def test_sorting_by_the_key_is_sorting_by_the_rule(items: list[Any]) -> None:
    assert [by_rule(item) for item in sorted(items, key=sort_key)] == sorted(map(by_rule, items))


def test_every_rule_names_fields_of_its_class() -> None:
    names = {cls.__name__ for cls in RESOURCES}
    assert ORDER.keys() <= names
    for cls in RESOURCES:
        assert set(sort_key(cls())) == {"1"}


def event(cls: type, start: int, created: int, mrid: str) -> Any:
    return cls(interval=DateTimeInterval(start=start), creation_time=created, mrid=mrid)


@pytest.mark.parametrize(
    "ordered",
    [
        [EndDevice(sfdi=9), EndDevice(sfdi=10), EndDevice()],
        [DERProgram(primacy=1, mrid="0A"), DERProgram(primacy=1, mrid="09"), DERProgram(primacy=89, mrid="FF")],
        [
            event(DERControl, -5, 1, "01"),
            event(DERControl, 100, 9, "01"),
            event(DERControl, 100, 8, "02"),
            event(DERControl, 100, 8, "01"),
        ],
        [event(TextMessage, 200, 1, "01"), event(TextMessage, 100, 2, "01"), event(TextMessage, 100, 1, "01")],
        [Reading(local_id=1, tou_tier=2), Reading(local_id=16), Reading(consumption_block=1)],
        [CustomerAccount(customer_name="a"), CustomerAccount(customer_name="a\t"), CustomerAccount(customer_name="ab")],
        [Resource(href="/a"), Resource(href="/a/b"), Resource(href="/b")],
    ],
    ids=["sfdi", "primacy", "event", "message", "reading", "name", "href"],
)
def test_lists_come_in_the_order_of_the_standard(ordered: list[Any]) -> None:
    shuffled = ordered[::-1]
    assert sorted(shuffled, key=sort_key) == ordered


def test_keys_sort_alike_under_any_collation() -> None:
    assert set(sort_key(Resource(href="/ä-Z_z"))) <= set("0123456789abcdef")


def test_what_is_no_resource_has_no_order() -> None:
    with pytest.raises(TypeError, match="UnitValue"):
        sort_key(UnitValue(value=1))

"""Our resources against the standard's XML schema."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import sep_schemas
from lxml import etree
from resource_values import STANDARD, full

from ieee2030_5 import resources
from ieee2030_5.extensions.csip_aus import ConnectionPoint
from ieee2030_5.namespaces import CSIP_AUS, SEP
from ieee2030_5.resources import DERCapability, DERControl, DERSettings, EndDevice
from ieee2030_5.resources.fields import mappings
from ieee2030_5.xml import encode, parse

XS = "{http://www.w3.org/2001/XMLSchema}"
OTHER_NAMES = {"IEEE802154": "IEEE_802_15_4", "LoWPAN": "loWPAN"}


def schema_name(cls: type, types: set[str]) -> str:
    """The schema's name of a class's type: ours leave out what the language makes plain."""
    name = OTHER_NAMES.get(cls.__name__, cls.__name__)
    return name if name in types else f"{name}Type"


def test_every_type_of_the_schema_has_a_class_with_its_elements_in_its_order(sep_schema: etree.XMLSchema) -> None:
    root = etree.parse(str(sep_schemas.directory() / "sep.xsd")).getroot()
    found = {
        node.get("name"): node
        for node in root.iter(f"{XS}complexType")
        if node.find(f"{XS}simpleContent") is None
        and (not node.get("name").endswith("Link") or node.get("name") in ("Link", "ListLink"))
    }

    def members(name: str) -> tuple[list[tuple[str, bool]], set[str]]:
        node = found[name]
        extension = node.find(f".//{XS}extension")
        elements, attributes = members(extension.get("base")) if extension is not None else ([], set())
        elements = elements + [(e.get("name"), e.get("maxOccurs", "1") != "1") for e in node.iter(f"{XS}element")]
        return elements, attributes | {a.get("name") for a in node.iter(f"{XS}attribute")}

    ours = {schema_name(cls, set(found)): cls for cls in STANDARD}
    assert ours.keys() == found.keys()
    for name, cls in ours.items():
        standard = [mapping for _, mapping in mappings(cls) if mapping.namespace is None]
        elements, attributes = members(name)
        assert [(m.name, m.many) for m in standard if not m.is_attribute] == elements, name
        assert {m.name for m in standard if m.is_attribute} == attributes, name


@pytest.mark.parametrize("draw", [0, 1])
def test_full_resources_validate(sep_schema: etree.XMLSchema, draw: int) -> None:
    types = set(sep_schema_names())
    for cls in STANDARD:
        root = parse(encode(full(cls, draw)))
        root.tag = f"{{{SEP}}}{schema_name(cls, types)}"
        # The schema is checked on what is sent, hence on text and not on the tree at hand.
        sep_schema.assertValid(etree.fromstring(etree.tostring(root)))


def sep_schema_names() -> list[str]:
    root = etree.parse(str(sep_schemas.directory() / "sep.xsd")).getroot()
    return [str(node.get("name")) for node in root.iter(f"{XS}complexType")]


@pytest.mark.parametrize("cls", [EndDevice, DERCapability, DERSettings, DERControl, ConnectionPoint])
def test_extended_resources_validate_with_the_extension_and_only_with_it(
    sep_schema: etree.XMLSchema, csip_aus_schema: etree.XMLSchema, cls: type
) -> None:
    document = etree.fromstring(encode(full(cls), {CSIP_AUS}))
    csip_aus_schema.assertValid(document)
    assert not sep_schema.validate(document)


def test_every_class_can_be_imported_by_its_name() -> None:
    folder = Path(resources.__file__).parent
    defined = {
        node.name: module.stem
        for module in folder.glob("*.py")
        if module.stem not in ("__init__", "fields", "types")
        for node in ast.parse(module.read_text()).body
        if isinstance(node, ast.ClassDef)
    }
    assert {name: resources.find(name).__module__.rpartition(".")[2] for name in resources.__all__} == defined  # type: ignore[union-attr]
    assert resources.find("Nothing") is None

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from resource_values import EXTENSION, STANDARD

from ieee2030_5.namespaces import CSIP_AUS, P2P, PREFIXES, XSI
from ieee2030_5.resources import Reading
from ieee2030_5.resources.fields import Mapping, mappings
from ieee2030_5.xml import (
    MAX_DEPTH,
    NAMESPACE,
    NAMESPACES,
    MalformedXml,
    UnknownNamespace,
    XmlError,
    decode,
    encode,
    local_name,
    namespace_of,
    parse,
)

EVERY_NAMESPACE = (*NAMESPACES, CSIP_AUS, P2P)

BILLION_LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">
<!ENTITY lol3 "&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;">]><Time xmlns="urn:ieee:std:2030.5:ns"><currentTime>&lol3;</currentTime></Time>"""
GOOD = f'<Time xmlns="{NAMESPACE}"><currentTime>1</currentTime></Time>'


def _nested(levels: int) -> bytes:
    return (f'<a xmlns="{NAMESPACE}">' + "<a>" * (levels - 1) + "</a>" * levels).encode()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (BILLION_LAUGHS, "DOCTYPE"),
        (f'<!DOCTYPE Time SYSTEM "http://127.0.0.1:9/x.dtd">{GOOD}'.encode(), "DOCTYPE"),
        (f"<!DOCTYPE Time>{GOOD}".encode(), "DOCTYPE"),
        (GOOD.encode("utf-16"), "NUL"),
        (GOOD.encode("utf-32"), "NUL"),
        (f'<?xml version="1.0" encoding="ISO-8859-1"?>{GOOD}'.encode(), "encoding"),
        (f'<?xml version="1.0" encoding="UTF-7"?>{GOOD}'.encode(), "encoding"),
        (GOOD.replace("1", "\xe9").encode("latin-1"), "not UTF-8"),
        (_nested(MAX_DEPTH + 1), "levels"),
        (_nested(5000), ""),
        (b"", "empty"),
        (b" \n", "empty"),
        (b"{}", ""),
        (GOOD[:-3].encode(), ""),
        (f"{GOOD}{GOOD}".encode(), ""),
        (GOOD.replace("1", "&undefined;").encode(), ""),
        (GOOD.replace("1", "&#0;").encode(), ""),
        (GOOD.replace("<currentTime>", '<currentTime a="1" a="2">').encode(), "redefined"),
    ],
)
def test_hostile_and_broken_documents_are_refused(body: bytes, reason: str) -> None:
    with pytest.raises(MalformedXml) as caught:
        parse(body)
    assert reason in caught.value.reason


def test_external_entities_are_never_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    body = f'<!DOCTYPE Time [<!ENTITY x SYSTEM "file://{secret}">]>{GOOD.replace("1", "&x;")}'
    with pytest.raises(MalformedXml) as caught:
        parse(body.encode())
    assert "secret" not in str(caught.value)


def test_size_is_bounded() -> None:
    assert parse(GOOD.encode(), max_bytes=len(GOOD)) is not None
    with pytest.raises(MalformedXml, match="limit"):
        parse(GOOD.encode(), max_bytes=len(GOOD) - 1)


@pytest.mark.parametrize("namespace", [None, "urn:ieee:std:2030.5:ns:other", "http://ieee.org/2030.5/"])
def test_other_namespaces_are_refused(namespace: str | None) -> None:
    body = f'<Time xmlns="{namespace}"/>' if namespace else "<Time/>"
    with pytest.raises(UnknownNamespace):
        parse(body.encode())


@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.parametrize(
    "head",
    [
        "",
        "\ufeff",
        '<?xml version="1.0" encoding="utf-8"?>',
        '\ufeff<?xml version="1.0" encoding="UTF-8"?>\n',
        "<?xml version='1.0'?>",
    ],
)
def test_usual_documents_are_accepted(namespace: str, head: str) -> None:
    root = parse(
        f'{head}<!-- c --><s:Time xmlns:s="{namespace}"><?pi x?><s:currentTime><![CDATA[1]]></s:currentTime></s:Time>'.encode()
    )
    assert local_name(root) == "Time"
    assert [local_name(child) for child in root] == ["currentTime"]
    assert parse(_nested(MAX_DEPTH)) is not None


ANYTHING = (
    st.binary(max_size=200)
    | st.text(max_size=100).map(str.encode)
    | st.text("<>/!?[]ENTITYDOCTYPEx&;#='\" ", max_size=60).map(str.encode)
)
CLASSES = [*STANDARD, *EXTENSION]
# Texts near what types take: the ends of integers, digits of other scripts, hex of odd lengths, spaces and signs.
_WORDS = ("true", "TRUE", "0A", "abc", "F" * 41, "\u00e9" * 33, "x" * 300, "/edev/1", "2026-11-22T00:00:00Z", "buyer", "\t\n")
TEXTS = st.sampled_from(
    [
        "",
        "0",
        "-1",
        "255",
        "65536",
        str(2**47),
        str(-(2**63)),
        str(2**63),
        "9" * 30,
        "1_0",
        "\u0661",
        " 7 ",
        "+1",
        "1.0",
        "1e3",
        *_WORDS,
    ]
) | st.text(st.characters(codec="utf-8", exclude_characters="\x00\ufffe\uffff", exclude_categories=["Cs", "Cc"]), max_size=40)


@cache
def _plan(cls: type) -> list[Mapping]:
    return [mapping for _, mapping in mappings(cls)]


NAMES = sorted({mapping.name for cls in CLASSES for mapping in _plan(cls)})


def _grow(draw: st.DrawFn, element: etree._Element, cls: type, levels: int) -> None:
    """Fill an element with what its class knows, and with elements of any name at all."""
    namespace = etree.QName(element).namespace
    for _ in range(draw(st.integers(0, 4))):
        mapping = draw(st.sampled_from(_plan(cls))) if draw(st.integers(0, 5)) and _plan(cls) else None
        if mapping is not None and mapping.is_attribute:
            element.set(mapping.name, draw(TEXTS))
            continue
        name = mapping.name if mapping is not None else draw(st.sampled_from(NAMES))
        place = mapping.namespace if mapping is not None and mapping.namespace else namespace
        child = etree.SubElement(element, f"{{{place}}}{name}")
        if not draw(st.integers(0, 9)):
            child.set(f"{{{XSI}}}type", draw(st.sampled_from([one.__name__ for one in CLASSES]) | TEXTS))
        inner = mapping.type if mapping is not None and isinstance(mapping.type, type) else draw(st.sampled_from([None, Reading]))
        if inner is None:
            child.text = draw(TEXTS)
        elif levels:
            _grow(draw, child, inner, levels - 1)


@st.composite
def trees(draw: st.DrawFn) -> tuple[type, bytes]:
    """A class and a document of its name, in a namespace that it may have, otherwise as wrong as can be."""
    cls = draw(st.sampled_from(CLASSES))
    own = namespace_of(cls)
    root = etree.Element(f"{{{draw(st.sampled_from(NAMESPACES)) if own == NAMESPACE else own}}}{cls.__name__}")
    _grow(draw, root, cls, 4)
    return cls, etree.tostring(root)


@given(ANYTHING, st.sampled_from(CLASSES))
def test_any_bytes_are_read_or_raise_an_xml_error(body: bytes, cls: type) -> None:
    for document in (body, f'<{cls.__name__} xmlns="{namespace_of(cls)}">'.encode() + body + f"</{cls.__name__}>".encode()):
        try:
            decode(parse(document, namespaces=EVERY_NAMESPACE), cls)
        except XmlError:
            pass


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(trees())
def test_any_tree_of_known_names_is_read_or_raises_an_xml_error(case: tuple[type, bytes]) -> None:
    cls, body = case
    try:
        found = decode(parse(body, namespaces=EVERY_NAMESPACE), cls)
    except XmlError:
        return
    # What was read can be written, and is the same again.
    written = encode(found, PREFIXES)
    assert decode(parse(written, namespaces=EVERY_NAMESPACE), cls) == found

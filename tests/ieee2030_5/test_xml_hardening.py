from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ieee2030_5.xml import MAX_DEPTH, NAMESPACE, NAMESPACES, MalformedXml, UnknownNamespace, XmlError, local_name, parse

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


@given(
    st.binary(max_size=200)
    | st.text(max_size=100).map(str.encode)
    | st.text("<>/!?[]ENTITYDOCTYPEx&;#='\" ", max_size=60).map(str.encode)
)
def test_any_bytes_parse_or_raise_an_xml_error(body: bytes) -> None:
    try:
        parse(body)
    except XmlError:
        pass

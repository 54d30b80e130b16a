"""What is read of many messages at once is what the XML reader reads of each."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from gridtokenx_pipeline.domain import parse, shapes
from gridtokenx_pipeline.domain.parse import Parsed, parse_messages
from gridtokenx_pipeline.domain.shapes import FEWEST, read_shapes

sys.path.insert(0, str(Path(__file__).parent))

from reading_documents import DRAFT, full_mup, full_post, listed, messages, mmr, mup, reading, rooted, rtype

COUNT = FEWEST + 2


def one_by_one(frame: pl.DataFrame) -> Parsed:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parse, "read_shapes", lambda bodies: ([], list(range(len(bodies)))))
        return parse_messages(frame)


def assert_same(bodies: list[bytes]) -> None:
    frame = messages(*bodies)
    together, single = parse_messages(frame), one_by_one(frame)
    for name in ("wire", "reading_types", "documents"):
        assert_frame_equal(getattr(together, name), getattr(single, name))


def prefixed(body: bytes) -> bytes:
    return body.replace(b"<", b"<s:").replace(b"<s:/", b"</s:").replace(b"xmlns=", b"xmlns:s=")


def indented(body: bytes) -> bytes:
    return body.replace(b"><", b">\r\n\t  <")


READING_SET = (
    "<MirrorReadingSet><mRID>0B</mRID><timePeriod><duration>30</duration><start>{}</start></timePeriod>{}</MirrorReadingSet>"
)
SHAPES = {
    "campus": full_post,
    "declared": lambda n: b'<?xml version="1.0" encoding="UTF-8"?>\n' + full_post(n),
    "indented": lambda n: indented(full_post(n)) + b"\n",
    "prefixed": lambda n: prefixed(full_post(n)),
    "indented, prefixed, draft": lambda n: prefixed(indented(full_post(n)).replace(b"urn:ieee:std:2030.5:ns", DRAFT.encode())),
    "single": lambda n: rooted(mmr("01", reading(n, n, extra="<localID>0A</localID>"))),
    "sets": lambda n: mup(mmr("0c", READING_SET.format(n, f"<Reading><value>{n}</value></Reading>" * 3 + reading(n, n)))),
    "vendor elements": lambda n: listed(mmr("01", f"<v:x xmlns:v='urn:v' y='1'>a {n}</v:x>", reading(n, n))),
    "shares": lambda n: listed(mmr("01", reading(n, n, extra=f"<consumptionBlock>{n % 2}</consumptionBlock><touTier>{n % 3}</touTier>"))),
    "commented": lambda n: listed("<!-- a > maker's -->".replace(">", "", 1), mmr("01", "<!-- - -->", reading(n, n), "<!---->")),
    "padded": lambda n: indented(full_post(n)).replace(b"<value>", b"<value>\n ").replace(b"</mRID>", b" </mRID>"),
    "letters": lambda n: listed(mmr("01", reading(n, n), f"<größe>{'éß'[n % 2]} µ</größe>")),
    "reading alone": lambda n: rooted(reading(n, n)),
    "types in each": lambda n: listed(
        mmr("ab", rtype(f"<uom>72</uom><flowDirection>{n % 3}</flowDirection>"), reading(n, n), description="load"),
        mmr("0AB", rtype(f"<uom>{n}</uom>")),
    ),
    "types only": lambda n: full_mup(),
    "another function set": lambda n: f'<PowerStatus xmlns="{DRAFT}"><batteryStatus>{n}</batteryStatus></PowerStatus>'.encode(),
}  # fmt: skip


@pytest.mark.parametrize("make", SHAPES.values(), ids=SHAPES)
def test_a_shape_is_read_together_as_it_is_one_by_one(make):
    bodies = [make(n) for n in range(COUNT)]
    taken, others = read_shapes(bodies)
    assert others == []
    assert [read.numbers for read in taken] == [list(range(COUNT))]
    assert_same(bodies)


def test_shapes_may_come_mixed_with_each_other_and_with_anything_else():
    kinds = [*SHAPES.values()][:8]
    strange = [
        b"",
        b"x",
        b"<a",
        full_post(1)[:-9],
        b"\xff",
        "<MirrorMeterReading>é</MirrorMeterReading>".encode(),
        b"<a>x</a>y",
        b"<a>&x;</a>",
    ]
    bodies = [make(n) for n in range(COUNT) for make in kinds]
    bodies[5:5] = strange
    taken, others = read_shapes(bodies)
    assert len(taken) == len(kinds)
    assert set(others) >= {5 + at for at in range(len(strange))}
    assert sorted([*others, *(number for read in taken for number in read.numbers)]) == list(range(len(bodies)))
    assert_same(bodies)


def test_more_messages_than_are_read_at_once_stay_in_order(monkeypatch):
    bodies = [full_post(n) if n % 5 else rooted(reading(n, n)) for n in range(50)]
    whole = parse_messages(messages(*bodies))
    monkeypatch.setattr(parse, "_AT_ONCE", 16)
    parts = parse_messages(messages(*bodies))
    assert_frame_equal(parts.wire, whole.wire)
    assert_frame_equal(parts.documents, whole.documents)


TRAPS = {
    "comment": ("<value>7</value>", "<!--<value>8</value>--><value>7</value>"),
    "comment around": ("<value>7</value>", "<!--><value>7</value><-->"),
    "text and comment": ("<value>7</value>", "<value>7<!-- -->8</value>"),
    "cdata": ("<value>7</value>", "<value><![CDATA[7]]></value>"),
    "instruction": ("<value>7</value>", "<?p <value>7</value>?>"),
    "entity": ("<value>7</value>", "<value>&#55;</value>"),
    "doctype": ("<MirrorMeterReadingList", "<!DOCTYPE a><MirrorMeterReadingList"),
    "end of tag in attribute": ("<value>7</value>", "<value x='>'>7</value>"),
    "text with end of tag": ("<value>7</value>", "<value>>7</value>"),
    "element in value": ("<value>7</value>", "<value>7<x>8</x>9</value>"),
    "given twice": ("<value>7</value>", "<value>8</value><value>7</value>"),
    "text outside": ("<Reading>", "<Reading>stray"),
    "text after the root": ("</MirrorMeterReadingList>", "</MirrorMeterReadingList>stray"),
    "element after the root": ("</MirrorMeterReadingList>", "</MirrorMeterReadingList><a>1</a>"),
    "torn": ("</MirrorMeterReadingList>", ""),
    "crossed": ("<value>7</value>", "<value>7</start>"),
    "empty": ("<value>7</value>", "<value/>"),
    "blank": ("<value>7</value>", "<value> \n</value>"),
    "padded": ("<value>7</value>", "<value>\n 7\t</value>"),
    "vertical tab": ("<value>7</value>", "<value>\x0b7</value>"),
    "control character": ("<value>7</value>", "<value>\x017</value>"),
    "no-break space": ("<value>7</value>", "<value>\xa07</value>"),
    "prefix unknown": ("<value>7</value>", "<q:value>7</q:value>"),
    "namespace unknown": ("urn:ieee:std:2030.5:ns", "urn:other"),
    "encoding": ("<MirrorMeterReadingList", "<?xml version='1.0' encoding='latin-1'?><MirrorMeterReadingList"),
    "declaration after space": ("<MirrorMeterReadingList", " <?xml version='1.0'?><MirrorMeterReadingList"),
    "mark of the shape": ("<value>7</value>", "<value>t3</value>"),
}  # fmt: skip


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS)
@pytest.mark.parametrize("share", [1, 3], ids=["all", "some"])
def test_traps_are_read_alike(trap, share):
    plain = [listed(mmr("01", reading(7, n), f"<v>{n}</v>")) for n in range(3 * COUNT)]
    bodies = [body if n % share else body.replace(*(text.encode() for text in trap)) for n, body in enumerate(plain)]
    assert all((body != other) == (n % share == 0) for n, (body, other) in enumerate(zip(bodies, plain, strict=True)))
    assert_same(bodies)


TEXTS = st.sampled_from(
    ["15", "-7", "+7", "007", "", " ", " 7", "7\n", "1.5", "x", "99999999999999999999", "140737488355328", "a b", "a\rb", "&#49;", "&", "]]>",
     "<", ">", "é", "0", "0x1F", "1_0", "\t", "\x01", "t1", "<!---->", "<b>", "<b/>", "<b>1</b>", "7<c/>8", "'", '"', "\x7f"]
)  # fmt: skip
TAGS = st.sampled_from(
    ["mRID", "value", "start", "duration", "timePeriod", "Reading", "MirrorReadingSet", "qualityFlags", "localID", "touTier",
     "consumptionBlock", "ReadingType", "uom", "description", "x"]
)  # fmt: skip
NODES = st.recursive(
    st.builds(lambda tag, slot: (tag, slot), TAGS, st.integers(0, 5)),
    lambda inner: st.builds(lambda tag, parts: (tag, parts), TAGS, st.lists(inner, min_size=1, max_size=4)),
    max_leaves=10,
)


def written(node, texts) -> str:
    tag, inside = node
    content = texts[inside] if isinstance(inside, int) else "".join(written(part, texts) for part in inside)
    return f"<{tag}>{content}</{tag}>"


@settings(deadline=None, max_examples=80)
@given(
    st.lists(NODES, max_size=3),
    st.lists(st.lists(TEXTS, min_size=6, max_size=6), min_size=1, max_size=4),
    st.sampled_from(["", "\n", " ", '<?xml version="1.0"?>']),
    st.booleans(),
)
def test_any_shape_with_any_texts(nodes, fillings, around, pretty):
    usual = ["15", "1767225600", "7", "0A", "3", "1"]
    bodies = []
    for texts in [*fillings, *[usual] * FEWEST, *fillings]:
        items = [mmr("01", written(node, texts), reading(texts[2], 0)) for node in nodes]
        body = (
            (around if around.startswith("<") else "").encode() + listed(*items) + (around if around.isspace() else "").encode()
        )
        bodies.append(indented(body) if pretty else body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "FEWEST", 1)
        assert_same(bodies)

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ieee2030_5.resources import MirrorMeterReading, Reading, Time
from ieee2030_5.resources.types import INT48, STRING32, UINT8
from ieee2030_5.xml import MalformedXml, decode, encode, parse

INT48_MAX = (1 << 47) - 1


@given(st.text("0123456789+-_ .eE\t\n\u0661\u00b2", max_size=24) | st.integers().map(str))
@example("1_000")
@example("\u0661")
@example("\u00b2")
@example("0" * 21)
@example("+7")
@example(" 7\n")
@example(str(INT48_MAX + 1))
def test_integers_are_decimal_digits_within_bounds(text: str) -> None:
    plain = re.fullmatch(r"\s*([+-]?[0-9]{1,20})\s*", text)
    expected = int(plain[1]) if plain and abs(int(plain[1])) <= INT48_MAX else None
    try:
        value = INT48.read(text)
    except ValueError:
        value = None
    assert value == expected


@pytest.mark.parametrize(("text", "detail"), [("256", "outside UInt8"), ("-1", "outside UInt8"), ("", "not an integer")])
def test_refusals_say_why(text: str, detail: str) -> None:
    with pytest.raises(ValueError, match=detail):
        UINT8.read(text)


def test_strings_hold_what_xml_carries() -> None:
    assert STRING32.read("caf\u00e9 \t\n") == "caf\u00e9 \t\n"
    for text in ("a\x01", "\ufffe", "\udcff"):
        with pytest.raises(ValueError, match=r"XML|encode"):
            STRING32.read(text)


def test_a_parser_that_refused_a_document_reads_the_next() -> None:
    good = encode(Time(href="/tm", current_time=5))
    for bad in (b"<Time", good[:-3], good + good, good.replace(b">5<", b">&undefined;<"), b"<!DOCTYPE Time>" + good):
        with pytest.raises(MalformedXml):
            parse(bad)
        assert decode(parse(good), Time).current_time == 5


def test_threads_parse_side_by_side() -> None:
    def work(lane: int) -> int:
        for n in range(200):
            document = MirrorMeterReading(mrid=f"{lane:032X}", reading=Reading(value=n))
            body = encode(document)
            root = parse(body)
            with pytest.raises(MalformedXml):
                parse(body[:-1])
            assert decode(root, MirrorMeterReading) == document
        return lane

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [0, 1, 2, 3]

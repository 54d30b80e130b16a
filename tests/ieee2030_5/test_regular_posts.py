from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ieee2030_5.regular import declared_types, is_reading_post, single_readings
from ieee2030_5.resources import (
    DateTimeInterval,
    MirrorMeterReading,
    MirrorMeterReadingList,
    MirrorReadingSet,
    Reading,
    ReadingType,
)
from ieee2030_5.xml import XmlError, decode, encode, encode_fragment, local_name, parse


def accepted(body: bytes) -> list[MirrorMeterReading] | None:
    """What the parser and the codec make of a post; None where they, or a missing mRID, refuse it."""
    try:
        root = parse(body)
        if local_name(root) == "MirrorMeterReading":
            readings = [decode(root, MirrorMeterReading)]
        else:
            readings = decode(root, MirrorMeterReadingList).mirror_meter_readings
    except XmlError:
        return None
    return None if any(reading.mrid is None for reading in readings) else readings


flags = st.none() | st.integers(0, 0xFFFF)
code = st.none() | st.integers(0, 249)
mrids = st.integers(0, 2**128 - 1).map(lambda number: f"{number:032X}")
times = st.none() | st.integers(-(10**18) + 1, 10**18 - 1)
periods = st.none() | st.builds(DateTimeInterval, duration=st.none() | st.integers(0, 3_999_999_999), start=times)
values = st.none() | st.integers(-(10**14) + 1, 10**14 - 1)
readings = st.builds(
    Reading, consumption_block=code, quality_flags=flags, time_period=periods, tou_tier=code, value=values, local_id=flags
)
types = st.builds(
    ReadingType,
    accumulation_behaviour=code, flow_direction=code, interval_length=st.none() | st.integers(0, 3_999_999_999), kind=code,
    power_of_ten_multiplier=st.none() | st.integers(-99, 99), uom=code, phase=code,
    tiered_consumption_blocks=st.none() | st.booleans(),
)  # fmt: skip
texts = st.none() | st.text("abcXYZ 019-_/.:;'=()", min_size=1, max_size=32)


def _whole(reading: object) -> bool:
    """Whether nothing in it is an element without content, which is written as an empty-element tag."""
    return re.search(rb"<\w+/>", encode(reading)) is None


posts = st.builds(
    MirrorMeterReading,
    mrid=mrids, description=texts, version=st.none() | st.integers(0, 9999), last_update_time=times, next_update_time=times,
    reading=st.none() | readings, reading_type=st.none() | types,
    mirror_reading_sets=st.lists(st.builds(MirrorReadingSet, mrid=mrids, time_period=periods, readings=st.lists(readings, max_size=2)),
                                 max_size=2),
).filter(_whole)  # fmt: skip
documents = posts | st.lists(posts, min_size=1, max_size=3).map(
    lambda several: MirrorMeterReadingList(all=len(several), results=len(several), mirror_meter_readings=several)
)


@given(documents, st.booleans())
def test_what_meters_write_is_regular_and_means_the_same(document: object, draft: bool) -> None:
    body = encode(document)
    if draft:
        body = body.replace(b"urn:ieee:std:2030.5:ns", b"http://ieee.org/2030.5")
    assert is_reading_post(body)
    assert is_reading_post(body.replace(b"><", b">\r\n  <"))
    written = [document] if isinstance(document, MirrorMeterReading) else document.mirror_meter_readings
    assert accepted(body) == written
    assert declared_types(body).keys() == {one.mrid.encode() for one in written if one.reading_type is not None}
    for mrid, declared in declared_types(body).items():
        last = [one for one in written if one.mrid.encode() == mrid and one.reading_type is not None][-1]
        assert encode_fragment(last.reading_type).encode() in declared
        assert (b"<description>" in declared) == (last.description is not None)


# Pieces that are near the form, or in it, and put together anyhow: a match must never be more lenient than the parser.
NUMBERS = (
    "0 1 7 9 -1 -0 +1 127 128 -128 -129 249 250 255 256 65535 65536 4294967295 4294967296 3999999999 140737488355327 "
    "140737488355328 -140737488355328 99999999999999 9223372036854775807 9223372036854775808 007 1e3 0x1 1_0 ² true false F"
)
NAMES = (
    "version lastUpdateTime nextUpdateTime value start duration qualityFlags localID consumptionBlock touTier uom kind phase "
    "flowDirection intervalLength powerOfTenMultiplier tieredConsumptionBlocks mRID description supplyLimit"
)
numbers = st.sampled_from(NUMBERS.split()) | st.just("")
names = st.sampled_from(NAMES.split())
leaves = st.builds(lambda name, text: f"<{name}>{text}</{name}>", names, numbers | st.text("AF09g ]>&<", max_size=34))
extras = st.sampled_from(["", "\n", "<!-- -->", "<x/>", "<?p?>", "&#49;", "<![CDATA[1]]>", "\u00a0", "\x00", "text"])
insides = st.lists(leaves | extras, max_size=4).map("".join)
nodes = st.builds(
    lambda name, inside: f"<{name}>{inside}</{name}>",
    st.sampled_from(["Reading", "ReadingType", "timePeriod", "MirrorReadingSet"]),
    insides | st.builds(lambda a, b: f"{a}<timePeriod>{b}</timePeriod>", insides, insides),
)
items = st.builds(
    lambda head, parts: f"<MirrorMeterReading>{head}{''.join(parts)}</MirrorMeterReading>",
    st.sampled_from(["<mRID>0A</mRID>", "<mRID>" + "F" * 32 + "</mRID>", "<mRID>" + "F" * 33 + "</mRID>", "<mRID>g</mRID>", ""]),
    st.lists(nodes | leaves | extras, max_size=4),
)
shells = st.sampled_from(
    [
        '<MirrorMeterReadingList xmlns="urn:ieee:std:2030.5:ns">%s</MirrorMeterReadingList>',
        '<MirrorMeterReadingList xmlns="http://ieee.org/2030.5" all="1" results="1">%s</MirrorMeterReadingList>\n',
        '<MirrorMeterReadingList xmlns="urn:ieee:std:2030.5:ns" all="4294967296">%s</MirrorMeterReadingList>',
        '<MirrorMeterReadingList xmlns="urn:other">%s</MirrorMeterReadingList>',
        '\n<?xml version="1.0" encoding="UTF-8"?><MirrorMeterReadingList xmlns="urn:ieee:std:2030.5:ns">%s</MirrorMeterReadingList>',
        '<?xml version="1.0" encoding="utf-8"?><MirrorMeterReadingList xmlns="urn:ieee:std:2030.5:ns">%s</MirrorMeterReadingList>x',
    ]
)


@given(shells, st.lists(items, max_size=2), st.sampled_from(["", "<", "</MirrorMeterReading>"]))
@example('<MirrorMeterReadingList xmlns="urn:ieee:std:2030.5:ns">%s</MirrorMeterReadingList>', [], "")
def test_what_is_regular_is_what_the_parser_accepts(shell: str, several: list[str], torn: str) -> None:
    body = (shell % ("".join(several) + torn)).encode()
    if is_reading_post(body):
        assert accepted(body) is not None
    if single_readings(body) is not None:
        assert is_reading_post(body)
        assert accepted(body) is not None


SINGLE = encode(
    MirrorMeterReading(
        mrid="AB" * 16,
        reading=Reading(quality_flags=1, time_period=DateTimeInterval(duration=15, start=0), value=7, local_id=1),
        reading_type=ReadingType(phase=224, uom=72),
    )
)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<value>7<", b"<value>140737488355328<"),
        (b"<value>7<", b"<value>-140737488355328<"),
        (b"<phase>224<", b"<phase>256<"),
        (b"<duration>15<", b"<duration>4294967296<"),
        (b"<start>0<", b"<start>9223372036854775808<"),
        (b"<qualityFlags>01<", b"<qualityFlags>10001<"),
        (b"<mRID>" + b"AB" * 16 + b"</mRID>", b""),
        (b"<value>7</value>", b"<value>7</value><value>7</value>"),
        (b"<Reading>", b"<description>a&b</description><Reading>"),
        (b"<Reading>", b"<description>]]></description><Reading>"),
        (b"<Reading>", b"<description>%b</description><Reading>" % (b"x" * 33)),
        (b"</MirrorMeterReading>", b"</MirrorMeterReading>\x00"),
    ],
)
def test_what_must_be_refused_is_not_regular(old: bytes, new: bytes) -> None:
    assert is_reading_post(SINGLE)
    body = SINGLE.replace(old, new)
    assert body != SINGLE
    assert accepted(body) is None
    assert not is_reading_post(body)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<value>", b"<!-- --><value>"),
        (b"<value>7<", b"<value> 7 <"),
        (b"<value>7<", b"<value>&#55;<"),
        (b"<uom>72</uom>", b"<uom>72</uom><x/>"),
        (b"<Reading>", b'<Reading subscribable="0">'),
    ],
)
def test_other_forms_of_good_posts_are_left_to_the_parser(old: bytes, new: bytes) -> None:
    body = SINGLE.replace(old, new)
    assert body != SINGLE
    assert accepted(body) is not None
    assert not is_reading_post(body)


def test_types_are_known_by_their_normal_mrid_and_as_written() -> None:
    one = b"<mRID>ab</mRID><description>d</description><ReadingType><uom>72</uom></ReadingType>"
    two = b"<mRID>0AB</mRID><ReadingType><uom>38</uom></ReadingType>"
    three = b"<mRID>1</mRID><MirrorReadingSet><mRID>2</mRID></MirrorReadingSet><ReadingType></ReadingType>"
    items = b"".join(b"<MirrorMeterReading>" + item + b"</MirrorMeterReading>" for item in (one, two, three))
    body = b'<MirrorMeterReadingList xmlns="urn:ieee:std:2030.5:ns">' + items + b"</MirrorMeterReadingList>"
    assert is_reading_post(body)
    assert declared_types(body) == {
        b"AB".rjust(32, b"0"): b"<ReadingType><uom>38</uom></ReadingType>",
        b"1".rjust(32, b"0"): b"<ReadingType></ReadingType>",
    }
    assert declared_types(body.replace(b"ReadingType", b"Reading")) == {}

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gridtokenx_pipeline.contracts.core import READING_TYPES
from gridtokenx_pipeline.domain.channels import resolve_channel
from gridtokenx_pipeline.domain.parse import parse_messages

sys.path.insert(0, str(Path(__file__).parent))

from reading_documents import (
    DRAFT,
    INTERVAL_TYPE,
    LFDI,
    URN,
    at,
    full_mup,
    full_post,
    listed,
    messages,
    mmr,
    mup,
    reading,
    rooted,
    rtype,
)


def wire(*bodies, **options) -> pl.DataFrame:
    return parse_messages(messages(*bodies, **options)).wire


def test_a_campus_post_has_thirteen_readings_in_order():
    rows = wire(full_post(30))
    assert rows.height == 13
    assert rows["position"].to_list() == list(range(13))
    assert rows["error"].null_count() == 13
    first = rows.row(0, named=True)
    assert (first["start"], first["duration_s"], first["value"]) == (at(30), 15, 1000)
    assert (first["meter_id"], first["device_lfdi"], first["zone"]) == ("M1", LFDI["M1"], "stanford")


@pytest.mark.parametrize("namespace", [URN, DRAFT])
@pytest.mark.parametrize(
    "shape",
    [
        lambda ns, item: listed(item, ns=ns),
        lambda ns, item: rooted(item, ns),
        lambda ns, item: mup(item, ns=ns),
        lambda ns, item: listed(item, ns=ns).replace(b"<", b"\n\t<").strip(),
        lambda ns, item: listed(item, ns=ns).replace(b"<", b"<s:").replace(b"<s:/", b"</s:").replace(b"xmlns=", b"xmlns:s="),
        lambda ns, item: listed(item, ns=ns).replace(b"<Reading>", b"<!-- c --><Reading>"),
    ],
    ids=["list", "single", "in usage point", "indented", "prefixed", "commented"],
)
def test_every_shape_says_the_same(namespace, shape):
    row = wire(shape(namespace, mmr("1f", reading(-42, 45)))).row(0, named=True)
    assert row["mmr_mrid"] == "0" * 30 + "1F"
    assert (row["value"], row["start"], row["duration_s"], row["position"], row["error"]) == (-42, at(45), 15, 0, None)


def test_flags_and_local_id_in_both_readers():
    item = mmr(
        "01", reading(7, 0, extra="<localID>0A</localID>").replace("<Reading>", "<Reading><qualityFlags>0011</qualityFlags>")
    )
    for body in (listed(item), listed(item).replace(b"<value>", b"<value> ")):
        row = wire(body).row(0, named=True)
        assert (row["device_quality_flags"], row["local_id"], row["value"]) == (0x11, "0A", 7)


def test_reading_sets_place_readings_by_period_or_by_order():
    readings = "<Reading><value>1</value></Reading><Reading><value>2</value></Reading>" + reading(3, 60)
    period = f"<timePeriod><duration>300</duration><start>{1767225600 + 300}</start></timePeriod>"
    rows = wire(mup(mmr("01", f"<MirrorReadingSet><mRID>02</mRID>{period}{readings}</MirrorReadingSet>")))
    assert rows["value"].to_list() == [1, 2, 3]
    assert rows["set_start"].to_list() == [at(300)] * 3
    assert rows["set_index"].to_list() == [0, 1, 2]
    assert rows["start"].to_list() == [None, None, at(60)]
    assert rows["error"].null_count() == 3


def test_set_or_reading_alone_belong_to_nothing_but_count():
    rows = wire(rooted(reading(1, 0)), rooted(f"<MirrorReadingSet>{reading(2, 0)}</MirrorReadingSet>"))
    assert rows["mmr_mrid"].to_list() == [None, None]
    assert rows["value"].to_list() == [1, 2]


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("140737488355327", True),
        ("-140737488355327", True),
        ("140737488355328", False),
        ("99999999999999999999999", False),
        ("1.5", False),
        ("1e3", False),
        ("", False),
        ("x", False),
        ("0x10", False),
        ("+5", True),
        (" 5\n", True),
    ],
)
def test_values_are_whole_numbers_within_int48(text, good):
    row = wire(listed(mmr("01", reading(text, 0)))).row(0, named=True)
    assert (row["error"] is None) == good
    assert (row["value"] is not None) == good
    if not good:
        assert row["error"] == "bad_value"
        assert row["error_detail"]


@pytest.mark.parametrize(
    "period",
    [
        "",
        "<timePeriod/>",
        "<timePeriod><duration>15</duration></timePeriod>",
        "<timePeriod><duration>15</duration><start>soon</start></timePeriod>",
        "<timePeriod><duration>15</duration><start>-1</start></timePeriod>",
        "<timePeriod><duration>15</duration><start>999999999999999</start></timePeriod>",
        "<timePeriod><duration>-15</duration><start>0</start></timePeriod>",
        "<timePeriod><duration>4294967295</duration><start>0</start></timePeriod>",
    ],
)
def test_unusable_time_periods(period):
    row = wire(listed(mmr("01", f"<Reading>{period}<value>1</value></Reading>"))).row(0, named=True)
    assert row["error"] == "bad_interval"
    assert row["error_detail"]


def test_shares_of_a_tier_are_no_totals():
    tiered = (
        reading(1, 0)
        .replace("<Reading>", "<Reading><consumptionBlock>0</consumptionBlock>")
        .replace("<value>", "<touTier>2</touTier><value>")
    )
    row = wire(listed(mmr("01", tiered))).row(0, named=True)
    assert (row["error"], row["error_detail"]) == ("not_a_total", "touTier 2")


def test_reading_types_of_a_usage_point():
    types = parse_messages(messages(full_mup())).reading_types
    assert_frame_equal(types, READING_TYPES.conform(types))
    assert types.height == 13
    assert types["mup_mrid"].unique().to_list() == ["0" * 30 + "AA"]
    assert types["role_flags"].unique().to_list() == [0x0B]
    assert sorted(types["channel"].unique()) == [
        "charge",
        "discharge",
        "export",
        "generation",
        "import",
        "load",
        "state_of_charge",
    ]
    energy = types.filter(pl.col("accumulation_behaviour") == 4)
    assert (energy["uom"].unique().to_list(), energy["power_of_ten"].unique().to_list()) == ([72], [-3])
    assert energy["interval_length_s"].unique().to_list() == [15]


def test_a_type_declared_twice_in_a_message_counts_as_declared_last():
    body = listed(mmr("01", rtype("<uom>38</uom>")), mmr("1", rtype("<uom>29</uom>")), mmr("02", rtype("<uom>bad</uom>")))
    types = parse_messages(messages(body)).reading_types.sort("mmr_mrid")
    assert types["uom"].to_list() == [29, None]
    assert types["mup_mrid"].to_list() == [None, None]


TYPE_FIELDS = {
    "accumulationBehaviour": ("accumulation_behaviour", 4),
    "commodity": ("commodity", 1),
    "dataQualifier": ("data_qualifier", 12),
    "flowDirection": ("flow_direction", 19),
    "intervalLength": ("interval_length_s", 15),
    "kind": ("kind", 12),
    "powerOfTenMultiplier": ("power_of_ten", -3),
    "uom": ("uom", 72),
    "phase": ("phase", 224),
    "subIntervalLength": ("sub_interval_length_s", 5),
    "supplyLimit": ("supply_limit", 2**47),
    "numberOfConsumptionBlocks": ("consumption_blocks", 2),
    "numberOfTouTiers": ("tou_tiers", 3),
    "maxNumberOfIntervals": ("max_intervals", 96),
}
QUANTITIES = {
    "calorificValue": ("calorific_power_of_ten", "calorific_unit", "calorific_value"),
    "conversionFactor": ("conversion_power_of_ten", "conversion_unit", "conversion_value"),
}


def declared(codes: str, ns: str = URN) -> dict:
    return parse_messages(messages(listed(mmr("01", rtype(codes)), ns=ns))).reading_types.row(0, named=True)


@pytest.mark.parametrize("namespace", [URN, DRAFT])
def test_every_field_of_a_reading_type_is_kept(namespace):
    codes = "".join(f"<{name}>{value}</{name}>" for name, (_, value) in TYPE_FIELDS.items())
    quantities = "".join(
        f"<{name}><multiplier>-2</multiplier><unit>{unit}</unit><value>{unit}00</value></{name}>"
        for unit, name in enumerate(QUANTITIES, 119)
    )
    got = declared(f"{codes}{quantities}<tieredConsumptionBlocks>true</tieredConsumptionBlocks>", namespace)
    assert {column: got[column] for column, _ in TYPE_FIELDS.values()} == dict(TYPE_FIELDS.values())
    for unit, columns in enumerate(QUANTITIES.values(), 119):
        assert [got[column] for column in columns] == [-2, unit, unit * 100]
    assert got["tiered_consumption_blocks"] is True


@pytest.mark.parametrize("text", ["", "x", "1.5", "99999999999999999999", "<a>1</a>"])
def test_a_field_of_a_reading_type_that_is_no_code_is_null(text):
    codes = "".join(f"<{name}>{text}</{name}>" for name in [*TYPE_FIELDS, "tieredConsumptionBlocks"])
    quantities = "".join(f"<{name}><value>{text}</value></{name}>" for name in QUANTITIES)
    got = declared(codes + quantities)
    names = [*(column for column, _ in TYPE_FIELDS.values()), *(name for columns in QUANTITIES.values() for name in columns)]
    assert [got[name] for name in [*names, "tiered_consumption_blocks"]] == [None] * (len(names) + 1)


def test_codes_too_large_for_their_column_are_null():
    got = declared(f"<uom>{2**31}</uom><supplyLimit>{2**31}</supplyLimit><calorificValue>7</calorificValue>")
    assert (got["uom"], got["supply_limit"], got["calorific_value"]) == (None, 2**31, None)


@pytest.mark.parametrize(("text", "meant"), [("true", True), ("1", True), ("false", False), ("0", False), ("yes", None)])
def test_tiered_consumption_blocks(text, meant):
    assert declared(f"<tieredConsumptionBlocks>{text}</tieredConsumptionBlocks>")["tiered_consumption_blocks"] is meant


@pytest.mark.parametrize(
    ("body", "document", "error"),
    [
        (b"", None, "malformed_document"),
        (b"not xml", None, "malformed_document"),
        (b'{"meter_id": "M1"}', None, "malformed_document"),
        (full_post(0)[:-5], None, "malformed_document"),
        (b'<!DOCTYPE a [<!ENTITY e "1">]>' + full_post(0), None, "malformed_document"),
        (b'<MirrorMeterReadingList xmlns="urn:x"/>', None, "unknown_document"),
        (b"<html/>", None, "unknown_document"),
        (b'<DERStatus xmlns="urn:ieee:std:2030.5:ns"/>', "DERStatus", None),
        (b'<StandingOffer xmlns="urn:gridtokenx:p2p:1"/>', "StandingOffer", None),
        (mup(), "MirrorUsagePoint", None),
        (listed(), "MirrorMeterReadingList", None),
        (full_post(0), "MirrorMeterReadingList", None),
    ],
)
def test_documents(body, document, error):
    row = parse_messages(messages(body)).documents.row(0, named=True)
    assert (row["document"], row["error"]) == (document, error)
    assert (row["error_detail"] is None) == (error is None)


def test_a_delete_has_no_body_and_nothing_is_wrong_with_it():
    row = parse_messages(messages(b"", method="DELETE")).documents.row(0, named=True)
    assert (row["document"], row["error"]) == (None, None)


def test_external_entities_are_not_read(tmp_path):
    (tmp_path / "secret").write_text("5")
    body = f'<!DOCTYPE r [<!ENTITY e SYSTEM "file://{tmp_path}/secret">]>'.encode() + listed(mmr("01", reading("&e;", 0)))
    parsed = parse_messages(messages(body))
    assert parsed.wire.is_empty()
    assert parsed.documents["error"].to_list() == ["malformed_document"]


def test_no_messages():
    parsed = parse_messages(messages())
    assert parsed.wire.is_empty()
    assert parsed.documents.is_empty()
    assert_frame_equal(parsed.reading_types, READING_TYPES.empty())


def test_row_order_does_not_matter():
    frame = messages(full_mup(), full_post(0), b"x", full_post(15))
    one, other = parse_messages(frame), parse_messages(frame.reverse())
    assert_frame_equal(one.wire, other.wire)
    assert_frame_equal(one.documents, other.documents)
    assert_frame_equal(one.reading_types, other.reading_types)


@pytest.mark.parametrize(
    ("arguments", "channel"),
    [
        (("Generation", 0x0B, 19, 72, 12, 4), "generation"),
        ((" LOAD ", None, None, 72, None, None), "load"),
        (("discharge", 0x0B, 19, 72, 12, 9), "discharge"),
        (("state_of_charge", 0x0B, None, 0, 0, 12), "state_of_charge"),
        (("state_of_charge", 0x0B, None, None, None, None), "state_of_charge"),
        (("state_of_charge", 0x0B, None, 72, None, None), None),
        (("generation", 0x0B, 19, 38, 37, 12), None),
        (("generation", 0x0B, 19, 72, 37, 4), None),
        (("generation", 0x0B, 19, 72, 12, 12), None),
        ((None, 0x03, 1, 72, 12, 4), "import"),
        (("site", 0x03, 19, 72, 12, 9), "export"),
        ((None, 0x0B, 1, 72, 12, 4), "import"),
        ((None, 0x09, 19, 72, 12, 4), "generation"),
        ((None, 0x09, 1, 72, 12, 4), "charge"),
        ((None, 0x09, None, 72, 12, 4), None),
        ((None, 0x01, 1, 72, 12, 4), None),
        ((None, None, 1, 72, 12, 4), None),
        (("generated", 0x01, 19, 72, 12, 4), None),
    ],
)
def test_channels(arguments, channel):
    assert resolve_channel(*arguments) == channel


def test_types_come_with_their_device_and_message():
    types = parse_messages(messages(b"x", mup(mmr("01", rtype(INTERVAL_TYPE), description="load")))).reading_types.row(
        0, named=True
    )
    assert (types["device_lfdi"], types["message_id"], types["received_at"], types["channel"]) == (
        LFDI["M1"],
        "seg:000001",
        at(15),
        "load",
    )

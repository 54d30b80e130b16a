from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from resource_values import EXTENSION, STANDARD, full, resource

from ieee2030_5.enums import (
    AccumulationBehaviour,
    Commodity,
    DataQualifier,
    FlowDirection,
    Kind,
    ReasonCode,
    RoleFlags,
    ServiceKind,
    TimeQuality,
    Uom,
    UsagePointStatus,
)
from ieee2030_5.namespaces import PREFIXES
from ieee2030_5.resources import (
    DateTimeInterval,
    DeviceCapability,
    EndDevice,
    EndDeviceList,
    Error,
    Link,
    ListLink,
    MirrorMeterReading,
    MirrorMeterReadingList,
    MirrorReadingSet,
    MirrorUsagePoint,
    Reading,
    ReadingType,
    Registration,
    Time,
)
from ieee2030_5.resources.fields import mappings
from ieee2030_5.xml import NAMESPACE, InvalidResource, decode, document, encode, encode_fragment, namespace_of, parse

GOLDEN = Path(__file__).parent / "golden"
LFDI = "3E4F45AB31EDFE5B67E343E5E4562E31984E23E5"

EXAMPLES: dict[str, Any] = {
    "dcap": DeviceCapability(
        href="/dcap",
        poll_rate=900,
        time_link=Link(href="/tm"),
        end_device_list_link=ListLink(href="/edev", all=1),
        mirror_usage_point_list_link=ListLink(href="/mup", all=0),
        self_device_link=Link(href="/sdev"),
    ),
    "tm": Time(
        href="/tm",
        poll_rate=900,
        current_time=1782072000,
        dst_end_time=1793523600,
        dst_offset=3600,
        dst_start_time=1772964000,
        local_time=1782046800,
        quality=TimeQuality.INTENTIONALLY_UNCOORDINATED,
        tz_offset=-28800,
    ),
    "edev": EndDeviceList(
        href="/edev",
        all=1,
        results=1,
        poll_rate=900,
        end_devices=[
            EndDevice(
                href="/edev/167261211391",
                device_category=0x200000,
                lfdi=LFDI,
                sfdi=167261211391,
                changed_time=1782072000,
                enabled=True,
                post_rate=15,
                registration_link=Link(href="/edev/167261211391/rg"),
            )
        ],
    ),
    "rg": Registration(href="/edev/167261211391/rg", poll_rate=900, date_time_registered=1782072000, pin=111115),
    "mup": MirrorUsagePoint(
        mrid="0A" * 16,
        description="STANFORD-001",
        role_flags=RoleFlags.IS_MIRROR | RoleFlags.IS_PREMISES_AGGREGATION_POINT | RoleFlags.IS_DER,
        service_category_kind=ServiceKind.ELECTRICITY,
        status=UsagePointStatus.ON,
        device_lfdi=LFDI,
        mirror_meter_readings=[
            MirrorMeterReading(
                mrid="0B" * 16,
                description="generation",
                reading_type=ReadingType(
                    accumulation_behaviour=AccumulationBehaviour.DELTA_DATA,
                    commodity=Commodity.ELECTRICITY_SECONDARY_METERED,
                    data_qualifier=DataQualifier.NORMAL,
                    flow_direction=FlowDirection.REVERSE,
                    interval_length=15,
                    kind=Kind.ENERGY,
                    power_of_ten_multiplier=-3,
                    uom=Uom.WH,
                ),
            )
        ],
    ),
    "mmr_list": MirrorMeterReadingList(
        all=2,
        results=2,
        mirror_meter_readings=[
            MirrorMeterReading(
                mrid="0B" * 16, reading=Reading(time_period=DateTimeInterval(duration=15, start=1782072000), value=1234567)
            ),
            MirrorMeterReading(
                mrid="0C" * 16, reading=Reading(time_period=DateTimeInterval(duration=0, start=1782072015), value=98765432109)
            ),
        ],
    ),
    "error": Error(max_retry_duration=30, reason_code=ReasonCode.INVALID_REQUEST_VALUES),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_documents_on_the_wire_are_the_golden_files(name: str) -> None:
    document = encode(EXAMPLES[name])
    assert document == (GOLDEN / f"{name}.xml").read_bytes()
    assert decode(parse(document), type(EXAMPLES[name])) == EXAMPLES[name]


EXTENSIONS = frozenset(PREFIXES)
CLASSES = [*STANDARD, *EXTENSION]


def check_round_trip(made: Any) -> None:
    cls = type(made)
    names = [f"{{{m.namespace or namespace_of(cls)}}}{m.name}" for _, m in mappings(cls) if not m.is_attribute]
    body = encode(made, EXTENSIONS)
    root = parse(body, namespaces=[namespace_of(cls)])
    assert decode(root, cls) == made
    positions = [names.index(child.tag) for child in root]
    assert positions == sorted(positions)
    for element in root.iter():
        assert element.text != ""
        assert element.prefix == (PREFIXES.get(etree.QName(element).namespace) if cls in STANDARD else None)
    assert document(encode_fragment(made, EXTENSIONS), namespace_of(cls)) == body


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_a_full_resource_of_every_class_survives_the_round_trip_in_field_order(cls: type) -> None:
    for draw in (0, 1):
        check_round_trip(full(cls, draw))


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(CLASSES).flatmap(resource))
def test_any_resource_survives_the_round_trip_in_field_order(made: Any) -> None:
    check_round_trip(made)


def test_empty_strings_are_left_out() -> None:
    assert b"description" not in encode(MirrorUsagePoint(mrid="0A" * 16, description=""))
    root = parse(f'<MirrorUsagePoint xmlns="{NAMESPACE}"><description/></MirrorUsagePoint>'.encode())
    assert decode(root, MirrorUsagePoint).description is None


def test_unknown_and_foreign_content_is_ignored_in_any_order() -> None:
    body = f"""<MirrorMeterReading xmlns="{NAMESPACE}" xmlns:csipaus="https://csipaus.org/ns" csipaus:a="1" vendor="x">
        <Reading subscribable="1"><value> 12 </value><csipaus:value>99</csipaus:value><timePeriod><start>1</start><duration>2</duration></timePeriod></Reading>
        <somethingNew><value>3</value></somethingNew><!-- 2030.5 --><mRID>a1</mRID></MirrorMeterReading>""".encode()
    assert decode(parse(body), MirrorMeterReading) == MirrorMeterReading(
        mrid="A1".rjust(32, "0"), reading=Reading(subscribable=1, value=12, time_period=DateTimeInterval(start=1, duration=2))
    )


def test_both_namespaces_read_the_same() -> None:
    document = encode(EXAMPLES["mup"])
    draft = document.replace(NAMESPACE.encode(), b"http://ieee.org/2030.5")
    assert draft != document
    assert decode(parse(draft), MirrorUsagePoint) == EXAMPLES["mup"]


def test_prefixed_documents_are_read() -> None:
    body = f'<s:Error xmlns:s="{NAMESPACE}"><s:reasonCode>2</s:reasonCode></s:Error>'.encode()
    assert decode(parse(body), Error).reason_code == ReasonCode.RESOURCE_LIMIT_REACHED


@pytest.mark.parametrize(
    ("inner", "path"),
    [
        ("<Reading><value>140737488355328</value></Reading>", "MirrorMeterReading/Reading/value"),
        ("<Reading><value>1_0</value></Reading>", "MirrorMeterReading/Reading/value"),
        ("<Reading><value>١٢</value></Reading>", "MirrorMeterReading/Reading/value"),
        ("<Reading><value/></Reading>", "MirrorMeterReading/Reading/value"),
        ("<Reading><value>1<b/></value></Reading>", "MirrorMeterReading/Reading/value"),
        ("<Reading><value>1</value><value>2</value></Reading>", "MirrorMeterReading/Reading/value"),
        ("<Reading><timePeriod><duration>-1</duration></timePeriod></Reading>", "MirrorMeterReading/Reading/timePeriod/duration"),
        ("<Reading><qualityFlags>00001F0F0</qualityFlags></Reading>", "MirrorMeterReading/Reading/qualityFlags"),
        ('<Reading subscribable="256"/>', "MirrorMeterReading/Reading/subscribable"),
        ("<mRID>not hex</mRID>", "MirrorMeterReading/mRID"),
        (f"<description>{'x' * 33}</description>", "MirrorMeterReading/description"),
        (
            "<ReadingType><tieredConsumptionBlocks>yes</tieredConsumptionBlocks></ReadingType>",
            "MirrorMeterReading/ReadingType/tieredConsumptionBlocks",
        ),
    ],
)
def test_a_bad_value_is_refused_by_the_path_to_it(inner: str, path: str) -> None:
    root = parse(f'<MirrorMeterReading xmlns="{NAMESPACE}">{inner}</MirrorMeterReading>'.encode())
    with pytest.raises(InvalidResource) as caught:
        decode(root, MirrorMeterReading)
    assert caught.value.element == path


def test_another_root_is_refused() -> None:
    with pytest.raises(InvalidResource, match="expected Time"):
        decode(parse(encode(Error(reason_code=0))), Time)


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        (Reading(value=1 << 47), "Reading/value"),
        (Reading(value=1.5), "Reading/value"),  # type: ignore[arg-type]
        (MirrorReadingSet(readings=[Reading(value=True)]), "MirrorReadingSet/Reading/value"),
        (MirrorUsagePoint(description="bell \x07"), "MirrorUsagePoint/description"),
        (MirrorUsagePoint(role_flags=1 << 16), "MirrorUsagePoint/roleFlags"),
        (Link(href="x" * 3000), "Link/href"),
    ],
)
def test_what_the_schema_does_not_allow_is_not_written(resource: Any, path: str) -> None:
    with pytest.raises(InvalidResource) as caught:
        encode(resource)
    assert caught.value.element == path


def test_markup_in_values_stays_text() -> None:
    point = MirrorUsagePoint(href='/mup?a="1"&b=<2>', description="<b>&amp;\"'</b>]]>\r\n")
    document = encode(point)
    assert etree.fromstring(document)[0].text == point.description
    assert decode(parse(document), MirrorUsagePoint) == point


def test_resources_have_no_instance_dictionary() -> None:
    for cls in CLASSES:
        assert dataclasses.is_dataclass(cls)
        assert not hasattr(cls(), "__dict__")

"""What devices say outside metering becomes rows, whatever they leave out or get wrong."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from gridtokenx_pipeline.contracts.core import DER_DOCUMENTS, FLOW_RESERVATIONS, LOG_EVENTS, RESPONSES
from gridtokenx_pipeline.domain.parse import parse_messages
from ieee2030_5.resources import (
    ActivePower,
    ConnectStatus,
    DateTimeInterval,
    DERAvailability,
    DERCapability,
    DERControlResponse,
    DERSettings,
    DERStatus,
    DrResponse,
    FlowReservationRequest,
    FlowReservationRequestList,
    InverterStatus,
    LogEvent,
    LogEventList,
    OperationalModeStatus,
    RequestStatus,
    Response,
    ResponseList,
    SignedRealEnergy,
    StateOfChargeStatus,
    StorageModeStatus,
    TextResponse,
)
from ieee2030_5.xml import encode

sys.path.insert(0, str(Path(__file__).parent))

from reading_documents import DRAFT, T0, URN, at, full_post, messages

TABLES = {
    "der_documents": DER_DOCUMENTS,
    "flow_reservations": FLOW_RESERVATIONS,
    "responses": RESPONSES,
    "log_events": LOG_EVENTS,
}


def rows(table: str, *bodies: bytes) -> list[dict]:
    """Rows of one of the tables; the others must be empty, and nothing may be wrong with the messages."""
    parsed = parse_messages(messages(*bodies))
    assert parsed.documents["error"].null_count() == len(bodies)
    for name, contract in TABLES.items():
        frame = getattr(parsed, name)
        assert_frame_equal(frame, contract.conform(frame))
        assert frame.is_empty() == (name != table)
    return getattr(parsed, table).to_dicts()


def row(table: str, body: bytes) -> dict:
    (one,) = rows(table, body)
    return one


def in_namespace(body: bytes, namespace: str) -> bytes:
    return body.replace(URN.encode(), namespace.encode())


both = pytest.mark.parametrize("namespace", [URN, DRAFT])
STATUS = DERStatus(
    alarm_status=0x21,
    gen_connect_status=ConnectStatus(date_time=T0, value=0x07),
    inverter_status=InverterStatus(date_time=T0, value=4),
    operational_mode_status=OperationalModeStatus(date_time=T0, value=2),
    reading_time=T0 + 60,
    state_of_charge_status=StateOfChargeStatus(date_time=T0, value=5025),
    storage_mode_status=StorageModeStatus(date_time=T0, value=1),
    stor_connect_status=ConnectStatus(date_time=T0, value=0x03),
)


@both
def test_a_status(namespace):
    got = row("der_documents", in_namespace(encode(STATUS), namespace))
    assert {name: got[name] for name in got if name != "attributes"} == {
        "message_id": "seg:000000", "zone": "stanford", "meter_id": "M1", "received_at": at(0), "position": 0,
        "document": "DERStatus", "measured_at": at(60), "operational_mode": 2, "connect_status": 7, "inverter_status": 4,
        "storage_mode": 1, "state_of_charge_pct": Decimal("50.25"), "alarm_status": 0x21, "max_w": None,
    }  # fmt: skip
    attributes = json.loads(got["attributes"])
    assert attributes["stateOfChargeStatus"] == {"dateTime": str(T0), "value": "5025"}
    assert attributes["alarmStatus"] == "21" or int(attributes["alarmStatus"], 16) == 0x21
    assert attributes.get("@xmlns") == (DRAFT if namespace == DRAFT else None)


def test_a_status_of_storage_alone_has_its_connection():
    status = DERStatus(stor_connect_status=ConnectStatus(date_time=T0, value=3))
    assert row("der_documents", encode(status))["connect_status"] == 3


@both
@pytest.mark.parametrize(
    ("document", "measured_at"),
    [
        (DERCapability(rtg_max_w=ActivePower(multiplier=2, value=-305), type=4), None),
        (DERSettings(set_max_w=ActivePower(multiplier=2, value=-305), updated_time=T0 + 5), at(5)),
        (DERAvailability(stat_w_avail=ActivePower(multiplier=2, value=-305), reading_time=T0 + 5), at(5)),
    ],
)
def test_power_and_time_of_the_other_der_documents(namespace, document, measured_at):
    got = row("der_documents", in_namespace(encode(document), namespace))
    assert (got["document"], got["max_w"], got["measured_at"]) == (type(document).__name__, -30_500, measured_at)


def test_the_drafts_names_become_the_standards():
    body = (
        f'<DERCapability xmlns="{DRAFT}"><rtgW><multiplier>0</multiplier><value>7</value></rtgW><type>82</type></DERCapability>'
    )
    got = row("der_documents", body.encode())
    assert got["max_w"] == 7
    assert json.loads(got["attributes"]) == {"@xmlns": DRAFT, "rtgMaxW": {"multiplier": "0", "value": "7"}, "type": "82"}


def test_repeated_nested_and_foreign_elements_are_kept():
    body = (
        f'<p:DERStatus xmlns:p="{URN}" xmlns:c="https://csipaus.org/ns" xmlns:v="urn:v"><p:a>1</p:a><p:a><p:b> é " </p:b></p:a>'
        "<p:a/><!-- c --><c:d>2</c:d><v:a>3</v:a></p:DERStatus>"
    )
    got = row("der_documents", body.encode())
    assert json.loads(got["attributes"]) == {"a": ["1", {"b": 'é "'}, ""], "csipaus:d": "2", "{urn:v}a": "3"}


@pytest.mark.parametrize(
    ("multiplier", "value", "watts"),
    [
        ("0", "5", 5), ("3", "-5", -5000), ("-1", "50", 5), ("-1", "55", None), ("-127", "0", 0), ("18", "9", 9 * 10**18),
        ("18", "10", None), ("127", "1", None), ("128", "1", None), ("x", "1", None), ("1", "", None), ("1", "1.0", None), (None, "1", None),
    ],
)  # fmt: skip
def test_powers_are_whole_or_nothing(multiplier, value, watts):
    scale = "" if multiplier is None else f"<multiplier>{multiplier}</multiplier>"
    body = f'<DERSettings xmlns="{URN}"><setMaxW>{scale}<value>{value}</value></setMaxW></DERSettings>'
    assert row("der_documents", body.encode())["max_w"] == watts


@both
def test_a_flow_reservation_request(namespace):
    request = FlowReservationRequest(
        mrid="AB12", creation_time=T0, duration_requested=3600, energy_requested=SignedRealEnergy(multiplier=-2, value=-12_345),
        interval_requested=DateTimeInterval(duration=7200, start=T0 + 10), power_requested=ActivePower(multiplier=1, value=700),
        request_status=RequestStatus(date_time=T0, request_status=1),
    )  # fmt: skip
    got = row("flow_reservations", in_namespace(encode(request), namespace))
    assert (got["mrid"], got["requested_at"], got["status"]) == ("AB12".rjust(32, "0"), at(0), 1)
    assert (got["interval_start"], got["duration_s"], got["duration_requested_s"]) == (at(10), 7200, 3600)
    assert (got["energy_milli_wh"], got["power_w"]) == (-123_450, 7000)


@both
def test_a_log_event(namespace):
    event = LogEvent(
        created_date_time=T0, details="reset & restart", function_set=11, log_event_code=3, log_event_id=65_535,
        log_event_pen=2**32 - 1, profile_id=2,
    )  # fmt: skip
    got = row("log_events", in_namespace(encode(event), namespace))
    assert (got["logged_at"], got["function_set"], got["code"], got["event_id"]) == (at(0), 11, 3, 65_535)
    assert (got["profile_id"], got["pen"], got["details"]) == (2, 2**32 - 1, "reset & restart")


@both
@pytest.mark.parametrize("kind", [Response, DERControlResponse, DrResponse, TextResponse])
def test_a_response(namespace, kind):
    document = kind(created_date_time=T0, end_device_lfdi="0A" * 20, status=3, subject="0C" * 16)
    got = row("responses", in_namespace(encode(document), namespace))
    assert (got["document"], got["subject"], got["status"]) == (kind.__name__, "0C" * 16, 3)
    assert (got["responded_at"], got["end_device_lfdi"]) == (at(0), "0A" * 20)


def test_lists_give_a_row_for_each_item_in_order():
    responses = ResponseList(all=2, results=2, responses=[DERControlResponse(status=1), Response(status=2)])
    assert [(one["position"], one["document"], one["status"]) for one in rows("responses", encode(responses))] == [
        (0, "DERControlResponse", 1),
        (1, "Response", 2),
    ]
    events = LogEventList(all=2, results=2, log_events=[LogEvent(log_event_code=5), LogEvent(log_event_code=6)])
    assert [(one["position"], one["code"]) for one in rows("log_events", encode(events))] == [(0, 5), (1, 6)]
    requests = FlowReservationRequestList(
        all=1, results=1, flow_reservation_requests=[FlowReservationRequest(duration_requested=1)]
    )
    assert [one["duration_requested_s"] for one in rows("flow_reservations", encode(requests))] == [1]


def test_documents_of_several_messages_keep_their_message_and_are_no_readings():
    parsed = parse_messages(
        messages(full_post(0), encode(STATUS), (30, encode(LogEvent(log_event_code=1)), "M2"), encode(STATUS))
    )
    assert parsed.wire.height == 13
    assert parsed.der_documents["message_id"].to_list() == ["seg:000001", "seg:000003"]
    assert parsed.der_documents["position"].to_list() == [0, 0]
    assert parsed.log_events.select("message_id", "meter_id").rows() == [("seg:000002", "M2")]


@pytest.mark.parametrize("root", ["FlowReservationResponse", "DERProgram", "DERList", "EndDevice", "DERControl"])
def test_documents_of_servers_and_of_other_kinds_are_none(root):
    parsed = parse_messages(messages(f'<{root} xmlns="{URN}"><mRID>01</mRID></{root}>'.encode()))
    assert all(getattr(parsed, name).is_empty() for name in TABLES)


NAMES = (
    "readingTime updatedTime alarmStatus genConnectStatus storConnectStatus inverterStatus operationalModeStatus stateOfChargeStatus "
    "storageModeStatus value dateTime multiplier rtgMaxW setMaxW statWAvail mRID creationTime durationRequested energyRequested "
    "intervalRequested start duration powerRequested RequestStatus requestStatus subject status createdDateTime endDeviceLFDI "
    "functionSet logEventCode logEventID profileID logEventPEN details"
)
TEXTS = st.sampled_from(
    ["", "0", "-1", "1.5", "x", "FF", "FFFFFFFF", "10001", "9" * 19, "9" * 40, "253402300800", "0x1", "²", "G" * 40, " 1 "]
)
INSIDE = st.recursive(TEXTS, lambda inner: st.lists(st.tuples(st.sampled_from(NAMES.split()), inner), max_size=6), max_leaves=20)


def nested(inside) -> str:
    return inside if isinstance(inside, str) else "".join(f"<{name}>{nested(content)}</{name}>" for name, content in inside)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(
        ["DERCapability", "DERSettings", "DERStatus", "DERAvailability", "FlowReservationRequest", "Response", "LogEvent"]
    ),
    st.sampled_from([URN, DRAFT]),
    INSIDE,
)
def test_whatever_is_in_it_a_document_is_a_row_and_kept_whole(root, namespace, inside):
    parsed = parse_messages(messages(f'<{root} xmlns="{namespace}">{nested(inside)}</{root}>'.encode()))
    assert parsed.documents["error"].to_list() == [None]
    together = pl.concat([getattr(parsed, name).select("attributes") for name in TABLES])
    assert together.height == 1
    attributes = json.loads(together["attributes"][0])
    attributes.pop("@xmlns", None)
    assert attributes.keys() == ({name for name, _ in inside} if isinstance(inside, list) else set())
    for name, contract in TABLES.items():
        contract.conform(getattr(parsed, name))

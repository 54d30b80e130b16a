"""Standing offers and agreements become rows as they were put and deleted, whatever they leave out or get wrong."""

from __future__ import annotations

import datetime as dt
import json
import sys
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtokenx_pipeline.contracts.core import P2P_DOCUMENTS
from gridtokenx_pipeline.domain.parse import parse_messages
from ieee2030_5.extensions.p2p import BilateralAgreement, StandingOffer
from ieee2030_5.namespaces import P2P
from ieee2030_5.resources import DateTimeInterval
from ieee2030_5.xml import encode
from ingest_server.items import item_id

sys.path.insert(0, str(Path(__file__).parent))

from reading_documents import LFDI, T0, URN, at, full_post, messages

OFFER = StandingOffer(
    mrid="AB12", description="roof", creation_time=T0, energy_limit=500, interval=DateTimeInterval(duration=3600, start=T0 + 60),
    price_limit=90_000, side="sell", status="active",
)  # fmt: skip
AGREEMENT = BilateralAgreement(
    mrid="AB12", counterparty_lfdi="0A" * 20, creation_time=T0, energy_limit=7, interval=DateTimeInterval(duration=10, start=T0),
    price=-3, priority=4, role="buyer", status="proposed",
)  # fmt: skip


def sent(*requests: tuple[str, str, bytes]) -> pl.DataFrame:
    """Documents of messages given as method, path and body."""
    frame = messages(*(body for _, _, body in requests)).with_columns(
        method=pl.Series([method for method, _, _ in requests]), path=pl.Series([path for _, path, _ in requests])
    )
    parsed = parse_messages(frame)
    P2P_DOCUMENTS.conform(parsed.p2p_documents)
    assert parsed.documents["error"].null_count() == len(requests)
    assert parsed.der_documents.is_empty()
    return parsed.p2p_documents


def test_an_offer():
    (row,) = sent(("POST", "/p2p/offer", encode(OFFER))).to_dicts()
    assert json.loads(row.pop("attributes"))["description"] == "roof"
    identifier = item_id(LFDI["M1"], "/p2p/offer", repr("AB12".rjust(32, "0")))
    assert row == {
        "message_id": "seg:000000", "received_at": at(0), "zone": "stanford", "meter_id": "M1", "kind": "offer", "action": "put",
        "mrid": "AB12".rjust(32, "0"), "path": f"/p2p/offer/{identifier}", "side": "sell", "status": "active", "counterparty_lfdi": None,
        "energy_limit_milli_wh": 500_000, "price_micro_per_kwh": 90_000, "priority": None, "starts_at": at(60), "ends_at": at(3660),
    }  # fmt: skip


def test_an_agreement():
    (row,) = sent(("PUT", "/p2p/agr/0123", encode(AGREEMENT))).to_dicts()
    assert (row["kind"], row["action"], row["path"]) == ("agreement", "put", "/p2p/agr/0123")
    assert (row["side"], row["status"], row["counterparty_lfdi"], row["priority"]) == ("buyer", "proposed", "0A" * 20, 4)
    assert (row["price_micro_per_kwh"], row["starts_at"], row["ends_at"]) == (-3, at(0), at(10))
    assert json.loads(row["attributes"])["interval"] == {"duration": "10", "start": str(T0)}


def test_what_is_deleted_is_known_by_its_address():
    posted, *deleted = sent(
        ("POST", "/p2p/agr", encode(AGREEMENT)), ("DELETE", "/p2p/agr/X", b""), ("DELETE", "/p2p/offer/Y", b"")
    ).to_dicts()
    assert posted["action"] == "put"
    assert [(row["kind"], row["action"], row["path"], row["mrid"], row["attributes"]) for row in deleted] == [
        ("agreement", "delete", "/p2p/agr/X", None, "{}"),
        ("offer", "delete", "/p2p/offer/Y", None, "{}"),
    ]


def test_other_deletions_are_no_documents():
    assert sent(("DELETE", "/mup/1", b""), ("DELETE", "/p2p/offer", b""), ("DELETE", "/p2p/trd/1", b"")).is_empty()


def test_many_of_one_shape_are_each_a_row_and_readings_stay_readings():
    offers = [encode(OFFER).replace(b">500<", f">{number}<".encode()) for number in range(20)]
    rows = sent(*(("POST", "/p2p/offer", body) for body in offers))
    assert rows["energy_limit_milli_wh"].to_list() == [number * 1000 for number in range(20)]
    assert rows["path"].n_unique() == 1
    mixed = parse_messages(messages(full_post(0), encode(OFFER)))
    assert (mixed.wire.height, mixed.p2p_documents.height) == (13, 1)


def test_offers_in_another_namespace_or_a_list_are_none():
    other = encode(OFFER).replace(P2P.encode(), URN.encode())
    listed = f'<LogEventList xmlns="{URN}"><StandingOffer xmlns="{P2P}"/></LogEventList>'.encode()
    assert sent(("POST", "/p2p/offer", other), ("POST", "/p2p/offer", listed)).is_empty()


TEXTS = st.sampled_from(
    [
        "",
        "0",
        "-1",
        "1.5",
        "x",
        "FF",
        "9" * 19,
        "9" * 40,
        "253402300799",
        "sell",
        "seller",
        "active",
        "accepted",
        "G" * 40,
        " 1 ",
        "²",
    ]
)
NAMES = st.sampled_from(
    [
        "mRID",
        "counterpartyLFDI",
        "creationTime",
        "energyLimit",
        "interval",
        "price",
        "priceLimit",
        "priority",
        "role",
        "side",
        "status",
        "start",
        "duration",
    ]
)
INSIDE = st.recursive(TEXTS, lambda inner: st.lists(st.tuples(NAMES, inner), max_size=8), max_leaves=20)


def nested(inside) -> str:
    return inside if isinstance(inside, str) else "".join(f"<{name}>{nested(content)}</{name}>" for name, content in inside)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(["StandingOffer", "BilateralAgreement"]), st.sampled_from(["POST", "PUT", "IMPORT"]), INSIDE)
def test_whatever_is_in_it_a_document_is_a_row_and_kept_whole(root, method, inside):
    rows = sent((method, "/p2p/offer", f'<{root} xmlns="{P2P}">{nested(inside)}</{root}>'.encode()))
    assert rows.height == 1
    names = {name for name, _ in inside} if isinstance(inside, list) else set()
    assert json.loads(rows["attributes"][0]).keys() == names


@pytest.mark.parametrize(
    ("start", "duration", "ends_at"),
    [
        (str(T0), "0", at(0)),
        ("253402300799", "10", None),
        (str(T0), "", None),
        ("", "10", None),
        (str(T0), "4294967295", at(2**32 - 1)),
    ],
)
def test_intervals_end_or_are_null(start, duration, ends_at: dt.datetime | None):
    interval = f"<interval><duration>{duration}</duration><start>{start}</start></interval>"
    rows = sent(("POST", "/p2p/offer", f'<StandingOffer xmlns="{P2P}">{interval}</StandingOffer>'.encode()))
    assert rows["ends_at"].to_list() == [ends_at]

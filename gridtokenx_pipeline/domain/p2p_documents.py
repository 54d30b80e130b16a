"""Standing offers and bilateral agreements as devices put and deleted them, one row for each message.

Nothing is judged here: what is missing, malformed or not a word of the extension is null in the column and as sent in
`attributes`. Who trades what on account of them is a fold over these rows (`market.offers`, `market.agreements`).
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from gridtokenx_pipeline.contracts.core import P2P_DOCUMENTS
from ieee2030_5.extensions.p2p import AgreementStatus, OfferStatus, Role, Side
from ingest_server.items import item_id

from .device_texts import AGREEMENT, INT64_MAX, MILLI_WH_MAX, OFFER, UINT32_MAX, DeviceText, identifier, moment, whole
from .device_texts import at as inside
from .frames import frame_of_rows

KINDS = {OFFER: "offer", AGREEMENT: "agreement"}
PUT, DELETE = "put", "delete"

_LISTS = {OFFER: "/p2p/offer", AGREEMENT: "/p2p/agr"}
_DELETED = re.compile("/p2p/(offer|agr)/[^/]+")
_OF_PATH = {"offer": "offer", "agr": "agreement"}
_WH_MAX = MILLI_WH_MAX // 1000
_LAST = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)


def is_deletion(path: str) -> bool:
    """Whether a DELETE of `path` is one of an offer or an agreement."""
    return _DELETED.fullmatch(path) is not None


def p2p_documents(texts: Iterable[DeviceText], deletions: Iterable[int], messages: pl.DataFrame) -> pl.DataFrame:
    """Return the frame of core.p2p_documents of what messages put (`texts`) and of the messages that delete (`deletions`).

    `messages` has message_id, received_at, zone, meter_id, device_lfdi, method and path, in the row that is a message's number.
    The path of a document that was posted to a list is the address that the server gave it, which a later PUT or DELETE names.
    """
    rows = []
    for text in texts:
        if text.name in KINDS:
            header = messages.row(text.message, named=True)
            rows.append(_row(header, KINDS[text.name], PUT, _address(header, text), text.attributes, _columns(text)))
    for number in deletions:
        header = messages.row(number, named=True)
        kind = _OF_PATH[header["path"].split("/")[2]]
        rows.append(_row(header, kind, DELETE, header["path"], {}, {}))
    if not rows:
        return P2P_DOCUMENTS.empty()
    rows.sort(key=lambda row: (row["received_at"], row["message_id"]))
    schema = P2P_DOCUMENTS.frame_schema()
    return P2P_DOCUMENTS.conform(frame_of_rows([tuple(row.get(name) for name in schema) for row in rows], schema))


def _row(
    header: Mapping[str, Any], kind: str, action: str, path: str, attributes: Mapping[str, Any], columns: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        **{name: header[name] for name in ("message_id", "received_at", "zone", "meter_id")},
        "kind": kind,
        "action": action,
        "path": path,
        "attributes": json.dumps(attributes, ensure_ascii=False, separators=(",", ":")),
        **columns,
    }


def _address(header: Mapping[str, Any], text: DeviceText) -> str:
    """Where the document is: where it was put, or the address that its list gave it."""
    if header["method"] != "POST":
        return str(header["path"])
    key = repr(_mrid(text.attributes))
    return f"{header['path']}/{item_id(header['device_lfdi'], _LISTS[text.name], key)}"


def _columns(text: DeviceText) -> dict[str, Any]:
    attributes = text.attributes
    offer = text.name == OFFER
    starts_at = moment(inside(attributes, "interval", "start"))
    duration = whole(inside(attributes, "interval", "duration"), low=0, high=UINT32_MAX)
    energy = whole(attributes.get("energyLimit"), low=-_WH_MAX, high=_WH_MAX)
    return {
        "mrid": _mrid(attributes),
        "side": _word(attributes.get("side"), Side) if offer else _word(attributes.get("role"), Role),
        "status": _word(attributes.get("status"), OfferStatus if offer else AgreementStatus),
        "counterparty_lfdi": None if offer else identifier(attributes.get("counterpartyLFDI"), 40),
        "energy_limit_milli_wh": None if energy is None else energy * 1000,
        "price_micro_per_kwh": whole(attributes.get("priceLimit" if offer else "price"), low=-INT64_MAX, high=INT64_MAX),
        "priority": None if offer else whole(attributes.get("priority"), low=0),
        "starts_at": starts_at,
        "ends_at": _end(starts_at, duration),
    }


def _mrid(attributes: Mapping[str, Any]) -> str | None:
    return identifier(attributes.get("mRID"), 32)


def _word(text: Any, words: type[Side] | type[Role] | type[OfferStatus] | type[AgreementStatus]) -> str | None:
    return text if isinstance(text, str) and text in {word.value for word in words} else None


def _end(start: dt.datetime | None, duration: int | None) -> dt.datetime | None:
    if start is None or duration is None or _LAST - start < dt.timedelta(seconds=duration):
        return None
    return start + dt.timedelta(seconds=duration)

"""Messages of the gateway to the rows that `domain.parse` makes of IEEE 2030.5 messages; validation goes on from there alike."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import replace
from typing import Any

import polars as pl

from gridtokenx_pipeline.contracts.core import ENERGY_CHANNELS, READING_TYPES
from gridtokenx_pipeline.domain.channels import STATE_OF_CHARGE
from gridtokenx_pipeline.domain.legacy.amounts import Amount, amounts
from gridtokenx_pipeline.domain.legacy.feeds import Feeds
from gridtokenx_pipeline.domain.parse import INT48_MAX, Parsed, parse_messages
from gridtokenx_pipeline.domain.reasons import Reason
from ingest_server.gateway.documents import JSON_LINES, BadDocument, LegacyReading, read_body

GATEWAY = "gateway"
_ANY_NUMBER_OF_ITEMS = 1_000_000
_FIRST, _LAST = dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 12, 31, tzinfo=dt.UTC)
_NAMES = {"original": "OriginalReading", "readings": "MeterReading", "dlms": "DlmsReading"}
_CHANNELS = frozenset((*ENERGY_CHANNELS, STATE_OF_CHARGE))


def parse_landed(messages: pl.DataFrame, feeds: Feeds) -> Parsed:
    """Parse a raw.messages frame, whatever way its messages came. A bad message is described in the result, not raised for."""
    from_gateway = pl.col("source") == GATEWAY
    legacy = messages.filter(from_gateway)
    if legacy.is_empty():
        return parse_messages(messages)
    parsed = parse_messages(messages.filter(~from_gateway))
    own = parse_gateway(legacy, feeds)
    return replace(
        parsed,
        wire=pl.concat([parsed.wire, own.wire.select(pl.col(name).cast(kind) for name, kind in parsed.wire.schema.items())]),
        reading_types=pl.concat([parsed.reading_types, own.reading_types]),
        documents=pl.concat([parsed.documents, own.documents]),
    )


def parse_gateway(messages: pl.DataFrame, feeds: Feeds) -> Parsed:
    """Parse the gateway's messages of a raw.messages frame, in any row order.

    The rows are those of `domain.parse.Parsed`. meter_id is the meter that a reading names, of which one message may name
    several. mmr_mrid and the reading types are made from meter, channel, unit and length, so they are the same whenever and in
    whichever order messages come. A type is declared with the first message of every hour of receipt that needs it, messages of
    one meter and those of several apart, so that neither the hours nor the meters that are parsed together make a difference.
    """
    wire: list[dict[str, Any]] = []
    types: dict[tuple[dt.datetime, bool, str], dict[str, Any]] = {}
    documents: list[dict[str, Any]] = []
    for message in messages.sort("received_at", "message_id").iter_rows(named=True):
        hour, several = message["received_at"].replace(minute=0, second=0, microsecond=0), not message["meter_id"]
        header = {name: message[name] for name in ("message_id", "received_at", "zone", "meter_id", "device_lfdi")}
        try:
            lines = message["content_type"].startswith(JSON_LINES)
            readings = read_body(message["body"], lines=lines, max_items=_ANY_NUMBER_OF_ITEMS)
        except BadDocument as problem:
            reason = Reason.MALFORMED_DOCUMENT if problem.code == "invalid_json" else Reason.UNKNOWN_DOCUMENT
            documents.append({**header, "document": None, "error": reason.value, "error_detail": str(problem)[:500]})
            continue
        names = sorted({_NAMES[reading.shape] for reading in readings})
        documents.append({**header, "document": "+".join(names), "error": None, "error_detail": None})
        position = 0
        for reading in readings:
            feed, has_battery = feeds.of(reading.shape, reading.meter_id), reading.meter_id in feeds.batteries
            for amount in amounts(reading, feed, has_battery=has_battery):
                mrid = _mrid(reading, amount)
                types.setdefault((hour, several, mrid), {**header, **_type(mrid, amount)})
                wire.append({**header, "meter_id": reading.meter_id, **_wire(mrid, position, amount)})
                position += 1
    return Parsed(
        pl.DataFrame(wire, schema=_WIRE, orient="row"),
        READING_TYPES.conform(pl.DataFrame(list(types.values()), schema=READING_TYPES.frame_schema(), orient="row")),
        pl.DataFrame(documents, schema=_DOCUMENTS, orient="row"),
    )


Kind = pl.DataType | type[pl.DataType]
_TIME = pl.Datetime("us", "UTC")
_HEADER: dict[str, Kind] = {
    "message_id": pl.String,
    "received_at": _TIME,
    "zone": pl.String,
    "meter_id": pl.String,
    "device_lfdi": pl.String,
}
_DOCUMENTS: dict[str, Any] = {**_HEADER, "document": pl.String, "error": pl.String, "error_detail": pl.String}
_WIRE: dict[str, Any] = {
    **_HEADER,
    "mmr_mrid": pl.String,
    "position": pl.Int32,
    "start": _TIME,
    "duration_s": pl.Int64,
    "value": pl.Int64,
    "device_quality_flags": pl.Int32,
    "local_id": pl.String,
    "set_start": _TIME,
    "set_index": pl.Int32,
    "error": pl.String,
    "error_detail": pl.String,
}


def _mrid(reading: LegacyReading, amount: Amount) -> str:
    natural = f"gateway|{reading.meter_id}|{amount.name}|{tuple(amount.unit)}|{amount.duration_s}"
    return hashlib.sha256(natural.encode()).hexdigest()[:32].upper()


def _type(mrid: str, amount: Amount) -> dict[str, Any]:
    channel = amount.name if amount.name in _CHANNELS else None
    return {
        "mmr_mrid": mrid,
        "description": amount.name,
        "accumulation_behaviour": int(amount.unit.accumulation),
        "interval_length_s": amount.duration_s or None,
        "kind": None if amount.unit.kind is None else int(amount.unit.kind),
        "power_of_ten": amount.unit.power_of_ten,
        "uom": int(amount.unit.uom),
        "channel": channel,
    }


def _wire(mrid: str, position: int, amount: Amount) -> dict[str, Any]:
    error, detail = amount.error, amount.detail
    value: int | None = amount.value
    if abs(amount.value) > INT48_MAX:
        value, error, detail = None, Reason.BAD_VALUE.value, f"{amount.name} is not within Int48 at 10^{amount.unit.power_of_ten}"
    start: dt.datetime | None = amount.start
    if not _FIRST <= amount.start < _LAST:
        start, error, detail = None, Reason.BAD_INTERVAL.value, f"{amount.name} from {amount.start.isoformat()}"
    # A register stands at the end of its interval; start and length together say when that is.
    return {
        "mmr_mrid": mrid,
        "position": position,
        "start": start,
        "duration_s": amount.duration_s,
        "value": value,
        "error": error,
        "error_detail": detail,
    }

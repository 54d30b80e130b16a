"""The JSON that legacy meters and their platforms send, read as it stands: which meter says which amounts at which time.

Three shapes are understood. `original`: the 28 fields of the first simulator (`meter_type` tells it). `readings`: the short form
of POST /api/v1/meters/readings. `dlms`: the envelope of POST /v1/private-network/ingest, registers by OBIS code (IEC 62056-61).
Numbers are decimals as written, never binary floats. What an amount means (whether generation holds battery discharge, how long
the interval was, whether a register is cumulative) is not decided here.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

Shape = Literal["original", "readings", "dlms"]

JSON_LINES = "application/x-ndjson"
NO_DEVICE = "0" * 40
"""Stands where an LFDI is due: nothing that comes through the gateway has a client certificate."""
READINGS_PATH = "/api/v1/meters/readings"
DLMS_PATH = "/v1/private-network/ingest"
MAX_ITEMS = 100

IMPORT_OBIS, EXPORT_OBIS = "1.1.1.8.0.255", "1.1.2.8.0.255"
METER_TYPES = frozenset({"Solar_Prosumer", "Grid_Consumer", "Hybrid_Prosumer", "Battery_Storage"})

_METER_ID = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?(Z|z|[+-]\d\d:?\d\d)")
_INTERVAL_FIELDS = ("interval_seconds", "interval_s", "duration_s")
_LONGEST_S = 86_400
# Amounts beyond these are typing errors or attacks: 10^12 of any unit is more than a meter can count, and the smallest
# exponent bounds the work of converting one.
_MAX_DIGITS = 28
_MAX_ADJUSTED = 12
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class BadDocument(Exception):
    """A body that is not of the required form; `index` is the item's place in its batch, None where it is the body itself.

    `code` is one of invalid_json, invalid_reading, batch_too_large, encrypted_payload.
    """

    def __init__(self, detail: str, *, index: int | None = None, code: str = "invalid_reading") -> None:
        super().__init__(detail if index is None else f"reading {index}: {detail}")
        self.index = index
        self.code = code


@dataclass(slots=True, frozen=True)
class LegacyReading:
    """One reading as sent. Times are aware UTC; amounts are as written, None where absent.

    `generated`, `consumed`, `battery_charge`, `battery_discharge` in kWh; `imported`, `exported` (OBIS 1.8.0, 2.8.0) in Wh;
    `battery_level` and `irradiance` in percent and W/m2; `measurements` are (name, amount) of instantaneous values in SI units,
    power in kW. `interval_s` is the length that the reading itself states. `signature` is what a DLMS meter signed with.
    """

    shape: Shape
    meter_id: str
    at: dt.datetime
    interval_s: int | None = None
    meter_type: str | None = None
    generated: Decimal | None = None
    consumed: Decimal | None = None
    battery_charge: Decimal | None = None
    battery_discharge: Decimal | None = None
    imported: Decimal | None = None
    exported: Decimal | None = None
    battery_level: Decimal | None = None
    irradiance: Decimal | None = None
    measurements: tuple[tuple[str, Decimal], ...] = ()
    net_kwh: Decimal | None = None
    signature: str | None = None


def read_body(body: bytes, *, lines: bool = False, max_items: int = MAX_ITEMS) -> list[LegacyReading]:
    """Return the readings of a body: one object, an array of them, `{"readings": [...]}`, or (`lines`) one object a line.

    Raises `BadDocument` naming the first item that is not of the required form; nothing else, whatever the bytes.
    """
    if lines:
        rows = [line for line in body.split(b"\n") if line.strip()]
        items = [load(row, index) for index, row in enumerate(rows)]
    else:
        items = _items(load(body))
    if not items:
        raise BadDocument("no readings", code="invalid_json")
    if len(items) > max_items:
        raise BadDocument(f"{len(items)} readings, at most {max_items} in a body", code="batch_too_large")
    return [read_item(item, index) for index, item in enumerate(items)]


def load(body: bytes, index: int | None = None) -> Any:
    """Decode JSON (RFC 8259) in UTF-8, with decimals. Raises `BadDocument` for anything else, repeated names included."""
    try:
        return json.loads(body.decode("utf-8"), parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_no_repeats)
    except RecursionError:
        raise BadDocument("JSON nested too deep", index=index, code="invalid_json") from None
    except (ValueError, ArithmeticError) as error:
        raise BadDocument(f"not JSON: {error}", index=index, code="invalid_json") from None


def read_item(item: Any, index: int) -> LegacyReading:
    """Read one decoded object. Raises `BadDocument` with `index`."""
    try:
        if not isinstance(item, dict):
            raise BadDocument(f"a JSON object is required, not {_kind(item)}")
        return _dlms(item) if "protocol" in item or "payload" in item else _reading(item)
    except BadDocument as error:
        raise BadDocument(str(error), index=index, code=error.code) from None


def _items(value: Any) -> list[Any]:
    if isinstance(value, dict) and "readings" in value and "meter_id" not in value:
        value = value["readings"]
        if not isinstance(value, list):
            raise BadDocument("readings must be an array", code="invalid_json")
    return value if isinstance(value, list) else [value]


def _reading(item: dict[str, Any]) -> LegacyReading:
    metadata = item.get("metadata")
    details: Mapping[str, Any] = metadata if isinstance(metadata, dict) else {}
    own_type = item.get("meter_type")
    reading = LegacyReading(
        shape="readings" if own_type is None else "original",
        meter_id=_meter_id(item, "meter_id"),
        at=_time(item.get("timestamp")),
        interval_s=_interval(item, details),
        meter_type=_text(own_type if own_type is not None else details.get("device_type"), "meter_type"),
        generated=_amount(item, "energy_generated"),
        consumed=_amount(item, "energy_consumed"),
        battery_charge=_amount(item, "battery_charge"),
        battery_discharge=_amount(item, "battery_discharge"),
        battery_level=_amount(item, "battery_level"),
        irradiance=_amount(item, "irradiance"),
        measurements=_measurements(item, ("voltage", "current", "frequency", "power_factor")),
    )
    if reading.generated is None and reading.consumed is None:
        raise BadDocument("neither energy_generated nor energy_consumed")
    return reading


_OBIS_MEASUREMENTS = {
    "1.1.16.7.0.255": "power",
    "1.1.32.7.0.255": "voltage",
    "1.1.31.7.0.255": "current",
    "1.1.14.7.0.255": "frequency",
    "1.1.13.7.0.255": "power_factor",
}


def _dlms(item: dict[str, Any]) -> LegacyReading:
    protocol = item.get("protocol")
    if protocol == "dlms-enc":
        raise BadDocument(
            "protocol dlms-enc: the payload is sealed with the meter's key, which this gateway does not hold; send dlms over TLS",
            code="encrypted_payload",
        )
    if protocol != "dlms":
        raise BadDocument(f"protocol {_shown(protocol)}, expected dlms")
    payload = item.get("payload")
    if not isinstance(payload, dict):
        raise BadDocument("payload must be an object of OBIS codes")
    meter_id = _meter_id(item, "device_id")
    if payload.get("device_id", meter_id) != meter_id:
        raise BadDocument("device_id of the payload is not the envelope's")
    reading = LegacyReading(
        shape="dlms",
        meter_id=meter_id,
        at=_time(payload.get("timestamp")),
        interval_s=_interval(payload, item),
        imported=_amount(payload, IMPORT_OBIS),
        exported=_amount(payload, EXPORT_OBIS),
        battery_charge=_amount(payload, "battery_charge"),
        battery_discharge=_amount(payload, "battery_discharge"),
        measurements=_measurements(payload, _OBIS_MEASUREMENTS),
        net_kwh=_amount(payload, "kwh"),
        signature=_text(payload.get("signature"), "signature"),
    )
    if reading.imported is None and reading.exported is None:
        raise BadDocument(f"payload has neither {IMPORT_OBIS} nor {EXPORT_OBIS}")
    return reading


def _measurements(item: Mapping[str, Any], names: Any) -> tuple[tuple[str, Decimal], ...]:
    found = ((names[key] if isinstance(names, dict) else key, _amount(item, key)) for key in names)
    return tuple((name, amount) for name, amount in found if amount is not None)


def _meter_id(item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    if not isinstance(value, str) or not _METER_ID.fullmatch(value):
        raise BadDocument(f"{name} {_shown(value)} is not a meter id (1 to 32 of A-Z a-z 0-9 _ . -)")
    return value


def _time(value: Any) -> dt.datetime:
    """An ISO 8601 timestamp with its offset, or epoch milliseconds as today's simulator signs them."""
    try:
        if isinstance(value, str) and _ISO.fullmatch(value):
            whole = re.sub(r"([.,]\d{6})\d+", r"\1", value.upper())
            return dt.datetime.fromisoformat(whole).astimezone(dt.UTC)
        if isinstance(value, int) and not isinstance(value, bool):
            return _EPOCH + dt.timedelta(milliseconds=value)
    except (ValueError, OverflowError):
        pass
    raise BadDocument(f"timestamp {_shown(value)} is not ISO 8601 with an offset, nor epoch milliseconds")


def _interval(*sources: Mapping[str, Any]) -> int | None:
    for source in sources:
        for name in _INTERVAL_FIELDS:
            value = source.get(name)
            if value is None:
                continue
            number = _number(value, name)
            if number != number.to_integral_value() or not 1 <= number <= _LONGEST_S:
                raise BadDocument(f"{name} {_shown(value)} is not a whole number of seconds from 1 to {_LONGEST_S}")
            return int(number)
    return None


def _amount(item: Mapping[str, Any], name: str) -> Decimal | None:
    value = item.get(name)
    return None if value is None else _number(value, name)


def _number(value: Any, name: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise BadDocument(f"{name} {_shown(value)} is not a number")
    number = Decimal(value)
    if not number.is_finite() or (number and number.adjusted() > _MAX_ADJUSTED) or len(number.as_tuple().digits) > _MAX_DIGITS:
        raise BadDocument(f"{name} is out of bounds")
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -_MAX_DIGITS:
        raise BadDocument(f"{name} is out of bounds")
    return number


def _text(value: Any, name: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > 256:
        raise BadDocument(f"{name} {_shown(value)} is not a short text")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Two readers of a repeated name may see two values, and only one of them was checked.
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object names a member twice")
    return members


def _kind(value: Any) -> str:
    return {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}.get(type(value), "a number")


def _shown(value: Any) -> str:
    return ascii(value)[:60]

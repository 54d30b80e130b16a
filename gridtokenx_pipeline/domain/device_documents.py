"""What devices say outside metering: their DER, the energy they ask for, responses to events, their log.

A document becomes a row of columns that are asked for often, and whole it becomes a JSON object. What is missing, malformed or
out of its column's bounds is null in the column and as sent in the object: a device may write what it likes, nothing is raised.
Codes of the draft schema (`ieee2030_5.draft`) get the standard's names; its texts stay as sent, and `@xmlns` tells them apart.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import polars as pl

from gridtokenx_pipeline.contracts.core import DER_DOCUMENTS, FLOW_RESERVATIONS, LOG_EVENTS, RESPONSES
from gridtokenx_pipeline.contracts.table import Table

from . import device_texts
from .device_texts import INT64_MAX, MILLI_WH_MAX, UINT32_MAX, DeviceText, at, identifier, moment, scaled, whole

_TABLES: dict[str, Table] = {
    **dict.fromkeys(device_texts.DER, DER_DOCUMENTS),
    "FlowReservationRequest": FLOW_RESERVATIONS,
    **dict.fromkeys(device_texts.RESPONSES, RESPONSES),
    "LogEvent": LOG_EVENTS,
}
_HUNDREDTHS = 10_000


@dataclass(frozen=True)
class DeviceDocuments:
    """Frames of the contracts core.der_documents, core.flow_reservations, core.responses and core.log_events."""

    der_documents: pl.DataFrame
    flow_reservations: pl.DataFrame
    responses: pl.DataFrame
    log_events: pl.DataFrame


def device_documents(texts: Iterable[DeviceText], headers: pl.DataFrame) -> DeviceDocuments:
    """Make the frames of device documents, in the order of `texts`.

    `headers` has message_id, received_at, zone and meter_id of each message, in the row that is its number. Documents of
    peer-to-peer trading are not of these tables (`p2p_documents`).
    """
    tables = (DER_DOCUMENTS, FLOW_RESERVATIONS, RESPONSES, LOG_EVENTS)
    rows: dict[str, list[dict[str, Any]]] = {table.name: [] for table in tables}
    met: Counter[tuple[int, str]] = Counter()
    for message, name, attributes in texts:
        if name not in _TABLES:
            continue
        table = _TABLES[name].name
        header = headers.row(message, named=True)
        rows[table].append(
            {
                **{column: header[column] for column in ("message_id", "received_at", "zone", "meter_id")},
                "position": met[message, table],
                "attributes": json.dumps(attributes, ensure_ascii=False, separators=(",", ":")),
                **_COLUMNS[table](name, attributes),
            }
        )
        met[message, table] += 1
    return DeviceDocuments(
        **{
            table.name: table.conform(pl.DataFrame(rows[table.name], schema=table.frame_schema(), orient="row"))
            if rows[table.name]
            else table.empty()
            for table in tables
        }
    )


def _der(name: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    def status(element: str, base: int = 10) -> int | None:
        return whole(at(attributes, element, "value"), base=base)

    connected = status("genConnectStatus", 16)
    charge = whole(at(attributes, "stateOfChargeStatus", "value"))
    power = {"DERCapability": "rtgMaxW", "DERSettings": "setMaxW", "DERAvailability": "statWAvail"}.get(name, "")
    return {
        "document": name,
        "measured_at": moment(attributes.get("updatedTime" if name == "DERSettings" else "readingTime")),
        "operational_mode": status("operationalModeStatus"),
        "connect_status": status("storConnectStatus", 16) if connected is None else connected,
        "inverter_status": status("inverterStatus"),
        "storage_mode": status("storageModeStatus"),
        "state_of_charge_pct": None if charge is None or not 0 <= charge <= _HUNDREDTHS else Decimal(charge).scaleb(-2),
        "alarm_status": whole(attributes.get("alarmStatus"), base=16),
        "max_w": scaled(attributes.get(power), 0, INT64_MAX),
    }


def _flow_reservation(name: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "mrid": identifier(attributes.get("mRID"), 32),
        "requested_at": moment(attributes.get("creationTime")),
        "status": whole(at(attributes, "RequestStatus", "requestStatus")),
        "interval_start": moment(at(attributes, "intervalRequested", "start")),
        "duration_s": whole(at(attributes, "intervalRequested", "duration"), low=0),
        "duration_requested_s": whole(attributes.get("durationRequested"), low=0),
        "energy_milli_wh": scaled(attributes.get("energyRequested"), 3, MILLI_WH_MAX),
        "power_w": scaled(attributes.get("powerRequested"), 0, INT64_MAX),
    }


def _response(name: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "document": name,
        "subject": identifier(attributes.get("subject"), 32),
        "status": whole(attributes.get("status")),
        "responded_at": moment(attributes.get("createdDateTime")),
        "end_device_lfdi": identifier(attributes.get("endDeviceLFDI"), 40),
    }


def _log_event(name: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    details = attributes.get("details")
    return {
        "logged_at": moment(attributes.get("createdDateTime")),
        "function_set": whole(attributes.get("functionSet")),
        "code": whole(attributes.get("logEventCode")),
        "event_id": whole(attributes.get("logEventID")),
        "profile_id": whole(attributes.get("profileID")),
        "pen": whole(attributes.get("logEventPEN"), low=0, high=UINT32_MAX),
        "details": details if isinstance(details, str) and details else None,
    }


_COLUMNS: dict[str, Callable[[str, Mapping[str, Any]], dict[str, Any]]] = {
    DER_DOCUMENTS.name: _der,
    FLOW_RESERVATIONS.name: _flow_reservation,
    RESPONSES.name: _response,
    LOG_EVENTS.name: _log_event,
}

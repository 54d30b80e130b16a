"""Raw messages to wire readings: every reading of every message becomes one row, whatever is wrong with it."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields

import polars as pl

from gridtokenx_pipeline.contracts.core import DER_DOCUMENTS, FLOW_RESERVATIONS, LOG_EVENTS, P2P_DOCUMENTS, RESPONSES
from gridtokenx_pipeline.domain.device_documents import device_documents
from gridtokenx_pipeline.domain.documents import READING_ROWS, TYPE_ROWS, Rows, read_document
from gridtokenx_pipeline.domain.frames import frame_of_rows
from gridtokenx_pipeline.domain.p2p_documents import is_deletion, p2p_documents
from gridtokenx_pipeline.domain.reading_types import reading_types
from gridtokenx_pipeline.domain.reasons import Reason
from gridtokenx_pipeline.domain.shapes import read_shapes
from gridtokenx_pipeline.domain.wire import INT48_MAX, MESSAGE_COLUMNS, numbered, wire_readings
from ieee2030_5.xml import MalformedXml, UnknownNamespace

__all__ = ["INT48_MAX", "Parsed", "parse_messages"]

_AT_ONCE = 2048
"""Messages whose bytes are cut at once: enough to make a shape worth while, few enough not to hold all bytes twice."""
_THREADS = min(os.cpu_count() or 1, 4)


@dataclass(frozen=True)
class Parsed:
    """What messages say, before anyone believes it.

    `wire`: one row for each wire reading: message_id, received_at, zone, meter_id, device_lfdi (as in raw.messages), mmr_mrid
    (String, null where the reading belongs to no MirrorMeterReading), position (Int32, from 0 in the message), start (Datetime
    us UTC, null where unreadable or absent), duration_s (Int64, null likewise), value (Int64, null unless a whole number),
    device_quality_flags (Int32), local_id (String), set_start (Datetime us UTC) and set_index (Int32): start of the
    MirrorReadingSet around it and its place there; error (String, reason code, null where nothing is wrong yet) and
    error_detail (String).

    `reading_types`: contract core.reading_types.

    `documents`: one row for each message: the five message columns, document (String, local name of the root, null where there is
    none), error and error_detail (String; malformed_document, unknown_document or null).

    `der_documents`, `flow_reservations`, `responses`, `log_events` and `p2p_documents`: the contracts of those names in core.
    """

    wire: pl.DataFrame
    reading_types: pl.DataFrame
    documents: pl.DataFrame
    der_documents: pl.DataFrame = field(default_factory=DER_DOCUMENTS.empty)
    flow_reservations: pl.DataFrame = field(default_factory=FLOW_RESERVATIONS.empty)
    responses: pl.DataFrame = field(default_factory=RESPONSES.empty)
    log_events: pl.DataFrame = field(default_factory=LOG_EVENTS.empty)
    p2p_documents: pl.DataFrame = field(default_factory=P2P_DOCUMENTS.empty)


def parse_messages(messages: pl.DataFrame) -> Parsed:
    """Parse a raw.messages frame, in any row order. A bad message is described in the result; nothing is raised for it."""
    ordered = messages.sort("received_at", "message_id").select(*MESSAGE_COLUMNS, "method", "path", "body")
    slices = [ordered.slice(first, _AT_ONCE) for first in range(0, max(ordered.height, 1), _AT_ONCE)]
    if len(slices) == 1:
        return _parse(slices[0])
    # Most of the work is outside the interpreter's lock.
    with ThreadPoolExecutor(_THREADS) as pool:
        parts = list(pool.map(_parse, slices))
    return Parsed(**{column.name: pl.concat([getattr(part, column.name) for part in parts]) for column in fields(Parsed)})


def _parse(messages: pl.DataFrame) -> Parsed:
    bodies, methods, paths = (messages[name].to_list() for name in ("body", "method", "path"))
    names: list[str | None] = [None] * len(bodies)
    errors: list[str | None] = [None] * len(bodies)
    details: list[str | None] = [None] * len(bodies)
    shaped, others = read_shapes(bodies)
    for read in shaped:
        for number in read.numbers:
            names[number] = read.name
    rows = Rows()
    deletions = []
    for number in others:
        if bodies[number] or methods[number] != "DELETE":
            try:
                names[number] = read_document(bodies[number], number, rows)
            except MalformedXml as problem:
                errors[number], details[number] = Reason.MALFORMED_DOCUMENT.value, str(problem)
            except UnknownNamespace as problem:
                errors[number], details[number] = Reason.UNKNOWN_DOCUMENT.value, str(problem)
        elif is_deletion(paths[number]):
            deletions.append(number)
    headers = messages.select(MESSAGE_COLUMNS)
    readings = [read.readings for read in shaped if read.readings.height]
    if rows.readings or not readings:
        readings.append(numbered(frame_of_rows(rows.readings, READING_ROWS)))
    together = readings[0] if len(readings) == 1 else pl.concat(readings).sort("message", "position")
    types = [*(read.types for read in shaped), frame_of_rows(rows.types, TYPE_ROWS)]
    devices = device_documents(rows.devices, headers)
    return Parsed(
        wire=wire_readings(together, headers),
        reading_types=reading_types(pl.concat(types), headers),
        documents=headers.with_columns(
            pl.Series("document", names, pl.String),
            pl.Series("error", errors, pl.String),
            pl.Series("error_detail", details, pl.String),
        ),
        der_documents=devices.der_documents,
        flow_reservations=devices.flow_reservations,
        responses=devices.responses,
        log_events=devices.log_events,
        p2p_documents=p2p_documents(rows.devices, deletions, messages),
    )

"""Raw messages to wire readings: every reading of every message becomes one row, whatever is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from gridtokenx_pipeline.contracts.core import DER_DOCUMENTS, FLOW_RESERVATIONS, LOG_EVENTS, READING_TYPES, RESPONSES
from gridtokenx_pipeline.domain.documents import LIST, Rows, read_document, read_regular
from gridtokenx_pipeline.domain.reasons import Reason
from ieee2030_5.xml import MalformedXml, UnknownNamespace

INT48_MAX = 2**47 - 1
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z, the last that a timestamp can name
_LONGEST_S = 2**31 - 1
_TIME = pl.Datetime("us", "UTC")

_MESSAGE_COLUMNS = ("message_id", "received_at", "zone", "meter_id", "device_lfdi")
_TEXTS = ("mrid", "duration", "start", "value", "set_start", "flags", "local_id", "share")


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

    `der_documents`, `flow_reservations`, `responses` and `log_events`: the contracts of those names in core.
    """

    wire: pl.DataFrame
    reading_types: pl.DataFrame
    documents: pl.DataFrame
    der_documents: pl.DataFrame = field(default_factory=DER_DOCUMENTS.empty)
    flow_reservations: pl.DataFrame = field(default_factory=FLOW_RESERVATIONS.empty)
    responses: pl.DataFrame = field(default_factory=RESPONSES.empty)
    log_events: pl.DataFrame = field(default_factory=LOG_EVENTS.empty)


def parse_messages(messages: pl.DataFrame) -> Parsed:
    """Parse a raw.messages frame, in any row order. A bad message is described in the result; nothing is raised for it."""
    ordered = messages.sort("received_at", "message_id")
    rows = Rows()
    names: list[str | None] = []
    errors: list[str | None] = []
    details: list[str | None] = []
    for number, (body, method) in enumerate(zip(ordered["body"].to_list(), ordered["method"].to_list(), strict=True)):
        name, error, detail = None, None, None
        if read_regular(body, number, rows):
            name = LIST
        elif body or method != "DELETE":
            try:
                name = read_document(body, number, rows)
            except MalformedXml as problem:
                error, detail = Reason.MALFORMED_DOCUMENT.value, str(problem)
            except UnknownNamespace as problem:
                error, detail = Reason.UNKNOWN_DOCUMENT.value, str(problem)
        names.append(name)
        errors.append(error)
        details.append(detail)
    headers = ordered.select(_MESSAGE_COLUMNS)
    documents = headers.with_columns(
        pl.Series("document", names, pl.String),
        pl.Series("error", errors, pl.String),
        pl.Series("error_detail", details, pl.String),
    )
    return Parsed(_wire(rows, headers), _reading_types(rows, headers), documents)


def _wire(rows: Rows, headers: pl.DataFrame) -> pl.DataFrame:
    texts = pl.DataFrame({name: pl.Series(getattr(rows, name), dtype=pl.String) for name in _TEXTS}).with_columns(
        pl.Series("position", rows.position, pl.Int32), pl.Series("set_index", rows.set_index, pl.Int32)
    )
    texts = texts.with_columns(pl.when(pl.col(name) != "").then(pl.col(name)) for name in ("flags", "local_id"))
    value, duration = pl.col("value").cast(pl.Int64, strict=False), pl.col("duration").cast(pl.Int64, strict=False)
    cast = texts.with_columns(
        pl.col("mrid").str.to_uppercase().str.pad_start(32, "0").alias("mmr_mrid"),
        pl.when(value.is_between(-INT48_MAX, INT48_MAX)).then(value).alias("whole"),
        pl.when(duration.is_between(0, _LONGEST_S)).then(duration).alias("duration_s"),
        _moment("start").alias("moment"),
        _moment("set_start").alias("set_moment"),
        pl.col("flags").str.to_integer(base=16, strict=False).cast(pl.Int32, strict=False).alias("device_quality_flags"),
    )
    no_start = pl.col("moment").is_null() & (pl.col("start").is_not_null() | pl.col("set_moment").is_null())
    bad_duration = pl.col("duration").is_not_null() & pl.col("duration_s").is_null()
    bad_flags = pl.col("flags").is_not_null() & pl.col("device_quality_flags").is_null()
    error = (
        pl.when(pl.col("whole").is_null() | bad_flags)
        .then(pl.lit(Reason.BAD_VALUE.value))
        .when(no_start | bad_duration)
        .then(pl.lit(Reason.BAD_INTERVAL.value))
        .when(pl.col("share").is_not_null())
        .then(pl.lit(Reason.NOT_A_TOTAL.value))
    )
    cast = cast.with_columns(error.alias("error"))
    if cast["error"].null_count() == cast.height:
        cast = cast.with_columns(pl.lit(None, pl.String).alias("error_detail"))
    else:
        cast = cast.with_columns(_detail().alias("error_detail"))
    return pl.concat([headers[rows.message], cast], how="horizontal").select(
        *_MESSAGE_COLUMNS,
        "mmr_mrid",
        "position",
        pl.col("moment").alias("start"),
        "duration_s",
        pl.col("whole").alias("value"),
        "device_quality_flags",
        "local_id",
        pl.col("set_moment").alias("set_start"),
        "set_index",
        "error",
        "error_detail",
    )


def _moment(name: str) -> pl.Expr:
    seconds = pl.col(name).cast(pl.Int64, strict=False)
    return pl.from_epoch(pl.when(seconds.is_between(0, _LAST_SECOND)).then(seconds) * 1_000_000, "us").cast(_TIME)


def _detail() -> pl.Expr:
    def shown(name: str) -> pl.Expr:
        return pl.col(name).fill_null("none").str.slice(0, 40)

    return (
        pl.when(pl.col("error") == Reason.BAD_VALUE.value)
        .then(
            pl.format(
                "value {}, quality flags {}: not a whole number within Int48, or not hex flags", shown("value"), shown("flags")
            )
        )
        .when(pl.col("error") == Reason.BAD_INTERVAL.value)
        .then(pl.format("time period of start {}, duration {}", shown("start"), shown("duration")))
        .when(pl.col("error") == Reason.NOT_A_TOTAL.value)
        .then(shown("share"))
    )


def _reading_types(rows: Rows, headers: pl.DataFrame) -> pl.DataFrame:
    if not rows.types:
        return READING_TYPES.empty()
    own = {name: kind for name, kind in READING_TYPES.frame_schema().items() if name not in _MESSAGE_COLUMNS}
    declared = pl.DataFrame(rows.types, schema={"message": pl.Int64, **own})
    owners = headers[declared["message"]].select("device_lfdi", "received_at", "message_id")
    return READING_TYPES.conform(pl.concat([owners, declared.drop("message")], how="horizontal"))

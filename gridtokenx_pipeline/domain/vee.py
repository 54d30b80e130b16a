"""Validation at receipt: wire readings in; accepted, rejected and telemetry rows out, each reading in exactly one of them.

The order: type (`classify`), merge (`merge`), interval and clock, sign and ratings (`checks`), order and completion of registers,
the legacy gateway against IEEE 2030.5 (`registers`), duplicates, quality and versions (`versions`). A reading fails at most once.
Results depend on what was received and in which order (received_at, message_id), never on the order of rows or on how receipts
are cut into batches: frames come out sorted by key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl

from gridtokenx_pipeline.contracts.core import READING_TYPES, READINGS
from gridtokenx_pipeline.domain import marks, registers
from gridtokenx_pipeline.domain.checks import Rules, bounds, placement, plausibility, snap
from gridtokenx_pipeline.domain.classify import TELEMETRY, Types, classify, typed
from gridtokenx_pipeline.domain.findings import VALID
from gridtokenx_pipeline.domain.merge import CANDIDATE, candidates
from gridtokenx_pipeline.domain.numbers import channel_number, meter_of, numbered, receipt_order, series_number, take
from gridtokenx_pipeline.domain.outcomes import (
    Batch,
    Validated,
    as_rejected,
    duplicate_detail,
    energy_detail,
    finish,
    interval_detail,
    register_detail,
)
from gridtokenx_pipeline.domain.parse import Parsed
from gridtokenx_pipeline.domain.versions import number_versions

__all__ = ["VALID", "Rules", "Validated", "validate"]

# Registers that came alone, were refused, and may be the beginning of the next: core.rejected_readings of these reasons.
WAITING_COLUMNS = (
    "message_id",
    "received_at",
    "device_lfdi",
    "meter_id",
    "channel",
    "interval_start",
    "reason",
    "detail",
    "parts",
)


def validate(
    parsed: Parsed,
    known_types: pl.DataFrame,
    prior: pl.DataFrame,
    meters: pl.DataFrame,
    rules: Rules,
    refused: pl.DataFrame | None = None,
) -> Validated:
    """Validate what `parse_messages` read.

    `known_types`: core.reading_types rows of other receipts, earlier ones and those of up to `rules.late_type_s` later; rows
    of the same messages do no harm. `prior`: core.readings rows accepted from earlier receipts, at least those that share or
    adjoin an interval of these, and the last register before. `meters`: `domain.thresholds.ratings_frame`. `refused`: rows of
    core.rejected_readings of earlier receipts with the device_lfdi of their message (WAITING_COLUMNS), at least those of
    `registers.WAITS` that end where an interval of these starts.

    For every message readings_total = accepted + rejected + telemetry, counted in parts. A message that could not be read has one
    rejected row with parts 0.
    """
    batch = _number(parsed, known_types, prior, meters, refused)
    readings, unclassified = classify(parsed.wire, batch.numbers, batch.types, rules.late_type_s)
    measured = readings["form"] != TELEMETRY
    if measured.all():
        telemetry = readings.clear()
    else:
        telemetry, readings = readings.filter(~measured), readings.filter(measured)
    rows = candidates(readings, batch.types, rules.interval_s)
    accepted, rejected = _check(rows, batch, rules)
    return finish(parsed, batch, accepted, rejected, unclassified, telemetry)


def _number(
    parsed: Parsed, known_types: pl.DataFrame, prior: pl.DataFrame, meters: pl.DataFrame, refused: pl.DataFrame | None
) -> Batch:
    """Number messages, meters, devices and series, and take what was known before along."""
    documents, wire = parsed.documents, parsed.wire
    refused = _waiting(refused)
    order = receipt_order(documents, known_types, parsed.reading_types, prior, refused)
    headers = documents.join(order.select("message_id", "seq", "received_s"), on="message_id", maintain_order="left", how="left")
    meters = meters.sort("meter_id")
    declared = pl.concat([f.select(list(READING_TYPES.frame_schema())) for f in (parsed.reading_types, known_types)])
    declared = declared.unique(list(READING_TYPES.key), keep="first", maintain_order=True)
    devices = pl.concat([headers["device_lfdi"], declared["device_lfdi"]]).unique()
    device = pl.DataFrame({"device_lfdi": devices}).with_row_index("device")
    types = typed(declared, order, device)

    first = wire.select(
        ((pl.col("message_id") != pl.col("message_id").shift(1)) | (pl.col("meter_id") != pl.col("meter_id").shift(1)))
        .fill_null(True)
        .alias("first")
    ).to_series()
    runs = wire.filter(first).select("message_id", "meter_id")
    header = headers.join(device, on="device_lfdi", how="left", maintain_order="left").select(
        "message_id", "seq", "received_s", "device"
    )
    names = pl.concat([runs["meter_id"], headers["meter_id"]]).unique()
    names = names.filter(~names.is_in(meters["meter_id"].implode())).sort()
    names = pl.concat([meters["meter_id"], names.cast(pl.String)])
    runs = runs.join(header, on="message_id", how="left", maintain_order="left").with_columns(
        numbered(runs["meter_id"], names).alias("meter")
    )
    runs = runs.with_columns((pl.col("seq") * (len(names) + 1) + pl.col("meter")).alias("unit"))
    # Numbers close together, so that they fit beside a channel and a moment.
    runs = runs.with_columns(pl.col("unit").rank("dense").cast(pl.Int64))
    run = first.cast(pl.UInt32).cum_sum() - 1
    return Batch(
        order=order,
        headers=headers,
        meters=names,
        known_meters=len(meters),
        types=types,
        bounds=bounds(meters),
        numbers=take(runs.select("seq", "received_s", "device", "meter", "unit"), run),
        old=_as_candidates(prior, order, names[: len(meters)]),
        waiting=_as_waiting(refused, order, names[: len(meters)]),
    )


def _as_candidates(prior: pl.DataFrame, order: pl.DataFrame, meters: pl.Series) -> pl.DataFrame:
    start, length = pl.col("interval_start").dt.epoch("s"), pl.col("duration_s").cast(pl.Int64)
    known = {
        "series": series_number(pl.col("meter"), channel_number()),
        "start_s": start,
        "length_s": length,
        "end_s": start + length,
        "energy": pl.coalesce("energy_milli_wh", (pl.col("state_of_charge_pct") * 100).cast(pl.Int64)),
        "register": pl.col("register_milli_wh"),
        "lone": pl.lit(False),
        "derived": pl.lit(False),
        "position": pl.lit(0),
        "row": pl.lit(None),
        "register_type": pl.lit(None),
        "findings": pl.lit(0),
    }
    prior = prior.select(list(READINGS.frame_schema())).with_columns(numbered(prior["meter_id"], meters).alias("meter"))
    frame = prior.filter(pl.col("meter") < len(meters)).join(order.select("message_id", "seq"), on="message_id", how="left")
    return frame.select(*(known.get(name, pl.col(name)).cast(kind).alias(name) for name, kind in CANDIDATE.items()), "version")


def _waiting(refused: pl.DataFrame | None) -> pl.DataFrame:
    schema: dict[str, Any] = dict.fromkeys(WAITING_COLUMNS, pl.String) | {
        "received_at": pl.Datetime("us", "UTC"),
        "interval_start": pl.Datetime("us", "UTC"),
        "parts": pl.Int32,
    }
    if refused is None:
        return pl.DataFrame(schema=schema)
    told = pl.col("interval_start").is_not_null() & pl.col("channel").is_not_null() & (pl.col("parts") == 1)
    return refused.select(list(schema)).filter(told & pl.col("reason").is_in(registers.WAITS))


def _as_waiting(refused: pl.DataFrame, order: pl.DataFrame, meters: pl.Series) -> pl.DataFrame:
    """The refused registers in the schema `registers.WAITING`; their detail says what they were."""
    frame = refused.with_columns(
        numbered(refused["meter_id"], meters).alias("meter"),
        pl.col("detail").str.extract(r"register (\d+) mWh", 1).cast(pl.Int64, strict=False).alias("register"),
        pl.col("detail").str.extract(r" in (\d+) s$", 1).cast(pl.Int64, strict=False).alias("length_s"),
    ).filter((pl.col("meter") < len(meters)) & pl.col("register").is_not_null() & pl.col("length_s").is_not_null())
    return frame.join(order.select("message_id", "seq"), on="message_id").select(
        "seq",
        series_number(pl.col("meter"), channel_number()).alias("series"),
        (pl.col("interval_start").dt.epoch("s") + pl.col("length_s")).alias("end_s"),
        "register",
    )


def _check(rows: pl.DataFrame, batch: Batch, rules: Rules) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Accepted rows (CANDIDATE, version) and rejected ones (`outcomes.REJECTED`)."""
    rows, misplaced = _placed(rows, batch, rules)
    lone = rows["lone"]
    own, implausible = _split(rows.filter(~lone) if lone.any() else rows, plausibility(), energy_detail)
    own = own.with_columns(
        pl.when(pl.col("energy") < 0).then(pl.col("findings") | marks.TARE).otherwise("findings").alias("findings")
    )
    alone = rows.filter(lone)
    refused = [misplaced, implausible]
    odd = registers.irregular(pl.concat([own, alone]), batch.old, batch.waiting, batch.order["legacy"])
    done = []
    if len(odd):
        is_odd = pl.col("series").is_in(odd.implode())
        followed = pl.concat([own.filter(is_odd), alone.filter(is_odd)])
        old, waiting = batch.old.filter(is_odd), batch.waiting.filter(is_odd)
        followed = registers.follow(followed, old, waiting, batch.order, _unit(followed, batch.types))
        passed, fallen = _split(followed, pl.col("reason"), register_detail)
        done.append(passed.select(list(CANDIDATE)))
        refused.append(fallen)
        own, alone = own.filter(~is_odd), alone.filter(~is_odd)
    if len(alone):
        completed = registers.complete(
            alone.select(list(CANDIDATE)), own.select(list(CANDIDATE)), batch.old.select(list(CANDIDATE)), batch.waiting
        )
        completed, unpaired = _split(_with_bounds(completed, batch.bounds), plausibility(), energy_detail)
        done.append(completed.select(list(CANDIDATE)))
        refused.append(unpaired)
    rows = pl.concat([own.select(list(CANDIDATE)), *done])
    passed, repeated = _split(number_versions(rows, batch.old), pl.col("reason"), duplicate_detail)
    conflict = pl.when("conflict").then(pl.col("findings") | marks.CONFLICT).otherwise("findings")
    return passed.with_columns(conflict.alias("findings")), [*refused, repeated]


def _placed(rows: pl.DataFrame, batch: Batch, rules: Rules) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows on the grid of their length, in the past, of known meters; with limit_w and tare_mw."""
    rows = _with_bounds(rows, batch.bounds).with_columns(batch.order["received_s"].gather(rows["seq"]))
    moved = rows.select(snap().alias("moved")).to_series()
    if (moved != 0).any():
        rows = rows.with_columns(
            pl.col("start_s") + moved,
            pl.col("end_s") + moved,
            pl.when(moved != 0).then(pl.col("findings") | marks.CLOCK_SNAPPED).otherwise("findings").alias("findings"),
        )
    known = (meter_of() < batch.known_meters).alias("known_meter")
    rows, misplaced = _split(rows.with_columns(known), placement(rules), lambda: interval_detail(rules, batch.meters))
    return rows.drop("known_meter", "received_s", "snap_s"), misplaced


def _with_bounds(rows: pl.DataFrame, limits: pl.DataFrame) -> pl.DataFrame:
    """Rows with limit_w, tare_mw and snap_s of their series; null for meters that are not known."""
    series = rows["series"]
    if (series >= len(limits)).any():
        series = series.set(series >= len(limits), None)
    return rows.with_columns(*take(limits, series).get_columns())


def _unit(rows: pl.DataFrame, types: Types) -> pl.Series:
    scale = take(types.frame.select("divisor", "multiplier"), rows["register_type"]).select(
        pl.when(pl.col("divisor") == 1).then("multiplier").alias("lsb")
    )
    return scale.to_series()


def _split(rows: pl.DataFrame, reason: pl.Expr, detail: Callable[[], pl.Expr]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows without reason, and the others in the columns of `outcomes.REJECTED`."""
    reasons = rows.select(reason.alias("reason")).to_series()
    rows = rows.drop("reason", strict=False)
    if reasons.null_count() == len(rows):
        return rows, as_rejected(rows.clear().with_columns(pl.lit(None, pl.String).alias("reason")), detail)
    failed = rows.with_columns(reasons).filter(reasons.is_not_null())
    return rows.filter(reasons.is_null()), as_rejected(failed, detail)

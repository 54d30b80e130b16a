"""Validation: wire readings in; accepted, rejected and telemetry rows out, each reading in exactly one of them.

The order: type (`classify`), merge (`merge`), interval and clock, completion of lone registers, sign and ratings, order of
registers (`checks`), the legacy gateway against IEEE 2030.5, duplicates and versions (`versions`). A reading fails at most once.
Results depend on what was received and in which order (received_at, message_id), never on the order of rows: frames come out
sorted by key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from gridtokenx_pipeline.contracts.core import MESSAGE_OUTCOMES, READING_TYPES, READINGS, REJECTED_READINGS, TELEMETRY
from gridtokenx_pipeline.contracts.table import Table
from gridtokenx_pipeline.domain.channels import STATE_OF_CHARGE
from gridtokenx_pipeline.domain.checks import Rules, limit_milli, meter_bounds, placement, plausibility, register_floor
from gridtokenx_pipeline.domain.classify import REGISTER, classify, receipt_order, typed
from gridtokenx_pipeline.domain.classify import TELEMETRY as TELEMETRY_FORM
from gridtokenx_pipeline.domain.merge import CANDIDATE, candidates, complete_registers
from gridtokenx_pipeline.domain.parse import Parsed
from gridtokenx_pipeline.domain.reasons import Reason
from gridtokenx_pipeline.domain.versions import KEY, number_versions
from ingest_server.gateway.documents import NO_DEVICE

VALID, QUESTIONABLE, DERIVED = 1, 16, 32

_REJECTED = ["seq", "meter_id", "channel", "interval_start", "reason", "detail", "mmr_mrid", "position", "parts"]


@dataclass(frozen=True)
class Validated:
    """Frames of the contracts core.readings, core.rejected_readings, core.telemetry and core.message_outcomes."""

    readings: pl.DataFrame
    rejected: pl.DataFrame
    telemetry: pl.DataFrame
    outcomes: pl.DataFrame


def validate(parsed: Parsed, known_types: pl.DataFrame, prior: pl.DataFrame, meters: pl.DataFrame, rules: Rules) -> Validated:
    """Validate what `parse_messages` read.

    `known_types`: core.reading_types rows received before; rows of the same messages do no harm. `prior`: core.readings rows
    accepted from earlier receipts, at least those of the same meter, channel and interval, and the last register before.
    `meters`: meter_id (String), rated_kw, battery_kwh, baseline_kw (numbers), one row a meter.

    For every message readings_total = accepted + rejected + telemetry, counted in parts. A message that could not be read has one
    rejected row with parts 0.
    """
    documents = parsed.documents
    prior = prior.select(list(READINGS.frame_schema()))
    known_types = known_types.select(list(READING_TYPES.frame_schema()))
    order = receipt_order(documents, known_types, parsed.reading_types, prior)
    headers = documents.join(order, on="message_id")
    declared = pl.concat([parsed.reading_types, known_types]).unique(list(READING_TYPES.key), keep="first", maintain_order=True)
    types = typed(declared, order)
    wire = parsed.wire.join(headers.select("message_id", "seq"), on="message_id")
    classified = classify(wire, types)

    believed = classified.filter(pl.col("reason").is_null())
    telemetry = believed.filter(pl.col("form") == TELEMETRY_FORM)
    old = _as_candidates(prior, order)
    rows = candidates(believed.filter(pl.col("form") != TELEMETRY_FORM), types, rules.interval_s)
    accepted, refused = _check(rows, old, headers, meter_bounds(meters, rules), rules, _gateway(headers, prior, order))
    rejected = pl.concat([_refused_messages(headers), _refused_wire(classified), refused])
    return _conform(parsed, headers, accepted, rejected, telemetry)


def _as_candidates(prior: pl.DataFrame, order: pl.DataFrame) -> pl.DataFrame:
    start = pl.col("interval_start").dt.epoch("s")
    length = pl.col("duration_s").cast(pl.Int64)
    known = {
        "start_s": start,
        "length_s": length,
        "end_s": start + length,
        "energy": pl.coalesce("energy_milli_wh", (pl.col("state_of_charge_pct") * 100).cast(pl.Int64)),
        "register": pl.col("register_milli_wh"),
        "form": pl.lit("prior"),
        "derived": pl.lit(False),
        "position": pl.lit(0),
        "mmr_mrid": pl.lit(None),
    }
    frame = prior.join(order, on="message_id", how="left")
    return frame.select(*(known.get(name, pl.col(name)).cast(kind).alias(name) for name, kind in CANDIDATE.items()), "version")


def _check(
    rows: pl.DataFrame, old: pl.DataFrame, headers: pl.DataFrame, bounds: pl.DataFrame, rules: Rules, gateway: pl.Series
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Accepted rows (CANDIDATE, version, conflict) and rejected ones (_REJECTED)."""
    known = pl.col("meter_id").is_in(bounds["meter_id"].unique().implode())
    rows = rows.join(headers.select("seq", "received_at"), on="seq").with_columns(known.alias("known_meter"))
    rows, misplaced = _split(rows.with_columns(placement(rules).alias("reason")), lambda: _interval_detail(rules))
    rows = rows.select(list(CANDIDATE))
    lone = pl.col("form") == REGISTER
    own, implausible = _split(_with_plausibility(rows.filter(~lone), bounds), _energy_detail)
    # Registers wait until implausible energies are out, so that none of those completes them.
    completed = complete_registers(rows.filter(lone), own.select(list(CANDIDATE)), old.select(list(CANDIDATE)))
    completed, unpaired = _split(_with_plausibility(completed, bounds), _energy_detail)
    rows = pl.concat([own.select(list(CANDIDATE)), completed.select(list(CANDIDATE))])

    decreased = pl.when(pl.col("register") < pl.col("floor")).then(pl.lit(Reason.REGISTER_DECREASED.value))
    rows, fallen = _split(register_floor(rows, old).with_columns(decreased.alias("reason")), _register_detail)
    rows, overruled = _overrule(rows.select(list(CANDIDATE)), old, gateway)
    numbered = number_versions(rows, old)
    repeated = pl.when("duplicate").then(pl.lit(Reason.DUPLICATE.value))
    rows, duplicates = _split(numbered.with_columns(repeated.alias("reason")), _duplicate_detail)
    return rows, pl.concat([misplaced, implausible, unpaired, fallen, overruled, duplicates])


def _gateway(headers: pl.DataFrame, prior: pl.DataFrame, order: pl.DataFrame) -> pl.Series:
    """The numbers (seq) of messages that came through the legacy gateway."""
    both = pl.concat([frame.select("message_id", "device_lfdi") for frame in (headers, prior)]).unique("message_id")
    return both.filter(pl.col("device_lfdi") == NO_DEVICE).join(order, on="message_id")["seq"]


def _overrule(rows: pl.DataFrame, old: pl.DataFrame, gateway: pl.Series) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Refuse what the gateway says of an interval that was reported by IEEE 2030.5 before; the other way round is a version."""
    legacy = pl.col("seq").is_in(gateway.implode())
    seen = pl.concat([old.select(*KEY, "seq"), rows.select(*KEY, "seq")]).filter(~legacy)
    first = seen.group_by(KEY).agg(pl.col("seq").min().alias("reported"))
    late = legacy & (pl.col("reported") < pl.col("seq"))
    known = rows.join(first, on=KEY, how="left").with_columns(pl.when(late).then(pl.lit(Reason.OVERRULED.value)).alias("reason"))
    rows, overruled = _split(known.drop("reported"), _duplicate_detail)
    return rows.select(list(CANDIDATE)), overruled


def _with_plausibility(rows: pl.DataFrame, bounds: pl.DataFrame) -> pl.DataFrame:
    return rows.join(bounds, on=["meter_id", "channel"], how="left").with_columns(plausibility().alias("reason"))


def _split(rows: pl.DataFrame, detail: Callable[[], pl.Expr]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows without reason, and the others in the columns of `_REJECTED`."""
    passed = pl.col("reason").is_null()
    failed = rows.filter(~passed).with_columns(detail().alias("detail"), _moment("start_s").alias("interval_start"))
    return rows.filter(passed).drop("reason"), failed.select(_REJECTED)


def _moment(seconds: str) -> pl.Expr:
    return pl.from_epoch(pl.col(seconds) * 1_000_000, "us").cast(pl.Datetime("us", "UTC"))


def _interval_detail(rules: Rules) -> pl.Expr:
    return pl.format(
        "interval of {} s from {}, received {}, tolerance {} s, meter {}",
        "length_s",
        _moment("start_s").dt.strftime("%FT%TZ"),
        pl.col("received_at").dt.strftime("%FT%TZ"),
        pl.lit(rules.future_tolerance_s),
        "meter_id",
    )


def _energy_detail() -> pl.Expr:
    energy, register = pl.col("energy").cast(pl.String).fill_null("none"), pl.col("register").cast(pl.String).fill_null("none")
    return (
        pl.when(pl.col("channel") == STATE_OF_CHARGE)
        .then(pl.format("state of charge {} hundredths of a percent, range 0 to 10000", energy))
        .otherwise(
            pl.format(
                "energy {} mWh{}, register {} mWh, at most {} mWh in {} s",
                energy,
                pl.when("derived").then(pl.lit(" from registers")).otherwise(pl.lit("")),
                register,
                limit_milli(),
                "length_s",
            )
        )
    )


def _register_detail() -> pl.Expr:
    return pl.format("register {} mWh, before {} mWh", "register", "floor")


def _duplicate_detail() -> pl.Expr:
    shown = [pl.col(name).cast(pl.String).fill_null("none") for name in ("energy", "register")]
    return pl.format("energy or charge {}, register {} accepted before for the interval of {} s", *shown, "length_s")


def _refused_messages(headers: pl.DataFrame) -> pl.DataFrame:
    return (
        headers.filter(pl.col("error").is_not_null())
        .with_columns(
            *(pl.lit(None, pl.String).alias(name) for name in ("channel", "mmr_mrid")),
            pl.lit(None, pl.Datetime("us", "UTC")).alias("interval_start"),
            pl.col("error").alias("reason"),
            pl.col("error_detail").alias("detail"),
            *(pl.lit(0, pl.Int32).alias(name) for name in ("position", "parts")),
        )
        .select(_REJECTED)
    )


def _refused_wire(classified: pl.DataFrame) -> pl.DataFrame:
    start = pl.from_epoch(pl.col("first_s") * 1_000_000, "us").cast(pl.Datetime("us", "UTC"))
    refused = classified.filter(pl.col("reason").is_not_null())
    return refused.with_columns(start.alias("interval_start"), pl.lit(1, pl.Int32).alias("parts")).select(_REJECTED)


def _conform(
    parsed: Parsed, headers: pl.DataFrame, accepted: pl.DataFrame, rejected: pl.DataFrame, telemetry: pl.DataFrame
) -> Validated:
    state = pl.col("channel") == STATE_OF_CHARGE
    owners = headers.select("seq", "message_id", "received_at", "zone", "device_lfdi")
    readings = accepted.join(owners, on="seq").with_columns(
        _moment("start_s").alias("interval_start"),
        pl.col("length_s").cast(pl.Int32).alias("duration_s"),
        pl.when(~state).then("energy").alias("energy_milli_wh"),
        pl.col("register").alias("register_milli_wh"),
        pl.when(state).then(pl.col("energy") / 100).cast(pl.Decimal(5, 2)).alias("state_of_charge_pct"),
        (
            pl.when("conflict").then(pl.lit(QUESTIONABLE)).otherwise(pl.lit(VALID))
            + pl.when("derived").then(pl.lit(DERIVED)).otherwise(pl.lit(0))
        )
        .cast(pl.Int32)
        .alias("quality_flags"),
        pl.when("conflict").then(pl.lit("conflict")).otherwise(pl.lit(None, pl.String)).alias("findings"),
    )
    refused = rejected.join(headers.select("seq", "message_id", "received_at", "zone"), on="seq")
    measured = telemetry.with_columns(
        _moment("first_s").alias("measured_at"),
        pl.col("duration_s").fill_null(0).cast(pl.Int32),
    )
    count = {"readings_total": parsed.wire, "accepted": readings, "rejected": refused, "telemetry": measured}
    outcomes = headers
    for name, frame in count.items():
        parts = pl.col("parts").sum() if "parts" in frame.columns else pl.len()
        outcomes = outcomes.join(frame.group_by("message_id").agg(parts.cast(pl.Int32).alias(name)), on="message_id", how="left")
    outcomes = outcomes.with_columns(pl.col(list(count)).fill_null(0))

    def finished(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
        return table.conform(frame.select(list(table.frame_schema())).sort(table.key))

    return Validated(
        finished(READINGS, readings),
        finished(REJECTED_READINGS, refused),
        finished(TELEMETRY, measured),
        finished(MESSAGE_OUTCOMES, outcomes),
    )

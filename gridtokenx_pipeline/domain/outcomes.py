"""What became of every reading: the frames that validation returns, names in the place of numbers, and why rows were refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

from gridtokenx_pipeline.contracts.core import MESSAGE_OUTCOMES, READINGS, REJECTED_READINGS, TELEMETRY
from gridtokenx_pipeline.contracts.table import Table
from gridtokenx_pipeline.domain import marks
from gridtokenx_pipeline.domain.checks import STATE, Rules, limit_milli
from gridtokenx_pipeline.domain.classify import Types
from gridtokenx_pipeline.domain.numbers import CHANNEL_NAMES, at, channel_of, meter_of, moment, take
from gridtokenx_pipeline.domain.parse import Parsed
from gridtokenx_pipeline.domain.reasons import Reason

REJECTED: dict[str, Any] = {
    "row": pl.UInt32,
    "seq": pl.Int64,
    "meter": pl.Int32,
    "channel": pl.Int8,
    "interval_start": pl.Datetime("us", "UTC"),
    "reason": pl.String,
    "detail": pl.String,
    "parts": pl.Int32,
}
_CHANNELS = pl.Series(CHANNEL_NAMES, dtype=pl.String)


@dataclass(frozen=True)
class Validated:
    """Frames of the contracts core.readings, core.rejected_readings, core.telemetry and core.message_outcomes."""

    readings: pl.DataFrame
    rejected: pl.DataFrame
    telemetry: pl.DataFrame
    outcomes: pl.DataFrame


@dataclass(frozen=True)
class Batch:
    """The numbers of a batch, and what was known before it.

    `order`: `numbers.receipt_order`. `headers`: `Parsed.documents` with seq and received_s. `meters`: meter ids by number, of
    which the first `known_meters` have ratings. `types`: `classify.Types`. `bounds`: `checks.bounds`. `numbers`: what
    `classify.classify` needs of every wire reading. `old`: prior readings, schema `merge.CANDIDATE` and version. `waiting`:
    schema `registers.WAITING`.
    """

    order: pl.DataFrame
    headers: pl.DataFrame
    meters: pl.Series
    known_meters: int
    types: Types
    bounds: pl.DataFrame
    numbers: pl.DataFrame
    old: pl.DataFrame
    waiting: pl.DataFrame


def as_rejected(failed: pl.DataFrame, detail: Callable[[], pl.Expr]) -> pl.DataFrame:
    """Return rows (`merge.CANDIDATE` and reason) in the schema REJECTED."""
    named = failed.with_columns(
        meter_of().alias("meter"),
        channel_of().alias("channel"),
        moment("start_s").alias("interval_start"),
        detail().alias("detail"),
    )
    return named.select(pl.col(name).cast(kind) for name, kind in REJECTED.items())


def interval_detail(rules: Rules, meters: pl.Series) -> pl.Expr:
    """What was wrong with the interval of a row that also has received_s."""
    return pl.format(
        "interval of {} s from {}, received {}, tolerance {} s, meter {}",
        "length_s",
        moment("start_s").dt.strftime("%FT%TZ"),
        moment("received_s").dt.strftime("%FT%TZ"),
        pl.lit(rules.future_tolerance_s),
        pl.lit(meters).gather(meter_of()),
    )


def energy_detail() -> pl.Expr:
    """What was wrong with the energy of a row that also has limit_w. It ends with the length, which `vee` reads again."""
    energy, register = pl.col("energy").cast(pl.String).fill_null("none"), pl.col("register").cast(pl.String).fill_null("none")
    negative = pl.col("reason") == Reason.NEGATIVE.value
    return (
        pl.when(channel_of() == STATE)
        .then(pl.format("state of charge {} hundredths of a percent, range 0 to 10000", energy))
        .otherwise(
            pl.format(
                "{}energy {} mWh{}, register {} mWh, at most {} mWh in {} s",
                pl.when(negative).then(pl.lit("wrong sign or CT: ")).otherwise(pl.lit("")),
                energy,
                pl.when("derived").then(pl.lit(" from registers")).otherwise(pl.lit("")),
                register,
                limit_milli(),
                "length_s",
            )
        )
    )


def register_detail() -> pl.Expr:
    """What was wrong with a row that was followed in order (`registers.follow`)."""
    fallen = pl.col("floor").is_not_null()
    return (
        pl.when(pl.col("reason") == Reason.OVERRULED.value)
        .then(duplicate_detail())
        .when(fallen & pl.col("lone"))
        .then(pl.format("register {} mWh, before {} mWh, in {} s", "register", "floor", "length_s"))
        .when(fallen)
        .then(pl.format("register {} mWh, before {} mWh", "register", "floor"))
        .otherwise(energy_detail())
    )


def duplicate_detail() -> pl.Expr:
    """What was said again of an interval, or said at a lower quality."""
    shown = [pl.col(name).cast(pl.String).fill_null("none") for name in ("energy", "register")]
    flags = pl.format(", device flags {}", pl.col("device_quality_flags").fill_null(0))
    again = pl.format("energy or charge {}, register {} accepted before for the interval of {} s", *shown, "length_s")
    lower = pl.format("energy or charge {}, register {} for the interval of {} s", *shown, "length_s")
    return pl.when(pl.col("reason") == Reason.LOWER_QUALITY.value).then(pl.concat_str(lower, flags)).otherwise(again)


def finish(
    parsed: Parsed,
    batch: Batch,
    accepted: pl.DataFrame,
    rejected: list[pl.DataFrame],
    unclassified: pl.DataFrame,
    telemetry: pl.DataFrame,
) -> Validated:
    """Return the contracts' frames, sorted by key. `rejected`: schema REJECTED; the rest as `classify` and `vee` make it."""
    owners = batch.order.select("message_id", "device_lfdi", "seq").join(
        batch.headers.select("seq", "received_at", "zone"), on="seq", how="left", maintain_order="left"
    )
    unread = batch.headers.filter(pl.col("error").is_not_null()).select(
        pl.lit(None).alias("row"),
        "seq",
        pl.lit(None).alias("meter"),
        pl.lit(None).alias("channel"),
        pl.lit(None).alias("interval_start"),
        pl.col("error").alias("reason"),
        pl.col("error_detail").alias("detail"),
        pl.lit(0).alias("parts"),
    )
    unread = unread.select(pl.col(name).cast(kind) for name, kind in REJECTED.items())
    unclassified = unclassified.with_columns(pl.lit(1).alias("parts"))
    refused = pl.concat([unread, unclassified.select(pl.col(name).cast(kind) for name, kind in REJECTED.items()), *rejected])
    counts = {
        "readings_total": batch.numbers.select("seq", pl.lit(1, pl.Int32).alias("parts")),
        "accepted": accepted,
        "rejected": refused,
        "telemetry": telemetry.select("seq", pl.lit(1, pl.Int32).alias("parts")),
    }
    outcomes = batch.headers
    for name, frame in counts.items():
        counted = frame.group_by("seq").agg(pl.col("parts").sum().cast(pl.Int32).alias(name))
        outcomes = outcomes.join(counted, on="seq", how="left", maintain_order="left").with_columns(pl.col(name).fill_null(0))
    return Validated(
        _readings(accepted, batch, owners),
        _refused(refused, parsed.wire, batch, owners),
        _telemetry(telemetry, parsed.wire, batch, owners),
        _of(MESSAGE_OUTCOMES, outcomes.sort("message_id")),
    )


def _of(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(pl.col(name).cast(kind) for name, kind in table.frame_schema().items())


def _readings(accepted: pl.DataFrame, batch: Batch, owners: pl.DataFrame) -> pl.DataFrame:
    place = accepted.select(at("series", "start_s")).to_series()
    if place.n_unique() == len(place):
        accepted = accepted[place.arg_sort()]
    else:
        accepted = accepted.sort("series", "start_s", "length_s", "version")
    state = channel_of() == STATE
    flags = marks.quality(accepted["findings"], accepted["derived"], accepted["device_quality_flags"])
    frame = accepted.with_columns(
        *take(owners, accepted["seq"]).drop("seq").get_columns(),
        _named(batch.meters, accepted, meter_of()).alias("meter_id"),
        _named(_CHANNELS, accepted, channel_of()).alias("channel"),
        moment("start_s").alias("interval_start"),
        pl.col("length_s").alias("duration_s"),
        pl.when(~state).then("energy").alias("energy_milli_wh"),
        pl.col("register").alias("register_milli_wh"),
        pl.when(state).then(pl.col("energy") / 100).cast(pl.Decimal(5, 2)).alias("state_of_charge_pct"),
        flags,
        marks.texts(accepted["findings"]).alias("findings"),
    )
    return _of(READINGS, frame)


def _refused(refused: pl.DataFrame, wire: pl.DataFrame, batch: Batch, owners: pl.DataFrame) -> pl.DataFrame:
    whole = batch.headers.select("seq", "meter_id")
    named = refused.join(whole, on="seq", how="left", maintain_order="left")
    frame = named.with_columns(
        *take(owners, refused["seq"]).drop("seq").get_columns(),
        # A row of the whole message has no wire reading, and is of the meter of the message.
        pl.coalesce(batch.meters.gather(refused["meter"]).alias("meter_id"), "meter_id"),
        _CHANNELS.gather(refused["channel"]).alias("channel"),
        *take(wire.select("mmr_mrid", "position"), refused["row"]).with_columns(pl.col("position").fill_null(0)).get_columns(),
    )
    return _of(REJECTED_READINGS, frame.sort("message_id", "position"))


def _telemetry(telemetry: pl.DataFrame, wire: pl.DataFrame, batch: Batch, owners: pl.DataFrame) -> pl.DataFrame:
    codes = batch.types.frame.select("uom", "kind", "flow_direction", "power_of_ten")
    frame = telemetry.with_columns(
        *take(owners, telemetry["seq"]).drop("seq").get_columns(),
        *take(codes, telemetry["type"]).get_columns(),
        batch.meters.gather(telemetry["meter"]).alias("meter_id"),
        wire["value"].gather(telemetry["row"]),
        moment("first_s").alias("measured_at"),
        pl.col("period").alias("duration_s"),
    )
    return _of(TELEMETRY, frame.sort("message_id", "position"))


def _named(names: pl.Series, frame: pl.DataFrame, number: pl.Expr) -> pl.Series:
    return names.gather(frame.select(number).to_series())

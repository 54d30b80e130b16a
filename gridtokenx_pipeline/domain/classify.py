"""What each wire reading is, by the ReadingType in force at its message: energy, state of charge, telemetry, or unknown.

A ReadingType holds from the message that declared it: types of the same or an earlier message count, in the order of receipt
(received_at, message_id). A type that changes later therefore never re-labels readings received before.

Values are scaled to whole milli-watt-hours (state of charge: hundredths of a percent) by integer arithmetic. Energy finer than a
milli-watt-hour is refused rather than rounded, because rounded intervals would no longer add up to the register; hundredths of
a percent are settled nowhere and are rounded.
"""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.contracts.core import ENERGY_CHANNELS
from gridtokenx_pipeline.domain.channels import KNOWN_UOMS, REGISTER_ACCUMULATIONS, STATE_OF_CHARGE
from gridtokenx_pipeline.domain.reasons import Reason
from ieee2030_5.enums import Uom

INTERVAL, REGISTER, CHARGE_STATE, TELEMETRY = "interval", "register", "state", "telemetry"

LONGEST_INTERVAL_S = 86_400

_MAX_POWER = 9
_MAX_MILLI = 10**18 - 1  # what DECIMAL(18,3) watt-hours can hold
_POWERS = list(range(-_MAX_POWER, _MAX_POWER + 1))


def receipt_order(*frames: pl.DataFrame) -> pl.DataFrame:
    """Number the messages of frames in order of receipt: message_id (String), seq (Int64, from 0)."""
    both = pl.concat([frame.select("received_at", "message_id") for frame in frames]).unique("message_id", keep="first")
    return both.sort("received_at", "message_id").select("message_id", pl.int_range(pl.len(), dtype=pl.Int64).alias("seq"))


def typed(types: pl.DataFrame, order: pl.DataFrame) -> pl.DataFrame:
    """Say of each core.reading_types row how its readings are read.

    Returns one row for each, sorted by seq: device_lfdi, mmr_mrid, seq, channel, uom, kind, flow_direction, power_of_ten (null
    filled with 0, the standard's default), type_length_s (declared interval length, null unless 1 s to a day), form (interval,
    register, state, telemetry, or null), type_reason (reason code where form is null), multiplier and divisor (Int64, to the
    channel's unit).
    """
    power = pl.col("power_of_ten").fill_null(0)
    energy = pl.col("channel").is_in(ENERGY_CHANNELS)
    usable = pl.col("uom").is_in(list(KNOWN_UOMS)) & power.is_between(-_MAX_POWER, _MAX_POWER)
    form = (
        pl.when(~power.is_between(-_MAX_POWER, _MAX_POWER))
        .then(None)
        .when(energy & pl.col("accumulation_behaviour").is_in([int(code) for code in REGISTER_ACCUMULATIONS]).fill_null(False))
        .then(pl.lit(REGISTER))
        .when(energy)
        .then(pl.lit(INTERVAL))
        .when(pl.col("channel") == STATE_OF_CHARGE)
        .then(pl.lit(CHARGE_STATE))
        .when(usable & (pl.col("uom") != Uom.WH))
        .then(pl.lit(TELEMETRY))
    )
    reason = (
        pl.when(usable & (pl.col("uom") == Uom.WH))
        .then(pl.lit(Reason.UNKNOWN_CHANNEL.value))
        .otherwise(pl.lit(Reason.UNKNOWN_UNIT.value))
    )
    exponent = power + pl.when(pl.col("channel") == STATE_OF_CHARGE).then(2).otherwise(3)
    scales = pl.DataFrame(
        {
            "exponent": pl.Series([p + shift for shift in (2, 3) for p in _POWERS], dtype=pl.Int32),
            "multiplier": [10 ** max(p + shift, 0) for shift in (2, 3) for p in _POWERS],
            "divisor": [10 ** max(-p - shift, 0) for shift in (2, 3) for p in _POWERS],
        }
    ).unique("exponent")
    return (
        types.join(order, on="message_id")
        .with_columns(power.alias("power_of_ten"), form.alias("form"), exponent.cast(pl.Int32).alias("exponent"))
        .join(scales, on="exponent", how="left")
        .select(
            "device_lfdi",
            "mmr_mrid",
            "seq",
            "channel",
            "uom",
            "kind",
            "flow_direction",
            "power_of_ten",
            pl.when(pl.col("interval_length_s").is_between(1, LONGEST_INTERVAL_S))
            .then(pl.col("interval_length_s").cast(pl.Int64))
            .alias("type_length_s"),
            "form",
            pl.when(pl.col("form").is_null()).then(reason).alias("type_reason"),
            "multiplier",
            "divisor",
        )
        .sort("seq", "device_lfdi", "mmr_mrid")
    )


def classify(wire: pl.DataFrame, types: pl.DataFrame) -> pl.DataFrame:
    """Join wire readings (with a seq column) to the types in force.

    Returns the wire rows with the columns of `typed` and: first_s (Int64, epoch seconds at which the time period starts; in a
    MirrorReadingSet without periods of its readings, by place and declared length), amount (Int64, scaled value),
    reason and detail (String, null where nothing is wrong yet; error columns are merged into them).
    """
    joined = wire.sort("seq", "position").join_asof(
        types, on="seq", by=["device_lfdi", "mmr_mrid"], strategy="backward", check_sortedness=False
    )
    length = pl.col("type_length_s")
    in_set = pl.col("set_start").dt.epoch("s") + pl.col("set_index") * length
    limit = _MAX_MILLI // pl.col("multiplier")
    joined = joined.with_columns(
        pl.coalesce(pl.col("start").dt.epoch("s"), in_set).alias("first_s"),
        pl.when((pl.col("form") != TELEMETRY) & pl.col("value").is_between(-limit, limit)).then(_scaled()).alias("amount"),
    )
    reason = pl.coalesce(
        "error",
        pl.when(pl.col("form").is_null() & pl.col("type_reason").is_null()).then(pl.lit(Reason.READING_TYPE_UNKNOWN.value)),
        "type_reason",
        pl.when(pl.col("first_s").is_null()).then(pl.lit(Reason.BAD_INTERVAL.value)),
        pl.when((pl.col("form") != TELEMETRY) & pl.col("amount").is_null()).then(pl.lit(Reason.BAD_VALUE.value)),
    )
    joined = joined.with_columns(reason.alias("reason"))
    if joined["reason"].null_count() == joined.height:
        return joined.with_columns(pl.lit(None, pl.String).alias("detail"))
    return joined.with_columns(
        pl.when(pl.col("reason").is_not_null()).then(pl.coalesce("error_detail", _detail())).alias("detail")
    )


def _scaled() -> pl.Expr:
    value, multiplier, divisor = pl.col("value"), pl.col("multiplier"), pl.col("divisor")
    rounded = (value * 2 + divisor) // (divisor * 2)
    return (
        pl.when(divisor == 1)
        .then(value * multiplier)
        .when(pl.col("form") == CHARGE_STATE)
        .then(rounded)
        .when(value % divisor == 0)
        .then(value // divisor)
    )


def _detail() -> pl.Expr:
    def shown(name: str) -> pl.Expr:
        return pl.col(name).cast(pl.String).fill_null("none")

    return (
        pl.when(pl.col("reason") == Reason.READING_TYPE_UNKNOWN.value)
        .then(pl.format("no ReadingType of MirrorMeterReading {} up to this message", shown("mmr_mrid")))
        .when(pl.col("reason") == Reason.BAD_VALUE.value)
        .then(
            pl.format(
                "{} x 10^{} of unit {} is no whole number of milli-watt-hours",
                shown("value"),
                shown("power_of_ten"),
                shown("uom"),
            )
        )
        .when(pl.col("reason") == Reason.BAD_INTERVAL.value)
        .then(pl.lit("no time period, and no declared interval length to place the reading in its set"))
        .otherwise(
            pl.format(
                "unit {}, kind {}, flow direction {}, multiplier 10^{}",
                shown("uom"),
                shown("kind"),
                shown("flow_direction"),
                shown("power_of_ten"),
            )
        )
    )

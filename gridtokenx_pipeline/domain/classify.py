"""What each wire reading is, by the ReadingType in force at its message: energy, state of charge, telemetry, or unknown.

A ReadingType holds from the message that declared it: types of the same or an earlier message count, in the order of receipt
(received_at, message_id). A type that changes later therefore never re-labels readings received before. A reading that no type
came before takes the first one that comes within `late_type_s` after its own receipt: devices post values before they have
declared them. It stays a reading of its own message.

Values are scaled to whole milli-watt-hours (state of charge: hundredths of a percent) by integer arithmetic. Energy finer than a
milli-watt-hour is refused rather than rounded, because rounded intervals would no longer add up to the register; hundredths of
a percent are settled nowhere and are rounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from gridtokenx_pipeline.contracts.core import ENERGY_CHANNELS
from gridtokenx_pipeline.domain.channels import KNOWN_UOMS, REGISTER_ACCUMULATIONS, STATE_OF_CHARGE
from gridtokenx_pipeline.domain.numbers import channel_number, moment, take
from gridtokenx_pipeline.domain.reasons import Reason
from ieee2030_5.enums import Uom

INTERVAL, REGISTER, CHARGE_STATE, TELEMETRY = range(4)

LONGEST_INTERVAL_S = 86_400

_MAX_POWER = 9
_MAX_MILLI = 10**18 - 1  # what DECIMAL(18,3) watt-hours can hold
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z
_POWERS = list(range(-_MAX_POWER, _MAX_POWER + 1))


@dataclass(frozen=True)
class Types:
    """Declarations of reading types in the order of `place`, and how readings under them are read.

    `frame`: device, mrid (numbers), seq (Int64, of the declaring message), received_s (Int64), channel (Int8), form (Int8:
    interval, register, state, telemetry; null with type_reason), type_reason (String), uom, kind, flow_direction, power_of_ten
    (Int32; a null power is 0, the standard's default), type_length_s (Int64, declared interval length, null unless 1 s to a day),
    multiplier, divisor (Int64, to the channel's unit). The last row is all null: the type of a reading without one.
    `place`: device, mrid and seq as one number, ascending. `mrids`: mmr_mrid (String), mrid (Int64). `messages` is one more than
    the highest seq.
    """

    frame: pl.DataFrame
    place: pl.Series
    mrids: pl.DataFrame
    messages: int

    def at(self, device: pl.Expr, mrid: pl.Expr, seq: pl.Expr) -> pl.Expr:
        """Return device, mrid and seq as one number (Int64)."""
        return (device.cast(pl.Int64) * max(len(self.mrids), 1) + mrid) * self.messages + seq


def typed(types: pl.DataFrame, order: pl.DataFrame, devices: pl.DataFrame) -> Types:
    """Number core.reading_types rows and say how their readings are read. `devices`: device_lfdi, device (number)."""
    power = pl.col("power_of_ten").fill_null(0)
    energy = pl.col("channel").is_in(ENERGY_CHANNELS)
    scalable = power.is_between(-_MAX_POWER, _MAX_POWER)
    usable = pl.col("uom").is_in(list(KNOWN_UOMS)) & scalable
    form = (
        pl.when(~scalable)
        .then(None)
        .when(energy & pl.col("accumulation_behaviour").is_in([int(code) for code in REGISTER_ACCUMULATIONS]).fill_null(False))
        .then(REGISTER)
        .when(energy)
        .then(INTERVAL)
        .when(pl.col("channel") == STATE_OF_CHARGE)
        .then(CHARGE_STATE)
        .when(usable & (pl.col("uom") != Uom.WH))
        .then(TELEMETRY)
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
    mrids = types.select(pl.col("mmr_mrid").unique().sort()).with_row_index("mrid").cast({"mrid": pl.Int64})
    length = pl.col("interval_length_s")
    frame = (
        types.join(order.select("message_id", "seq", "received_s"), on="message_id")
        .join(devices, on="device_lfdi", how="left")
        .join(mrids, on="mmr_mrid", how="left")
        .with_columns(power.alias("power_of_ten"), form.cast(pl.Int8).alias("form"), exponent.cast(pl.Int32).alias("exponent"))
        .join(scales, on="exponent", how="left")
        .select(
            "device",
            "mrid",
            "seq",
            "received_s",
            channel_number(),
            "form",
            pl.when(pl.col("form").is_null()).then(reason).alias("type_reason"),
            "uom",
            "kind",
            "flow_direction",
            "power_of_ten",
            pl.when(length.is_between(1, LONGEST_INTERVAL_S)).then(length.cast(pl.Int64)).alias("type_length_s"),
            "multiplier",
            "divisor",
        )
    )
    found = Types(frame, pl.Series("place", [], pl.Int64), mrids, len(order))
    placed = frame.with_columns(found.at(*map(pl.col, ("device", "mrid", "seq"))).alias("place")).sort("place")
    nothing = pl.DataFrame([[None] * frame.width], schema=frame.schema, orient="row")
    return Types(pl.concat([placed.drop("place"), nothing]), placed["place"], mrids, len(order))


def in_force(wire: pl.DataFrame, types: Types, late_type_s: int) -> pl.Series:
    """Return the row of `types.frame` that holds for each reading. `wire`: device, mrid, seq, received_s.

    The last one up to the reading's message; where there is none, the first one after it, received within `late_type_s`.
    """
    frame, none = types.frame, len(types.place)
    own = (pl.col("device") == pl.col("its_device")) & (pl.col("mrid") == pl.col("its_mrid"))
    place = wire.select(types.at(*map(pl.col, ("device", "mrid", "seq"))).fill_null(-1)).to_series()
    after = types.place.search_sorted(place, side="right").cast(pl.Int64)
    before = after - 1
    before = before.set(before < 0, none)

    def holds(row: pl.Series, condition: pl.Expr) -> pl.Series:
        its = wire.with_columns(
            row.alias("row"), *(frame[name].gather(row).alias(f"its_{name}") for name in ("device", "mrid", "received_s"))
        )
        return its.select(pl.when(condition).then("row").otherwise(none)).to_series()

    found = holds(before, own)
    if not (found == none).any():
        return found
    late = holds(after, own & (pl.col("its_received_s") <= pl.col("received_s") + late_type_s))
    return found.zip_with(found != none, late)


def classify(wire: pl.DataFrame, numbers: pl.DataFrame, types: Types, late_type_s: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Say what wire readings are.

    `wire`: as `domain.parse.Parsed`. `numbers`: for each of its rows seq (Int64), device, meter (Int32), unit (Int64, one number
    of message and meter) and received_s (Int64).

    Returns believed readings: row (UInt32, in `wire`), seq, unit, device, meter, type (Int64, row of `types.frame`), channel,
    form (Int8), type_length_s (Int64), first_s (Int64, epoch seconds at which the time period starts; in a MirrorReadingSet
    without periods of its readings, by place and declared length), period (Int64, s, 0 where there is none), amount (Int64,
    scaled value), position, device_quality_flags (Int32). And refused ones: row, seq, meter, channel, first_s, reason, detail
    (String).
    """
    device_mrid = wire.select("mmr_mrid").join(types.mrids, on="mmr_mrid", how="left", maintain_order="left")["mrid"]
    numbers = numbers.with_columns(device_mrid)
    held = in_force(numbers, types, late_type_s)
    per_type = types.frame.select("channel", "form", "type_length_s", "multiplier", "divisor")
    frame = numbers.drop("mrid", "received_s").with_columns(held.alias("type"), *take(per_type, held).get_columns())
    frame = frame.with_columns(
        wire["position"], wire["device_quality_flags"], wire["value"], wire["error"],
        wire["duration_s"].fill_null(0).alias("period"), wire["start"].dt.epoch("s").alias("first_s"),
    ).with_row_index("row")  # fmt: skip
    if wire["set_start"].null_count() < len(wire):
        in_set = wire["set_start"].dt.epoch("s") + wire["set_index"].cast(pl.Int64) * frame["type_length_s"]
        frame = frame.with_columns(pl.coalesce("first_s", in_set.set(in_set > _LAST_SECOND, None)).alias("first_s"))
    limit = _MAX_MILLI // pl.col("multiplier")
    measured = pl.col("form") != TELEMETRY
    frame = frame.with_columns(
        pl.when(measured & pl.col("value").is_between(-limit, limit)).then(_scaled()).alias("amount"),
    ).drop("divisor", "multiplier")
    good = (
        pl.col("error").is_null()
        & pl.col("form").is_not_null()
        & pl.col("first_s").is_not_null()
        & (~measured | pl.col("amount").is_not_null())
    ).fill_null(False)
    believed = frame.filter(good).drop("error", "value")
    if len(believed) == len(frame):
        return believed, _refused(frame.clear(), wire, types)
    return believed, _refused(frame.filter(~good), wire, types)


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


def _refused(frame: pl.DataFrame, wire: pl.DataFrame, types: Types) -> pl.DataFrame:
    codes = types.frame.select("type_reason", "uom", "kind", "flow_direction", "power_of_ten")
    frame = frame.with_columns(
        *take(codes, frame["type"]).get_columns(),
        *take(wire.select("mmr_mrid", "error_detail"), frame["row"]).get_columns(),
    )
    reason = pl.coalesce(
        "error",
        pl.when(pl.col("form").is_null() & pl.col("type_reason").is_null()).then(pl.lit(Reason.READING_TYPE_UNKNOWN.value)),
        "type_reason",
        pl.when(pl.col("first_s").is_null()).then(pl.lit(Reason.BAD_INTERVAL.value)),
        pl.lit(Reason.BAD_VALUE.value),
    )
    return (
        frame.with_columns(reason.alias("reason"))
        .with_columns(pl.coalesce("error_detail", _detail()).alias("detail"), moment("first_s").alias("interval_start"))
        .select("row", "seq", "meter", "channel", "interval_start", "reason", "detail")
    )


def _detail() -> pl.Expr:
    def shown(name: str) -> pl.Expr:
        return pl.col(name).cast(pl.String).fill_null("none")

    return (
        pl.when(pl.col("reason") == Reason.READING_TYPE_UNKNOWN.value)
        .then(pl.format("no ReadingType of MirrorMeterReading {} up to this message, nor soon after it", shown("mmr_mrid")))
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

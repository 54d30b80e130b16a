"""Wire readings: the texts of readings to numbers and times, and what is wrong with those that are none."""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.domain.reading_types import normal_mrid
from gridtokenx_pipeline.domain.reasons import Reason

INT48_MAX = 2**47 - 1
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z, the last that a timestamp can name
_INT32_MAX = 2**31 - 1
_TIME = pl.Datetime("us", "UTC")

MESSAGE_COLUMNS = ("message_id", "received_at", "zone", "meter_id", "device_lfdi")
NUMBERS = {name: f"{name}_number" for name in ("duration", "start", "set_start", "value")}
"""Texts of a reading that are numbers, and the columns (Int64) that hold those."""


def numbered(texts: pl.DataFrame) -> pl.DataFrame:
    """Add the columns of `NUMBERS`, null where a text is no whole number, and mmr_mrid, the mRID at full width."""
    return texts.with_columns(
        *(pl.col(name).cast(pl.Int64, strict=False).alias(new) for name, new in NUMBERS.items()),
        normal_mrid(pl.col("mrid")).alias("mmr_mrid"),
    )


def wire_readings(texts: pl.DataFrame, headers: pl.DataFrame) -> pl.DataFrame:
    """Make `parse.Parsed.wire` of what `numbered` gives of a frame of `documents.READING_ROWS`, in its order.

    `headers` has the columns MESSAGE_COLUMNS of each message, in the row that is its number.
    """
    flags = pl.col("flags").str.to_integer(base=16, dtype=pl.Int64, strict=False)
    made = texts.select(
        _moment("start"),
        pl.when(pl.col("duration_number").is_between(0, _INT32_MAX)).then("duration_number").alias("duration_s"),
        pl.when(pl.col("value_number").is_between(-INT48_MAX, INT48_MAX)).then("value_number").alias("value"),
        pl.when(flags.is_between(0, _INT32_MAX)).then(flags).cast(pl.Int32).alias("device_quality_flags"),
        _moment("set_start"),
    )
    problems = _problems(texts, made) if _doubtful(texts, made) else _no_problems(texts.height)
    owners = headers[texts["message"]]
    return pl.DataFrame(
        [
            *owners.get_columns(),
            texts["mmr_mrid"],
            texts["position"],
            *(made[name] for name in ("start", "duration_s", "value", "device_quality_flags")),
            texts["local_id"],
            made["set_start"],
            texts["set_index"],
            *problems.get_columns(),
        ]
    )


def _moment(name: str) -> pl.Expr:
    seconds = pl.col(NUMBERS[name])
    return (pl.when(seconds.is_between(0, _LAST_SECOND)).then(seconds) * 1_000_000).cast(_TIME).alias(name)


def _doubtful(texts: pl.DataFrame, made: pl.DataFrame) -> bool:
    """Whether anything may be wrong with any reading: a number that is none, no start of its own, or part of a total."""
    return bool(
        made["value"].null_count()
        or made["start"].null_count()
        or made["duration_s"].null_count() > texts["duration"].null_count()
        or made["device_quality_flags"].null_count() > texts["flags"].null_count()
        or texts["block"].null_count() < texts.height
        or texts["tier"].null_count() < texts.height
    )


def _no_problems(rows: int) -> pl.DataFrame:
    none = pl.Series("error", [None], pl.String).new_from_index(0, rows)
    return pl.DataFrame([none, none.alias("error_detail")])


def _problems(texts: pl.DataFrame, made: pl.DataFrame) -> pl.DataFrame:
    share = pl.concat_str(
        [pl.when(pl.col(name) != "0").then(pl.format(f"{shown} {{}}", name)) for name, shown in _SHARES.items()],
        separator=", ",
        ignore_nulls=True,
    )
    known = texts.select("start", "duration", "value", "flags", pl.when(share != "").then(share).alias("share")).with_columns(
        made.select(pl.all().name.suffix("_made"))
    )
    no_start = pl.col("start_made").is_null() & (pl.col("start").is_not_null() | pl.col("set_start_made").is_null())
    bad_duration = pl.col("duration").is_not_null() & pl.col("duration_s_made").is_null()
    bad_flags = pl.col("flags").is_not_null() & pl.col("device_quality_flags_made").is_null()
    error = (
        pl.when(pl.col("value_made").is_null() | bad_flags)
        .then(pl.lit(Reason.BAD_VALUE.value))
        .when(no_start | bad_duration)
        .then(pl.lit(Reason.BAD_INTERVAL.value))
        .when(pl.col("share").is_not_null())
        .then(pl.lit(Reason.NOT_A_TOTAL.value))
    )
    return known.with_columns(error.alias("error")).select("error", _detail().alias("error_detail"))


_SHARES = {"block": "consumptionBlock", "tier": "touTier"}


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

"""What counts of every interval: the latest reading, what checks found about it, what a person or an estimate put in its place.

Precedence: edit, then an estimate of method `register_wins`, then the reading, then any other estimate.
"""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.contracts.core import CHANNELS, ENERGY_CHANNELS
from gridtokenx_pipeline.domain.findings import ALL_CHANNELS, DERIVED, EDITED, QUESTIONABLE, VALID

KEY = ["meter_id", "channel", "interval_start", "duration_s"]
READING, EDIT, REGISTER_WINS, ESTIMATE = "reading", "edit", "register_wins", "estimate"
MEASURED = (READING, EDIT, REGISTER_WINS)
REPLACE, ACCEPT, REVERT = "replace", "accept", "revert"

EFFECTIVE: dict[str, pl.DataType | type[pl.DataType]] = {
    "zone": pl.String,
    "meter_id": pl.String,
    "channel": pl.String,
    "interval_start": pl.Datetime("us", "UTC"),
    "duration_s": pl.Int32,
    "energy_milli_wh": pl.Int64,
    "register_milli_wh": pl.Int64,
    "state_of_charge_pct": pl.Decimal(5, 2),
    "quality_flags": pl.Int32,
    "version": pl.Int32,
    "source": pl.String,
    "usable": pl.Boolean,
}


def latest(readings: pl.DataFrame) -> pl.DataFrame:
    """The highest version of every reading in a core.readings frame."""
    later = readings.filter(pl.col("version") > 1).group_by(KEY).agg(pl.col("version").max().alias("last"))
    if later.is_empty():
        return readings
    # Only the few that have several versions are compared.
    known = readings.join(later, on=KEY, how="left", maintain_order="left")
    return known.filter(pl.col("last").is_null() | (pl.col("version") == pl.col("last"))).drop("last")


def measured(readings: pl.DataFrame) -> pl.DataFrame:
    """The latest readings alone as an `EFFECTIVE` frame: no exceptions, edits or estimates, but tare booked as load."""
    return _with_tare(_of_readings(readings))


def effective(readings: pl.DataFrame, edits: pl.DataFrame, exceptions: pl.DataFrame, estimates: pl.DataFrame) -> pl.DataFrame:
    """Return what counts, one row for each meter, channel, start and length, with the columns `EFFECTIVE`, in no order.

    The arguments are frames of core.readings (any versions), core.edits, core.vee_exceptions and core.estimates. `source` is
    `reading`, `edit`, `register_wins` or `estimate`; `usable` is true for estimates that settlement may use, and only for those.

    An exception's bits are added to the rows that overlap its time and channel; 16 (questionable) takes away 1 (valid). Of an
    interval's edits the last counts: its energy instead of whatever was there, valid and edited, no longer questionable. An
    edited interval need not have a reading; its version is 1 then, like an estimate's. A generation below 0, which validation
    accepts as the inverter's own use (tare), becomes 0 and the load of the same interval grows by it; registers stay as measured.
    """
    rows = _of_readings(readings)
    wins = pl.col("method") == REGISTER_WINS
    rows = _overruled(rows, estimates.filter(wins))
    rows = _with_flags(rows, exceptions)
    decided = in_force(edits)
    gaps = estimates.filter(~wins)
    if not gaps.is_empty():
        rows = pl.concat([rows, _of_estimates(gaps).join(rows.select(KEY), on=KEY, how="anti")])
    return _edited(_with_tare(rows, decided), decided)


def in_force(edits: pl.DataFrame) -> pl.DataFrame:
    """The edit that counts of every interval in a core.edits frame; none where the last one reverts those before it."""
    if edits.is_empty():
        return edits
    last = edits.sort("edited_at", "edit_id").group_by(KEY, maintain_order=True).last()
    return last.select(edits.columns).filter(pl.col("action") != REVERT)


def overlapping(rows: pl.DataFrame, spans: pl.DataFrame) -> pl.Series:
    """Whether each row overlaps a span of its meter and channel (Boolean, in the order of `rows`).

    Both have meter_id, channel (String), interval_start (Datetime) and duration_s; a span's channel may be `all`.
    """
    if spans.is_empty() or rows.is_empty():
        return pl.repeat(False, rows.height, dtype=pl.Boolean, eager=True)
    everywhere = spans.filter(pl.col("channel") == ALL_CHANNELS)
    channels = pl.DataFrame({"channel": CHANNELS})
    wide = everywhere.drop("channel").join(channels, how="cross").select(spans.columns)
    # The spans that begin before a row ends: it overlaps one of them if the latest of their ends is after its start.
    series = ["meter_id", "channel"]
    ends = (
        pl.concat([spans.filter(pl.col("channel") != ALL_CHANNELS), wide])
        .select(*series, pl.col("interval_start").alias("_at"), _end().alias("_until"))
        .sort(*series, "_at")
        .with_columns(pl.col("_until").cum_max().over(series))
        .unique([*series, "_at"], keep="last", maintain_order=True)
        .sort("_at")
    )
    numbered = rows.select(*series, "interval_start", (_end() - pl.duration(microseconds=1)).alias("_at")).with_row_index("_row")
    near = numbered.join(ends.select("meter_id").unique(), on="meter_id", how="semi").sort("_at")
    found = near.join_asof(ends, on="_at", by=series, strategy="backward", check_sortedness=False)
    hit = found.filter(pl.col("_until") > pl.col("interval_start"))["_row"]
    return numbered.select(pl.col("_row").is_in(hit.implode())).to_series()


def _end() -> pl.Expr:
    return pl.col("interval_start") + pl.duration(seconds="duration_s")


def _of_readings(readings: pl.DataFrame) -> pl.DataFrame:
    return latest(readings).with_columns(pl.lit(READING).alias("source"), pl.lit(False).alias("usable")).select(list(EFFECTIVE))


def _of_estimates(estimates: pl.DataFrame) -> pl.DataFrame:
    return estimates.with_columns(
        pl.lit(None, pl.Decimal(5, 2)).alias("state_of_charge_pct"),
        pl.lit(1, pl.Int32).alias("version"),
        pl.lit(ESTIMATE).alias("source"),
    ).select(list(EFFECTIVE))


def _overruled(rows: pl.DataFrame, wins: pl.DataFrame) -> pl.DataFrame:
    if wins.is_empty():
        return rows
    right = wins.select(*KEY, pl.col("energy_milli_wh").alias("_energy"), pl.col("quality_flags").alias("_flags"))
    joined = rows.join(right, on=KEY, how="left", maintain_order="left")
    return joined.with_columns(
        pl.coalesce("_energy", "energy_milli_wh").alias("energy_milli_wh"),
        _without_doubt(pl.col("quality_flags") | pl.col("_flags").fill_null(0)),
        pl.when(pl.col("_energy").is_not_null()).then(pl.lit(REGISTER_WINS)).otherwise("source").alias("source"),
    ).select(list(EFFECTIVE))


def _with_flags(rows: pl.DataFrame, exceptions: pl.DataFrame) -> pl.DataFrame:
    flagging = exceptions.filter(pl.col("quality_flags") != 0)
    if flagging.is_empty():
        return rows
    bits = [1 << n for n in range(7) if flagging.select((pl.col("quality_flags") & (1 << n)).any()).item()]
    spans = ["meter_id", "channel", "interval_start", "duration_s"]
    for bit in bits:
        hit = overlapping(rows, flagging.filter(pl.col("quality_flags") & bit != 0).select(spans))
        flagged = pl.col("quality_flags") | pl.when(hit).then(pl.lit(bit, pl.Int32)).otherwise(pl.lit(0, pl.Int32))
        rows = rows.with_columns(flagged.alias("quality_flags"))
    return rows.with_columns(_without_doubt(pl.col("quality_flags")))


def _without_doubt(flags: pl.Expr) -> pl.Expr:
    """What is questionable is not valid."""
    return pl.when(flags & QUESTIONABLE != 0).then(flags & ~VALID).otherwise(flags).cast(pl.Int32).alias("quality_flags")


def _with_tare(rows: pl.DataFrame, edits: pl.DataFrame | None = None) -> pl.DataFrame:
    """Book generation below 0 as load, unless a person said what the one or the other is."""
    below = rows.filter((pl.col("channel") == "generation") & (pl.col("energy_milli_wh") < 0))
    if below.is_empty():
        return rows
    tare = below.select(*KEY, (-pl.col("energy_milli_wh")).alias("_tare"))
    if edits is not None and not edits.is_empty():
        tare = tare.join(edits.filter(pl.col("action") == REPLACE).select(KEY), on=KEY, how="anti")
    booked = pl.concat([tare, tare.with_columns(pl.lit("load").alias("channel"))])
    generation = pl.col("channel") == "generation"
    flags = pl.col("quality_flags")
    moved = pl.col("_tare").is_not_null() & pl.col("energy_milli_wh").is_not_null()
    energy = pl.when(generation).then(0).otherwise(pl.col("energy_milli_wh") + pl.col("_tare"))
    return (
        rows.join(booked, on=KEY, how="left", maintain_order="left")
        .with_columns(
            pl.when(moved).then(energy).otherwise("energy_milli_wh").alias("energy_milli_wh"),
            pl.when(moved).then(flags | DERIVED).otherwise(flags).cast(pl.Int32).alias("quality_flags"),
        )
        .select(list(EFFECTIVE))
    )


def _edited(rows: pl.DataFrame, decided: pl.DataFrame) -> pl.DataFrame:
    decided = decided.filter(pl.col("channel").is_in(ENERGY_CHANNELS))
    if decided.is_empty():
        return rows
    right = decided.select(*KEY, pl.col("zone").alias("_zone"), pl.col("energy_milli_wh").alias("_energy"), "action")
    both = rows.join(right, on=KEY, how="full", coalesce=True)
    touched = pl.col("action").is_not_null()
    # Who approves a value says that it is good as it came; who replaces it makes all that was known of it irrelevant.
    approved = (pl.col("quality_flags").fill_null(0) & ~QUESTIONABLE) | VALID | EDITED
    flags = pl.when(pl.col("action") == ACCEPT).then(approved).otherwise(VALID | EDITED)
    return (
        both.with_columns(
            pl.coalesce("zone", "_zone").alias("zone"),
            pl.coalesce("_energy", "energy_milli_wh").alias("energy_milli_wh"),
            pl.when(touched).then(flags).otherwise("quality_flags").cast(pl.Int32).alias("quality_flags"),
            pl.col("version").fill_null(1),
            pl.when(touched).then(pl.lit(EDIT)).otherwise("source").alias("source"),
            pl.when(touched).then(pl.lit(False)).otherwise("usable").alias("usable"),
        )
        .filter(pl.col("energy_milli_wh").is_not_null() | ~touched)
        .select(list(EFFECTIVE))
    )

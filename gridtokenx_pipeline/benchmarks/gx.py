"""Great Expectations on a large partition of readings, against the same rules written in SQL."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from gridtokenx_pipeline.contracts.core import CHANNELS, READINGS
from gridtokenx_pipeline.quality.suite import COMPOUND_UNIQUE, NOT_NULL, ROW_COUNT, UNIQUE, Suite, columns_of, load

if TYPE_CHECKING:
    import duckdb

_ROUNDS = 3
_METERS = 1000
_START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_DETAIL = "/proc/self/clear_refs"


def run(rows: int = 1_000_000) -> dict[str, Any]:
    """Run the suite of core.readings on `rows` good readings of 1,000 meters, and its rules as SQL in DuckDB on the same frame.

    Returns rows, expectations (counts); gx_seconds, gx_tenth_seconds (all that a check does once its frame is read, conversion to
    pandas included, the import not; on all rows and on a tenth of them), growth (the first by the second; 10 would be in
    proportion), gx_peak_mb (memory at the peak less memory before; 0 where the system does not tell), sql_seconds (one query for
    the rules of rows, one for each key, on the Polars frame), sql_table_seconds (the same on DuckDB's own table),
    sql_threads (as DuckDB chooses; Great Expectations has one), ratio and table_ratio (gx_seconds by either). Times are the best
    of three rounds. Raises `RuntimeError` unless both find nothing wrong.
    """
    import duckdb

    from gridtokenx_pipeline.quality.run import run as run_suite
    from gridtokenx_pipeline.quality.run import warm_up

    suite = load(READINGS.full_name)
    frame = _readings(rows)
    tenth = frame.head(rows // 10)
    warm_up()

    def by_gx(of: pl.DataFrame) -> None:
        outcome = run_suite(suite, of)
        if not outcome.success:
            raise RuntimeError(f"good readings are not met: {outcome.failures}")

    def by_sql(connection: duckdb.DuckDBPyConnection) -> None:
        if any(_counts(connection, suite).values()):
            raise RuntimeError("good readings are not met in SQL")

    by_gx(frame.head(1000))
    small = _best(lambda: by_gx(tenth))
    before = _memory_mb("VmRSS")
    if Path(_DETAIL).exists():
        Path(_DETAIL).write_text("5")  # the peak is counted anew from here
    large = _best(lambda: by_gx(frame))
    peak = _memory_mb("VmHWM")
    with duckdb.connect() as connection:
        connection.register("frame", frame)
        sql = _best(lambda: by_sql(connection))
        threads = int(connection.execute("SELECT current_setting('threads')").fetchall()[0][0])
    with duckdb.connect() as connection:
        connection.register("polars", frame)
        connection.execute("CREATE TABLE frame AS FROM polars")
        table = _best(lambda: by_sql(connection))
    return {
        "rows": rows,
        "expectations": len(suite.expectations),
        "gx_seconds": round(large, 3),
        "gx_tenth_seconds": round(small, 3),
        "growth": round(large / small, 2),
        "gx_peak_mb": round(peak - before),
        "sql_seconds": round(sql, 3),
        "sql_table_seconds": round(table, 3),
        "sql_threads": threads,
        "ratio": round(large / sql, 2),
        "table_ratio": round(large / table, 2),
    }


def unexpected_by_sql(suite: Suite, frame: pl.DataFrame) -> dict[int, int]:
    """Return how many values break each expectation of `suite`, by its position there, as DuckDB counts them.

    Nulls break nothing but what is not to be null; a value that is to be unique counts with all its rows; a table with too few
    rows counts 1. Raises `ValueError` for a kind of expectation that is not translated.
    """
    import duckdb

    with duckdb.connect() as connection:
        connection.register("frame", frame)
        return _counts(connection, suite)


def _counts(connection: duckdb.DuckDBPyConnection, suite: Suite) -> dict[int, int]:
    """Counts in the relation `frame`: one query for the rules of rows, one for each key."""
    derived = "".join(f', ({sql}) AS "{name}"' for name, sql in suite.derived.items())
    source = f"(SELECT *{derived} FROM frame)"
    connection.execute("SET enable_progress_bar = false")
    keys = {n: e for n, e in enumerate(suite.expectations) if e["type"] in (UNIQUE, COMPOUND_UNIQUE)}
    rules = {n: _aggregate(suite, e) for n, e in enumerate(suite.expectations) if n not in keys}
    found = connection.execute(f"SELECT {', '.join(rules.values())} FROM {source}").fetchall()[0]
    counts = dict(zip(rules, map(int, found), strict=True))
    for number, expectation in keys.items():
        columns = [f'"{column}"' for column in columns_of(expectation)]
        some = " OR ".join(f"{column} IS NOT NULL" for column in columns)
        repeated = f"SELECT count(*) AS n FROM {source} WHERE {some} GROUP BY {', '.join(columns)} HAVING count(*) > 1"
        counts[number] = int(connection.execute(f"SELECT coalesce(sum(n), 0)::BIGINT FROM ({repeated})").fetchall()[0][0])
    return counts


def _aggregate(suite: Suite, expectation: dict[str, Any]) -> str:
    kind, kwargs = expectation["type"], expectation["kwargs"]
    if kind == ROW_COUNT:
        return f"(count(*) < {kwargs['min_value']})::INTEGER"
    name = columns_of(expectation)[0]
    column = f'octet_length("{name}")' if suite.types.get(name) == "Binary" and kind != NOT_NULL else f'"{name}"'
    if kind == NOT_NULL:
        wrong = f"{column} IS NULL"
    elif kind == "expect_column_values_to_be_null":
        wrong = f"{column} IS NOT NULL"
    elif kind == "expect_column_values_to_be_between":
        bounds = [f"{column} {sign} {kwargs[key]}" for key, sign in (("min_value", "<"), ("max_value", ">")) if key in kwargs]
        wrong = " OR ".join(bounds)
    elif kind == "expect_column_values_to_be_in_set":
        wrong = f"{column} NOT IN ({', '.join(_literal(value) for value in kwargs['value_set'])})"
    elif kind == "expect_column_values_to_match_regex":
        wrong = f"NOT regexp_matches({column}, {_literal(kwargs['regex'])})"
    elif kind == "expect_column_pair_values_a_to_be_greater_than_b":
        wrong = f'{column} {"<" if kwargs["or_equal"] else "<="} "{kwargs["column_B"]}"'
    else:
        raise ValueError(f"no SQL for {kind}")
    return f"count(*) FILTER (WHERE {wrong})"


def _literal(value: str | int) -> str:
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def _readings(rows: int) -> pl.DataFrame:
    """Good readings: every channel of 1,000 meters, interval after interval."""
    number = pl.int_range(rows, dtype=pl.Int64)
    message, channel = number // len(CHANNELS), number % len(CHANNELS)
    meter, slot = message % _METERS, message // _METERS
    is_energy = channel < len(CHANNELS) - 1
    start = pl.lit(_START).dt.cast_time_unit("us") + pl.duration(seconds=15 * slot)
    frame = pl.select(
        zone=pl.lit("bench"),
        meter_id=pl.format("BENCH_{}", meter),
        device_lfdi=meter.cast(pl.String).str.zfill(40),
        channel=channel.replace_strict(dict(enumerate(CHANNELS)), return_dtype=pl.String),
        interval_start=start,
        duration_s=pl.lit(15, pl.Int32),
        energy_milli_wh=pl.when(is_energy).then(number % 5_000),
        register_milli_wh=pl.when(is_energy).then(number * 5),
        state_of_charge_pct=pl.when(~is_energy).then(pl.lit(50)).cast(pl.Decimal(5, 2)),
        quality_flags=pl.lit(1, pl.Int32),
        device_quality_flags=pl.when(meter % 2 == 0).then(pl.lit(1, pl.Int32)),
        version=pl.lit(1, pl.Int32),
        parts=pl.lit(2, pl.Int32),
        message_id=pl.format("20260101T00-w0-{}", message),
        received_at=start + pl.duration(seconds=16),
        findings=pl.when(meter % 100 == 0).then(pl.lit("clock_snapped")),
    )
    return READINGS.conform(frame)


def _best(work: Callable[[], None]) -> float:
    times = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def _memory_mb(name: str) -> float:
    """Memory of this process as Linux counts it (VmRSS now, VmHWM at its peak); 0 elsewhere."""
    status = Path(f"/proc/{os.getpid()}/status")
    if not status.exists():
        return 0.0
    return next(int(line.split()[1]) / 1024 for line in status.read_text(encoding="ascii").splitlines() if line.startswith(name))

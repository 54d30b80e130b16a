"""Clearing the market: one interval of more and more meters, and a day and a year of the campus."""

from __future__ import annotations

import datetime as dt
import time
import tracemalloc
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import polars as pl

SIZES = (25, 10_000, 100_000)
CAMPUS, INTERVALS, DAYS, MONTH = 25, 288, 365, 31
_START = np.datetime64("2026-01-01", "us")
_STEP = np.timedelta64(300, "s")
_SEED = 25


def run(sizes: tuple[int, ...] = SIZES, days: int = DAYS) -> dict[str, Any]:
    """Match one interval of each of `sizes` meters (40 % of them sellers, 1 to 500 Wh each), and clear a day and `days` of 25.

    Returns, for each size, ms_N (best of several; matching alone, of one core's time, which is what it takes where nothing else
    runs), trades_N and mb_N (peak memory of the match), and growth_N, ms by those of the size before. ms_10000_one_by_one is the
    same interval where losses between two grid zones send it meter by meter. day_s and year_s are `clear()` from positions to
    checked frames with ids (the year by months, made beforehand), year_cpu_s the year's processor time, trades_year its trades,
    and growth_year the year's processor time by `days` times the day's; 1 is linear. Raises `RuntimeError` where energy is not
    settled once.
    """
    from gridtokenx_pipeline.domain.market import Link, Network

    found: dict[str, Any] = {}
    before = 0.0
    for size in sizes:
        match = _matcher(size)
        ms, trades = _best_ms(match, rounds=200 if size < 1000 else 10), match()
        found |= {f"ms_{size}": round(ms, 3), f"trades_{size}": trades, f"mb_{size}": round(_peak_mb(match), 2)}
        if before:
            found[f"growth_{size}"] = round(ms / before, 1)
        before = ms
    middle = sizes[len(sizes) // 2]
    halves = Network({f"M{number:06d}": "ab"[number % 2] for number in range(middle)}, {("a", "b"): Link(30_000, 1_000)})
    found[f"ms_{middle}_one_by_one"] = round(_best_ms(_matcher(middle, halves), rounds=3), 1)

    one_day = _positions(0, 1)
    _clear(one_day)
    day = [_clear(one_day) for _ in range(5)]
    months = [_clear(_positions(first, min(MONTH, days - first))) for first in range(0, days, MONTH)]
    year_cpu_s, day_cpu_s = sum(month.cpu_s for month in months), min(once.cpu_s for once in day)
    return {
        **found,
        "day_s": round(min(once.wall_s for once in day), 3),
        "year_s": round(sum(month.wall_s for month in months), 2),
        "year_cpu_s": round(year_cpu_s, 2),
        "trades_year": sum(month.trades for month in months),
        "growth_year": round(year_cpu_s / day_cpu_s / days, 2),
    }


def _nets(rng: np.random.Generator, count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Surpluses of 40 % and deficits of 60 % of the meters."""
    net: np.ndarray[Any, np.dtype[np.int64]] = rng.integers(1, 501, count) * np.where(rng.random(count) < 0.4, 1, -1)
    return net


def _matcher(size: int, network: Any = None) -> Callable[[], int]:
    """Return what matches one interval of `size` meters and returns how many trades there are."""
    from gridtokenx_pipeline.domain.market import MECHANISMS
    from gridtokenx_pipeline.domain.market.book import Book, GridPrices
    from gridtokenx_pipeline.domain.market.matching import match_all

    one, net = np.zeros(1, dtype=np.int64), _nets(np.random.default_rng(_SEED), size)
    meters = [f"M{number:06d}" for number in range(size)]
    book = Book(["bench"], meters, one, one, np.array([0, size]), np.zeros(size, dtype=np.int64), np.arange(size), net)
    prices = GridPrices(one + 80_000, one + 80_000, one + 280_000)
    mechanism = MECHANISMS["sdr_bilateral"]
    return lambda: len(match_all(book, prices, 25, mechanism, network=network).trades.seller)


def _positions(first_day: int, days: int) -> pl.DataFrame:
    """Return positions of the campus's meters in every interval of `days` days."""
    from gridtokenx_pipeline.domain.market import POSITIONS

    intervals = INTERVALS * days
    count = intervals * CAMPUS
    net = _nets(np.random.default_rng(_SEED + first_day), count)
    starts = np.repeat(_START + (INTERVALS * first_day + np.arange(intervals)) * _STEP, CAMPUS)
    meters = pl.Series([f"AMI_METER_BENCH_{number:03d}" for number in range(CAMPUS)])
    nothing = np.zeros(count, dtype=np.int64)
    given: dict[str, Any] = {
        "zone": pl.repeat("bench", count, eager=True),
        "meter_id": meters.gather(np.tile(np.arange(CAMPUS), intervals)),
        "interval_start": pl.Series(starts).dt.replace_time_zone("UTC"),
        "duration_s": pl.repeat(300, count, eager=True),
        **{f"{channel}_wh": nothing for channel in ("charge", "discharge", "import", "export")},
        "generation_wh": np.maximum(net, 0),
        "load_wh": np.maximum(-net, 0),
        "net_wh": net,
        "complete": pl.repeat(True, count, eager=True),
        "reason": pl.repeat(None, count, dtype=pl.String, eager=True),
        "quality_flags": pl.repeat(1, count, eager=True),
    }
    return pl.DataFrame({name: pl.Series(given[name]).cast(dtype) for name, dtype in POSITIONS.items()})


class _Clearing(NamedTuple):
    wall_s: float
    cpu_s: float
    trades: int


def _clear(positions: pl.DataFrame) -> _Clearing:
    from gridtokenx_pipeline.domain.market import Tariff, clear

    wall, cpu = time.perf_counter(), time.process_time()
    cleared = clear(positions, Tariff(80_000, 280_000), closed_before=dt.datetime(2100, 1, 1, tzinfo=dt.UTC))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    grid = cleared.grid_settlements
    if len(grid) != len(positions) or grid["net_wh"].sum() != grid["energy_wh"].sum() or grid["traded_wh"].sum():
        raise RuntimeError("energy was made or lost in clearing")
    return _Clearing(wall, cpu, len(cleared.trades))


def _best_ms(work: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times) * 1000


def _peak_mb(work: Callable[[], object]) -> float:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()

"""Checks of positions, and the book and groups made of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from .book import Book, Ints, moment_of
from .model import MarketInputError
from .positions import INCOMPLETE, NO_REGISTER, POSITIONS

_REQUIRED = ("zone", "meter_id", "interval_start", "duration_s", "quality_flags")


@dataclass(frozen=True)
class Sorted:
    """Positions in the order of zone, interval and meter, as the book of those who take part and columns of all."""

    book: Book
    duration_s: Ints
    net_wh: Ints
    grid_only: pl.Series
    quality_flags: pl.Series


def check_positions(positions: pl.DataFrame) -> None:
    """Raise `MarketInputError`, naming the row, for a position no market may be cleared with."""
    missing = [name for name in POSITIONS if name not in positions.columns]
    if missing:
        raise MarketInputError(f"positions lack the columns {missing}")
    wrong = [f"{name}: {positions.schema[name]}" for name, dtype in POSITIONS.items() if positions.schema[name] != dtype]
    if wrong:
        raise MarketInputError(f"positions have columns of other types: {', '.join(wrong)}")
    energies = [name for name in POSITIONS if name.endswith("_wh") and name != "net_wh"]
    net = pl.col("generation_wh") + pl.col("discharge_wh") - pl.col("load_wh") - pl.col("charge_wh")
    for problem, broken in (
        ("null", pl.any_horizontal(pl.col(name).is_null() for name in _REQUIRED)),
        ("negative energy", pl.any_horizontal(pl.col(name) < 0 for name in energies)),
        ("net_wh is not generation + discharge - load - charge", pl.col("net_wh").ne_missing(net)),
        ("no net_wh, and no reason", pl.col("net_wh").is_null() & pl.col("reason").ne_missing(NO_REGISTER)),
        ("unknown reason", pl.col("reason").is_not_null() & ~pl.col("reason").is_in([INCOMPLETE, NO_REGISTER])),
        ("interval_start between two seconds", pl.col("interval_start").dt.microsecond() != 0),
    ):
        rows = positions.filter(broken)
        if not rows.is_empty():
            raise MarketInputError(f"{problem}: {rows.row(0, named=True)}")


def sorted_positions(positions: pl.DataFrame) -> Sorted:
    """Check `positions` (columns `POSITIONS`), sort and group them.

    Raises `MarketInputError`, naming the row or interval, for what `check_positions` refuses, a meter twice in an interval, and
    differing lengths of an interval.
    """
    check_positions(positions)
    zones, zone = _ranked(positions["zone"])
    meters, meter = _ranked(positions["meter_id"])
    moment = positions["interval_start"].to_physical().to_numpy()
    starts, start = np.unique(moment, return_inverse=True)
    key = (zone * max(len(starts), 1) + start) * max(len(meters), 1) + meter
    if not (np.diff(key) > 0).all():
        order = np.argsort(key, kind="stable")
        key, zone, meter, moment = key[order], zone[order], meter[order], moment[order]
        positions = positions[order]
        twice = np.flatnonzero(np.diff(key) == 0)
        if twice.size:
            raise MarketInputError(f"meter repeated in an interval: {positions.row(int(twice[0]), named=True)}")
    interval = key // max(len(meters), 1)
    changes = np.diff(interval, prepend=-1) != 0
    first = np.flatnonzero(changes)
    bounds = np.append(first, len(key)).astype(np.int64)
    length = positions["duration_s"].to_numpy().astype(np.int64)
    group = np.cumsum(changes) - 1
    odd = np.flatnonzero((length != length[first][group]) | (length <= 0))
    if odd.size:
        of = group[odd[0]]
        lengths = sorted(set(length[bounds[of] : bounds[of + 1]].tolist()))
        moment_text = moment_of(int(moment[odd[0]]))
        raise MarketInputError(f"interval {moment_text} of {zones[zone[odd[0]]]} has lengths {lengths} s")
    net = positions["net_wh"].fill_null(0).to_numpy()
    takes_part = positions["reason"].is_null().to_numpy()
    book = Book(zones, meters, zone[first], moment[first], bounds, group, meter, np.where(takes_part, net, 0))
    return Sorted(book, length[first], net, positions["reason"], positions["quality_flags"])


def _ranked(names: pl.Series) -> tuple[list[str], Ints]:
    """Return the distinct names, sorted, and the rank of each row's among them."""
    distinct = names.unique().sort()
    ranks = names.cast(pl.Enum(distinct)).to_physical().cast(pl.Int64)
    return distinct.to_list(), ranks.to_numpy()

"""Check 4, the order of cumulative registers, and the energy of registers that come alone.

A register is compared with the last accepted one before it in time, of the same meter and channel, received earlier: late data is
compared with its own past, and nothing depends on where receipts were cut into batches. A register that fell is, in this order,

- a meter swap, where another device sent it (its LFDI differs; the gateway has none), or where it is exactly the energy of its
  own interval, so that it began at 0 with it: it counts anew from here;
- a rollover, where for the end M of some register what was missing to M and what came after are together no more than the meter
  can do in the time between: M is a power of ten from 10^5 to 10^15 Wh, or 2^32 or 2^47 of the register's own unit;
- the inverter's own use, where a generation register fell by no more than that in the time between;
- the same that was accepted for the interval before;
- wrong, and refused.

A register without an interval value takes the energy accepted for the interval that ends with it, or else its difference to the
register exactly one interval before (rolled over, where it fell), whatever became of that one if it came alone too. After a swap
there is no such difference. Where it has neither it is refused, and waits to be the beginning of the next.

Series in which no register falls need no comparison one by one. The others are followed in order of receipt; within
a message, registers that came alone after the rest.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from gridtokenx_pipeline.domain import marks
from gridtokenx_pipeline.domain.merge import CANDIDATE
from gridtokenx_pipeline.domain.numbers import at, take
from gridtokenx_pipeline.domain.reasons import Reason
from ingest_server.gateway.documents import NO_DEVICE

DECIMAL_ENDS = tuple(10**digits for digits in range(8, 19))  # milli-watt-hours
BINARY_ENDS = (2**32, 2**47)  # in the register's own unit

# Reasons for which a register that came alone is refused and yet is the beginning of the next one.
WAITS = (Reason.UNPAIRED_REGISTER.value, Reason.OUT_OF_RANGE.value, Reason.REGISTER_DECREASED.value)
_OLD, _WAITING, _NEW = range(3)
WAITING = {
    "seq": pl.Int64,
    "series": pl.Int64,
    "end_s": pl.Int64,
    "register": pl.Int64,
}


def irregular(rows: pl.DataFrame, old: pl.DataFrame, waiting: pl.DataFrame, legacy: pl.Series) -> pl.Series:
    """Return the series (Int64, unique) whose rows must be followed one by one.

    `rows` and `old` have the schema CANDIDATE, `waiting` WAITING; `legacy` says of each seq whether the gateway brought it. A
    series is irregular where a register is below an earlier one, where both the gateway and a device report it, and where it has
    registers alone and more than one value for an instant.
    """
    columns = ["series", "end_s", "register"]
    parts = [rows.select(columns)]
    if len(old) or len(waiting):
        parts += [old.select(columns), waiting.select(columns)]
    every = pl.concat(parts).filter(pl.col("register").is_not_null())
    fallen = (pl.col("series") == pl.col("series").shift(1)) & (pl.col("register") < pl.col("register").shift(1))
    found = [every.sort(at("series", "end_s")).filter(fallen)["series"].unique()]
    if legacy.any():
        who = pl.concat([rows.select("series", "seq"), old.select("series", "seq")])
        ways = who.with_columns(legacy.gather(who["seq"]).alias("legacy")).group_by("series").agg(pl.col("legacy").n_unique())
        found.append(ways.filter(pl.col("legacy") > 1)["series"])
    if rows["lone"].any():
        found.append(_unclear(rows, old, waiting))
    return pl.concat(found).unique()


def _unclear(rows: pl.DataFrame, old: pl.DataFrame, waiting: pl.DataFrame) -> pl.Series:
    """Series with registers alone, in which more than one value was said for an instant, or a device doubts its values."""
    alone = rows.filter("lone")["series"].unique()
    columns = ["series", "end_s", "register", "energy", "length_s", "lone", "device_quality_flags"]
    both = pl.concat([rows.select(columns), old.select(columns), waiting.with_columns(lone=True)], how="diagonal")
    both = both.filter(pl.col("series").is_in(alone.implode()))
    own = pl.col("energy").filter(~pl.col("lone"))
    length = pl.col("length_s").filter(~pl.col("lone"))
    counts = both.group_by("series", "end_s").agg(
        pl.col("register").drop_nulls().n_unique().alias("registers"),
        own.n_unique().alias("energies"),
        length.n_unique().alias("lengths"),
        (pl.col("device_quality_flags").fill_null(0) & marks.WORSE).max().alias("worse"),
    )
    several = pl.max_horizontal("registers", "energies", "lengths") > 1
    return counts.filter(several | (pl.col("worse") > 0))["series"].unique()


def complete(alone: pl.DataFrame, others: pl.DataFrame, old: pl.DataFrame, waiting: pl.DataFrame) -> pl.DataFrame:
    """Give registers of regular series their energy; null where neither an interval nor an earlier register tells it."""
    if alone.is_empty():
        return alone
    energies = pl.concat([old.select(others.columns), others]).filter(pl.col("energy").is_not_null())
    measured = energies.group_by(at("series", "end_s").alias("end")).agg(
        pl.col("seq").min().alias("measured_seq"),
        pl.col("energy").first().alias("measured"),
        pl.col("length_s").first().alias("s"),
    )
    registers = [f.select("seq", "series", "end_s", "register") for f in (old, waiting, others, alone)]
    bases = (
        pl.concat(registers)
        .filter(pl.col("register") >= 0)
        .group_by(at("series", "end_s").alias("start"))
        .agg(pl.col("seq").min().alias("base_seq"), pl.col("register").first().alias("base"))
    )
    joined = (
        alone.with_columns(at("series", "end_s").alias("end"), at("series", "start_s").alias("start"))
        .join(measured, on="end", how="left")
        .join(bases, on="start", how="left")
    )
    told = (pl.col("measured_seq") <= pl.col("seq")).fill_null(False)
    based = (pl.col("base_seq") <= pl.col("seq")).fill_null(False)
    length = pl.when(told).then("s").otherwise("length_s")
    return joined.with_columns(
        pl.when(told).then("measured").when(based).then(pl.col("register") - pl.col("base")).alias("energy"),
        (~told & based).alias("derived"),
        length.alias("length_s"),
        (pl.col("end_s") - length).alias("start_s"),
    ).select(list(CANDIDATE))


@dataclass
class _Past:
    """What was accepted of one series so far, in order of receipt."""

    ends: list[int] = field(default_factory=list)
    registers: dict[int, tuple[int, str | None]] = field(default_factory=dict)
    bases: dict[int, tuple[int, str | None]] = field(default_factory=dict)
    energies: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    values: dict[tuple[int, int], list[tuple[int, int | None, bool]]] = field(default_factory=dict)
    reported: set[tuple[int, int]] = field(default_factory=set)

    def before(self, end: int) -> tuple[int, int, str | None] | None:
        """End, register and device of the last register before `end`."""
        place = bisect_left(self.ends, end)
        if not place:
            return None
        last = self.ends[place - 1]
        return last, *self.registers[last]

    def accept(self, row: dict[str, Any]) -> None:
        """Remember an accepted row."""
        end, register, worse = row["end_s"], row["register"], (row["device_quality_flags"] or 0) & marks.WORSE
        key = (row["start_s"], row["length_s"])
        if register is not None:
            if end not in self.registers:
                insort(self.ends, end)
            self.registers[end] = self.bases[end] = (register, row["device_lfdi"])
        self.energies[end] = (row["energy"], row["length_s"], worse)
        self.values.setdefault(key, []).append((row["energy"], register, not worse))
        if not row["legacy"]:
            self.reported.add(key)

    def repeats(self, row: dict[str, Any]) -> bool:
        """Whether the row's values were accepted for its interval at no lower quality, or others were at a higher one."""
        known = self.values.get((row["start_s"], row["length_s"]), ())
        sound = not (row["device_quality_flags"] or 0) & marks.WORSE
        energy, register, lone = row["energy"], row["register"], row["lone"]
        for its_energy, its_register, its_sound in known:
            equal = (lone or energy == its_energy) and (register is None or register == its_register)
            if (equal and its_sound >= sound) or its_sound > sound:
                return True
        return False


def follow(rows: pl.DataFrame, old: pl.DataFrame, waiting: pl.DataFrame, order: pl.DataFrame, lsb: pl.Series) -> pl.DataFrame:
    """Take the rows of irregular series in order of receipt, and complete registers that came alone.

    `rows`: schema CANDIDATE, then limit_w and tare_mw (Int64). `old`: schema CANDIDATE and version. `waiting`: schema WAITING.
    `order`: device_lfdi and legacy of every seq. `lsb`: for each row, milli-watt-hours (Int64) of the register's unit, null where
    that is a fraction.

    Returns `rows` with energy, start_s, length_s, derived, device_quality_flags and findings completed, reason (String, null for
    a row that passed) and floor (Int64, the register that it fell below).
    """
    new = rows.with_columns(lsb.alias("lsb"), pl.lit(_NEW).alias("kind"))
    # What was known before is taken in its own order of receipt too: nobody knows what comes later.
    before = old.sort("seq", "version").select(*rows.columns[: len(CANDIDATE)], pl.lit(_OLD).alias("kind"))
    came_alone = waiting.select("seq", "series", "end_s", "register", pl.lit(_WAITING).alias("kind"))
    every = pl.concat([before, came_alone, new], how="diagonal").filter(pl.col("series").is_in(rows["series"].unique().implode()))
    every = every.with_columns(*take(order.select("device_lfdi", "legacy"), every["seq"]).get_columns())
    every = every.sort("series", "seq", "kind", "lone", "end_s", "position", maintain_order=True)
    schema: dict[str, Any] = {**every.schema, "reason": pl.String, "floor": pl.Int64}
    done = pl.DataFrame(list(_followed(every)), schema=schema, orient="row")
    return done.select(*rows.columns, "reason", "floor")


def _followed(rows: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """The new rows, as far as they came; `rows` are sorted by series and receipt."""
    series, past = None, _Past()
    for row in rows.iter_rows(named=True):
        if row["series"] != series:
            series, past = row["series"], _Past()
        if row["kind"] == _OLD:
            past.accept(row)
            continue
        if row["kind"] == _WAITING:
            past.bases[row["end_s"]] = (row["register"], row["device_lfdi"])
            continue
        row["floor"] = None
        row["reason"] = _completed(row, past) if row["lone"] else None
        if row["reason"] is None:
            row["reason"] = _in_order(row, past)
        if row["reason"] is None and row["legacy"] and (row["start_s"], row["length_s"]) in past.reported:
            row["reason"] = Reason.OVERRULED.value
        if row["reason"] is None and not past.repeats(row):
            past.accept(row)
        elif row["lone"] and row["reason"] in WAITS:
            past.bases[row["end_s"]] = (row["register"], row["device_lfdi"])
        yield row


def _completed(row: dict[str, Any], past: _Past) -> str | None:
    """Give a register that came alone its energy, or return why it has none that is believed."""
    register, end = row["register"], row["end_s"]
    if end in past.energies:
        row["energy"], row["length_s"], worse = past.energies[end]
        row["start_s"] = end - row["length_s"]
        row["device_quality_flags"] = (row["device_quality_flags"] or 0) | worse or row["device_quality_flags"]
    elif row["start_s"] in past.bases:
        base, device = past.bases[row["start_s"]]
        if register < base and _other(device, row["device_lfdi"]):
            return Reason.UNPAIRED_REGISTER.value
        row["derived"], row["energy"] = True, register - base
        if register < base:
            rolled = _rolled(row, base, row["length_s"])
            if rolled is not None:
                row["energy"] = rolled
                row["findings"] |= marks.REGISTER_ROLLOVER
            elif base - register <= row["tare_mw"] * row["length_s"] // 3600:
                row["findings"] |= marks.TARE
            else:
                row["floor"] = base
                return Reason.REGISTER_DECREASED.value
    else:
        return Reason.UNPAIRED_REGISTER.value
    if register < 0:
        return Reason.NEGATIVE.value
    if row["energy"] > row["limit_w"] * row["length_s"] * 1000 // 3600:
        return Reason.OUT_OF_RANGE.value
    return None


def _in_order(row: dict[str, Any], past: _Past) -> str | None:
    register = row["register"]
    known = register is not None and past.before(row["end_s"])
    if not known or register >= known[1]:
        return None
    end, floor, device = known
    elapsed = row["end_s"] - end
    if _other(device, row["device_lfdi"]) or (not row["derived"] and 0 < row["energy"] == register):
        row["findings"] |= marks.METER_SWAP
    elif _rolled(row, floor, elapsed) is not None:
        row["findings"] |= marks.REGISTER_ROLLOVER
    elif floor - register > row["tare_mw"] * elapsed // 3600 and not any(
        register == its for _, its, _ in past.values.get((row["start_s"], row["length_s"]), ())
    ):
        row["floor"] = floor
        return Reason.REGISTER_DECREASED.value
    return None


def _rolled(row: dict[str, Any], before: int, elapsed: int) -> int | None:
    """The energy since `before` if the register passed an end within what the meter can do in `elapsed` seconds."""
    own = () if row["lsb"] is None else tuple(end * row["lsb"] for end in BINARY_ENDS)
    most = row["limit_w"] * elapsed * 1000 // 3600
    over = [end - before + row["register"] for end in (*DECIMAL_ENDS, *own) if row["register"] < end > before]
    return min((energy for energy in over if energy <= most), default=None)


def _other(one: str | None, other: str | None) -> bool:
    return one != other and NO_DEVICE not in (one, other) and None not in (one, other)

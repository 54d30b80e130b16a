"""Clearing of any number of zones and intervals: frames in, frames of the market's tables out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

import polars as pl

from gridtokenx_pipeline.contracts import Table
from gridtokenx_pipeline.contracts import market as tables

from ..frames import frame_of_rows
from ..ids import derived_id, iso
from .model import Agreement, MarketInputError, Rules, Tariff, amount_micro
from .positions import INCOMPLETE, NO_REGISTER, POSITIONS
from .sdr_bilateral import Matched, match

MECHANISM = "sdr_bilateral/1"
RESIDUAL = "residual"
OPEN, CLOSED = "open", "closed"

_WANTED = ("zone", "interval_start", "meter_id", "duration_s", "net_wh", "reason", "quality_flags")


class _Position(NamedTuple):
    zone: str
    interval_start: dt.datetime
    meter_id: str
    duration_s: int
    net_wh: int | None
    reason: str | None
    quality_flags: int


@dataclass(frozen=True)
class Cleared:
    """Frames of `contracts.market`: INTERVALS, TRADES and GRID_SETTLEMENTS."""

    intervals: pl.DataFrame
    trades: pl.DataFrame
    grid_settlements: pl.DataFrame


def clear(
    positions: pl.DataFrame,
    tariff: Tariff,
    *,
    closed_before: dt.datetime,
    rules: Rules | None = None,
    agreements: Iterable[Agreement] = (),
    meters: Collection[str] | None = None,
    version: int = 1,
) -> Cleared:
    """Clear every zone and interval of `positions` with the SDR-bilateral mechanism.

    `positions` has the columns `POSITIONS`. An interval whose end plus watermark is not after `closed_before` is closed: its
    trades and grid settlements are made. A later one is open: it gets an INTERVALS row with the supply, demand and price
    so far and nothing else. Meters with a `reason` do not trade and settle their measured net with the grid; one
    without a net (`no_register`) settles 0 Wh. `meters` are the known meter ids that agreements may name; without it those
    of `positions`. Rows come out sorted by their natural keys, whatever the order they came in, with ids derived from them.

    Raises `MarketInputError`, naming the row, for a negative energy, a net that is not the sum of its channels, a meter
    twice in an interval, differing lengths of an interval, and an agreement that trades with itself, is stated twice, names
    an unknown meter, has a negative limit or a price outside the tariffs.
    """
    rules = rules or Rules()
    _check_positions(positions)
    by_zone = _agreements_by_zone(agreements, tariff, set(positions["meter_id"].unique()) if meters is None else set(meters))
    rows = map(_Position._make, positions.select(_WANTED).sort("zone", "interval_start", "meter_id").iter_rows())
    intervals: list[tuple[Any, ...]] = []
    trades: list[tuple[Any, ...]] = []
    grid: list[tuple[Any, ...]] = []
    for (zone, start), group in groupby(rows, key=lambda row: (row.zone, row.interval_start)):
        members = list(group)
        _check_interval(members)
        taking_part = {row.meter_id: row.net_wh for row in members if row.reason is None and row.net_wh is not None}
        matched = match(taking_part, tariff, rules.max_partners, by_zone.get(zone, ()))
        closed = start + dt.timedelta(seconds=members[0].duration_s + rules.watermark_s) <= closed_before
        intervals.append(_interval_row(members, len(taking_part), matched, tariff, version, closed))
        if closed:
            trades.extend(_trade_rows(members, matched, version))
            grid.extend(_grid_rows(members, matched, tariff, version))
    return Cleared(_frame(tables.INTERVALS, intervals), _frame(tables.TRADES, trades), _frame(tables.GRID_SETTLEMENTS, grid))


def closed_only(frame: pl.DataFrame, intervals: pl.DataFrame) -> pl.DataFrame:
    """Keep the rows of `frame` whose zone and interval_start are closed or settled in `intervals` (contracts.market)."""
    closed = intervals.filter(pl.col("state") != OPEN).select("zone", "interval_start").unique()
    return frame.join(closed, on=["zone", "interval_start"], how="semi", maintain_order="left")


def _frame(table: Table, rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    return table.conform(frame_of_rows(rows, table.frame_schema()))


def _interval_row(
    members: list[_Position], taking_part: int, matched: Matched, tariff: Tariff, version: int, closed: bool
) -> tuple[Any, ...]:
    first = members[0]
    traded = sum(pair.energy_wh for pair in matched.matches) if closed else 0
    return (
        first.zone,
        first.interval_start,
        first.duration_s,
        matched.supply_wh,
        matched.demand_wh,
        traded,
        matched.capped_wh if closed else 0,
        matched.price_micro_per_kwh,
        tariff.feed_in_micro_per_kwh,
        tariff.retail_micro_per_kwh,
        len(members),
        len(members) - taking_part,
        MECHANISM,
        version,
        CLOSED if closed else OPEN,
        tariff.currency,
        "flat",
        0,
        0,
    )


def _trade_rows(members: list[_Position], matched: Matched, version: int) -> Iterable[tuple[Any, ...]]:
    zone, start = members[0].zone, members[0].interval_start
    start_text = iso(start)
    flags = {row.meter_id: row.quality_flags for row in members}
    for pair in sorted(matched.matches, key=lambda m: (m.kind, m.seller, m.buyer)):
        yield (
            derived_id("trade", zone, start_text, version, pair.kind, pair.seller, pair.buyer),
            zone,
            start,
            pair.seller,
            pair.buyer,
            pair.energy_wh,
            pair.price_micro_per_kwh,
            amount_micro(pair.energy_wh, pair.price_micro_per_kwh),
            pair.kind,
            MECHANISM,
            version,
            flags[pair.seller] | flags[pair.buyer],
            0,
            0,
            None,
        )


def _grid_rows(members: list[_Position], matched: Matched, tariff: Tariff, version: int) -> Iterable[tuple[Any, ...]]:
    start_text = iso(members[0].interval_start)
    traded = dict.fromkeys((row.meter_id for row in members), 0)
    for pair in matched.matches:
        traded[pair.seller] += pair.energy_wh
        traded[pair.buyer] -= pair.energy_wh
    for row in members:
        net = row.net_wh or 0
        rest = net - traded[row.meter_id]
        if rest >= 0:
            amount = amount_micro(rest, tariff.feed_in_micro_per_kwh)
        else:
            amount = -amount_micro(-rest, tariff.retail_micro_per_kwh)
        yield (
            derived_id("grid_settlement", row.zone, start_text, version, row.meter_id),
            row.zone,
            row.interval_start,
            row.meter_id,
            net,
            traded[row.meter_id],
            rest,
            amount,
            row.reason or RESIDUAL,
            version,
            row.quality_flags,
        )


def _check_positions(positions: pl.DataFrame) -> None:
    missing = [name for name in POSITIONS if name not in positions.columns]
    if missing:
        raise MarketInputError(f"positions lack the columns {missing}")
    energies = [name for name in POSITIONS if name.endswith("_wh") and name != "net_wh"]
    net = pl.col("generation_wh") + pl.col("discharge_wh") - pl.col("load_wh") - pl.col("charge_wh")
    required = ("zone", "meter_id", "interval_start", "duration_s", "quality_flags")
    for problem, broken in (
        ("null", pl.any_horizontal(pl.col(name).is_null() for name in required)),
        ("negative energy", pl.any_horizontal(pl.col(name) < 0 for name in energies)),
        ("net_wh is not generation + discharge - load - charge", pl.col("net_wh").ne_missing(net)),
        ("no net_wh, and no reason", pl.col("net_wh").is_null() & pl.col("reason").ne_missing(NO_REGISTER)),
        ("unknown reason", pl.col("reason").is_not_null() & ~pl.col("reason").is_in([INCOMPLETE, NO_REGISTER])),
        ("meter repeated in an interval", pl.struct("zone", "interval_start", "meter_id").is_duplicated()),
    ):
        rows = positions.filter(broken)
        if not rows.is_empty():
            raise MarketInputError(f"{problem}: {rows.row(0, named=True)}")


def _check_interval(members: list[_Position]) -> None:
    lengths = {row.duration_s for row in members}
    if len(lengths) > 1 or min(lengths) <= 0:
        first = members[0]
        raise MarketInputError(f"interval {first.interval_start} of {first.zone} has lengths {sorted(lengths)} s")


def _agreements_by_zone(agreements: Iterable[Agreement], tariff: Tariff, meters: set[str]) -> dict[str, list[Agreement]]:
    by_zone: dict[str, list[Agreement]] = {}
    seen: set[tuple[str, str, str]] = set()
    for agreement in agreements:
        seller, buyer = agreement.seller_meter_id, agreement.buyer_meter_id
        unknown = [meter for meter in (seller, buyer) if meter not in meters]
        if unknown:
            raise MarketInputError(f"unknown meter {unknown[0]}: {agreement}")
        if seller == buyer:
            raise MarketInputError(f"a meter cannot trade with itself: {agreement}")
        if agreement.max_wh < 0:
            raise MarketInputError(f"negative energy: {agreement}")
        if not tariff.feed_in_micro_per_kwh <= agreement.price_micro_per_kwh <= tariff.retail_micro_per_kwh:
            raise MarketInputError(
                f"price outside {tariff.feed_in_micro_per_kwh} to {tariff.retail_micro_per_kwh} micro per kWh: {agreement}"
            )
        if (agreement.zone, seller, buyer) in seen:
            raise MarketInputError(f"seller and buyer have two agreements: {agreement}")
        seen.add((agreement.zone, seller, buyer))
        by_zone.setdefault(agreement.zone, []).append(agreement)
    return by_zone

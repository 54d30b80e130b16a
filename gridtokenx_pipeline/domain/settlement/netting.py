"""Netting: one delivery and one payment of each meter for a period, in place of its trades, mints and retirements one by one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from gridtokenx_pipeline.contracts import settlement as tables

from ..ids import derived_id, iso
from .kinds import EXECUTE_TRADE, MINT_GRID, MINT_REC, RETIRE_REC, SETTLE_POSITION
from .plan import SettlementInputError
from .rows import Asked, action_rows, in_order

NETTED_KINDS = (MINT_GRID, EXECUTE_TRADE, MINT_REC, RETIRE_REC)

_ARGUMENTS = dict.fromkeys(
    ("meter_id", "seller_meter_id", "buyer_meter_id", "first_window", "last_window", "window"), pl.String
) | dict.fromkeys(("energy_wh", "amount_micro", "duration_s"), pl.Int64)
_SUMS = ("energy_wh", "amount_micro", "certified_wh")


@dataclass(frozen=True)
class Nets:
    """Frames of `contracts.settlement`: NETS, NETTED, and the ACTIONS that take the place of those that were netted."""

    nets: pl.DataFrame
    netted: pl.DataFrame
    actions: pl.DataFrame


def net_id(zone: str, period_start: dt.datetime, period_end: dt.datetime, number: int) -> str:
    """Return the id of a period's net."""
    return derived_id("settlement_net", zone, iso(period_start), iso(period_end), number)


def net(
    batches: pl.DataFrame,
    actions: pl.DataFrame,
    *,
    zone: str,
    period_start: dt.datetime,
    period_end: dt.datetime,
    number: int,
) -> Nets:
    """Net `batches` (BATCHES) of a zone in [period_start, period_end), none of which is in a net already.

    `actions` are those of `actions_of` for these batches; the kinds of `NETTED_KINDS` are netted and must not be sent, the others
    stay as they are. `number` is 1, and one more for each net of what was settled after the period was netted.

    There is a row of NETS for each meter that traded or had certificates minted or retired; energies and amounts of all sum to
    0. A meter that sold more than it bought has the difference minted (`mint_grid`) and delivers it, one that bought more
    receives it, each for the money of all its trades (`settle_position`). Its certificates are minted less those that ended
    (`mint_rec`), or where more ended, retired (`retire_rec`).

    GRID is minted in the last interval in which the meter sold: its reading counted, and no other net mints there. Certificates
    are minted for the intervals, from first to last, of those that make up the net.

    Raises `SettlementInputError` for a batch of another zone or period and an action of another batch.
    """
    outside = batches.filter(
        (pl.col("zone") != zone) | (pl.col("window_start") < period_start) | (pl.col("window_start") >= period_end)
    )
    if not outside.is_empty():
        raise SettlementInputError(f"batch of another period: {outside.row(0, named=True)}")
    due = actions.filter(pl.col("kind").is_in(NETTED_KINDS))
    stray = due.join(batches, on="batch_id", how="anti")
    if not stray.is_empty():
        raise SettlementInputError(f"action of another batch: {stray.row(0, named=True)}")
    this = net_id(zone, period_start, period_end, number)
    meters = _by_meter(due)
    place = (this, zone, period_start)
    rows = meters.to_dicts()
    moment = pl.Datetime("us", "UTC")
    nets = meters.select(
        "meter_id",
        *_SUMS,
        net_id=pl.lit(this),
        zone=pl.lit(zone),
        period_start=pl.lit(period_start, dtype=moment),
        period_end=pl.lit(period_end, dtype=moment),
        number=pl.lit(number, dtype=pl.Int32),
    )
    return Nets(
        tables.NETS.conform(nets.select(list(tables.NETS.frame_schema()))),
        tables.NETTED.conform(batches.select("batch_id", "zone", "window_start", net_id=pl.lit(this)).sort("batch_id")),
        in_order(
            [
                action_rows(MINT_GRID, _minted(place, rows)),
                action_rows(SETTLE_POSITION, _positions(place, rows, period_end, number)),
                action_rows(MINT_REC, _certified(place, rows)),
                action_rows(RETIRE_REC, _retired(place, rows)),
            ]
        ),
    )


def _by_meter(due: pl.DataFrame) -> pl.DataFrame:
    """What the actions sum to for each meter, the last interval in which it sold, and those its certificates are told under."""
    values = due.with_columns(pl.col("arguments").str.json_decode(pl.Struct(_ARGUMENTS))).unnest("arguments")
    energy, amount = pl.col("energy_wh"), pl.col("amount_micro")
    none = pl.lit(0, dtype=pl.Int64)
    trades = values.filter(pl.col("kind") == EXECUTE_TRADE)
    minted, retired = (values.filter(pl.col("kind") == kind) for kind in (MINT_REC, RETIRE_REC))
    parts = [
        trades.select(
            "duration_s",
            meter_id="seller_meter_id",
            energy_wh=-energy,
            amount_micro=amount,
            certified_wh=none,
            sold="window_start",
        ),
        trades.select("duration_s", meter_id="buyer_meter_id", energy_wh=energy, amount_micro=-amount, certified_wh=none),
        minted.select(
            "duration_s",
            "meter_id",
            energy_wh=none,
            amount_micro=none,
            certified_wh=energy,
            first_minted="first_window",
            last_minted="last_window",
        ),
        retired.select("duration_s", "meter_id", energy_wh=none, amount_micro=none, certified_wh=-energy, retired="window"),
    ]
    return (
        pl.concat(parts, how="diagonal")
        .group_by("meter_id")
        .agg(
            pl.col(_SUMS).sum(),
            pl.col("duration_s").max(),
            pl.col("sold").max(),
            pl.col("retired").max(),
            # texts of UTC moments, which sort as these do
            pl.col("first_minted").min(),
            pl.col("last_minted").max(),
        )
        .sort("meter_id")
    )


_Place = tuple[str, str, dt.datetime]


def _asked(place: _Place, row: dict[str, Any], **values: Any) -> Asked:
    key = f"{row['meter_id']}@{place[0]}"
    return Asked(place, key, {"meter_id": row["meter_id"], "duration_s": row["duration_s"]} | values)


def _minted(place: _Place, rows: list[dict[str, Any]]) -> Iterator[Asked]:
    for row in rows:
        if row["energy_wh"] < 0:
            windows = {"first_window": iso(place[2]), "last_window": iso(row["sold"])}
            yield _asked(place, row, energy_wh=-row["energy_wh"], **windows)


def _positions(place: _Place, rows: list[dict[str, Any]], period_end: dt.datetime, number: int) -> Iterator[Asked]:
    for row in rows:
        if row["energy_wh"] or row["amount_micro"]:
            last = period_end - dt.timedelta(seconds=row["duration_s"])
            values = {"energy_wh": row["energy_wh"], "amount_micro": row["amount_micro"], "number": number}
            yield _asked(place, row, first_window=iso(place[2]), last_window=iso(last), **values)


def _certified(place: _Place, rows: list[dict[str, Any]]) -> Iterator[Asked]:
    for row in rows:
        if row["certified_wh"] > 0:
            windows = {"first_window": row["first_minted"], "last_window": row["last_minted"]}
            name = f"{row['meter_id']}@{place[0]}"
            yield _asked(place, row, bundle_id=name, energy_wh=row["certified_wh"], **windows)


def _retired(place: _Place, rows: list[dict[str, Any]]) -> Iterator[Asked]:
    for row in rows:
        if row["certified_wh"] < 0:
            name = f"{row['meter_id']}@{place[0]}"
            yield _asked(place, row, retirement_id=name, energy_wh=-row["certified_wh"], window=row["retired"])

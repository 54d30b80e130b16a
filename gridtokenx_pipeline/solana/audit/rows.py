"""Rows of the warehouse that are compared with the chain, and what they come to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from gridtokenx_pipeline.contracts import settlement
from gridtokenx_pipeline.domain.settlement import METER_TOTALS, MINT_GRID, MINT_REC, RETIRE_REC, meter_totals

from .known import DONE, Known, known_actions
from .standing import Expected

if TYPE_CHECKING:
    from gridtokenx_pipeline.warehouse import Warehouse

_DAY = dt.timedelta(days=1)
_OPEN = ("waiting", "refused", "parked")

Progress = Callable[[int, int, str], None]


class Span(NamedTuple):
    """First and last start of an interval that anything was asked for in."""

    first: dt.datetime
    last: dt.datetime


def span_of(warehouse: Warehouse) -> Span | None:
    """Return the span of all actions, or `None` where there are none."""
    first, last = warehouse.query("SELECT min(window_start), max(window_start) FROM settlement.actions").row(0)
    return None if first is None else Span(first.astimezone(dt.UTC), last.astimezone(dt.UTC))


def days(start: dt.datetime, end: dt.datetime) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """Yield [start, end) in parts of a day at most."""
    while start < end:
        yield start, min(start + _DAY, end)
        start += _DAY


def totals(warehouse: Warehouse, progress: Progress) -> pl.DataFrame:
    """Return `domain.settlement.METER_TOTALS` of everything that is done, a day at a time; `progress` is told of each."""
    span = span_of(warehouse)
    parts = [pl.DataFrame(schema=METER_TOTALS)]
    if span is not None:
        spans = list(days(span.first, span.last + dt.timedelta(seconds=1)))
        for number, (since, until) in enumerate(spans):
            parts.append(meter_totals(warehouse.read_window(settlement.ACTIONS, since, until)))
            progress(number + 1, len(spans), "sums")
    return pl.concat(parts).group_by("meter_id").agg(pl.col(list(METER_TOTALS)[1:]).sum()).sort("meter_id")


def undone(warehouse: Warehouse) -> list[Known]:
    """Return every action that is not done."""
    return known_actions(warehouse.read(settlement.ACTIONS, "state <> ?", (DONE,)))


def expected_of_totals(warehouse: Warehouse, found: pl.DataFrame, undone: Iterable[Known]) -> tuple[Expected, Expected]:
    """Return the supply of GRID and of REC that `totals` come to, beside what the books say."""
    minted, rec_minted, retired = (int(found[name].sum()) for name in ("grid_minted_wh", "rec_minted_wh", "rec_retired_wh"))
    grid, rec = books(warehouse, undone)
    return grid._replace(done_wh=minted), rec._replace(done_wh=rec_minted - retired)


def first_books(warehouse: Warehouse, undone: Iterable[Known]) -> tuple[Expected, Expected]:
    """Return `books` where all batches were asked for interval by interval, and nothing is unsettled or decided since.

    That is two sums, quick enough for every run; where the chain differs from them, `books` looks closer.
    """
    sums, open_ = _one(warehouse, _FIRST), _open_energy(undone)
    return _left(sums["traded_wh"], open_.grid), _left(sums["held_wh"], open_.rec)


def books(warehouse: Warehouse, undone: Iterable[Known]) -> tuple[Expected, Expected]:
    """Return the supply of GRID and REC by the books: trades and certificates, or the nets, less what is not done yet.

    `undone` are all actions that are not done; `done_wh` is what the books leave to be done.
    """
    open_, nets = _open_energy(undone), _one(warehouse, _NETS)
    grid_wh = _one(warehouse, _TRADED)["wh"] + nets["sold_wh"]
    if nets["nets"]:
        return _left(grid_wh, open_.grid), _left(nets["certified_wh"] + _one(warehouse, _CERTIFIED_BESIDE_NETS)["wh"], open_.rec)
    ended = {"ended_and_not_asked": -_one(warehouse, _DECIDED)["wh"]}
    return _left(grid_wh, open_.grid), _left(_one(warehouse, _CERTIFICATES)["wh"], open_.rec | ended)


class _OpenEnergy(NamedTuple):
    grid: dict[str, int]
    rec: dict[str, int]


def _open_energy(undone: Iterable[Known]) -> _OpenEnergy:
    """Wh that are minted, or (negative) retired, once what is not done is done, by state."""
    grid = {f"not_minted_{state}": 0 for state in _OPEN}
    rec = grid | {f"not_retired_{state}": 0 for state in _OPEN}
    for one in undone:
        if one.action.kind == MINT_GRID:
            grid[f"not_minted_{one.state}"] += one.action.values["energy_wh"]
        elif one.action.kind == MINT_REC:
            rec[f"not_minted_{one.state}"] += one.action.values["energy_wh"]
        elif one.action.kind == RETIRE_REC:
            rec[f"not_retired_{one.state}"] -= one.action.values["energy_wh"]
    return _OpenEnergy(grid, rec)


def _left(ledger_wh: int, explained: dict[str, int]) -> Expected:
    return Expected(ledger_wh - sum(explained.values()), ledger_wh, explained)


def _one(warehouse: Warehouse, query: str) -> dict[str, int]:
    return {name: int(value or 0) for name, value in warehouse.query(query).row(0, named=True).items()}


_FIRST = (
    "SELECT (SELECT sum(traded_wh) FROM settlement.batches) AS traded_wh, "
    "(SELECT sum(energy_wh) FROM certificates.holdings WHERE state IN ('active', 'locked')) AS held_wh"
)
_NETS = (
    "SELECT count(*) AS nets, sum(-energy_wh) FILTER (energy_wh < 0) AS sold_wh, sum(certified_wh) AS certified_wh "
    "FROM settlement.nets"
)
# What an interval traded is minted by its own actions, or within a net; before either, or under another profile, nothing asks.
_TRADED = (
    "SELECT sum(traded_wh) AS wh FROM settlement.batches WHERE batch_id IN "
    "(SELECT batch_id FROM settlement.actions WHERE kind = 'mint_grid')"
)
_ENERGY = "CAST(json_extract_string(arguments, '$.energy_wh') AS BIGINT)"
_CERTIFIED_BESIDE_NETS = (
    f"SELECT sum(CASE kind WHEN 'mint_rec' THEN {_ENERGY} ELSE -{_ENERGY} END) AS wh FROM settlement.actions "
    "WHERE kind IN ('mint_rec', 'retire_rec') AND batch_id NOT IN (SELECT net_id FROM settlement.nets)"
)
_CERTIFICATES = (
    "SELECT sum(energy_wh) AS wh FROM certificates.holdings WHERE state IN ('active', 'locked') AND bundle_id NOT IN "
    "(SELECT b.bundle_id FROM certificates.bundles AS b WHERE NOT EXISTS (SELECT 1 FROM settlement.batches AS n "
    "WHERE n.zone = b.zone AND n.window_start = b.interval_start AND n.version = b.version "
    "AND n.batch_id IN (SELECT batch_id FROM settlement.actions WHERE kind = 'mint_rec')))"
)
# What people decided is retired by `<meter>@<interval>` (with #n for what comes to it), which the next settlement asks for.
_DECIDED = (
    "WITH decided AS (SELECT b.meter_id || '@' || strftime(e.interval_start AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%SZ') AS key, "
    "sum(e.energy_wh) AS wh FROM certificates.events AS e JOIN certificates.bundles AS b USING (bundle_id) "
    "WHERE e.actor <> 'pipeline' AND e.kind IN ('cancelled', 'claimed', 'expired', 'retired', 'withdrawn') GROUP BY ALL), "
    f"made AS (SELECT regexp_replace(natural_key, '#[0-9]+$', '') AS key, sum({_ENERGY}) AS wh FROM settlement.actions "
    "WHERE kind = 'retire_rec' AND natural_key LIKE '%@%' GROUP BY ALL) "
    "SELECT sum(d.wh - coalesce(m.wh, 0)) AS wh FROM decided AS d LEFT JOIN made AS m USING (key)"
)

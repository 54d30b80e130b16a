"""Who holds which certificates: what the holdings say, with the bundles and devices they are of."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import polars as pl

from gridtokenx_pipeline.contracts import certificates as tables
from gridtokenx_pipeline.warehouse import Warehouse

_FROM = "certificates.holdings AS h JOIN certificates.bundles AS b USING (bundle_id)"
_CONDITIONS = {
    "owner": "h.owner = ?",
    "meter": "h.meter_id = ?",
    "state": "h.state = ?",
    "origin": "b.origin = ?",
    "start": "h.interval_start >= ?",
    "end": "h.interval_start < ?",
}
# What has not been settled is made again by the next run, so nobody can decide about it.
_SETTLED = (
    "EXISTS (SELECT 1 FROM certificates.bundles AS b JOIN market.intervals AS i ON i.zone = b.zone "
    "AND i.interval_start = b.interval_start AND i.version = b.version AND i.state = 'settled' "
    "WHERE b.bundle_id = holdings.bundle_id)"
)


@dataclass(frozen=True)
class Filters:
    """Which holdings: None is any. `start` and `end` (exclusive) bound the start of generation."""

    owner: str | None = None
    meter: str | None = None
    state: str | None = None
    origin: str | None = None
    start: dt.datetime | None = None
    end: dt.datetime | None = None

    def where(self) -> tuple[str, tuple[Any, ...]]:
        """The condition over holdings h and bundles b, and its parameters."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        return " AND ".join(["true", *(_CONDITIONS[name] for name in given)]), tuple(given.values())


def holdings(warehouse: Warehouse, filters: Filters, limit: int) -> pl.DataFrame:
    """Return the first `limit` ranges in order of interval, meter and id.

    Columns: bundle_id, meter_id, device_name, owner, state, origin, interval_start and interval_end (UTC), first_wh, last_wh,
    energy_wh.
    """
    where, parameters = filters.where()
    return warehouse.query(
        "SELECT h.bundle_id, h.meter_id, d.device_name, h.owner, h.state, b.origin, h.interval_start, b.interval_end, "
        f"h.first_wh, h.last_wh, h.energy_wh FROM {_FROM} LEFT JOIN certificates.devices AS d ON d.meter_id = h.meter_id "
        f"WHERE {where} ORDER BY h.interval_start, h.meter_id, h.bundle_id, h.first_wh LIMIT ?",
        (*parameters, limit),
    )


def totals(warehouse: Warehouse, filters: Filters) -> pl.DataFrame:
    """Return state, energy_wh, ranges and bundles of all holdings that pass, a row for each state."""
    where, parameters = filters.where()
    return warehouse.query(
        "SELECT h.state, sum(h.energy_wh)::BIGINT AS energy_wh, count(*) AS ranges, count(DISTINCT h.bundle_id) AS bundles "
        f"FROM {_FROM} WHERE {where} GROUP BY h.state ORDER BY h.state",
        parameters,
    )


def settled_holdings(warehouse: Warehouse, where: str, parameters: tuple[Any, ...] = ()) -> pl.DataFrame:
    """Return the holdings (`contracts.certificates.HOLDINGS`) of settled intervals that `where` (SQL) passes."""
    return warehouse.read(tables.HOLDINGS, f"({where}) AND {_SETTLED}", parameters)

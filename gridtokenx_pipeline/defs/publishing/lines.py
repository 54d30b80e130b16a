"""The lines of bills, summed in the warehouse: months of trades and settlements come out as a few rows a meter and day."""

from __future__ import annotations

import datetime as dt

import polars as pl

from gridtokenx_pipeline.publishing.bills import LINES
from gridtokenx_pipeline.warehouse import Warehouse

# Days are told for intervals, of which there are few, and rows are summed by pair and meter before anything else is asked of them:
# two months of 25 meters are 700,000 rows.
_WHERE = "WHERE zone = $1 AND interval_start >= $2 AND interval_start < $3"
_SETTLED = f"""
settled AS (
  SELECT interval_start, version, currency, interval_start + to_seconds(duration_s) AS until,
         CAST(timezone($4, interval_start) AS DATE) AS day
  FROM market.intervals {_WHERE} AND state = 'settled'
)"""
_LINES = f"""
WITH {_SETTLED}, sold AS (
  SELECT currency, day, seller_meter_id, buyer_meter_id, sum(energy_wh) AS energy_wh, sum(loss_wh) AS loss_wh,
         sum(amount_micro) AS amount_micro, sum(wheeling_micro) AS wheeling_micro
  FROM market.trades JOIN settled USING (interval_start, version) {_WHERE}
  GROUP BY ALL
), rest AS (
  SELECT currency, day, meter_id,
         CASE WHEN reason = 'correction' THEN 'correction' WHEN energy_wh > 0 THEN 'export' ELSE 'import' END AS line,
         sum(energy_wh) AS energy_wh, sum(amount_micro) AS amount_micro
  FROM market.grid_settlements JOIN settled USING (interval_start, version) {_WHERE} AND (energy_wh <> 0 OR amount_micro <> 0)
  GROUP BY ALL
), lines AS (
  SELECT currency, day, buyer_meter_id AS meter_id, 'bought' AS line, energy_wh - loss_wh AS energy_wh, amount_micro,
         wheeling_micro
  FROM sold
  UNION ALL BY NAME
  SELECT currency, day, seller_meter_id AS meter_id, 'sold' AS line, energy_wh, -amount_micro AS amount_micro,
         0 AS wheeling_micro
  FROM sold
  UNION ALL BY NAME
  SELECT currency, day, meter_id, line, CASE WHEN line = 'export' THEN energy_wh ELSE -energy_wh END AS energy_wh,
         -amount_micro AS amount_micro, 0 AS wheeling_micro
  FROM rest
)
SELECT currency, meter_id, day, line, sum(energy_wh)::BIGINT AS energy_wh, sum(amount_micro)::BIGINT AS amount_micro,
       sum(wheeling_micro)::BIGINT AS wheeling_micro
FROM lines GROUP BY ALL ORDER BY ALL"""
_UNTIL = f"""
WITH {_SETTLED}
SELECT CAST(date_trunc('month', day) AS DATE) AS month, max(until) AS until FROM settled GROUP BY ALL ORDER BY ALL"""


def bill_lines(warehouse: Warehouse, zone: str, timezone: str, start: dt.datetime, end: dt.datetime) -> pl.DataFrame:
    """Return the lines (`bills.LINES`) of what is settled of the intervals that start in [start, end)."""
    frame = warehouse.query(_LINES, (zone, start, end, timezone))
    return frame.select(list(LINES)).cast(LINES)  # type: ignore[arg-type]


def billed_until(
    warehouse: Warehouse, zone: str, timezone: str, start: dt.datetime, end: dt.datetime
) -> dict[dt.date, dt.datetime]:
    """Return the end of the last settled interval of each local month (first day) that has one, of those in [start, end)."""
    found = warehouse.query(_UNTIL, (zone, start, end, timezone))
    return dict(found.iter_rows())


def latest_settled(warehouse: Warehouse, zone: str) -> dt.datetime | None:
    """Return the start of the latest settled interval, None where there is none."""
    found = warehouse.query(
        "SELECT max(interval_start) AS latest FROM market.intervals WHERE zone = ? AND state = 'settled'", (zone,)
    )
    return found.item()  # type: ignore[no-any-return]

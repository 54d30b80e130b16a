"""What a meter consumed in a period, and how much of it certificates stand for already."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.domain.whole_wh import whole_wh
from gridtokenx_pipeline.warehouse import Warehouse

_COVERED = """
WITH covering AS (
    SELECT bundle_id, first_wh, last_wh, energy_wh FROM certificates.events
    WHERE kind IN ('claimed', 'retired') AND beneficiary = ? AND period_start < ? AND period_end > ?
),
taken_back AS (
    SELECT least(w.last_wh, c.last_wh) - greatest(w.first_wh, c.first_wh) + 1 AS energy_wh
    FROM covering AS c JOIN certificates.events AS w
        ON w.bundle_id = c.bundle_id AND w.kind = 'withdrawn' AND w.first_wh <= c.last_wh AND w.last_wh >= c.first_wh
)
SELECT ((SELECT coalesce(sum(energy_wh), 0) FROM covering) - (SELECT coalesce(sum(energy_wh), 0) FROM taken_back))::BIGINT
"""


@dataclass(frozen=True)
class Consumption:
    """Wh of a meter in a period: as metered, and as claimed or retired for it so far."""

    metered_wh: int
    covered_wh: int


def consumption(warehouse: Warehouse, meter_id: str, start: dt.datetime, end: dt.datetime) -> Consumption:
    """Return the consumption of a meter in [start, end).

    Metered is the load of settled intervals that lie in the period, as floor differences of its register; an interval without a
    register has none. Every claim and retirement for the meter whose period has a moment in this one counts whole, so that no
    division of periods makes room for the same Wh twice; what a correction withdrew of a claim does not count.
    """
    energy = warehouse.read(
        core.ENERGY_5MIN,
        "meter_id = ? AND interval_start >= ? AND interval_start + to_seconds(duration_s) <= ? AND EXISTS (SELECT 1 FROM "
        "market.intervals AS i WHERE i.zone = energy_5min.zone AND i.interval_start = energy_5min.interval_start "
        "AND i.state = 'settled')",
        (meter_id, start, end),
    )
    covered = warehouse.query(_COVERED, (meter_id, end, start)).item()
    return Consumption(int(energy.select(whole_wh("load").sum()).item()), covered)

"""What a run says about the market of its hours."""

from __future__ import annotations

from typing import Any

import dagster as dg
import polars as pl

SHOWN = 24
_HEAD = (
    "| interval (UTC) | version | state | supply Wh | demand Wh | traded Wh | price micro/kWh |\n|---|---|---|---|---|---|---|"
)


def summary(intervals: pl.DataFrame, corrected: pl.DataFrame) -> dict[str, Any]:
    """Return metadata: intervals by state, mechanisms, least and greatest price, corrections of this run, and the last intervals.

    `intervals` is a frame of market.INTERVALS, `corrected` the market.GRID_SETTLEMENTS of the corrections that this run made.
    """
    states = dict(intervals.group_by("state").len().sort("state").iter_rows())
    first = intervals.filter(pl.col("version") == 1)
    prices = first["price_micro_per_kwh"]
    names = ("interval_start", "version", "state", "supply_wh", "demand_wh", "traded_wh", "price_micro_per_kwh")
    shown = intervals.sort("interval_start", "version").tail(SHOWN).select(names)
    lines = [f"| {start:%m-%d %H:%M} | {' | '.join(map(str, rest))} |" for start, *rest in shown.iter_rows()]
    found: dict[str, Any] = {
        "intervals": states,
        "mechanisms": ", ".join(sorted(first["mechanism"].unique())),
        "corrections": corrected.select("zone", "interval_start", "version").n_unique() if len(corrected) else 0,
    }
    if len(corrected):
        found |= {
            "corrected_meters": corrected["meter_id"].n_unique(),
            "corrected_wh": int(corrected["net_wh"].sum()),
            "corrected_micro": int(corrected["amount_micro"].sum()),
        }
    if len(first):
        found |= {"price_least_micro_per_kwh": int(prices.min()), "price_most_micro_per_kwh": int(prices.max())}  # type: ignore[arg-type]
        found["last_intervals"] = dg.MetadataValue.md("\n".join([_HEAD, *lines]))
    return found

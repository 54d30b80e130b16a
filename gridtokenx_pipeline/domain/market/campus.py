"""The campus as one account: what its meters settle, against what the meter at its connection (PCC) says."""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.contracts import market as tables

from ..whole_wh import whole_wh
from .clearing import OPEN

_INTERVAL = ["zone", "interval_start"]
_VERSION = [*_INTERVAL, "version"]


def campus_balances(
    intervals: pl.DataFrame,
    trades: pl.DataFrame,
    grid_settlements: pl.DataFrame,
    feeder_energy: pl.DataFrame | None = None,
    *,
    earlier: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Return a frame of `contracts.market.CAMPUS_BALANCES`: a row for each interval and version of `intervals` that is not open.

    `trades` and `grid_settlements` are frames of `contracts.market` with all versions of these intervals. `feeder_energy` is a
    frame of `contracts.core.ENERGY_5MIN` with the feeder's meter alone, or None where the campus has none. `earlier` are the
    balances of earlier versions, frames as returned here, as far as they are not to be made.

    The feeder's net is floor-differenced like every settled energy: export - import, null where a register is missing. What
    remains between it and the meters is `unaccounted_wh`, an account of its own: meters are never scaled to it. In a correction
    every value but the count of meters is the difference to the versions before, the feeder's being null where theirs is.
    """
    wanted = intervals.filter(pl.col("state") != OPEN).select(*_VERSION, "duration_s")
    rest = pl.col("energy_wh")
    # The rest of a meter before and with each version: a correction may turn an export into an import.
    with_it = rest.cum_sum().over([*_INTERVAL, "meter_id"], order_by="version")
    grid = (
        grid_settlements.with_columns(after=with_it)
        .with_columns(before=pl.col("after") - rest)
        .group_by(_VERSION)
        .agg(
            pl.col("net_wh").sum(),
            meters=pl.len().cast(pl.Int32),
            export_wh=(pl.col("after").clip(0) - pl.col("before").clip(0)).sum(),
            import_wh=((-pl.col("after")).clip(0) - (-pl.col("before")).clip(0)).sum(),
            grid_amount_micro=pl.col("amount_micro").sum(),
        )
    )
    booked = trades.group_by(_VERSION).agg(
        pl.col("loss_wh", "wheeling_micro").sum(), trade_amount_micro=pl.col("amount_micro").sum()
    )
    rows = (
        wanted.join(grid, on=_VERSION, how="left")
        .join(booked, on=_VERSION, how="left")
        .with_columns(
            pl.col("meters", "net_wh", "export_wh", "import_wh", "grid_amount_micro").fill_null(0),
            pl.col("loss_wh", "wheeling_micro", "trade_amount_micro").fill_null(0),
        )
    )
    made = _with_feeder(rows, feeder_energy, earlier).with_columns(
        unaccounted_wh=pl.col("net_wh") - pl.col("loss_wh") - pl.col("feeder_net_wh")
    )
    return tables.CAMPUS_BALANCES.conform(made.select(list(tables.CAMPUS_BALANCES.frame_schema())).sort(_VERSION))


def feeder_net(feeder_energy: pl.DataFrame | None) -> pl.DataFrame:
    """Return zone, interval_start and `now_wh` (Int64, export - import in whole Wh, null where unknown) of the feeder's meter.

    Raises `contracts.ContractViolation` for a frame that is not of `contracts.core.ENERGY_5MIN`.
    """
    energy = core.ENERGY_5MIN.empty() if feeder_energy is None else core.ENERGY_5MIN.conform(feeder_energy)
    return energy.select(*_INTERVAL, now_wh=whole_wh("export") - whole_wh("import"))


def _with_feeder(rows: pl.DataFrame, feeder_energy: pl.DataFrame | None, earlier: pl.DataFrame | None) -> pl.DataFrame:
    """Add `feeder_net_wh`: what the feeder says now, less what earlier versions said of it."""
    earlier = tables.CAMPUS_BALANCES.empty() if earlier is None else earlier
    stated = earlier.group_by(_INTERVAL).agg(
        said_wh=pl.col("feeder_net_wh").sum(), silent=pl.col("feeder_net_wh").is_null().any()
    )
    rows = rows.join(feeder_net(feeder_energy), on=_INTERVAL, how="left").join(stated, on=_INTERVAL, how="left")
    difference = pl.when(~pl.col("silent").fill_null(False)).then(pl.col("now_wh") - pl.col("said_wh").fill_null(0))
    # Of versions made together the first says what the feeder does, and the others that it says nothing else.
    first = pl.col("version") == pl.col("version").min().over(_INTERVAL)
    return rows.with_columns(feeder_net_wh=pl.when(first).then(difference).otherwise(difference * 0))

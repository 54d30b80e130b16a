"""Corrections of settled intervals: late or edited energy becomes a new version that settles the difference with the grid.

A settled row is never rewritten and a trade is final. What a meter's energy differs by from what was settled is an imbalance,
settled with the grid alone at the interval's own tariffs. Every row of a correction is a difference to the versions before it, so
the sums over all versions are what is known today.
"""

from __future__ import annotations

import datetime as dt

import polars as pl

from gridtokenx_pipeline.contracts import market as tables

from ..ids import derived_id, iso
from .clearing import CLOSED, OPEN, RESIDUAL, Cleared
from .model import Rules
from .positions import INCOMPLETE

CORRECTION = "correction"

_INTERVAL = ["zone", "interval_start"]
_METER = [*_INTERVAL, "meter_id"]
_ZERO = ("traded_wh", "capped_wh", "meters_grid_only", "loss_wh", "wheeling_micro")


def corrections(
    positions_now: pl.DataFrame,
    intervals: pl.DataFrame,
    grid_settlements: pl.DataFrame,
    *,
    closed_before: dt.datetime,
    rules: Rules | None = None,
    settled_energy: pl.DataFrame | None = None,
) -> Cleared:
    """Return the next version of every settled interval whose energy is another now, as frames of `contracts.market`.

    `positions_now` has the columns `POSITIONS`; `intervals` and `grid_settlements` are the settled rows of all versions (frames
    of `contracts.market`). Positions of other intervals are left out. A meter is corrected where its net or its quality flags
    differ from what was settled, where it was incomplete and no longer is, and where it had no row; not where its net is unknown
    now. `settled_energy`, with zone, interval_start, meter_id and some of the channels of `POSITIONS` (Int64, Wh), says for some
    meters what was settled last: they are corrected where one of these channels differs too, which the net alone may hide.

    For each corrected meter there is one grid settlement of reason `correction`, whose net and energy are the difference (0 for
    other flags alone) and whose amount is the worth of the meter's rest now less that of the rest settled. Supply and demand of
    the INTERVALS row are the differences made by meters that took part in the market in version 1; prices, tariff and mechanism
    are those of version 1. There are no trades. A correction is open like any interval until `closed_before` has passed its end
    and watermark, and has no grid settlements until then. Where nothing differs, nothing comes out. Rows are sorted by key.

    Raises `polars.exceptions.InvalidOperationError` for an amount beyond 64 bits.
    """
    rules = rules or Rules()
    first = intervals.filter(pl.col("version") == 1)
    rows = _changed(positions_now, first, grid_settlements, settled_energy).join(
        intervals.group_by(_INTERVAL).agg(version=pl.col("version").max() + 1), on=_INTERVAL
    )
    ends = pl.col("interval_start") + pl.duration(seconds=pl.col("duration_s").cast(pl.Int64) + rules.watermark_s)
    versions = (
        first.drop("supply_wh", "demand_wh", "meters", "version", *_ZERO)
        .join(
            rows.group_by(*_INTERVAL, "version").agg(
                supply_wh=_side("net_now") - _side("net_settled"),
                demand_wh=_side("net_now", -1) - _side("net_settled", -1),
                meters=pl.len().cast(pl.Int32),
            ),
            on=_INTERVAL,
        )
        .with_columns(
            *(pl.lit(0, dtype=tables.INTERVALS.by_name[name].type.polars).alias(name) for name in _ZERO),
            state=pl.when(ends <= closed_before).then(pl.lit(CLOSED)).otherwise(pl.lit(OPEN)),
        )
        .sort(_INTERVAL)
    )
    closed = rows.join(versions.filter(pl.col("state") == CLOSED), on=_INTERVAL, how="semi")
    return Cleared(
        tables.INTERVALS.conform(versions.select(list(tables.INTERVALS.frame_schema()))),
        tables.TRADES.empty(),
        _grid_rows(closed),
    )


def worth(rest: pl.Expr) -> pl.Expr:
    """What the grid pays (+) or asks (-) for `rest` (Wh; + export, - import) at the row's tariffs, in micro-currency (Int128).

    Reads `feed_in_micro_per_kwh` and `retail_micro_per_kwh`.
    """
    zero = pl.lit(0, dtype=pl.Int128)
    # polars cannot negate 128 bits, but it can subtract them
    asked = zero - _amount(-rest, pl.col("retail_micro_per_kwh"))
    return pl.when(rest >= 0).then(_amount(rest, pl.col("feed_in_micro_per_kwh"))).otherwise(asked)


def _amount(energy: pl.Expr, price: pl.Expr) -> pl.Expr:
    return (energy.cast(pl.Int128) * price.cast(pl.Int128) + 500) // 1000


def _side(net: str, sign: int = 1) -> pl.Expr:
    """Sum of the surpluses (deficits, for -1) of the meters that took part in the market."""
    return (pl.col(net) * sign).clip(0).filter(pl.col("first_reason") == RESIDUAL).sum()


def _changed(
    positions_now: pl.DataFrame, first: pl.DataFrame, grid: pl.DataFrame, settled_energy: pl.DataFrame | None
) -> pl.DataFrame:
    """The meters to correct, each with its net, traded and rest as settled, its net and flags now, and the interval's tariffs."""
    settled = (
        grid.sort("version")
        .group_by(_METER)
        .agg(
            pl.col("traded_wh").sum(),
            net_settled=pl.col("net_wh").sum(),
            rest_settled=pl.col("energy_wh").sum(),
            flags_settled=pl.col("quality_flags").last(),
            last_reason=pl.col("reason").last(),
            # A meter without a row in version 1 took no part in the market then, whatever its later rows say.
            first_reason=pl.col("reason").filter(pl.col("version") == 1).first(),
        )
    )
    now = positions_now.join(first.select(*_INTERVAL, "feed_in_micro_per_kwh", "retail_micro_per_kwh"), on=_INTERVAL).filter(
        pl.col("net_wh").is_not_null()
    )
    both = now.rename({"net_wh": "net_now"}).join(settled, on=_METER, how="left")
    differs = (
        pl.col("net_now").ne_missing(pl.col("net_settled"))
        | pl.col("quality_flags").ne_missing(pl.col("flags_settled"))
        | (pl.col("last_reason").eq_missing(pl.lit(INCOMPLETE)) & pl.col("reason").is_null())
    )
    if settled_energy is not None:
        channels = [name for name in settled_energy.columns if name not in _METER]
        before = settled_energy.select(*_METER, pl.struct(channels).alias("energy_settled"))
        both = both.join(before, on=_METER, how="left")
        differs |= pl.col("energy_settled").is_not_null() & pl.struct(channels).ne_missing(pl.col("energy_settled"))
    return both.filter(differs).with_columns(pl.col("net_settled", "traded_wh", "rest_settled").fill_null(0)).sort(_METER)


def _grid_rows(rows: pl.DataFrame) -> pl.DataFrame:
    keys = rows.select("zone", "interval_start", "version", "meter_id").iter_rows()
    ids = [derived_id("grid_settlement", zone, iso(start), version, meter) for zone, start, version, meter in keys]
    difference = pl.col("net_now") - pl.col("net_settled")
    amount = worth(pl.col("net_now") - pl.col("traded_wh")) - worth(pl.col("rest_settled"))
    made = rows.with_columns(
        grid_settlement_id=pl.Series(ids, dtype=pl.String),
        net_wh=difference,
        energy_wh=difference,
        amount_micro=amount.cast(pl.Int64),
        traded_wh=pl.lit(0, dtype=pl.Int64),
        reason=pl.lit(CORRECTION),
    )
    return tables.GRID_SETTLEMENTS.conform(made.select(list(tables.GRID_SETTLEMENTS.frame_schema())))

"""The grid's prices of the coming day, from the configured tariffs."""

from __future__ import annotations

import datetime as dt
from itertools import takewhile

import polars as pl

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.domain.market.tariffs import tariff_frame
from gridtokenx_pipeline.publishing.grid_tariff import AHEAD

from ..market.inputs import flat_tariff, tariff_plans

_HOUR_S = 3600


def coming_prices(settings: Settings, now: dt.datetime) -> pl.DataFrame:
    """The grid's prices of the intervals from this hour's first on, for a day: as `price_events` takes them, and `currency`.

    They end where the currency changes, since a tariff profile has one.
    """
    step = settings.market.interval_s
    first = clock.floor(now, _HOUR_S)
    starts = pl.datetime_range(
        first, first + AHEAD, interval=f"{step}s", closed="left", time_unit="us", time_zone="UTC", eager=True
    )
    frame = tariff_frame(starts, tariff_plans(settings), flat_tariff(settings), settings.site.timezone, step)
    same = sum(1 for _ in takewhile(lambda currency: currency == frame["currency"][0], frame["currency"]))
    return frame.head(same).with_columns(duration_s=pl.lit(step))

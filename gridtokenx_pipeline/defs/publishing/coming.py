"""The grid's prices of the coming day, from the configured tariffs."""

from __future__ import annotations

import datetime as dt
from itertools import takewhile

import polars as pl

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.domain.market import Tariff
from gridtokenx_pipeline.domain.market.tariffs import WEEKDAYS, Period, Plan, tariff_frame
from gridtokenx_pipeline.publishing.grid_tariff import AHEAD

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
    frame = tariff_frame(starts, _plans(settings), _flat(settings), settings.site.timezone, step)
    same = sum(1 for _ in takewhile(lambda currency: currency == frame["currency"][0], frame["currency"]))
    return frame.head(same).with_columns(duration_s=pl.lit(step))


def _flat(settings: Settings) -> Tariff:
    flat = settings.market
    return Tariff(flat.feed_in_micro_per_kwh, flat.retail_micro_per_kwh, flat.seller_compensation_micro_per_kwh, flat.currency)


def _plans(settings: Settings) -> list[Plan]:
    return [
        Plan(
            plan.name,
            plan.valid_from,
            plan.valid_until,
            tuple(
                Period(
                    period.name,
                    period.feed_in_micro_per_kwh,
                    period.retail_micro_per_kwh,
                    tuple(WEEKDAYS.index(day) + 1 for day in period.days),
                    period.months,
                    _minute(period.start),
                    _minute(period.end),
                )
                for period in plan.periods
            ),
            plan.currency,
            plan.seller_compensation_micro_per_kwh,
        )
        for plan in settings.market.tariffs
    ]


def _minute(time: str) -> int:
    hours, minutes = time.split(":")
    return int(hours) * 60 + int(minutes)

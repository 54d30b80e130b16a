"""What a market is told besides energy, of a span of time: tariffs, agreements, offers and the grid between meters.

No Dagster here: `gridtokenx settle --dry-run` compares mechanisms on the same inputs.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from gridtokenx_pipeline.contracts import market
from gridtokenx_pipeline.domain.market.agreements import standing_agreements
from gridtokenx_pipeline.domain.market.agreements_file import read_agreements
from gridtokenx_pipeline.domain.market.model import Agreement, Link, MarketInputError, Network, Offer, Tariff
from gridtokenx_pipeline.domain.market.offers import standing_offers
from gridtokenx_pipeline.domain.market.tariffs import WEEKDAYS, Period, Plan, bands, check_plans, tariff_frame

if TYPE_CHECKING:
    from gridtokenx_pipeline.config import Settings
    from gridtokenx_pipeline.warehouse import Warehouse

_HELD = "zone = ? AND valid_from < ? AND (valid_until IS NULL OR valid_until > ?)"


@dataclass(frozen=True)
class MarketInputs:
    """Inputs of `domain.market.clear`.

    `tariffs` has the columns `domain.market.tariffs.TARIFFS`. `agreements` are those in force, cut to the intervals whose tariffs
    allow their price; `offers` those in force. `agreements_frame` and `offers_frame` are the rows of market.agreements and
    market.offers of the span, refused ones too. `meters` are the ids that take part in the market.
    """

    tariffs: pl.DataFrame
    agreements: list[Agreement]
    offers: list[Offer]
    network: Network
    meters: frozenset[str]
    agreements_frame: pl.DataFrame
    offers_frame: pl.DataFrame


def market_inputs(
    warehouse: Warehouse, settings: Settings, start: dt.datetime, end: dt.datetime, starts: pl.Series
) -> MarketInputs:
    """Return the inputs of the market for the intervals of `starts` (Datetime us UTC), which are from `start` to `end` (exclusive).

    Agreements and offers are those the stage `standing_orders` has written: two queries. Raises `MarketInputError` for tariffs that
    contradict.
    """
    tariffs = tariff_frame(
        starts, tariff_plans(settings), flat_tariff(settings), settings.site.timezone, settings.market.interval_s
    )
    agreements, offers = (warehouse.read(table, _HELD, (settings.zone, end, start)) for table in market.INPUTS)
    return MarketInputs(
        tariffs,
        standing_agreements(agreements, tariffs, settings.market.interval_s),
        standing_offers(offers),
        network(settings),
        frozenset(meter.id for meter in settings.meters),
        agreements,
        offers,
    )


def flat_tariff(settings: Settings) -> Tariff:
    """Return the prices of intervals that no plan holds."""
    prices = settings.market
    return Tariff(
        prices.feed_in_micro_per_kwh, prices.retail_micro_per_kwh, prices.seller_compensation_micro_per_kwh, prices.currency
    )


def tariff_plans(settings: Settings) -> list[Plan]:
    """Return the configured plans of prices by time of use, which nobody has checked yet."""
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
                    _minutes(period.start),
                    _minutes(period.end),
                )
                for period in plan.periods
            ),
            plan.currency,
            plan.seller_compensation_micro_per_kwh,
        )
        for plan in settings.market.tariffs
    ]


def tariff_bands(settings: Settings) -> pl.DataFrame:
    """Return which prices hold when (`domain.market.tariffs.BANDS`). Raises `MarketInputError` for plans that contradict."""
    plans, flat = tariff_plans(settings), flat_tariff(settings)
    check_plans(plans, flat, settings.market.interval_s)
    return bands(plans, flat, settings.site.timezone)


def network(settings: Settings) -> Network:
    """Return the grid zones of the meters, and what the ways between them cost."""
    links = {(link.source, link.target): Link(link.loss_ppm, link.wheeling_micro_per_kwh) for link in settings.market.links}
    return Network({meter.id: meter.grid_zone for meter in settings.meters}, links)


def file_agreements(settings: Settings, prices: pl.DataFrame) -> list[Agreement]:
    """Return the agreements of the configured file, if there is one. `prices` are the `tariff_bands`.

    Raises `MarketInputError`, naming file, line and column, for a file that is not there, cannot be read or contradicts itself.
    """
    path = settings.agreements_file
    if path is None:
        return []
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise MarketInputError(f"market.agreements: {path} cannot be read: {problem}") from None
    meters = frozenset(meter.id for meter in settings.meters)
    return read_agreements(text, path.name, settings.zone, meters, prices, settings.market.interval_s)


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)

"""Past energy of a window, cleared again day by day: as it is in force, and as it is asked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.defs import watermarks
from gridtokenx_pipeline.defs.market.inputs import MarketInputs, market_inputs
from gridtokenx_pipeline.domain.market import Rules, clear, positions
from gridtokenx_pipeline.domain.market.agreements import standing_agreements
from gridtokenx_pipeline.warehouse import Warehouse

from .outcome import Outcome, outcome_of, summed

IN_FORCE = "in force"
_DAY = dt.timedelta(days=1)


class NothingToCompare(LookupError):
    """The window has no closed interval with energy."""


@dataclass(frozen=True)
class Prices:
    """Prices in micro-currency per kWh that hold in every interval instead of the configured ones; None leaves those."""

    feed_in: int | None = None
    retail: int | None = None
    compensation: int | None = None

    def instead_of(self, tariffs: pl.DataFrame) -> pl.DataFrame:
        """Return a frame of `domain.market.tariffs.TARIFFS` with these prices in it."""
        named = {
            "feed_in_micro_per_kwh": self.feed_in,
            "retail_micro_per_kwh": self.retail,
            "seller_compensation_micro_per_kwh": self.compensation,
        }
        return tariffs.with_columns(pl.lit(value, pl.Int64).alias(name) for name, value in named.items() if value is not None)

    def __str__(self) -> str:
        named = (("feed-in", self.feed_in), ("retail", self.retail), ("compensation", self.compensation))
        return ", ".join(f"{name} {value:,}" for name, value in named if value is not None)


@dataclass(frozen=True)
class Comparison:
    """Outcomes by name; the first, `in_force`, is the mechanism and the prices of the configuration.

    `open_intervals` are those of the window that have not closed yet and are left out.
    """

    in_force: str
    outcomes: dict[str, Outcome]
    currency: str
    open_intervals: int

    def against_in_force(self, name: str) -> pl.DataFrame:
        """Return meter_id, bill_micro and difference_micro (positive where the meter is better off), by falling difference."""
        now = self.outcomes[self.in_force].meters.select("meter_id", now="bill_micro")
        both = (
            self.outcomes[name]
            .meters.join(now, on="meter_id")
            .with_columns(difference_micro=pl.col("bill_micro") - pl.col("now"))
        )
        return both.select("meter_id", "bill_micro", "difference_micro").sort(
            "difference_micro", "meter_id", descending=[True, False]
        )

    def summary(self, name: str) -> dict[str, Any]:
        """Return the totals of an outcome, and how many meters it makes better and worse off, and the most."""
        rows = self.against_in_force(name)
        difference = pl.col("difference_micro")
        best, worst = (rows.row(0, named=True), rows.row(-1, named=True)) if len(rows) else (None, None)
        return {
            "mechanism": name,
            **self.outcomes[name].totals(),
            "better_off": rows.filter(difference > 0).height,
            "worse_off": rows.filter(difference < 0).height,
            "largest_gain": _named(best, sign=1),
            "largest_loss": _named(worst, sign=-1),
        }


def compare(
    warehouse: Warehouse,
    settings: Settings,
    start: dt.datetime,
    end: dt.datetime,
    mechanisms: Sequence[str],
    prices: Prices | None = None,
    progress: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> Comparison:
    """Clear the closed intervals that start in [`start`, `end`) by the mechanism in force and by each of `mechanisms`.

    Those in force have the configured prices, the others `prices` where they name some; all have the same agreements, offers and
    network. Without `prices`, the mechanism in force is not cleared twice. The market is as `core.energy_5min` says now, so late
    or edited energy counts here as if it had come in time. `progress` is told days done, days in all, and the day.

    Raises `NothingToCompare`, and `MarketInputError` for prices or agreements that cannot be.
    """
    changed = prices if prices and str(prices) else None
    now = settings.market.mechanism
    current = f"{now} ({IN_FORCE})"
    names: dict[str, tuple[str, Prices | None]] = {current: (now, None)}
    for mechanism in dict.fromkeys(mechanisms):
        if changed or mechanism != now:
            names[mechanism] = (mechanism, changed)
    parts: dict[str, list[Outcome]] = {name: [] for name in names}
    closed_before = watermarks.complete_until(warehouse, settings.zone, watermarks.READINGS) or start
    rules = Rules(settings.market.max_partners, settings.vee.watermark_s)
    days, waiting = list(_days(start, end)), 0
    for number, (first, last) in enumerate(days):
        progress(number, len(days), f"{first:%Y-%m-%d}")
        energy = _energy(warehouse, settings, first, last)
        if energy.is_empty():
            continue
        inputs = market_inputs(warehouse, settings, first, last, energy["interval_start"])
        metered = positions(energy, settings.market.completeness_min_pct)
        for name, (mechanism, other) in names.items():
            given = inputs if other is None else _with_prices(inputs, other, settings.market.interval_s)
            cleared = clear(
                metered,
                given.tariffs,
                closed_before=closed_before,
                mechanism=mechanism,
                rules=rules,
                agreements=given.agreements,
                offers=given.offers,
                network=given.network,
                meters=given.meters | set(metered["meter_id"].unique()),
            )
            if name == current:
                waiting += cleared.intervals.filter(pl.col("state") == "open").height
            parts[name].append(outcome_of(cleared))
    progress(len(days), len(days), "")
    outcomes = {name: summed(found) for name, found in parts.items() if found}
    if not outcomes or outcomes[current].intervals.is_empty():
        open_ = f"; {waiting} are still open" if waiting else ""
        raise NothingToCompare(f"no closed interval with energy from {start.isoformat()} to {end.isoformat()}{open_}")
    currencies = outcomes[current].intervals["currency"].unique().to_list()
    if len(currencies) > 1:
        several = " and ".join(sorted(currencies))
        raise NothingToCompare(f"the window has tariffs in {several}, whose sums mean nothing: choose a shorter one")
    return Comparison(current, outcomes, currencies[0], waiting)


def _with_prices(inputs: MarketInputs, prices: Prices, interval_s: int) -> MarketInputs:
    """The inputs at other prices; agreements hold where those allow theirs."""
    tariffs = prices.instead_of(inputs.tariffs)
    return replace(inputs, tariffs=tariffs, agreements=standing_agreements(inputs.agreements_frame, tariffs, interval_s))


def _energy(warehouse: Warehouse, settings: Settings, start: dt.datetime, end: dt.datetime) -> pl.DataFrame:
    """Energy of those who take part: all meters but the feeder's."""
    energy = warehouse.read_window(core.ENERGY_5MIN, start, end)
    feeder = settings.vee.feeder_meter
    return energy if feeder is None else energy.filter(pl.col("meter_id") != feeder)


def _days(start: dt.datetime, end: dt.datetime) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    while start < end:
        midnight = start.replace(hour=0, minute=0, second=0, microsecond=0) + _DAY
        yield start, min(midnight, end)
        start = midnight


def _named(row: dict[str, Any] | None, *, sign: int) -> dict[str, Any] | None:
    """The meter of a row and its difference, where that has the sign."""
    if row is None or row["difference_micro"] * sign <= 0:
        return None
    return {"meter_id": row["meter_id"], "micro": row["difference_micro"]}

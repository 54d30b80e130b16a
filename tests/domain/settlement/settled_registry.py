"""A campus that clears, certifies and settles intervals, as the pipeline does with its tables, with the actions this asks for."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import polars as pl
from certificate_registry import START, STEP, Registry, interval_rows

from gridtokenx_pipeline.contracts import market, settlement
from gridtokenx_pipeline.domain.certificates import stands
from gridtokenx_pipeline.domain.market import Tariff, clear, positions
from gridtokenx_pipeline.domain.market.corrections import corrections
from gridtokenx_pipeline.domain.settlement import actions_of, late_retirements, plan, settled_readings

TARIFF = Tariff(80_000, 280_000)
LATER = START + dt.timedelta(days=2)
ZONE = "stanford"


@dataclass(repr=False)
class Settled:
    """The tables of `registry` and of settlement; `actions` are those that batches asked for, `late` the retirements besides."""

    registry: Registry = field(default_factory=Registry)
    trades: pl.DataFrame = field(default_factory=market.TRADES.empty)
    grid: pl.DataFrame = field(default_factory=market.GRID_SETTLEMENTS.empty)
    cleared: pl.DataFrame = field(default_factory=market.INTERVALS.empty)
    items: pl.DataFrame = field(default_factory=settlement.ITEMS.empty)
    batches: pl.DataFrame = field(default_factory=settlement.BATCHES.empty)
    actions: pl.DataFrame = field(default_factory=settlement.ACTIONS.empty)
    late: pl.DataFrame = field(default_factory=settlement.ACTIONS.empty)
    newest: dict[str, dt.datetime] = field(default_factory=dict)

    def settle(self, energy: pl.DataFrame, numbers: range) -> None:
        """Clear, certify and settle intervals for the first time."""
        starts = [START + n * STEP for n in numbers]
        made = positions(energy.filter(pl.col("interval_start").is_in(starts)), 100)
        cleared = clear(made, TARIFF, closed_before=LATER)
        self.trades = pl.concat([self.trades, cleared.trades])
        self.cleared = pl.concat([self.cleared, cleared.intervals])
        self.registry.run(energy, numbers, self.trades, version=1)
        self.plan(made, cleared.trades, cleared.grid_settlements, numbers, 1)

    def correct(self, energy: pl.DataFrame, numbers: range, version: int) -> None:
        """Settle a correction of intervals, whether or not anything of the market differs."""
        made = positions(energy, 100)
        known = self.cleared.with_columns(version=pl.lit(version - 1, dtype=pl.Int32))
        first = self.cleared.with_columns(version=pl.lit(1, dtype=pl.Int32))
        history = pl.concat([first, known]).unique() if version > 2 else first
        differences = corrections(
            made, history, self.grid, closed_before=LATER, settled_energy=settled_readings(self.items)
        ).grid_settlements.filter(pl.col("interval_start").is_in([START + n * STEP for n in numbers]))
        self.registry.run(energy, numbers, self.trades, version=version)
        self.plan(made, market.TRADES.empty(), differences, numbers, version)

    def decide(self, events: pl.DataFrame) -> None:
        """Append what somebody decided."""
        self.registry.events = pl.concat([self.registry.events, events]).sort("event_id")
        self.retire_late()

    def actions_again(self) -> pl.DataFrame:
        """The actions of all batches, from the tables as they are now."""
        return self._actions(self.batches)

    @property
    def live(self) -> dict[str, int]:
        """Certificates that are active or locked, of each meter that produced them."""
        held = self.registry.holdings.filter(pl.col("state").is_in(["active", "locked"]))
        return dict(held.group_by("meter_id").agg(pl.col("energy_wh").sum()).iter_rows())

    @property
    def standing(self) -> pl.DataFrame:
        """All events that stand."""
        states = self.registry.states.items()
        return stands(self.registry.events, interval_rows([(n, v, state) for (n, v), state in states]))

    def plan(self, made, trades, grid, numbers: range, version: int) -> None:
        """Settle what was made of a version of intervals."""
        intervals = interval_rows([(n, version, "closed") for n in numbers])
        planned = plan(made, trades, grid, self.registry.bundles, intervals)
        self.grid = pl.concat([self.grid, grid])
        self.items = pl.concat([self.items, planned.items])
        self.batches = pl.concat([self.batches, planned.batches])
        self.actions = pl.concat([self.actions, self._actions(planned.batches)])
        self.retire_late()

    def _actions(self, batches: pl.DataFrame) -> pl.DataFrame:
        intervals = interval_rows([(n, v, "settled") for n, v in self.registry.states])
        tables = self.items, batches, intervals, self.registry.bundles, self.registry.events
        return actions_of(*tables, profile="gridtokenx", newest=self.newest)

    def retire_late(self) -> None:
        """Retire what no batch retires."""
        actions = pl.concat([self.actions, self.late])
        made = late_retirements(self.standing, self.registry.bundles, self.batches, actions, newest=self.newest)
        self.late = pl.concat([self.late, made])


def certified(*actions: pl.DataFrame) -> dict[str, int]:
    """What `actions` mint less what they retire, of each meter; nothing where it is 0."""
    sign = pl.when(pl.col("kind") == "mint_rec").then(1).otherwise(-1)
    rows = (
        pl.concat(actions)
        .filter(pl.col("kind").is_in(["mint_rec", "retire_rec"]))
        .select(
            meter=pl.col("arguments").str.json_path_match("$.meter_id"),
            wh=pl.col("arguments").str.json_path_match("$.energy_wh").cast(pl.Int64) * sign,
        )
    )
    return dict(rows.group_by("meter").agg(pl.col("wh").sum()).filter(pl.col("wh") != 0).iter_rows())

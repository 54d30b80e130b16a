"""A registry in memory: windows certified one after the other, as the pipeline does with its tables."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import polars as pl

from gridtokenx_pipeline.contracts import certificates as tables
from gridtokenx_pipeline.contracts import core, market
from gridtokenx_pipeline.domain.certificates import Rules, Standing, certify, fold, stands
from gridtokenx_pipeline.domain.certificates.certify import INTERVAL, LOCKS, SHORTFALLS, STORES

START = dt.datetime(2026, 11, 22, 20, tzinfo=dt.UTC)
STEP = dt.timedelta(seconds=300)
CHANNELS = ("generation", "load", "charge", "discharge")


def energy_rows(rows, **defaults) -> pl.DataFrame:
    """`core.ENERGY_5MIN` of (meter, interval number, {channel: (register before, Wh)}, {column: value})."""
    full = []
    for meter, number, channels, more in rows:
        row = {
            "zone": "stanford",
            "meter_id": meter,
            "interval_start": START + number * STEP,
            "duration_s": 300,
            **{f"{name}_milli_wh": 0 for name in core.ENERGY_CHANNELS},
            **{f"{name}_register_milli_wh": 0 for name in core.ENERGY_CHANNELS},
            "state_of_charge_pct": None,
            "readings_expected": 20,
            "readings_present": 20,
            "readings_estimated": 0,
            "quality_flags": 1,
            "version": 1,
        }
        for name, (before, wh) in channels.items():
            row[f"{name}_milli_wh"] = wh * 1000
            row[f"{name}_register_milli_wh"] = (before + wh) * 1000
        full.append(row | defaults | more)
    return core.ENERGY_5MIN.conform(pl.DataFrame(full, schema=core.ENERGY_5MIN.frame_schema(), orient="row"))


def series(meters: dict[str, list[dict[str, int]]], **registers: int) -> pl.DataFrame:
    """Energy of meters, interval after interval, with registers that go on; `registers` are where channels begin."""
    rows = []
    for meter, intervals in meters.items():
        at = {name: registers.get(name, 0) for name in CHANNELS}
        for number, energies in enumerate(intervals):
            rows.append((meter, number, {name: (at[name], energies.get(name, 0)) for name in CHANNELS}, {}))
            at = {name: at[name] + energies.get(name, 0) for name in CHANNELS}
    return energy_rows(rows)


def interval_rows(states: list[tuple[int, int, str]]) -> pl.DataFrame:
    """`market.INTERVALS` of (interval number, version, state); what certificates do not look at is 0."""
    schema = market.INTERVALS.frame_schema()
    empty = {name: ("" if kind == pl.String else 0) for name, kind in schema.items()}
    rows = [
        empty | {"zone": "stanford", "interval_start": START + n * STEP, "duration_s": 300, "version": version, "state": state}
        for n, version, state in states
    ]
    return market.INTERVALS.conform(pl.DataFrame(rows, schema=schema, orient="row"))


def trade_rows(rows: list[tuple[int, str, str, int, int, str]]) -> pl.DataFrame:
    """`market.TRADES` of (interval number, seller, buyer, Wh, lost Wh, kind)."""
    schema = market.TRADES.frame_schema()
    empty = {name: ("" if kind == pl.String else 0) for name, kind in schema.items()}
    full = [
        empty
        | {"trade_id": f"{n}/{kind}/{seller}/{buyer}", "zone": "stanford", "interval_start": START + n * STEP, "version": 1}
        | {"seller_meter_id": seller, "buyer_meter_id": buyer, "energy_wh": wh, "loss_wh": lost, "kind": kind}
        for n, seller, buyer, wh, lost, kind in rows
    ]
    return market.TRADES.conform(pl.DataFrame(full, schema=schema, orient="row"))


@dataclass
class Registry:
    """The tables, and every interval's state by version."""

    rules: Rules = field(default_factory=lambda: Rules(efficiency_ppm=800_000))
    bundles: pl.DataFrame = field(default_factory=tables.BUNDLES.empty)
    events: pl.DataFrame = field(default_factory=tables.EVENTS.empty)
    storage: pl.DataFrame = field(default_factory=tables.STORAGE.empty)
    states: dict[tuple[int, int], str] = field(default_factory=dict)

    def run(
        self,
        energy: pl.DataFrame,
        numbers: range,
        trades: pl.DataFrame | None = None,
        version: int | None = 1,
        settle: bool = True,
    ):
        """Certify a window of intervals in one version (None: in those they are in); settle it unless told otherwise."""
        energy = energy.filter(pl.col("interval_start").is_in([START + n * STEP for n in numbers]))
        start, end = START + numbers.start * STEP, START + numbers.stop * STEP
        if version is not None:
            self.states |= {(n, version): "closed" for n in numbers}
        intervals = interval_rows([(n, v, state) for (n, v), state in self.states.items()])
        window = (pl.col("interval_start") >= start) & (pl.col("interval_start") < end)
        standing_events = stands(self.events, intervals)
        bundles, storage = self.bundles.filter(window), self.storage.filter(window)
        older = self.bundles.filter(pl.col("interval_start") < start)
        older_events = standing_events.join(older, on="bundle_id", how="semi")
        locked = fold(older_events, older).filter(pl.col("state") == "locked") if len(older) else None
        made = certify(
            energy,
            intervals.filter(window),
            (trade_rows([]) if trades is None else trades).filter(window),
            Standing(
                bundles=bundles,
                events=standing_events.join(bundles, on="bundle_id", how="semi"),
                storage=storage,
                stores=self.storage.filter(pl.col("interval_start") < start)
                .sort("interval_start")
                .unique(["zone", "meter_id"], keep="last")
                .select(list(STORES)),
                locks=pl.DataFrame(schema=LOCKS)
                if locked is None
                else locked.rename({"interval_start": "bundle_interval_start"}).select(list(LOCKS)),
                shortfalls=self.shortfalls(standing_events, older),
                settled_later=self.storage.filter(pl.col("interval_start") >= end)
                .group_by("zone", "meter_id")
                .agg(settled_until=pl.col("interval_start").max()),
                others=self.bundles.filter(~window),
            ),
            self.rules,
        )
        self.bundles = pl.concat([self.bundles.filter(~window), made.bundles]).sort("bundle_id")
        self.storage = pl.concat([self.storage.filter(~window), made.storage]).sort(tables.STORAGE.key)
        self.events = pl.concat([standing_events, made.events]).sort("event_id")
        if settle and version is not None:
            self.states |= {(n, version): "settled" for n in numbers}
        return made

    @staticmethod
    def shortfalls(events: pl.DataFrame, bundles: pl.DataFrame) -> pl.DataFrame:
        """What is still to be made up for."""
        made_up = (
            events.filter(pl.col("kind") == "withdrawn").group_by(bundle_id="counter_bundle_id").agg(up=pl.col("energy_wh").sum())
        )
        return (
            events.filter(pl.col("kind") == "shortfall")
            .group_by("zone", "bundle_id", meter_id="owner")
            .agg(pl.col("interval_start").min(), pl.col("energy_wh").sum())
            .join(made_up, on="bundle_id", how="left")
            .with_columns(energy_wh=pl.col("energy_wh") - pl.col("up").fill_null(0))
            .filter(pl.col("energy_wh") > 0)
            .select(list(SHORTFALLS))
        )

    @property
    def holdings(self) -> pl.DataFrame:
        """The fold of everything."""
        return fold(self.events, self.bundles)

    def sums(self, *names: str) -> dict:
        """Wh of holdings by these columns."""
        rows = self.holdings.group_by(names).agg(pl.col("energy_wh").sum()).iter_rows()
        return {key[:-1] if len(key) > 2 else key[0]: key[-1] for key in rows}

    def happened(self, kind: str) -> list[tuple]:
        """(Wh, owner, reason) of events of a kind."""
        found = self.events.filter(pl.col("kind") == kind).sort("interval_start", "bundle_id", "number")
        return found.select("energy_wh", "owner", "reason").rows()


__all__ = ["INTERVAL", "START", "STEP", "Registry", "energy_rows", "interval_rows", "series", "trade_rows"]

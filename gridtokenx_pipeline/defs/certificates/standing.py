"""What stands when a window is certified, read from the warehouse: each table once, and others than the window's only as needed."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import polars as pl

from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.contracts import certificates, market
from gridtokenx_pipeline.domain.certificates import ISSUED, LOCKED, PIPELINE, SHORTFALL, WITHDRAWN, Rules, Standing, fold, stands
from gridtokenx_pipeline.domain.certificates.certify import LOCKS, SETTLED_UNTIL, SHORTFALLS, STORES
from gridtokenx_pipeline.registry.registered import devices_frame
from gridtokenx_pipeline.warehouse import Warehouse

INTERVAL = ["zone", "interval_start"]
METER = ["zone", "meter_id"]

# A store's last row is the interval's before; where a meter was silent, and for its locks, more is looked through.
_JUST_BEFORE = dt.timedelta(hours=1)
_A_FEW_DAYS = dt.timedelta(days=3)
_BEGINNING = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
# Ids are Wh of a register, which a new meter counts from 0 again: only neighbours in time can have the same by mistake.
_NEIGHBOURS = dt.timedelta(days=1)

# What happened in the window, what happened to its bundles later, and what later intervals took out of stores.
_EVENTS = "interval_start >= ? AND (interval_start < ? OR (bundle_interval_start >= ? AND bundle_interval_start < ?) OR kind = 'cancelled')"


def rules_of(settings: Settings) -> Rules:
    """Return the rules of issue as configured."""
    devices = devices_frame(settings)
    return Rules(
        completeness_min_pct=settings.market.completeness_min_pct,
        source=settings.certificates.source,
        carrier=settings.certificates.carrier,
        commissioned_at=dict(devices.select("meter_id", "commissioned_at").iter_rows()),
        batteries=frozenset(devices.filter(pl.col("storage_kwh") > 0)["meter_id"]),
        efficiency_ppm=settings.certificates.storage_efficiency_pct * 10_000,
    )


@dataclass(frozen=True)
class Found:
    """What stands; `kept`, the pipeline's EVENTS of the window among it; and what was made of before and is made again.

    `remade` are EVENTS that do not stand any more: their bundles' holdings have to follow.
    """

    standing: Standing
    kept: pl.DataFrame
    remade: pl.DataFrame


def find(
    warehouse: Warehouse, start: dt.datetime, end: dt.datetime, energy: pl.DataFrame, intervals: pl.DataFrame, rules: Rules
) -> Found:
    """Read what stands before the intervals of [start, end) are certified."""
    window = (pl.col("interval_start") >= start) & (pl.col("interval_start") < end)
    near = warehouse.read_window(certificates.BUNDLES, start - _JUST_BEFORE, end)
    bundles = near.filter(window)
    events = warehouse.read(certificates.EVENTS, _EVENTS, (start, end, start, end))
    storage = warehouse.read(certificates.STORAGE, "interval_start >= ?", (start - _JUST_BEFORE,))
    later = pl.concat([events.select("interval_start"), storage.select("interval_start")]).filter(pl.col("interval_start") >= end)
    if len(later):
        states = warehouse.read(market.INTERVALS, "interval_start >= ? AND state = 'settled'", (end,))
        intervals = pl.concat([intervals, states])
    present = stands(events, intervals)
    remade = events.join(present, on="event_id", how="anti")
    settled = intervals.filter(pl.col("state") == "settled")
    stores = _stores(warehouse, storage, start, energy, rules)
    standing = Standing(
        bundles=bundles,
        events=dated(present).join(bundles, on="bundle_id", how="semi"),
        storage=storage.filter(window),
        stores=stores,
        locks=_locks(warehouse, stores, start, remade),
        shortfalls=_shortfalls(warehouse, start, present.filter(window), remade),
        settled_later=storage.filter(pl.col("interval_start") >= end)
        .join(settled, on=INTERVAL, how="semi")
        .group_by(METER)
        .agg(settled_until=pl.col("interval_start").max())
        .select(list(SETTLED_UNTIL)),
        others=pl.concat([near.filter(~window), _others(warehouse, start, end, energy, intervals)]),
    )
    return Found(standing, present.filter(window & (pl.col("actor") == PIPELINE)), remade)


def dated(events: pl.DataFrame) -> pl.DataFrame:
    """Return EVENTS with the bundle's interval where rows of before there was one lack it: it is the event's own."""
    return events.with_columns(pl.col("bundle_interval_start").fill_null(pl.col("interval_start")))


def history(
    warehouse: Warehouse, bundle_ids: set[str], since: dt.datetime, remade: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return BUNDLES with these ids, of intervals from `since` on, and all of their EVENTS that are not `remade`."""
    where, parameters = "interval_start >= ? AND list_contains(?::VARCHAR[], bundle_id)", (since, sorted(bundle_ids))
    events = warehouse.read(certificates.EVENTS, where, parameters).join(remade, on="event_id", how="anti")
    return warehouse.read(certificates.BUNDLES, where, parameters), dated(events)


def _stores(warehouse: Warehouse, storage: pl.DataFrame, start: dt.datetime, energy: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """The last row of each meter's store before `start`."""
    before = storage.filter(pl.col("interval_start") < start).sort("interval_start").unique(METER, keep="last")
    absent = set(energy["meter_id"]) & (rules.batteries or frozenset()) - set(before["meter_id"])
    if absent:
        where = "interval_start < ? AND list_contains(?::VARCHAR[], meter_id) QUALIFY row_number() OVER (PARTITION BY zone, meter_id ORDER BY interval_start DESC) = 1"
        before = pl.concat([before, warehouse.read(certificates.STORAGE, where, (start, sorted(absent)))])
    return before.select(list(STORES))


def _locks(warehouse: Warehouse, stores: pl.DataFrame, start: dt.datetime, remade: pl.DataFrame) -> pl.DataFrame:
    """The ranges of before `start` that stand locked: as many Wh as the stores have green ones.

    First in, first out leaves the youngest in a store, so few days are looked through, and all where they do not hold enough.
    """
    green = stores.filter(pl.col("green_wh") > 0)
    again = dated(remade).filter(pl.col("bundle_interval_start") < start)
    locked = certificates.HOLDINGS.empty()
    if len(again):
        first: dt.datetime = again["bundle_interval_start"].min()  # type: ignore[assignment]
        bundles, events = history(warehouse, set(again["bundle_id"]), first, remade)
        locked = fold(events, bundles).filter(pl.col("state") == LOCKED)
    for since in (start - _A_FEW_DAYS, _BEGINNING):
        sums = locked.group_by(METER).agg(pl.col("energy_wh").sum())
        short = green.join(sums, on=METER, how="left").filter(pl.col("green_wh") > pl.col("energy_wh").fill_null(0))
        if short.is_empty():
            break
        where, parameters = "state = 'locked' AND interval_start >= ? AND interval_start < ?", (since, start)
        found = warehouse.read(certificates.HOLDINGS, where, parameters).join(again, on="bundle_id", how="anti")
        locked = pl.concat([locked, found]).unique(["bundle_id", "first_wh"])
    return locked.rename({"interval_start": "bundle_interval_start"}).select(list(LOCKS))


def _shortfalls(warehouse: Warehouse, start: dt.datetime, present: pl.DataFrame, remade: pl.DataFrame) -> pl.DataFrame:
    """What is still to be made up for: by corrections of before the window, and of its settled ones."""
    # only corrections, of which few files of the table have any, find one
    before = warehouse.read(certificates.EVENTS, "version > 1 AND kind = 'shortfall' AND interval_start < ?", (start,))
    owed = pl.concat([before, present.filter(pl.col("kind") == SHORTFALL)])
    sums = owed.group_by("zone", "bundle_id", meter_id="owner").agg(pl.col("interval_start").min(), pl.col("energy_wh").sum())
    if sums.is_empty():
        return pl.DataFrame(schema=SHORTFALLS)
    made_up = (
        warehouse.read(
            certificates.EVENTS,
            "kind = ? AND list_contains(?::VARCHAR[], counter_bundle_id)",
            (WITHDRAWN, sorted(sums["bundle_id"])),
        )
        .join(remade, on="event_id", how="anti")
        .group_by(bundle_id="counter_bundle_id")
        .agg(made_up_wh=pl.col("energy_wh").sum())
    )
    return (
        sums.join(made_up, on="bundle_id", how="left")
        .with_columns(energy_wh=pl.col("energy_wh") - pl.col("made_up_wh").fill_null(0))
        .filter(pl.col("energy_wh") > 0)
        .select(list(SHORTFALLS))
    )


def _others(
    warehouse: Warehouse, start: dt.datetime, end: dt.datetime, energy: pl.DataFrame, intervals: pl.DataFrame
) -> pl.DataFrame:
    """Issued bundles of the day before and after, less the hour just before, whose ids a correction may not issue again."""
    corrected = intervals.filter((pl.col("version") > 1) & (pl.col("state") == "closed"))
    if corrected.is_empty():
        return certificates.BUNDLES.empty()
    meters = energy.join(corrected, on=INTERVAL, how="semi")["meter_id"].unique().sort().to_list()
    return warehouse.read(
        certificates.BUNDLES,
        "state = ? AND list_contains(?::VARCHAR[], meter_id) AND (interval_start >= ? AND interval_start < ? "
        "OR interval_start >= ? AND interval_start < ?)",
        (ISSUED, meters, start - _NEIGHBOURS, start - _JUST_BEFORE, end, end + _NEIGHBOURS),
    )

"""From planned batches to what the chain has to do: each interval for itself, or netted over some hours."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.contracts import certificates, market, settlement
from gridtokenx_pipeline.domain.certificates import CLAIMED, PIPELINE, RETIRED, WITHDRAWN, stands
from gridtokenx_pipeline.domain.settlement import NETTED_KINDS, SUBMIT_ENERGY_READING, Planned, actions_of, late_retirements, net
from gridtokenx_pipeline.warehouse import Append, Warehouse

from ..market.assets import SETTLED

_HOUR = dt.timedelta(hours=1)
_MEMO = "memo"


@dataclass(frozen=True)
class Chain:
    """What of the configuration decides which actions there are."""

    profile: str
    netting_hours: int


def chain_of(settings: Settings) -> Chain:
    """Return what the configuration says."""
    return Chain(settings.settlement.profile, settings.settlement.netting_hours)


def reaches_back(chain: Chain, start: dt.datetime) -> dt.datetime:
    """Return the start of the netted period that `start` is in, or `start` itself where nothing is netted."""
    return clock.floor(start, chain.netting_hours * 3600) if chain.netting_hours else start


def actions_of_batches(
    warehouse: Warehouse, chain: Chain, planned: Planned, intervals: pl.DataFrame, start: dt.datetime, end: dt.datetime
) -> pl.DataFrame:
    """Return the actions of newly planned batches of [start, end); with netting, those that go on chain at once."""
    if planned.batches.is_empty():
        return settlement.ACTIONS.empty()
    items = planned.items
    if (planned.batches["version"] > 1).any():
        items = pl.concat([items, warehouse.read_window(settlement.ITEMS, start, end)]).unique("item_id", keep="first")
    made = _actions(warehouse, chain, items, planned.batches, intervals, start, end)
    return made.filter(~pl.col("kind").is_in(NETTED_KINDS)) if chain.netting_hours else made


def late_actions(warehouse: Warehouse, chain: Chain, start: dt.datetime, end: dt.datetime) -> pl.DataFrame:
    """Return the retirements in [start, end) that no batch holds and that have no action yet: decisions of people, mostly.

    With netting, those of periods that are netted: certificates are retired after they were minted.
    """
    if chain.profile == _MEMO:
        return settlement.ACTIONS.empty()
    found = warehouse.read(
        certificates.EVENTS,
        "interval_start >= ? AND interval_start < ? AND (actor <> 'pipeline' OR version > 1 OR kind IN (?, ?))",
        (start, end, RETIRED, WITHDRAWN),
    )
    if found.filter((pl.col("actor") != PIPELINE) | (pl.col("version") > 1)).is_empty():
        return settlement.ACTIONS.empty()
    intervals, batches, actions = (
        warehouse.read_window(table, start, end) for table in (market.INTERVALS, settlement.BATCHES, settlement.ACTIONS)
    )
    events = stands(warehouse.read_window(certificates.EVENTS, start, end), intervals)
    events, bundles = _with_their_bundles(warehouse, events, start)
    return late_retirements(events, bundles, batches, actions, newest=_newest(warehouse))


def nets_of_periods(
    warehouse: Warehouse, chain: Chain, start: dt.datetime, end: dt.datetime
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]]:
    """Yield NETS, NETTED and ACTIONS of each period overlapping [start, end) that is over and has batches in no net yet."""
    if not chain.netting_hours or chain.profile == _MEMO:
        return
    for since, until in _periods(start, end, chain.netting_hours * _HOUR):
        intervals = warehouse.read_window(market.INTERVALS, since, until)
        if intervals.is_empty() or not _over(intervals, until):
            continue
        netted = warehouse.read_window(settlement.NETTED, since, until)
        batches = warehouse.read_window(settlement.BATCHES, since, until).join(netted, on="batch_id", how="anti")
        if batches.is_empty():
            continue
        items = warehouse.read_window(settlement.ITEMS, since, until)
        actions = _actions(warehouse, chain, items, batches, intervals, since, until)
        number = 1 + netted["net_id"].n_unique()
        for zone in sorted(set(batches["zone"])):
            of_zone = batches.filter(pl.col("zone") == zone)
            made = net(
                of_zone,
                actions.join(of_zone, on="batch_id", how="semi"),
                zone=zone,
                period_start=since,
                period_end=until,
                number=number,
            )
            yield made.nets, made.netted, made.actions


def windows_on_chain(
    warehouse: Warehouse, chain: Chain, start: dt.datetime, end: dt.datetime
) -> list[tuple[dt.datetime, dt.datetime]]:
    """Return the windows of [start, end) whose certificates are on chain or on their way: all of it, or the netted periods."""
    if not chain.netting_hours:
        return [(start, end)]
    periods = list(_periods(start, end, chain.netting_hours * _HOUR))
    netted = warehouse.read_window(settlement.NETTED, periods[0][0], periods[-1][1])["window_start"].to_list()
    return [(since, until) for since, until in periods if any(since <= moment < until for moment in netted)]


def appended(actions: pl.DataFrame) -> list[Append]:
    """Return the change that adds `actions`, or none."""
    return [Append(settlement.ACTIONS, actions)] if len(actions) else []


def _actions(
    warehouse: Warehouse,
    chain: Chain,
    items: pl.DataFrame,
    batches: pl.DataFrame,
    intervals: pl.DataFrame,
    start: dt.datetime,
    end: dt.datetime,
) -> pl.DataFrame:
    if chain.profile == _MEMO:
        nothing = (certificates.BUNDLES.empty(), certificates.EVENTS.empty())
        return actions_of(items, batches, intervals, *nothing, profile=chain.profile)
    events, bundles = _with_their_bundles(warehouse, warehouse.read_window(certificates.EVENTS, start, end), start)
    newest = _newest(warehouse) if (batches["version"] > 1).any() else None
    return actions_of(items, batches, intervals, bundles, events, profile=chain.profile, newest=newest)


def _newest(warehouse: Warehouse) -> dict[str, dt.datetime]:
    """The start of each meter's last interval of which a reading was submitted."""
    newest = "row_number() OVER (PARTITION BY split_part(natural_key, '@', 1) ORDER BY window_start DESC) = 1"
    found = warehouse.read(settlement.ACTIONS, f"kind = '{SUBMIT_ENERGY_READING}' AND state = 'done' QUALIFY {newest}")
    return {row["natural_key"].partition("@")[0]: row["window_start"] for row in found.iter_rows(named=True)}


def _with_their_bundles(warehouse: Warehouse, events: pl.DataFrame, start: dt.datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return `events`, with the claims of bundles that any of them withdraws, and the bundles they all are about."""
    if events.is_empty():
        return events, certificates.BUNDLES.empty()
    first = min(start, events["bundle_interval_start"].fill_null(events["interval_start"]).min())  # type: ignore[type-var]
    withdrawn = events.filter(pl.col("kind") == WITHDRAWN)
    if len(withdrawn):
        where = f"interval_start >= ? AND kind = '{CLAIMED}' AND list_contains(?::VARCHAR[], bundle_id)"
        claims = warehouse.read(certificates.EVENTS, where, (first, sorted(set(withdrawn["bundle_id"]))))
        events = pl.concat([events, claims.join(events, on="event_id", how="anti")])
    where = "interval_start >= ? AND list_contains(?::VARCHAR[], bundle_id)"
    return events, warehouse.read(certificates.BUNDLES, where, (first, sorted(set(events["bundle_id"]))))


def _periods(start: dt.datetime, end: dt.datetime, length: dt.timedelta) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    since = clock.floor(start, int(length.total_seconds()))
    while since < end:
        yield since, since + length
        since += length


def _over(intervals: pl.DataFrame, until: dt.datetime) -> bool:
    """Whether a period is to be netted: all it has is settled, up to its end, or that long ago that no more is waited for."""
    if (intervals["state"] != SETTLED).any():
        return False
    ends = intervals.select((pl.col("interval_start") + pl.duration(seconds="duration_s")).max()).item()
    return bool(ends >= until) or clock.now() >= until + _HOUR

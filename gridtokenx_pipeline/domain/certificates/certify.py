"""All that happens to certificates in the closed intervals of a window, given what stands."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from gridtokenx_pipeline.contracts import certificates as tables
from gridtokenx_pipeline.contracts import core

from .allocate import WITHDRAW_STEP, allocate, cancellations
from .corrections import Corrected, correct, discharged, issued_elsewhere
from .events import events_of
from .fold import fold
from .issue import Rules, as_bundles, issues, produced
from .names import (
    HELD,
    ID_OVERLAP,
    ISSUED,
    KEY,
    LOCKED,
    METER,
    PENDING,
    PIPELINE,
    PRODUCTION,
    SHORTFALL,
    STORAGE_DISCHARGE,
    TRANSFERRED,
    WITHDRAWN,
    shortfall_of,
)
from .situations import discharge_pools, production_pools, situations, with_locks
from .storage import account

INTERVAL = ["zone", "interval_start"]
VERSION = [*INTERVAL, "version"]
CLOSED, SETTLED = "closed", "settled"

_MOMENT = pl.Datetime("us", "UTC")
STORES: dict[str, pl.DataType | type[pl.DataType]] = {
    "zone": pl.String,
    "meter_id": pl.String,
    "interval_start": _MOMENT,
    "green_wh": pl.Int64,
    "grey_wh": pl.Int64,
}
SETTLED_UNTIL: dict[str, pl.DataType | type[pl.DataType]] = {"zone": pl.String, "meter_id": pl.String, "settled_until": _MOMENT}
LOCKS: dict[str, pl.DataType | type[pl.DataType]] = {
    "zone": pl.String,
    "meter_id": pl.String,
    "bundle_id": pl.String,
    "bundle_interval_start": _MOMENT,
    "first_wh": pl.Int64,
    "last_wh": pl.Int64,
}
SHORTFALLS: dict[str, pl.DataType | type[pl.DataType]] = {
    "zone": pl.String,
    "meter_id": pl.String,
    "bundle_id": pl.String,
    "interval_start": _MOMENT,
    "energy_wh": pl.Int64,
}


@dataclass(frozen=True)
class Standing:
    """What stands when a window is certified; the empty one is a registry's beginning.

    `bundles` and `storage` are BUNDLES and STORAGE of the window as stored, `events` are the EVENTS of these bundles that stand
    (`stands`). Of before the window: `stores` (columns `STORES`: each meter's last row), `locks` (`LOCKS`: ranges that stand
    locked) and `shortfalls` (`SHORTFALLS`: what is still to be made up for). Of after it: `settled_later` (`SETTLED_UNTIL`: the
    last settled interval with a storage row of each meter). `others` are BUNDLES of other windows that have ids in common with
    what is corrected.
    """

    bundles: pl.DataFrame
    events: pl.DataFrame
    storage: pl.DataFrame
    stores: pl.DataFrame
    locks: pl.DataFrame
    shortfalls: pl.DataFrame
    settled_later: pl.DataFrame
    others: pl.DataFrame

    @classmethod
    def nothing(cls) -> Standing:
        """Return what stands before anything was issued."""
        return cls(
            bundles=tables.BUNDLES.empty(),
            events=tables.EVENTS.empty(),
            storage=tables.STORAGE.empty(),
            stores=pl.DataFrame(schema=STORES),
            locks=pl.DataFrame(schema=LOCKS),
            shortfalls=pl.DataFrame(schema=SHORTFALLS),
            settled_later=pl.DataFrame(schema=SETTLED_UNTIL),
            others=tables.BUNDLES.empty(),
        )


@dataclass(frozen=True)
class Certified:
    """Frames of `contracts.certificates`: all BUNDLES and STORAGE of the window, and the EVENTS that are new."""

    bundles: pl.DataFrame
    events: pl.DataFrame
    storage: pl.DataFrame


def stands(events: pl.DataFrame, intervals: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of EVENTS that no run of these intervals makes again: those of settled versions, and people's.

    `intervals` (contracts.market.INTERVALS) has every interval in which any of `events` happened that may be made again.
    """
    unsettled = events.filter(pl.col("actor") == PIPELINE).join(
        intervals.filter(pl.col("state") == SETTLED), on=VERSION, how="anti"
    )
    return events.join(unsettled, on="event_id", how="anti", maintain_order="left")


def certify(
    energy: pl.DataFrame, intervals: pl.DataFrame, trades: pl.DataFrame, standing: Standing, rules: Rules | None = None
) -> Certified:
    """Issue, correct, lock, cancel, move and claim certificates for every closed interval version of `intervals`.

    `energy` (contracts.core.ENERGY_5MIN), `intervals` and `trades` (contracts.market) are the window's. Settled versions keep
    their rows. A first version issues from the register; a later one corrects (`corrections`), and what it issues is allocated by
    the same rules, to trades that no certificate moved with. A meter without a store stores nothing: what it says it charges is
    load that claims nothing. In order of time, so that hours in one window make what they make one by one.

    Raises `CertificateError` where what stands does not add up.
    """
    rules = rules or Rules()
    energy = core.ENERGY_5MIN.conform(energy)
    closed = intervals.filter(pl.col("state") == CLOSED).select(VERSION)
    settled = intervals.filter(pl.col("state") == SETTLED).select(VERSION)
    now = produced(energy, rules)
    kept = _kept(standing, settled, now)
    events = standing.events
    own = events.join(kept, on="bundle_id", how="semi")
    holdings = fold(own, kept) if len(kept) else tables.HOLDINGS.empty()

    due = now.join(closed, on=INTERVAL, maintain_order="left")
    first = _first(due.filter((pl.col("version") == 1) & (pl.col("energy_wh") > 0)), pl.concat([kept, standing.others]), rules)
    later = due.filter(pl.col("version") > 1)
    others = pl.concat([kept, standing.others, first.drop("reason")])
    corrected = [correct(later, kept, holdings, own, others, rules)] if len(later) else []
    if len(later):
        out_now = produced(energy, rules, "discharge").join(closed.filter(pl.col("version") > 1), on=INTERVAL)
        corrected.append(discharged(out_now, kept, holdings, rules))
    made = pl.concat([first, *(part.bundles for part in corrected)])
    happened = [issues(first), *(part.happened for part in corrected)]

    production = made.filter((pl.col("state") == ISSUED) & (pl.col("origin") == PRODUCTION))
    withdrawn = _made_up(production, _owed(standing.shortfalls, corrected))
    states = situations(energy, closed, trades, events)
    pools = production_pools(production, withdrawn, states)

    kept_storage = standing.storage.join(settled, on=INTERVAL, how="semi")
    storage = _stored(states, pools, standing, kept_storage, rules)
    released = _released(energy, storage, closed, rules)
    made = pl.concat([made, released])
    unmoved = trades.join(events.filter(pl.col("kind") == TRANSFERRED), on="trade_id", how="anti")
    pools = pl.concat([with_locks(pools, storage), discharge_pools(made, pools, states)])
    allocated = allocate(pools, unmoved.join(closed, on=INTERVAL, how="semi"))
    cancelled = cancellations(_locks(standing.locks, holdings, allocated), _taken(storage, released, closed))
    happened += [withdrawn, issues(released), allocated, cancelled]
    bundles = pl.concat([kept.join(made, on="bundle_id", how="anti"), made.drop("reason")])
    return Certified(
        tables.BUNDLES.conform(bundles.sort("bundle_id")),
        events_of(pl.concat(happened, how="diagonal_relaxed"), events),
        tables.STORAGE.conform(pl.concat([kept_storage, storage]).sort(tables.STORAGE.key)),
    )


def _first(rows: pl.DataFrame, others: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """First bundles of intervals; held where a bundle that stands has their ids, since its end was another when it was issued."""
    ranges = rows.select(*KEY, "first_wh", last_wh=pl.col("first_wh") + pl.col("energy_wh") - 1)
    taken = issued_elsewhere(ranges, others).with_columns(taken=pl.lit(ID_OVERLAP))
    reason = pl.concat_str(pl.col("reason").replace("", None), "taken", separator=",", ignore_nulls=True)
    marked = rows.join(taken, on=KEY, how="left", maintain_order="left").with_columns(reason=reason)
    return as_bundles(marked.drop("taken"), rules)


def _kept(standing: Standing, settled: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """The window's bundles of settled versions; one that a correction not settled yet issued is pending again."""
    as_settled = standing.bundles.join(settled, on=VERSION, how="semi")
    changed = standing.bundles.join(settled, on=VERSION, how="anti")
    held = standing.events.filter(pl.col("kind") == HELD).sort("bundle_id", "interval_start", "number")
    last = held.group_by("bundle_id").agg(pl.col("energy_wh", "first_wh", "last_wh", "version").last().name.suffix("_held"))
    restored = (
        changed.join(last, on="bundle_id")
        .join(now.select(*KEY, now_flags="quality_flags"), on=KEY, how="left")
        .with_columns(
            *(pl.coalesce(f"{name}_held", name).alias(name) for name in ("energy_wh", "first_wh", "last_wh", "version")),
            quality_flags=pl.coalesce("now_flags", "quality_flags"),
            state=pl.lit(PENDING),
        )
        .select(standing.bundles.columns)
    )
    return pl.concat([as_settled, restored])


def _owed(shortfalls: pl.DataFrame, corrected: list[Corrected]) -> pl.DataFrame:
    """Shortfalls to be made up for, in order: those that stand and those of this run's corrections."""
    columns = [pl.col(name).cast(dtype) for name, dtype in SHORTFALLS.items()]
    new = [
        part.happened.filter(pl.col("kind") == SHORTFALL).with_columns(meter_id=pl.col("owner")).select(columns)
        for part in corrected
    ]
    return pl.concat([shortfalls.select(columns), *new]).sort("zone", "meter_id", "interval_start", "bundle_id")


def _made_up(production: pl.DataFrame, owed: pl.DataFrame) -> pl.DataFrame:
    """Withdrawals from the top of new bundles for shortfalls of earlier intervals. Both are few: shortfalls are rare."""
    left = owed.to_dicts()
    rows = []
    if left:
        candidates = production.join(owed, on=METER, how="semi").sort("interval_start", *METER)
        for bundle in candidates.iter_rows(named=True):
            top, available = bundle["last_wh"], bundle["energy_wh"]
            for short in left:
                wh = min(available, short["energy_wh"])
                mine = all(short[name] == bundle[name] for name in METER) and short["interval_start"] < bundle["interval_start"]
                if not mine or wh == 0:
                    continue
                rows.append(
                    {name: bundle[name] for name in ("bundle_id", "zone", "interval_start", "version", "owner")}
                    | {
                        "bundle_interval_start": bundle["interval_start"],
                        "first_wh": top - wh + 1,
                        "last_wh": top,
                        "energy_wh": wh,
                    }
                    | {"reason": shortfall_of(short["bundle_id"]), "counter_bundle_id": short["bundle_id"]}
                )
                top, available, short["energy_wh"] = top - wh, available - wh, short["energy_wh"] - wh
    names = (
        "bundle_id",
        "zone",
        "interval_start",
        "version",
        "owner",
        "bundle_interval_start",
        "first_wh",
        "last_wh",
        "energy_wh",
    )
    schema = {name: tables.EVENTS.frame_schema()[name] for name in (*names, "reason", "counter_bundle_id")}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(kind=pl.lit(WITHDRAWN), step=pl.lit(WITHDRAW_STEP))


def _stored(states: pl.DataFrame, pools: pl.DataFrame, standing: Standing, kept: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """STORAGE of the meters and intervals that have no settled row (`kept` are these)."""
    rows = states.join(kept, on=KEY, how="anti")
    if rules.batteries is not None:
        rows = rows.filter(pl.col("meter_id").is_in(sorted(rules.batteries)))
    surplus = pools.select(*KEY, surplus_wh=pl.col("available_wh") - pl.col("claim_wh"))
    until = (
        pl.concat([kept.select(*METER, settled_until="interval_start"), standing.settled_later])
        .group_by(METER)
        .agg(pl.col("settled_until").max())
    )
    flows = (
        rows.join(surplus, on=KEY, how="left")
        .join(until, on=METER, how="left")
        .with_columns(
            pl.col("surplus_wh").fill_null(0),
            late=(pl.col("interval_start") < pl.col("settled_until")).fill_null(value=False),
        )
    )
    last = pl.concat([standing.stores.select(list(STORES)), kept.select(list(STORES))]).sort("interval_start")
    return account(flows, last.unique(METER, keep="last"), rules.efficiency_ppm)


def _released(energy: pl.DataFrame, storage: pl.DataFrame, closed: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    """Storage-discharge bundles (BUNDLES and reason): pending where the discharge was not measured well."""
    out = storage.filter(pl.col("green_out_wh") > 0).select(*KEY, "green_out_wh")
    rows = (
        produced(energy.join(out, on=KEY, how="semi"), rules, "discharge")
        .join(closed, on=INTERVAL)
        .join(out, on=KEY)
        .with_columns(energy_wh=pl.col("green_out_wh"))
    )
    return as_bundles(rows, rules, STORAGE_DISCHARGE)


def _locks(locks: pl.DataFrame, holdings: pl.DataFrame, allocated: pl.DataFrame) -> pl.DataFrame:
    """Locked ranges: of before the window, of its settled intervals, and of this run."""
    standing = holdings.filter(pl.col("state") == LOCKED).rename({"interval_start": "bundle_interval_start"})
    new = allocated.filter(pl.col("kind") == LOCKED).with_columns(meter_id=pl.col("owner"))
    return pl.concat([locks.select(list(LOCKS)), standing.select(list(LOCKS)), new.select(list(LOCKS))])


def _taken(storage: pl.DataFrame, released: pl.DataFrame, closed: pl.DataFrame) -> pl.DataFrame:
    """Green energy taken out of stores, with the bundle that it made possible."""
    return (
        storage.filter(pl.col("green_used_wh") > 0)
        .select(*KEY, "green_used_wh")
        .join(closed, on=INTERVAL)
        .join(released.select(*KEY, counter_bundle_id="bundle_id"), on=KEY, how="left")
    )

"""`certificates.*`: bundles for the generation of closed intervals, and what happens to their certificates there.

What settled versions of intervals and people made stays as it is.
"""

import datetime as dt
from collections.abc import Iterator

import dagster as dg
import polars as pl

from gridtokenx_pipeline.contracts import certificates, core, market
from gridtokenx_pipeline.domain.certificates import CertificateError, Certified, Rules, certify, fold
from gridtokenx_pipeline.warehouse import Replace, Warehouse, Written

from ..energy.participants import participants_energy
from ..partitions import HOURS, window
from ..resources import Stores
from ..specs import result, spec, stage
from .standing import Found, dated, find, history, rules_of

_ATTEMPTS = 5


@stage(
    "issue_certificates",
    [spec(table, [core.ENERGY_5MIN, market.INTERVALS, market.TRADES], partitions_def=HOURS) for table in certificates.ISSUES],
)
def issue_certificates(context: dg.AssetExecutionContext, stores: Stores) -> Iterator[dg.MaterializeResult]:
    """Certify the intervals that are closed and not settled yet: their first versions and corrections."""
    start, end = window(context)
    intervals, trades = (stores.warehouse.read_window(table, start, end) for table in (market.INTERVALS, market.TRADES))
    energy = participants_energy(stores, start, end)
    made, holdings, written = write_window(stores.warehouse, start, end, energy, intervals, trades, rules_of(stores.settings))
    states = dict(made.bundles.group_by("state").agg(pl.col("energy_wh").sum()).sort("state").iter_rows())
    held = dict(holdings.group_by("state").agg(pl.col("energy_wh").sum()).sort("state").iter_rows())
    for table, done in zip(certificates.ISSUES[:3], written[:3], strict=True):
        yield result(table, done.rows, done.changed, energy_wh_by_state=states)
    changed = any(done.changed for done in written[3:])
    yield result(certificates.HOLDINGS, written[3].rows, changed, energy_wh_by_state=held)


def write_window(
    warehouse: Warehouse,
    start: dt.datetime,
    end: dt.datetime,
    energy: pl.DataFrame,
    intervals: pl.DataFrame,
    trades: pl.DataFrame,
    rules: Rules,
) -> tuple[Certified, pl.DataFrame, list[Written]]:
    """Certify [start, end) and write it: what was made, the window's HOLDINGS, and what writing did to each of `ISSUES`."""
    for _ in range(_ATTEMPTS):
        decided = _decisions(warehouse)
        found = find(warehouse, start, end, energy, intervals, rules)
        made = certify(energy, intervals, trades, found.standing, rules)
        events = pl.concat([found.standing.events, made.events])
        holdings = fold(events.join(made.bundles, on="bundle_id", how="semi"), made.bundles)
        # People's events are never replaced, not even by themselves: one may be appended while this runs.
        written = warehouse.commit(
            Replace(certificates.BUNDLES, made.bundles, start, end),
            Replace(certificates.EVENTS, pl.concat([found.kept, made.events]), start, end, "actor = 'pipeline'"),
            Replace(certificates.STORAGE, made.storage, start, end),
            Replace(certificates.HOLDINGS, holdings, start, end),
            *_earlier_holdings(warehouse, start, found, made.events),
        )
        # What a person decided meanwhile is not in the holdings just written: they are made again from all there is now.
        if _decisions(warehouse) == decided:
            return made, holdings, written
    raise CertificateError("people keep deciding about certificates while they are written: run this again")


def _earlier_holdings(warehouse: Warehouse, start: dt.datetime, found: Found, events: pl.DataFrame) -> Iterator[Replace]:
    """The holdings of bundles from before the window that its events changed, or no longer change."""
    touched = pl.concat([events, dated(found.remade)]).filter(pl.col("bundle_interval_start") < start)
    if touched.is_empty():
        return
    ids = set(touched["bundle_id"])
    first: dt.datetime = touched["bundle_interval_start"].min()  # type: ignore[assignment]
    bundles, standing = history(warehouse, ids, first, found.remade)
    own = pl.concat([standing, events.join(bundles, on="bundle_id", how="semi")])
    # ids are UUIDs
    names = ", ".join(f"'{bundle_id}'" for bundle_id in sorted(ids))
    yield Replace(certificates.HOLDINGS, fold(own, bundles), first, start, f"bundle_id IN ({names})")


def _decisions(warehouse: Warehouse) -> int:
    """How many events people ever made."""
    return warehouse.query("SELECT count(*) FROM certificates.events WHERE actor <> 'pipeline'").item()

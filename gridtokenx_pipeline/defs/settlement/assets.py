"""`settlement.*`: closed intervals become batches, batches become transactions, and the chain's receipts come back."""

import dataclasses
from collections.abc import Iterator

import dagster as dg
import polars as pl

from gridtokenx_pipeline.contracts import certificates, core, market, settlement
from gridtokenx_pipeline.domain.market import positions
from gridtokenx_pipeline.domain.settlement import plan
from gridtokenx_pipeline.warehouse import Append, Replace, SetState

from ..energy.participants import participants_energy
from ..market.assets import SETTLED
from ..partitions import HOURS, window
from ..resources import Stores
from ..specs import result, spec, stage
from . import planning
from .submission import WAITING, actions_from, batch_states, submit, transactions_from, with_outcomes


@stage(
    "plan_settlement",
    [
        spec(
            table,
            [core.ENERGY_5MIN, market.INTERVALS, market.TRADES, market.GRID_SETTLEMENTS, certificates.BUNDLES],
            partitions_def=HOURS,
        )
        for table in (settlement.ITEMS, settlement.BATCHES)
    ]
    + [
        spec(settlement.ACTIONS, [settlement.ITEMS, settlement.BATCHES, certificates.EVENTS], partitions_def=HOURS),
        *(
            spec(table, [settlement.BATCHES, market.TRADES, certificates.EVENTS], partitions_def=HOURS)
            for table in (settlement.NETS, settlement.NETTED)
        ),
    ],
)
def plan_settlement(context: dg.AssetExecutionContext, stores: Stores) -> Iterator[dg.MaterializeResult]:
    """Make one batch of every closed version of an interval and declare it settled, in one transaction.

    This is the moment from which the version never changes: what is learned later makes another, which settles the difference.
    Only what passed the blocking checks gets here.
    """
    start, end = window(context)
    intervals = stores.warehouse.read_window(market.INTERVALS, start, end).filter(pl.col("state") == "closed")
    keys = intervals.select("zone", "interval_start", "version")
    trades, grid = (
        stores.warehouse.read_window(table, start, end).join(keys, on=keys.columns, how="semi")
        for table in (market.TRADES, market.GRID_SETTLEMENTS)
    )
    planned = plan(
        positions(participants_energy(stores, start, end), stores.settings.market.completeness_min_pct),
        trades,
        grid,
        stores.warehouse.read_window(certificates.BUNDLES, start, end),
        intervals,
    )
    chain = planning.chain_of(stores.settings)
    actions = planning.actions_of_batches(stores.warehouse, chain, planned, intervals, start, end)
    items, batches, _, *_ = stores.warehouse.commit(
        Append(settlement.ITEMS, planned.items),
        Append(settlement.BATCHES, planned.batches),
        SetState(market.INTERVALS, keys, SETTLED),
        *planning.appended(actions),
    )
    nets, new = 0, len(actions)
    for net, netted, of_net in planning.nets_of_periods(stores.warehouse, chain, start, end):
        changes = (Append(settlement.NETS, net), Append(settlement.NETTED, netted), Append(settlement.ACTIONS, of_net))
        stores.warehouse.commit(*changes)
        nets, new = nets + 1, new + len(of_net)
    for since, until in planning.windows_on_chain(stores.warehouse, chain, start, end):
        late = planning.late_actions(stores.warehouse, chain, since, until)
        stores.warehouse.commit(*planning.appended(late))
        new += len(late)
    yield result(settlement.ITEMS, items.rows, items.changed, new_items=items.rows)
    yield result(
        settlement.BATCHES,
        batches.rows,
        batches.changed,
        new_batches=batches.rows,
        intervals_settled=int((keys["version"] == 1).sum()),
        corrections_settled=int((keys["version"] > 1).sum()),
    )
    yield result(settlement.ACTIONS, new, new > 0, new_actions=new)
    for table in (settlement.NETS, settlement.NETTED):
        yield result(table, nets, nets > 0, new_nets=nets)


@stage(
    "submit_actions", [spec(settlement.TRANSACTIONS, [settlement.ACTIONS], kinds=("solana", "ducklake"), partitions_def=HOURS)]
)
def submit_actions(context: dg.AssetExecutionContext, stores: Stores) -> dg.MaterializeResult:
    """Have the chain do every action of the window that it has not done, exactly once, and store outcomes and receipts.

    A run that dies anywhere in here is continued by the next one: the outbox holds every signature before it is sent. What the
    chain refuses is left with its code (`gridtokenx settle status`), and the rest lands; a check says that something was refused.
    """
    start, end = window(context)
    # The actions of a net are filed under the start of its period; what was retried may be of any hour before.
    start = planning.reaches_back(planning.chain_of(stores.settings), start)
    retried = {action.action_id: action.window_start for action in stores.outbox.actions(states=("waiting", "sent"))}
    start = min(start, *retried.values()) if retried else start
    before = stores.warehouse.read_window(settlement.ACTIONS, start, end)
    waiting = before.filter((pl.col("state") == WAITING) | pl.col("action_id").is_in(list(retried)))
    report = submit(stores, actions_from(waiting), context.log.info) if len(waiting) else None
    known = stores.warehouse.read_window(settlement.TRANSACTIONS, start, end)
    ids = before["batch_id"].unique().to_list()
    after = with_outcomes(before, stores.outbox.outcomes(batch_ids=ids)) if ids else before
    rows = transactions_from(stores.outbox.attempts(batch_ids=ids) if ids else [], after)
    kept = known.join(rows, on="signature", how="anti")
    states = batch_states(stores.warehouse.read_window(settlement.BATCHES, start, end), after)
    transactions, *_ = stores.warehouse.commit(
        Replace(settlement.TRANSACTIONS, pl.concat([kept, rows]), start, end),
        Replace(settlement.ACTIONS, after, start, end),
        *(SetState(settlement.BATCHES, pl.DataFrame({"batch_id": ids}), state) for state, ids in states.items() if ids),
    )
    counts = after.group_by("state").len().iter_rows()
    told = dataclasses.asdict(report.counts) if report else {}
    return result(
        settlement.TRANSACTIONS,
        transactions.rows,
        transactions.changed,
        submitted=len(waiting),
        actions_by_state=dg.MetadataValue.json(dict(counts)),
        **told,
        signatures=dg.MetadataValue.json(rows.join(known, on="signature", how="anti")["signature"].to_list()[:50]),
    )

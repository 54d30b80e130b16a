"""`settlement.*`: closed intervals become batches, batches become transactions, and the chain's receipts come back."""

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

CONFIRMED, FAILED = "confirmed", "failed"
KINDS = {"memo": "memo"}


@stage(
    "plan_settlement",
    [
        spec(
            table,
            [core.ENERGY_5MIN, market.INTERVALS, market.TRADES, market.GRID_SETTLEMENTS, certificates.BUNDLES],
            partitions_def=HOURS,
        )
        for table in (settlement.ITEMS, settlement.BATCHES)
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
    items, batches, _ = stores.warehouse.commit(
        Append(settlement.ITEMS, planned.items),
        Append(settlement.BATCHES, planned.batches),
        SetState(market.INTERVALS, keys, SETTLED),
    )
    yield result(settlement.ITEMS, items.rows, items.changed, new_items=items.rows)
    yield result(
        settlement.BATCHES,
        batches.rows,
        batches.changed,
        new_batches=batches.rows,
        intervals_settled=int((keys["version"] == 1).sum()),
        corrections_settled=int((keys["version"] > 1).sum()),
    )


@stage(
    "submit_batches", [spec(settlement.TRANSACTIONS, [settlement.BATCHES], kinds=("solana", "ducklake"), partitions_def=HOURS)]
)
def submit_batches(context: dg.AssetExecutionContext, stores: Stores) -> dg.MaterializeResult:
    """Put every batch of the window that is not confirmed on chain, exactly once, and store the receipts.

    A run that dies anywhere in here is continued by the next one: the outbox holds every signature before it is sent.
    Raises `dagster.Failure` naming the batches the chain refused.
    """
    from gridtokenx_pipeline.solana import keys
    from gridtokenx_pipeline.solana.outbox import Batch
    from gridtokenx_pipeline.solana.profiles import MemoProfile
    from gridtokenx_pipeline.solana.sender import Price, submit_batches

    start, end = window(context)
    settings = stores.settings
    waiting = stores.warehouse.read(
        settlement.BATCHES, "state <> ? AND window_start >= ? AND window_start < ?", (CONFIRMED, start, end)
    ).sort("window_start", "batch_id")
    receipts = (
        submit_batches(
            [Batch(row["batch_id"], row["zone"], row["window_start"], row["memo"]) for row in waiting.iter_rows(named=True)],
            rpc_urls=[settings.settlement.rpc_url],
            outbox=stores.outbox,
            payer=keys.load_or_create(settings.payer_key),
            profile=MemoProfile(),
            commitment=settings.settlement.commitment,
            price=Price(fixed=settings.settlement.compute_unit_price_micro_lamports),
        )
        if len(waiting)
        else []
    )
    batches = stores.warehouse.read_window(settlement.BATCHES, start, end)
    known = stores.warehouse.read_window(settlement.TRANSACTIONS, start, end)
    attempts = stores.outbox.attempts(batches["batch_id"].to_list()) if len(batches) else []
    rows = pl.DataFrame(
        [
            {
                "signature": attempt.signature,
                "batch_id": attempt.batch_id,
                "kind": KINDS[settings.settlement.profile],
                "slot": attempt.slot,
                "fee_lamports": attempt.fee_lamports,
                "compute_units": attempt.compute_units,
                "state": attempt.state,
                "error": attempt.error,
            }
            for attempt in attempts
        ],
        schema={n: t for n, t in settlement.TRANSACTIONS.frame_schema().items() if n not in ("zone", "window_start")},
    ).join(batches.select("batch_id", "zone", "window_start"), on="batch_id")
    rows = rows.select(list(settlement.TRANSACTIONS.frame_schema()))
    kept = known.join(rows, on="signature", how="anti")
    by_state = {state: [r.batch_id for r in receipts if r.state == state] for state in (CONFIRMED, FAILED)}
    transactions, *_ = stores.warehouse.commit(
        Replace(settlement.TRANSACTIONS, pl.concat([kept, rows]), start, end),
        *(SetState(settlement.BATCHES, pl.DataFrame({"batch_id": ids}), state) for state, ids in by_state.items() if ids),
    )
    if by_state[FAILED]:
        errors = {r.batch_id: r.error for r in receipts if r.state == FAILED}
        raise dg.Failure(f"the chain refused {len(errors)} batches", metadata={"batches": dg.MetadataValue.json(errors)})
    return result(
        settlement.TRANSACTIONS,
        transactions.rows,
        transactions.changed,
        submitted=len(receipts),
        fee_lamports=sum(r.fee_lamports or 0 for r in receipts),
        compute_units=sum(r.compute_units or 0 for r in receipts),
        signatures=dg.MetadataValue.json([r.signature for r in receipts][:50]),
    )

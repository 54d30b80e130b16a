"""What was settled can be recomputed from the warehouse, and is what the chain says."""

import datetime as dt

import dagster as dg
import polars as pl

from gridtokenx_pipeline.contracts import settlement
from gridtokenx_pipeline.domain.invariants import settlement_violations

from ..checks import from_violations, hourly_check
from ..quality import gx_check
from ..resources import Stores
from .assets import CONFIRMED


@hourly_check(
    settlement.BATCHES,
    also=[settlement.ITEMS],
    blocking=True,
    description="Leaves, roots, totals and memos recomputed from the items equal those stored.",
)
def batches_recompute(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Recompute every batch of the window."""
    items = stores.warehouse.read_window(settlement.ITEMS, start, end)
    batches = stores.warehouse.read_window(settlement.BATCHES, start, end)
    return from_violations(settlement_violations(items, batches), batches=len(batches), items=len(items))


@hourly_check(
    settlement.TRANSACTIONS,
    also=[settlement.BATCHES],
    description="Every batch is confirmed once, and the memo the node returns for it is the batch's.",
)
def receipts_match_chain(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Read every confirmed transaction of the window back from the node."""
    from gridtokenx_pipeline.solana.receipts import read_receipts

    batches = stores.warehouse.read_window(settlement.BATCHES, start, end)
    transactions = stores.warehouse.read_window(settlement.TRANSACTIONS, start, end)
    confirmed = transactions.filter(pl.col("state") == CONFIRMED)
    receipts = read_receipts([stores.settings.settlement.rpc_url], confirmed["signature"].to_list()) if len(confirmed) else {}
    memos = dict(batches.select("batch_id", "memo").iter_rows())
    problems = []
    for row in confirmed.iter_rows(named=True):
        receipt = receipts[row["signature"]]
        if receipt is None:
            problems.append(f"{row['signature']}: the node does not know it")
        elif receipt.error is not None or receipt.memo != memos.get(row["batch_id"]):
            problems.append(f"{row['signature']}: the chain says {receipt.memo!r}, error {receipt.error}")
    counts = dict(confirmed.group_by("batch_id").len().iter_rows())
    problems += [f"batch {b}: {counts.get(b, 0)} confirmed transactions" for b in batches["batch_id"] if counts.get(b, 0) != 1]
    return dg.AssetCheckResult(
        passed=not problems,
        metadata={"batches": len(batches), "confirmed": len(confirmed), "problems": dg.MetadataValue.json(problems[:20])},
    )


gx_batches = gx_check(settlement.BATCHES, blocking=True)

SUITES = [gx_batches]

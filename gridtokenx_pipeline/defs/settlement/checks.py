"""What was settled can be recomputed from the warehouse, and is what the chain says."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.contracts import certificates, settlement
from gridtokenx_pipeline.domain.invariants import settlement_violations

from ..checks import SHOWN, from_violations, hourly_check
from ..quality import gx_check
from ..resources import Stores

if TYPE_CHECKING:
    from gridtokenx_pipeline.solana.audit import Chain, Compared

_PATIENCE_S = 10.0
_STOPPED = ("refused", "parked")


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
    description="Every confirmed transaction is known to the node and succeeded, and the memo of each batch is the batch's.",
)
def receipts_match_chain(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Read every confirmed transaction of the window, and the memo of every root that is done, back from the node."""
    from gridtokenx_pipeline.solana.audit import OWN_PROFILE, compare_memos, compare_transactions, known_actions

    transactions = stores.warehouse.read_window(settlement.TRANSACTIONS, start, end)
    batches = stores.warehouse.read_window(settlement.BATCHES, start, end)
    told = stores.warehouse.read(
        settlement.ACTIONS,
        "window_start >= ? AND window_start < ? AND kind IN ('record_batch', 'memo') AND state = 'done'",
        (start, end),
    )
    # The memo that the action was made with is the batch's, or the chain was told something else than what was settled.
    said = told.select("batch_id", said=pl.col("arguments").str.json_path_match("$.memo"))
    other = said.join(batches.select("batch_id", "memo"), on="batch_id", how="left").filter(
        pl.col("said").ne_missing(pl.col("memo"))
    )

    async def compare(chain: "Chain") -> "list[Compared]":
        known, _ = await compare_transactions(chain, transactions, clock.now(), _within(stores))
        recorded = stores.settings.settlement.profile == OWN_PROFILE
        return [known, await compare_memos(chain, known_actions(told), recorded=recorded)]

    lines = [f"batch {row['batch_id']}: its action says {row['said']!r}, not its memo" for row in other.iter_rows(named=True)]
    return _read(stores, compare, lines)


@hourly_check(
    settlement.TRANSACTIONS,
    also=[settlement.ACTIONS],
    description="On chain, each meter's interval counted, each trade, mint and retirement happened as it is done, each root is recorded.",
)
def chain_state_matches_warehouse(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Compare every action of the window with the accounts of the programs; sums of all time are `gridtokenx settle verify`'s."""
    from gridtokenx_pipeline.solana.audit import OWN_PROFILE, compare_actions, compared_twice, known_actions

    actions = stores.warehouse.read_window(settlement.ACTIONS, start, end)
    if stores.settings.settlement.profile != OWN_PROFILE:
        # Other profiles have no account that tells of each meter; `receipts_match_chain` has read what they say.
        return _result([], compared=0)
    known = known_actions(actions)

    async def compare(chain: "Chain") -> "list[Compared]":
        found = await compared_twice(chain, lambda: compare_actions(chain, known, OWN_PROFILE))
        return [one for one in found if one.name != "memos"]

    return _read(stores, compare)


@hourly_check(
    settlement.TRANSACTIONS,
    also=[settlement.ACTIONS, certificates.HOLDINGS],
    description="Supply of GRID is the energy sold, supply of REC the certificates that are active or locked, less what is not done yet.",
)
def supply_equals_ledger(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Compare the supply of both tokens with the books; the same for every hour, as supply is of all time."""
    from gridtokenx_pipeline.solana.audit import OWN_PROFILE, compared_twice, verify_supply

    if stores.settings.settlement.profile != OWN_PROFILE:
        return _result([], compared=0)

    async def compare(chain: "Chain") -> "list[Compared]":
        async def once() -> "list[Compared]":
            return [await verify_supply(chain, stores.warehouse)]

        return await compared_twice(chain, once)

    return _read(stores, compare)


@hourly_check(settlement.TRANSACTIONS, description="The fee payer has at least settlement.min_balance_lamports.")
def balance_above_floor(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Read the balance of who pays fees and rent; the same for every hour."""
    from gridtokenx_pipeline.solana.audit import compare_balances
    from gridtokenx_pipeline.solana.audit.payers import payers

    async def compare(chain: "Chain") -> "list[Compared]":
        return [await compare_balances(chain, payers(stores.settings), stores.settings.settlement.min_balance_lamports)]

    return _read(stores, compare)


@hourly_check(
    settlement.TRANSACTIONS, description="Every confirmed transaction is final settlement.finalized_within_min after it landed."
)
def finalized_in_time(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Ask the node how far the window's transactions are."""
    from gridtokenx_pipeline.solana.audit import compare_transactions

    transactions = stores.warehouse.read_window(settlement.TRANSACTIONS, start, end)

    async def compare(chain: "Chain") -> "list[Compared]":
        return [(await compare_transactions(chain, transactions, clock.now(), _within(stores)))[1]]

    return _read(stores, compare)


@hourly_check(settlement.TRANSACTIONS, also=[settlement.ACTIONS], description="No action was refused by the chain or parked.")
def nothing_refused_or_parked(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Name what of the window does not go on without the operator (`gridtokenx settle retry`)."""
    found = stores.warehouse.read(
        settlement.ACTIONS, "window_start >= ? AND window_start < ? AND state IN (?, ?)", (start, end, *_STOPPED)
    )
    lines = [
        f"{row['state']} {row['kind']} {row['natural_key']} ({row['action_id']}): {row['error_code'] or ''} {row['error'] or ''}".rstrip()
        for row in found.iter_rows(named=True)
    ]
    counts = dict(found.group_by("state").len().iter_rows())
    return _result(lines, **{state: counts.get(state, 0) for state in _STOPPED})


def _within(stores: Stores) -> dt.timedelta:
    return dt.timedelta(minutes=stores.settings.settlement.finalized_within_min)


def _read(
    stores: Stores, compare: "Callable[[Chain], Awaitable[Sequence[Compared]]]", lines: Sequence[str] = ()
) -> dg.AssetCheckResult:
    """Return what `compare` finds on the configured chain, beside `lines` that were found before."""
    from gridtokenx_pipeline.solana.audit import Chain, NotReadable
    from gridtokenx_pipeline.solana.client import RpcPool, RpcRefused, RpcUnavailable
    from gridtokenx_pipeline.solana.setup.cluster import ids_of

    async def run() -> "Sequence[Compared]":
        async with RpcPool(stores.settings.rpc_urls, patience_s=_PATIENCE_S) as rpc:
            return await compare(Chain(rpc, ids_of(stores.settings)))

    try:
        found = asyncio.run(run())
    except (RpcUnavailable, RpcRefused, NotReadable) as error:
        return _result([*lines, str(error)])
    numbers: dict[str, int | str] = {}
    for one in found:
        numbers[f"{one.name}/compared"] = one.compared
        numbers |= {f"{one.name}/{name}": value for name, value in one.numbers.items()}
    return _result([*lines, *(problem for one in found for problem in one.problems)], **numbers)


def _result(problems: Sequence[str], **numbers: int | str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=not problems,
        metadata={"problems": dg.MetadataValue.json(list(problems[:SHOWN])), "different": len(problems), **numbers},
    )


gx_batches = gx_check(settlement.BATCHES, blocking=True)

SUITES = [gx_batches]

"""The whole chain against the whole warehouse, with progress: what an operator or an auditor asks for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from solders.pubkey import Pubkey

from gridtokenx_pipeline.contracts import settlement

from . import rows
from .chain import Chain
from .compared import Compared, merged
from .known import known_actions
from .meters import ahead, compare_totals
from .standing import compare_balances, compare_supply, compare_transactions
from .whole import OWN_PROFILE, compare_actions, compared_twice

if TYPE_CHECKING:
    from gridtokenx_pipeline.warehouse import Warehouse


class Rules(NamedTuple):
    """What is expected of the chain: the profile, who pays, the least they must have, and how fast a transaction is final."""

    profile: str
    payers: Mapping[str, Pubkey]
    floor_lamports: int
    finalized_within: dt.timedelta


async def verify(
    chain: Chain,
    warehouse: Warehouse,
    rules: Rules,
    *,
    start: dt.datetime | None,
    end: dt.datetime | None,
    now: dt.datetime,
    progress: rows.Progress,
) -> list[Compared]:
    """Compare everything; actions and transactions one by one in [start, end), or all of them. Sums are of all time.

    `progress` is told done, total and what. Raises `NotReadable` and what `RpcPool.call` raises.
    """
    span = rows.span_of(warehouse)
    found: list[Compared] = []
    if span is not None:
        since, until = start or span.first, end or span.last + dt.timedelta(seconds=1)
        days = list(rows.days(since, until))
        for number, day in enumerate(days):
            found += await verify_window(chain, warehouse, rules, *day, now=now)
            progress(number + 1, len(days), f"{day[0]:%Y-%m-%d}")
    if rules.profile == OWN_PROFILE:
        found += await compared_twice(chain, lambda: _sums(chain, warehouse, progress))
    found.append(await compare_balances(chain, rules.payers, rules.floor_lamports))
    return merged(found)


async def verify_window(
    chain: Chain, warehouse: Warehouse, rules: Rules, start: dt.datetime, end: dt.datetime, *, now: dt.datetime
) -> list[Compared]:
    """Compare the actions and transactions of [start, end) one by one. Raises as `verify` does."""

    async def both() -> list[Compared]:
        actions = known_actions(warehouse.read_window(settlement.ACTIONS, start, end))
        transactions = warehouse.read_window(settlement.TRANSACTIONS, start, end)
        return [
            *await compare_actions(chain, actions, rules.profile),
            *await compare_transactions(chain, transactions, now, rules.finalized_within),
        ]

    return await compared_twice(chain, both)


async def verify_supply(chain: Chain, warehouse: Warehouse) -> Compared:
    """Compare the supply of both tokens with the books, without a sum over all actions: for a look after every run.

    Raises as `verify` does.
    """
    undone = rows.undone(warehouse)
    more = await ahead(chain, undone)
    first = await compare_supply(chain, *rows.first_books(warehouse, undone), more)
    return first if first.agrees else await compare_supply(chain, *rows.books(warehouse, undone), more)


async def _sums(chain: Chain, warehouse: Warehouse, progress: rows.Progress) -> list[Compared]:
    undone, totals = rows.undone(warehouse), rows.totals(warehouse, progress)
    grid, rec = rows.expected_of_totals(warehouse, totals, undone)
    return [
        await compare_totals(chain, totals, undone),
        await compare_supply(chain, grid, rec, await ahead(chain, undone)),
    ]

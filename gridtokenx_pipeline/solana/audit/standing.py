"""How settlement stands on chain: transactions, their finality, supply of both tokens, balances of who pays."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import NamedTuple

import polars as pl
from solders.pubkey import Pubkey

from ..programs.addresses import mint_address
from .chain import Chain
from .compared import Compared

CONFIRMED = "confirmed"


class Expected(NamedTuple):
    """Supply that the warehouse expects of one token.

    `done_wh` is what is done comes to. `ledger_wh`, where it is known, is what the books say; it differs from `done_wh` by
    `explained`: Wh that are minted (positive) or retired (negative) once actions are done, by what they wait for.
    """

    done_wh: int
    ledger_wh: int | None = None
    explained: Mapping[str, int] = {}


async def compare_transactions(
    chain: Chain, transactions: pl.DataFrame, now: dt.datetime, finalized_within: dt.timedelta
) -> tuple[Compared, Compared]:
    """Compare confirmed TRANSACTIONS with the node: each is known and succeeded; each is final so long after it landed.

    `now` is by the clock that the chain's block times are compared with.
    """
    signatures = transactions.filter(pl.col("state") == CONFIRMED)["signature"].to_list()
    statuses = await chain.statuses(signatures)
    problems, late, pending = [], [], []
    for signature, status in statuses.items():
        if status is None:
            problems.append(f"transaction {signature}: the node does not know it")
        elif status.error is not None:
            problems.append(f"transaction {signature}: the chain says {status.error}")
        elif status.state != "finalized":
            pending.append(signature)
    landed = await chain.landed(pending)
    for signature in pending:
        found = landed[signature]
        if found is None or found.block_time is None:
            continue
        age = now - dt.datetime.fromtimestamp(found.block_time, dt.UTC)
        if age > finalized_within:
            minutes = int(finalized_within.total_seconds() // 60)
            late.append(f"transaction {signature}: landed {int(age.total_seconds())} s ago and is not final after {minutes} min")
    numbers = {"not_final_yet": len(pending) - len(late)}
    return Compared("transactions", len(signatures), tuple(problems)), Compared("finality", len(signatures), tuple(late), numbers)


async def compare_supply(chain: Chain, grid: Expected, rec: Expected, ahead: Mapping[str, int]) -> Compared:
    """Compare the supply of GRID and REC with what the warehouse expects; say where books and chain differ and why.

    `ahead` is what the chain has of what is not done (`meters.ahead`): it was on its way.
    """
    more = {
        "GRID": ahead.get("grid_minted_wh", 0),
        "REC": ahead.get("rec_minted_wh", 0) - ahead.get("rec_retired_wh", 0),
    }
    mints = {"GRID": mint_address("grid", chain.ids), "REC": mint_address("rec", chain.ids)}
    await chain.load(mints.values())
    problems: list[str] = []
    numbers: dict[str, int | str] = {}
    for token, expected in (("GRID", grid), ("REC", rec)):
        supply, key, done_wh = chain.supply(mints[token]), token.lower(), expected.done_wh + more[token]
        numbers |= {f"{key}_supply_wh": supply, f"{key}_done_wh": expected.done_wh}
        if more[token]:
            numbers[f"{key}_ahead_wh"] = more[token]
        if supply != done_wh:
            problems.append(
                f"{token}: the supply is {supply} Wh, {abs(supply - done_wh)} Wh {'more' if supply > done_wh else 'less'} "
                f"than the {done_wh} Wh that are done"
            )
        if expected.ledger_wh is None:
            continue
        numbers[f"{key}_ledger_wh"] = expected.ledger_wh
        numbers |= {f"{key}_{name}_wh": value for name, value in expected.explained.items() if value}
        open_wh = expected.ledger_wh - expected.done_wh
        if open_wh != sum(expected.explained.values()):
            parts = ", ".join(f"{name.replace('_', ' ')} {value:+}" for name, value in expected.explained.items() if value)
            problems.append(
                f"{token}: the books have {expected.ledger_wh} Wh, {open_wh:+} Wh against what is done, "
                f"of which {parts or 'nothing'} is explained"
            )
    return Compared("supply", 2, tuple(problems), numbers)


async def compare_balances(chain: Chain, payers: Mapping[str, Pubkey], floor_lamports: int) -> Compared:
    """Compare the balance of each of `payers` (by role) with the least it has to have."""
    found = await chain.balances(payers.values())
    problems = [
        f"{role} {address}: {found[address]} lamports, less than {floor_lamports}"
        for role, address in payers.items()
        if found[address] < floor_lamports
    ]
    return Compared("balances", len(payers), tuple(problems), {role: found[address] for role, address in payers.items()})

"""Meters: which of their intervals counted, and what these sum to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import polars as pl
from solders.pubkey import Pubkey

from gridtokenx_pipeline.domain.ids import iso
from gridtokenx_pipeline.domain.settlement import MINT_GRID, MINT_REC, RETIRE_REC, SUBMIT_ENERGY_READING

from ..programs.addresses import identifier, ledger_address, meter_address, state_address
from ..programs.contents import window_counted
from .chain import Chain
from .compared import Compared
from .deeds import Memory, asked
from .known import Known, of_kinds

_STATE = ("readings", "produced_wh", "consumed_wh")
_LEDGER = {"grid_minted_wh": "grid_wh", "rec_minted_wh": "rec_wh", "rec_retired_wh": "retired_wh"}
_MINTED = {MINT_GRID: "grid_minted_wh", MINT_REC: "rec_minted_wh", RETIRE_REC: "rec_retired_wh"}


async def wallets_on_chain(chain: Chain, meter_ids: Iterable[str]) -> dict[str, Pubkey]:
    """Return the wallets that the registry has for `meter_ids`; meters it does not know are left out."""
    addresses = {meter: meter_address(identifier("meter", meter), chain.ids) for meter in set(meter_ids)}
    await chain.load(addresses.values())
    found = {meter: chain.content(address, "Meter") for meter, address in addresses.items()}
    return {meter: content.fields["owner"] for meter, content in found.items() if content is not None}


async def compare_windows(chain: Chain, actions: Collection[Known]) -> Compared:
    """Compare, for each `submit_energy_reading` among `actions`, whether its window counted with whether it is done."""
    readings = of_kinds(actions, SUBMIT_ENERGY_READING)
    states = await _states(chain, {one.action.values["meter_id"] for one in readings})
    problems, numbers = [], Counter(old=0, not_done=0, not_done_but_counted=0)
    for one in readings:
        meter = one.action.values["meter_id"]
        fields = states[meter]
        counted = window_counted(fields, one.window) if fields is not None else False
        if counted is None:
            numbers["old"] += 1
        elif not one.done:
            numbers["not_done_but_counted" if counted else "not_done"] += 1
        elif not counted:
            problems.append(f"meter {meter}: {iso(one.action.window_start)} is done and did not count on chain")
    return Compared("meters", len(readings), tuple(problems), numbers)


async def compare_totals(chain: Chain, totals: pl.DataFrame, undone: Collection[Known]) -> Compared:
    """Compare what each meter came to on chain with `totals` (columns `METER_TOTALS`, of everything that is done).

    `undone` are all actions that are not done: those that the chain has all the same were on their way, and count too.
    """
    rows = {row["meter_id"]: row for row in totals.iter_rows(named=True)}
    meters = rows.keys() | {one.action.values["meter_id"] for one in undone if "meter_id" in one.action.values}
    states, ledgers = await _states(chain, meters), await _ledgers(chain, meters)
    more, unclear = _ahead(undone, states, ledgers)
    problems = []
    for meter in sorted(meters):
        row = rows.get(meter, {})
        found = dict.fromkeys((*_STATE, *_LEDGER), 0)
        if (state := states[meter]) is not None:
            found |= {name: state[name] for name in _STATE}
        if (ledger := ledgers[meter]) is not None:
            found |= {name: ledger[place] for name, place in _LEDGER.items()}
        for name, value in found.items():
            expected = row.get(name, 0) + more[meter, name]
            if value != expected:
                problems.append(f"meter {meter}: {name} is {value} on chain and {expected} in the warehouse")
    numbers = {"ahead_of_warehouse": sum(n for (_, name), n in more.items() if name == "readings"), "unclear": unclear}
    return Compared("meter totals", len(meters), tuple(problems), numbers)


async def ahead(chain: Chain, undone: Collection[Known]) -> Counter[str]:
    """Return what the chain has of `undone`, by name of the total: it was on its way, and the warehouse does not know yet."""
    meters = {one.action.values["meter_id"] for one in undone if "meter_id" in one.action.values}
    more, _ = _ahead(undone, await _states(chain, meters), await _ledgers(chain, meters))
    sums: Counter[str] = Counter()
    for (_, name), value in more.items():
        sums[name] += value
    return sums


def _ahead(
    undone: Collection[Known], states: Mapping[str, Any], ledgers: Mapping[str, Any]
) -> tuple[Counter[tuple[str, str]], int]:
    """What of `undone` the chain has, by meter and name of the total; and how many are too old for it to tell."""
    ahead: Counter[tuple[str, str]] = Counter()
    unclear = 0
    memories = {meter: Memory(fields) for meter, fields in ledgers.items() if fields is not None}
    for one in undone:
        values = one.action.values
        if one.action.kind == SUBMIT_ENERGY_READING:
            state = states[values["meter_id"]]
            counted = window_counted(state, one.window) if state is not None else False
            unclear += counted is None
            if counted:
                ahead.update({(values["meter_id"], "readings"): 1})
                ahead.update({(values["meter_id"], name): values[name] for name in _STATE[1:]})
        elif one.action.kind in _MINTED and (memory := memories.get(values["meter_id"])) is not None:
            standing = memory.standing(asked(one, {}).deed)
            unclear += standing == "forgotten"
            if standing == "there":
                ahead[values["meter_id"], _MINTED[one.action.kind]] += values["energy_wh"]
    return ahead, unclear


async def _states(chain: Chain, meters: Collection[str]) -> dict[str, Mapping[str, Any] | None]:
    return await _fields(chain, {meter: state_address(identifier("meter", meter), chain.ids) for meter in meters}, "MeterState")


async def _ledgers(chain: Chain, meters: Collection[str]) -> dict[str, Mapping[str, Any] | None]:
    return await _fields(chain, {meter: ledger_address(identifier("meter", meter), chain.ids) for meter in meters}, "TokenLedger")


async def _fields(chain: Chain, addresses: Mapping[str, Pubkey], name: str) -> dict[str, Mapping[str, Any] | None]:
    await chain.load(addresses.values())
    found = {key: chain.content(address, name) for key, address in addresses.items()}
    return {key: None if content is None else content.fields for key, content in found.items()}

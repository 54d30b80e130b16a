"""Trades, positions, mints and retirements: each of them against what the chain remembers, or said when it did it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from typing import NamedTuple

from solders.pubkey import Pubkey

from gridtokenx_pipeline.domain.settlement import EXECUTE_TRADE, MINT_GRID, MINT_REC, RETIRE_REC, SETTLE_POSITION

from ..programs.addresses import book_address, identifier, ledger_address, position_address
from ..programs.images import program_id
from .chain import Chain, Landed
from .compared import Compared
from .deeds import Asked, Memory, asked
from .known import Known, of_kinds
from .meters import wallets_on_chain

_LABELS = {
    EXECUTE_TRADE: ("trades", "trade"),
    SETTLE_POSITION: ("positions", "position"),
    MINT_GRID: ("energy minted", "energy of"),
    MINT_REC: ("bundles", "bundle"),
    RETIRE_REC: ("retirements", "retirement"),
}
_METERS = ("meter_id", "seller_meter_id", "buyer_meter_id")


class _Open(NamedTuple):
    """A done action that the chain no longer remembers by itself."""

    known: Known
    asked: Asked
    name: str


async def compare_deeds(chain: Chain, actions: Collection[Known]) -> list[Compared]:
    """Compare each action that happens once with the chain: a comparison for each of the kinds among `actions`.

    The account of the meter or wallet remembers the newest. For older ones that are done, their transaction's event tells.
    """
    chosen = of_kinds(actions, *_LABELS)
    meters = {one.action.values[name] for one in chosen for name in _METERS if name in one.action.values}
    wallets = await wallets_on_chain(chain, meters)
    places = {one.action.action_id: _place(chain, one, wallets) for one in chosen}
    await chain.load(found[0] for found in places.values() if found is not None)
    memories: dict[Pubkey, Memory | None] = {}
    problems: defaultdict[str, list[str]] = defaultdict(list)
    numbers: defaultdict[str, Counter[str]] = defaultdict(lambda: Counter(older=0, not_done=0, not_done_but_on_chain=0))
    older: list[_Open] = []
    for one in chosen:
        kind, name = one.action.kind, f"{_LABELS[one.action.kind][1]} {one.action.natural_key}"
        place = places[one.action.action_id]
        if place is None or not wallets.keys() >= _meters_of(one):
            if one.done:
                problems[kind].append(f"{name}: is done, and a meter of it is not registered on chain")
            else:
                numbers[kind]["not_done"] += 1
            continue
        address, account = place
        if address not in memories:
            content = chain.content(address, account)
            memories[address] = None if content is None else Memory(content.fields)
        memory = memories[address]
        wanted = asked(one, wallets)
        standing = "absent" if memory is None else memory.standing(wanted.deed)
        if standing == "other":
            problems[kind].append(f"{name}: the chain has it with another content than {one.action.arguments}")
        elif not one.done:
            numbers[kind]["not_done_but_on_chain" if standing == "there" else "not_done"] += 1
        elif standing == "absent":
            problems[kind].append(f"{name}: is done, and the chain does not have it")
        elif standing == "forgotten":
            older.append(_Open(one, wanted, name))
            numbers[kind]["older"] += 1
    landed = await chain.landed(past.known.signature for past in older if past.known.signature)
    for past in older:
        if problem := _told(chain, past, landed):
            problems[past.known.action.kind].append(f"{past.name}: {problem}")
    counts = Counter(one.action.kind for one in chosen)
    return [Compared(_LABELS[kind][0], counts[kind], tuple(problems[kind]), numbers[kind]) for kind in _LABELS if counts[kind]]


def _place(chain: Chain, one: Known, wallets: Mapping[str, Pubkey]) -> tuple[Pubkey, str] | None:
    """Address and name of the account that remembers an action, or `None` where its meter has no wallet on chain."""
    values = one.action.values
    if one.action.kind == EXECUTE_TRADE:
        seller = wallets.get(values["seller_meter_id"])
        return None if seller is None else (book_address(seller, chain.ids), "TradeBook")
    if one.action.kind == SETTLE_POSITION:
        wallet = wallets.get(values["meter_id"])
        return None if wallet is None else (position_address(wallet, chain.ids), "Position")
    return ledger_address(identifier("meter", values["meter_id"]), chain.ids), "TokenLedger"


def _meters_of(one: Known) -> set[str]:
    return {one.action.values[name] for name in _METERS if name in one.action.values}


def _told(chain: Chain, one: _Open, landed: Mapping[str, Landed | None]) -> str | None:
    """What is wrong with what the transaction of an older action says, or `None`."""
    signature = one.known.signature
    if signature is None:
        return "is older than what the chain remembers, and no transaction of it is known"
    found = landed[signature]
    if found is None:
        return f"is older than what the chain remembers, and the node does not have transaction {signature}"
    if found.error is not None:
        return f"its transaction {signature} failed: {found.error}"
    if any(event.name == one.asked.event and dict(event.fields) == dict(one.asked.fields) for event in found.events):
        return None
    # Where it was sent again the program says nothing, and only takes it because it has been done just so.
    if (program_id(one.asked.program, chain.ids), one.asked.data) in found.instructions:
        return None
    return f"its transaction {signature} succeeded, and does not say that it happened"

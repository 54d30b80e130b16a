"""What actions need on chain: which meters, accounts and approvals, and how much they move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from gridtokenx_pipeline.domain.settlement import kinds

from ..actions import Action
from ..programs.addresses import PAGE_WINDOWS
from .windows import window_of

Asset = Literal["grid", "currency", "rec"]
Holding = tuple[str, Asset]
"""A meter's wallet and a token: the account that it holds the token in."""
_TRADED: tuple[Asset, Asset] = ("grid", "currency")
_OF_ONE_METER = (kinds.SUBMIT_ENERGY_READING, kinds.MINT_GRID, kinds.MINT_REC, kinds.RETIRE_REC, kinds.SETTLE_POSITION)


class Spending(NamedTuple):
    """What an action takes from an account, by the approval of its owner."""

    action_id: str
    amount: int


@dataclass
class Needs:
    """What has to exist for actions. `holdings` are token accounts, `spendings` what is taken from them, in order.

    `payout_micro` is what the market's vault pays before anything comes in; `pages` are numbers of pages of roots.
    """

    meters: set[str] = field(default_factory=set)
    ledgers: set[str] = field(default_factory=set)
    books: set[str] = field(default_factory=set)
    positions: set[str] = field(default_factory=set)
    holdings: set[Holding] = field(default_factory=set)
    spendings: dict[Holding, list[Spending]] = field(default_factory=dict)
    pages: set[int] = field(default_factory=set)
    payout_micro: int = 0

    def _spend(self, holding: Holding, action: Action, amount: int) -> None:
        self.spendings.setdefault(holding, []).append(Spending(action.action_id, amount))


def needs_of(actions: Sequence[Action]) -> Needs:
    """Return what `actions` need."""
    needs = Needs()
    for action in actions:
        values = action.values
        meters = meters_of(action)
        needs.meters.update(meters)
        match action.kind:
            case kinds.RECORD_BATCH:
                needs.pages.add(window_of(action.window_start, values["duration_s"]) // PAGE_WINDOWS)
            case kinds.MINT_GRID | kinds.MINT_REC | kinds.RETIRE_REC:
                holding: Holding = (meters[0], "grid" if action.kind == kinds.MINT_GRID else "rec")
                needs.ledgers.update(meters)
                needs.holdings.add(holding)
                if action.kind == kinds.RETIRE_REC:
                    needs._spend(holding, action, values["energy_wh"])
            case kinds.EXECUTE_TRADE:
                seller, buyer = meters
                needs.books.add(seller)
                needs.holdings.update((meter, asset) for meter in meters for asset in _TRADED)
                needs._spend((seller, "grid"), action, values["energy_wh"])
                needs._spend((buyer, "currency"), action, values["amount_micro"])
            case kinds.SETTLE_POSITION:
                needs.positions.update(meters)
                needs.holdings.update((meters[0], asset) for asset in _TRADED)
                for asset, amount in zip(_TRADED, (values["energy_wh"], values["amount_micro"]), strict=True):
                    if amount < 0:
                        needs._spend((meters[0], asset), action, -amount)
                needs.payout_micro += max(0, values["amount_micro"])
    return needs


def meters_of(action: Action) -> tuple[str, ...]:
    """Return the meters that `action` is about; of a trade, seller and buyer."""
    if action.kind in _OF_ONE_METER:
        return (action.values["meter_id"],)
    if action.kind == kinds.EXECUTE_TRADE:
        return (action.values["seller_meter_id"], action.values["buyer_meter_id"])
    return ()

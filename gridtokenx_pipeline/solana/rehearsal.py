"""Rehearsing a transaction: what it will cost, and who spoils it, before anything is signed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from solana.rpc.commitment import Commitment
from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from .client import RpcPool, RpcUnavailable
from .errors import error_json, error_text
from .funding import PayerNotFunded
from .packing import MAX_COMPUTE_UNITS, Draft, budget

_PAYER_TROUBLE = ("AccountNotFound", "InsufficientFundsForFee", "InvalidAccountForFee")
_NOT_THE_ACTIONS = (
    "BlockhashNotFound",
    "AlreadyProcessed",
    "AccountInUse",
    "ClusterMaintenance",
    "WouldExceedMaxBlockCostLimit",
    # A node that lags behind the one that told of the table.
    "AddressLookupTableNotFound",
    "InvalidAddressLookupTableData",
    "InvalidAddressLookupTableIndex",
)
# Agave has named it either way.
_EXHAUSTED = ("ComputationalBudgetExceeded", "ProgramFailedToComplete")
_BUDGET_UNITS = 150
_PRICED_ACCOUNTS = 128  # as many as a node is asked about at once


@dataclass(frozen=True)
class Price:
    """Priority fee in micro-lamports per compute unit: `fixed`, or if null the 75th percentile of recent fees; at most `cap`."""

    fixed: int | None = 0
    cap: int = 50_000


FREE = Price()


@dataclass(frozen=True)
class Failure:
    """Why a transaction is refused: by which of its composed instructions (null: by the transaction), and with which code.

    `signature` is of one that landed. `limited` says that it had the compute limit of a rehearsal, not the most there is.
    """

    error: str
    index: int | None = None
    code: int | None = None
    signature: str | None = None
    limited: bool = False

    @property
    def exhausted(self) -> bool:
        """Whether the compute limit of the whole transaction may have been reached."""
        return any(name in self.error for name in _EXHAUSTED)


def failure_of(error: Any, price: int, signature: str | None = None, *, limited: bool = False) -> Failure:
    """Return what solders' transaction error says of a draft that was sent with a compute budget at `price`."""
    form, text = error_json(error), error_text(error) or ""
    place: int | None = None
    code = None
    if isinstance(form, dict) and "InstructionError" in form:
        index, inner = form["InstructionError"]
        place = index - len(budget(0, price))
        code = inner.get("Custom") if isinstance(inner, dict) else None
    return Failure(text, place if place is not None and place >= 0 else None, code, signature, limited)


def stop_unless_of_actions(error: Any, payer: str) -> None:
    """Raise `PayerNotFunded` or `RpcUnavailable` where a transaction error says nothing about what the transaction does."""
    form = error_json(error)
    name = form if isinstance(form, str) else next(iter(form))
    short = isinstance(form, dict) and form.get("InsufficientFundsForRent") == {"account_index": 0}
    if short or name in _PAYER_TROUBLE:
        raise PayerNotFunded(f"fee payer {payer} cannot pay ({name}); transfer SOL to it, then run this again")
    if name in _NOT_THE_ACTIONS:
        raise RpcUnavailable(f"the node cannot judge the transaction now ({name})")


class Rehearsal:
    """Simulates drafts that `payer` pays, and asks what a compute unit costs."""

    def __init__(self, rpc: RpcPool, payer: Keypair, *, commitment: str, price: Price) -> None:
        self._rpc, self._payer, self._price = rpc, payer, price
        self._commitment = Commitment(commitment)
        self._parallel = asyncio.Semaphore(8)

    @property
    def most(self) -> int:
        """The most that a compute unit may cost, micro-lamports."""
        return self._price.cap if self._price.fixed is None else min(self._price.fixed, self._price.cap)

    async def unit_price(self, accounts: Sequence[Pubkey]) -> int:
        """Return the price of a compute unit, micro-lamports, of transactions that lock `accounts` for writing."""
        if self._price.fixed is not None:
            return self.most
        recent = (await self._rpc.call("get_recent_prioritization_fees", list(accounts[:_PRICED_ACCOUNTS]))).value
        fees = sorted(fee.prioritization_fee for fee in recent)
        return min(fees[len(fees) * 3 // 4], self._price.cap) if fees else 0

    async def limit(self, draft: Draft, price: int) -> int | Failure:
        """Return the compute limit for `draft`, what a simulation used and 15 % more, or how it fails.

        Raises `PayerNotFunded`, and what `RpcPool.call` raises.
        """
        unsigned = draft.unsigned(self._payer.pubkey(), MAX_COMPUTE_UNITS, 0, Hash.default())
        async with self._parallel:
            result = await self._rpc.call(
                "simulate_transaction", unsigned, commitment=self._commitment, replace_recent_blockhash=True
            )
        if result.value.err is not None:
            stop_unless_of_actions(result.value.err, str(self._payer.pubkey()))
            return failure_of(result.value.err, 0)
        # The price instruction the simulation went without costs as every budget instruction does.
        used = (result.value.units_consumed or 0) + (_BUDGET_UNITS if price else 0)
        return min(MAX_COMPUTE_UNITS, -(-used * 115 // 100))

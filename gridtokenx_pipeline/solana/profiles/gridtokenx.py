"""The profile `gridtokenx`: actions as instructions of the project's own five programs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypedDict

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from gridtokenx_pipeline.domain.settlement import kinds

from ..actions import Action, ActionsRefused, Composed, Refusal, Verdict
from ..client import RpcPool
from ..idl import EncodeError
from ..programs.addresses import identifier
from ..programs.instructions import Programs, Reading
from ..setup import Cluster, MeterSetup
from ..setup.windows import window_of
from ..wallets import Wallets
from .memo import memo_instruction
from .verdicts import PROGRAM_OF, explained, verdict

CERTIFIED = (kinds.MINT_REC, kinds.RETIRE_REC)
"""Kinds that the certifier signs; the submitter signs all others."""

Ready = Callable[[RpcPool], Awaitable[tuple[Cluster, MeterSetup]]]
"""Sees that a cluster is set up, and returns what sets up its meters."""

_U32 = 1 << 32


class _Owned(TypedDict):
    meter_id: bytes
    owner: Pubkey


class GridTokenXProfile:
    """Readings, roots, mints, trades, net positions and retirements on our programs."""

    name = "gridtokenx"

    def __init__(
        self,
        programs: Programs,
        wallets: Wallets,
        *,
        submitter: Keypair,
        certifier: Keypair,
        currency: Pubkey,
        ready: Ready,
    ) -> None:
        """`currency` is what trades are paid in; `ready` is called once, before the first actions."""
        self._programs, self._wallets = programs, wallets
        self._submitter, self._certifier = submitter, certifier
        self._submits, self._certifies = submitter.pubkey(), certifier.pubkey()
        self._currency, self._ready = currency, ready
        self._setup: tuple[Cluster, MeterSetup] | None = None
        self._compose: Mapping[str, Callable[[Action], Instruction]] = {
            kinds.RECORD_BATCH: self._record_batch,
            kinds.MINT_GRID: self._mint_grid,
            kinds.EXECUTE_TRADE: self._execute_trade,
            kinds.SETTLE_POSITION: self._settle_position,
            kinds.MINT_REC: self._mint_rec,
            kinds.RETIRE_REC: self._retire_rec,
        }

    async def prepare(self, rpc: RpcPool, actions: Sequence[Action]) -> Mapping[str, Refusal]:
        """Set up cluster and meters as far as `actions` need it; return what would be refused all the same, by action id.

        Raises `SetupNeeded`, `ClusterMismatch`, `SetupFailed`, `PayerNotFunded`, `KeyFileError`, and what `RpcPool.call` raises.
        """
        if self._setup is None:
            self._setup = await self._ready(rpc)
        cluster, setup = self._setup
        refused = {}
        for action in actions:
            duration_s = action.values.get("duration_s")
            if action.kind in PROGRAM_OF and duration_s != cluster.window_seconds:
                reason = (
                    f"an interval of {duration_s} s is no window of the cluster, whose windows last {cluster.window_seconds} s"
                )
                refused[action.action_id] = Refusal(None, reason)
        others = [action for action in actions if action.kind in PROGRAM_OF and action.action_id not in refused]
        return refused | await setup.prepare(rpc, others)

    def compose(self, actions: Sequence[Action]) -> list[Composed]:
        """Return the instructions of `actions`: readings of one window in one, a batch's memo before its root.

        Raises `ActionsRefused` for what is no kind of these programs or does not fit their arguments.
        """
        composed: list[Composed] = []
        refused: dict[str, Refusal] = {}
        windows: dict[int, list[tuple[Action, Reading]]] = {}
        for action in actions:
            try:
                if action.kind == kinds.SUBMIT_ENERGY_READING:
                    windows.setdefault(_window(action), []).append((action, _reading(action)))
                    continue
                if action.kind not in self._compose:
                    raise ValueError(f"the profile {self.name} has no {action.kind}")
                instruction = self._compose[action.kind](action)
            except (EncodeError, ValueError) as error:
                refused[action.action_id] = Refusal(None, str(error))
                continue
            if action.kind == kinds.RECORD_BATCH:
                composed.append(Composed(memo_instruction(action.values["memo"], self._submits), ()))
            composed.append(Composed(instruction, (action,)))
        if refused:
            raise ActionsRefused(refused)
        return [*map(self._readings, windows.items()), *composed]

    def signers(self, kind: str) -> Sequence[Keypair]:
        """Return the certifier for what is about certificates, else the submitter."""
        return (self._certifier if kind in CERTIFIED else self._submitter,)

    def judge(self, action: Action, code: int | None, error: str) -> Verdict:
        """Say what a refusal means. Exact repetitions are no-ops of the programs, so hardly any refusal is of what was done."""
        return verdict(action.kind, code)

    def explain(self, action: Action, code: int | None, error: str) -> str:
        """Return the chain's refusal of `action` in words."""
        return explained(action.kind, code, error)

    def _readings(self, item: tuple[int, list[tuple[Action, Reading]]]) -> Composed:
        window, rows = item
        submitter, readings = self._submits, [reading for _, reading in rows]
        instruction = self._programs.oracle.submit_energy_readings(submitter, window=window, readings=readings)
        return Composed(instruction, tuple(action for action, _ in rows))

    def _record_batch(self, action: Action) -> Instruction:
        values, submitter = action.values, self._submits
        root, leaves = bytes.fromhex(values["root"]), values["leaves"]
        window = _window(action)
        return self._programs.oracle.record_batch(submitter, window=window, version=values["version"], leaves=leaves, root=root)

    def _mint_grid(self, action: Action) -> Instruction:
        # What was sold in a netted period is minted in the last interval in which the meter sold.
        window = _window(action, action.values.get("last_window"))
        return self._programs.energy_token.mint_grid(
            self._submits, **self._owned(action), window=window, energy_wh=action.values["energy_wh"]
        )

    def _execute_trade(self, action: Action) -> Instruction:
        values = action.values
        energy_wh, price, amount = (values[name] for name in ("energy_wh", "price_micro_per_kwh", "amount_micro"))
        if (moved := (energy_wh * price + 500) // 1000) != amount:
            raise ValueError(f"{energy_wh} Wh at {price} micro per kWh move {moved} micro, but {amount} were settled")
        return self._programs.trading.execute_trade(
            self._submits,
            seller=self._wallets.address(values["seller_meter_id"]),
            buyer=self._wallets.address(values["buyer_meter_id"]),
            currency_mint=self._currency,
            trade_id=identifier("trade", values["trade_id"]),
            window=_window(action),
            energy_wh=energy_wh,
            price_micro_per_kwh=price,
        )

    def _settle_position(self, action: Action) -> Instruction:
        values = action.values
        return self._programs.trading.settle_position(
            self._submits,
            wallet=self._wallets.address(values["meter_id"]),
            currency_mint=self._currency,
            first_window=_window(action, values["first_window"]),
            last_window=_window(action, values["last_window"]),
            number=values["number"],
            energy_wh=values["energy_wh"],
            amount_micro=values["amount_micro"],
        )

    def _mint_rec(self, action: Action) -> Instruction:
        values = action.values
        return self._programs.energy_token.mint_rec(
            self._certifies,
            **self._owned(action),
            bundle_id=identifier("bundle", values["bundle_id"]),
            first_window=_window(action, values["first_window"]),
            last_window=_window(action, values["last_window"]),
            energy_wh=values["energy_wh"],
        )

    def _retire_rec(self, action: Action) -> Instruction:
        values = action.values
        return self._programs.energy_token.retire_for(
            self._certifies,
            **self._owned(action),
            retirement_id=identifier("retirement", values["retirement_id"]),
            window=_window(action, values["window"]),
            energy_wh=values["energy_wh"],
        )

    def _owned(self, action: Action) -> _Owned:
        meter = action.values["meter_id"]
        return {"meter_id": identifier("meter", meter), "owner": self._wallets.address(meter)}


def _window(action: Action, start: dt.datetime | str | None = None) -> int:
    return window_of(start or action.window_start, action.values["duration_s"])


def _reading(action: Action) -> Reading:
    values = action.values
    energies = values["produced_wh"], values["consumed_wh"]
    if not all(0 <= energy < _U32 for energy in energies):
        raise ValueError(f"{energies} Wh are no energies of a window")
    return Reading(identifier("meter", values["meter_id"]), *energies)

"""Settlement on the programs that GridTokenX deploys (August 2026), as far as they take what the pipeline settles.

Sent are readings (`oracle.submit_meter_reading`), GRID (`energy_token.mint_generation`) and each batch's memo, which has the
Merkle root. What the programs would refuse, or have no instruction for, is parked with the code it would get.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from gridtokenx_pipeline.domain.settlement import kinds

from ..actions import Action, ActionsRefused, Composed, Refusal, Verdict
from ..client import RpcPool
from ..idl import BindingError, EncodeError, IdlError, read_idl
from ..keys import role_key
from ..profiles.memo import memo_instruction
from ..programs.addresses import identifier
from ..wallets import wallets_of
from .addresses import AddressError
from .facts import Facts, read_facts
from .guards import EnergyReading, GenerationMint, check_energy_reading, check_generation_mint
from .guards import Refusal as Found
from .profile import Profile
from .sidecar import Sidecar, sidecar_2026_08
from .units import UnitError

if TYPE_CHECKING:
    from gridtokenx_pipeline.config import Settings

READING, MINT = "oracle.submit_meter_reading", "energy_token.mint_generation"
BOUND = "bound"
OUTDATED_READING = 6005
CERTIFICATE_FLOOR_KWH = 100
_ZONE_ID = 0
_MEMOS = (kinds.RECORD_BATCH, kinds.MEMO)


class DeployedProfile:
    """Actions as instructions of the deployed programs. One key, the submitter's, is their authority, as in production."""

    name = "gridtokenx-2026-08"

    def __init__(self, settings: Settings, payer: Keypair) -> None:
        """Raises `BindingError` and `IdlError` where the IDL files of `settlement.idl_dir` are not those of the profile."""
        if settings.settlement.idl_dir is None:
            raise BindingError(f"the profile {self.name} needs the IDL files of its programs: set settlement.idl_dir")
        directory = settings.data / settings.settlement.idl_dir.expanduser()
        self._profile = Profile.bind(sidecar_2026_08(), directory, settings.settlement.program_ids)
        submitter = role_key(settings, "submitter")
        # One object, so that a transaction has its signature once.
        self._submitter = payer if submitter.pubkey() == payer.pubkey() else submitter
        self._certifier = role_key(settings, "certifier")
        self._payer, self._wallets = payer, wallets_of(settings)
        self._facts: Facts | None = None

    async def prepare(self, rpc: RpcPool, actions: Sequence[Action]) -> Mapping[str, Refusal]:
        """Return which of `actions` would be refused, by action id, with the code that the program would give.

        Nothing is set up: meters, mints and authorities of the deployed programs are their operator's. Raises what
        `RpcPool.call` raises.
        """
        facts = self._facts = await read_facts(rpc, self._profile, actions)
        found = {action.action_id: self._refusal(action, facts) for action in sorted(actions, key=lambda a: a.window_start)}
        return {action_id: refusal for action_id, refusal in found.items() if refusal is not None}

    def compose(self, actions: Sequence[Action]) -> list[Composed]:
        """Return one instruction for each of `actions`. Raises `ActionsRefused` for what has none or does not fit it."""
        composed, refused = [], {}
        for action in actions:
            try:
                composed.append(Composed(self._instruction(action), (action,)))
            except (UnitError, AddressError, EncodeError, ValueError) as error:
                refused[action.action_id] = Refusal(None, str(error))
        if refused:
            raise ActionsRefused(refused)
        return composed

    def signers(self, kind: str) -> Sequence[Keypair]:
        """Return the submitter, as chain bridge and token authority, and for GRID the certifier as registered validator."""
        return (self._submitter, self._certifier) if kind == kinds.MINT_GRID else (self._submitter,)

    def judge(self, action: Action, code: int | None, error: str) -> Verdict:
        """Say what a refusal means: a reading that is outdated by itself was counted before."""
        if action.kind != kinds.SUBMIT_ENERGY_READING or code != OUTDATED_READING or self._facts is None:
            return "refused"
        return "done" if self._facts.counted.get(action.values["meter_id"]) == _timestamp(action) else "refused"

    def explain(self, action: Action, code: int | None, error: str) -> str:
        """Return a refusal in the words of the program's IDL, where it has any."""
        program = {kinds.SUBMIT_ENERGY_READING: "oracle", kinds.MINT_GRID: "energy_token"}.get(action.kind)
        if program is None or code is None:
            return error
        known = self._profile.programs[program].idl.errors.get(code)
        return f"{program}: {known.name} ({code})" if known else error

    def _refusal(self, action: Action, facts: Facts) -> Refusal | None:
        values = action.values
        if action.kind in _MEMOS:
            return None
        if action.kind == kinds.SUBMIT_ENERGY_READING:
            return self._reading_refusal(action, facts)
        if action.kind == kinds.MINT_GRID:
            if "first_window" in values:
                return Refusal(None, "the deployed programs mint GRID for 15 minutes, not for a netted period")
            return self._mint_refusal(action, facts)
        if action.kind == kinds.MINT_REC:
            if values["energy_wh"] < CERTIFICATE_FLOOR_KWH * 1000:
                reason = f"BelowMinimumEnergy: {values['energy_wh']} Wh, {CERTIFICATE_FLOOR_KWH} kWh at least"
                return Refusal(6005, reason)
            return Refusal(None, "governance.issue_erc is signed by the meter's owner, who has to issue it")
        if action.kind == kinds.EXECUTE_TRADE:
            return Refusal(3012, "AccountNotInitialized: the deployed market settles recorded orders, and there is none")
        return Refusal(None, f"the deployed programs have no instruction for {action.kind}")

    def _reading_refusal(self, action: Action, facts: Facts) -> Refusal | None:
        if facts.oracle is None:
            return Refusal(3012, "AccountNotInitialized: the oracle is not set up on this cluster")
        values, at = action.values, _timestamp(action)
        meter = values["meter_id"]
        reading = EnergyReading(meter, values["produced_wh"], values["consumed_wh"], at, self._submitter.pubkey())
        if facts.counted.get(meter) == at:
            return None  # it counted before: sending it tells
        last = facts.last_reading.get(meter)
        found = check_energy_reading(reading, facts.oracle, last, facts.chain_time)
        if found is None:
            facts.last_reading[meter] = at
        return _as_refusal(found)

    def _mint_refusal(self, action: Action, facts: Facts) -> Refusal | None:
        if facts.token is None:
            return Refusal(3012, "AccountNotInitialized: the energy token is not set up on this cluster")
        validator, authority = self._certifier.pubkey(), self._submitter.pubkey()
        start_ms = int(action.window_start.timestamp()) * 1000
        amount = action.values["energy_wh"] * 1_000_000
        mint = GenerationMint(_meter_16(action.values["meter_id"]), start_ms, amount, authority, validator)
        return _as_refusal(check_generation_mint(mint, facts.token, facts.chain_time, action.action_id in facts.minted))

    def _instruction(self, action: Action) -> Instruction:
        values = action.values
        if action.kind in _MEMOS:
            return memo_instruction(values["memo"], self._submitter.pubkey())
        if action.kind == kinds.SUBMIT_ENERGY_READING:
            quantities: dict[str, Any] = {
                "meter_id": values["meter_id"],
                "energy_produced": values["produced_wh"],
                "energy_consumed": values["consumed_wh"],
                "reading_timestamp": _end(action),
                "zone_id": _ZONE_ID,
            }
            return self._profile.prepare(READING, quantities, {"chain_bridge": self._submitter.pubkey()}).instruction
        if action.kind == kinds.MINT_GRID:
            return self._profile.prepare(MINT, mint_quantities(action), self._mint_keys(values["meter_id"])).instruction
        raise ValueError(f"the deployed programs have no instruction for {action.kind}")

    def _mint_keys(self, meter: str) -> dict[str, Pubkey]:
        return {
            "token_authority": self._submitter.pubkey(),
            "rec_validator": self._certifier.pubkey(),
            "payer": self._payer.pubkey(),
            "meter_owner": self._wallets.address(meter),
        }


def mint_quantities(action: Action) -> dict[str, Any]:
    """Return what `energy_token.mint_generation` is told of a `mint_grid`."""
    meter, energy_wh = action.values["meter_id"], action.values["energy_wh"]
    return {"meter_id": _meter_16(meter), "window_start_ms": action.window_start, "amount": energy_wh}


def check_idls(directory: Path, program_ids: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return for each program of the profile `BOUND`, where its IDL file in `directory` is the one that is known, or why not."""
    sidecar, found = sidecar_2026_08(), dict[str, str]()
    for name, rule in sidecar.programs.items():
        try:
            path = directory / f"{name}.json"
            if not path.is_file():
                raise BindingError(f"there is no {path.name} in {directory}")
            read_idl(path)
            alone = Sidecar.model_construct(profile=sidecar.profile, spec=sidecar.spec, programs={name: rule}, actions={})
            Profile.bind(alone, directory, {k: v for k, v in (program_ids or {}).items() if k == name})
            found[name] = BOUND
        except (BindingError, IdlError) as error:
            found[name] = str(error)
    return found


def _meter_16(meter: str) -> bytes:
    """The 16 bytes by which the energy token knows a meter."""
    return identifier("meter", meter)[:16]


def _end(action: Action) -> dt.datetime:
    # A reading is of the moment at which its interval was over.
    return action.window_start + dt.timedelta(seconds=action.values["duration_s"])


def _timestamp(action: Action) -> int:
    return int(_end(action).timestamp())


def _as_refusal(found: Found | None) -> Refusal | None:
    return None if found is None else Refusal(found.code, f"{found.name}: {found.detail}")

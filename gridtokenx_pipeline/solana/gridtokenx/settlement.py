"""Settlement on the programs that GridTokenX deploys (August 2026), as far as they take what the pipeline settles.

Sent are readings (`oracle.submit_meter_reading`), GRID (`energy_token.mint_generation`), certificates (`governance.issue_erc`)
and each batch's memo, which has the Merkle root. What the programs would refuse, or have no instruction for, is parked with the
code it would get.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from solders.instruction import Instruction
from solders.keypair import Keypair

from gridtokenx_pipeline.domain.settlement import kinds

from ..actions import Action, ActionsRefused, Composed, Refusal, Verdict
from ..client import RpcPool
from ..idl import BindingError, EncodeError, IdlError
from ..keys import role_key
from ..profiles.memo import memo_instruction
from ..wallets import wallets_of
from .addresses import AddressError
from .facts import PROGRAM_OF, Facts, read_facts
from .guards.refusal import ACCOUNT_IN_USE
from .profile import Profile
from .refusals import Refusals, Signing
from .sidecar import Sidecar, sidecar_2026_08
from .terms import certificate_quantities, mint_quantities, reading_at, reading_quantities
from .units import UnitError

if TYPE_CHECKING:
    from gridtokenx_pipeline.config import Settings

READING, MINT, CERTIFICATE = "oracle.submit_meter_reading", "energy_token.mint_generation", "governance.issue_erc"
BOUND = "bound"
OUTDATED_READING = 6005
# Of a meter that the oracle does not know yet; what it knows is told again, since a reading overwrites it.
_FIRST_ZONE = 0


class DeployedProfile:
    """Actions as instructions of the deployed programs.

    The submitter is chain bridge and token authority, as one key is in production, the certifier the registered validator.
    Whichever of them is governance's authority issues certificates.
    """

    name = "gridtokenx-2026-08"
    window_by_window = (kinds.SUBMIT_ENERGY_READING,)
    """The oracle refuses for good what is older than a meter's last reading, so an interval waits for those before it."""

    def __init__(self, settings: Settings, payer: Keypair) -> None:
        """Raises `BindingError` and `IdlError` where the IDL files of `settlement.idl_dir` are not those of the profile."""
        if settings.settlement.idl_dir is None:
            raise BindingError(f"the profile {self.name} needs the IDL files of its programs: set settlement.idl_dir")
        directory = settings.data / settings.settlement.idl_dir.expanduser()
        self._profile = Profile.bind(sidecar_2026_08(), directory, settings.settlement.program_ids)
        submitter = role_key(settings, "submitter")
        # One object, so that a transaction has its signature once.
        self._submitter = payer if submitter.pubkey() == payer.pubkey() else submitter
        self._certifier = self._issuer = role_key(settings, "certifier")
        self._payer, self._wallets, self._source = payer, wallets_of(settings), settings.certificates.source
        self._submits, self._certifies, self._pays = (key.pubkey() for key in (self._submitter, self._certifier, payer))
        self._facts: Facts | None = None
        self._zones: dict[str, int] = {}
        self._owners: dict[str, Keypair] = {}
        self._instructions: Mapping[str, Callable[[Action], Instruction]] = {
            kinds.SUBMIT_ENERGY_READING: self._reading,
            kinds.MINT_GRID: self._mint,
            kinds.MINT_REC: self._certificate,
            kinds.RECORD_BATCH: self._memo,
            kinds.MEMO: self._memo,
        }

    async def prepare(self, rpc: RpcPool, actions: Sequence[Action]) -> Mapping[str, Refusal]:
        """Return which of `actions` would be refused, by action id, with the code that the program would give.

        Nothing is set up: meters, mints and authorities of the deployed programs are their operator's. Raises `DecodeError`
        where accounts are not of the bound layouts, and what `RpcPool.call` raises.
        """
        facts = self._facts = await read_facts(rpc, self._profile, self._wallets, actions)
        self._zones |= facts.zones
        governed = facts.certificates is not None and facts.certificates.authority == self._submits
        self._issuer = self._submitter if governed else self._certifier
        judged = Refusals(facts, Signing(self._submits, self._certifies, self._issuer.pubkey()), self._wallets, self._source)
        found = {action.action_id: judged.of(action) for action in sorted(actions, key=lambda action: action.window_start)}
        sent = {a.values["meter_id"] for a in actions if a.kind == kinds.MINT_REC and found[a.action_id] is None}
        self._owners = {meter: key for meter in sorted(sent) if (key := self._wallets.key(meter)) is not None}
        return {action_id: refusal for action_id, refusal in found.items() if refusal is not None}

    def compose(self, actions: Sequence[Action]) -> list[Composed]:
        """Return one instruction for each of `actions`. Raises `ActionsRefused` for what has none or does not fit it."""
        composed, refused = [], {}
        for action in actions:
            try:
                if action.kind not in self._instructions:
                    raise ValueError(f"the deployed programs have no instruction for {action.kind}")
                composed.append(Composed(self._instructions[action.kind](action), (action,)))
            except (UnitError, AddressError, EncodeError, ValueError) as error:
                refused[action.action_id] = Refusal(None, str(error))
        if refused:
            raise ActionsRefused(refused)
        return composed

    def signers(self, kind: str) -> Sequence[Keypair]:
        """Return the submitter; for GRID the certifier too, and for certificates who issues them and the meters' owners.

        Owners are those of the certificates prepared last; of a transaction's certificates only theirs are needed.
        """
        if kind == kinds.MINT_REC:
            return self._issuer, *self._owners.values()
        return (self._submitter, self._certifier) if kind == kinds.MINT_GRID else (self._submitter,)

    def judge(self, action: Action, code: int | None, error: str) -> Verdict:
        """Say what a refusal means: a reading that is outdated by itself counted before, a certificate that exists was issued."""
        facts = self._facts
        if facts is None:
            return "refused"
        if action.kind == kinds.SUBMIT_ENERGY_READING and code == OUTDATED_READING:
            at = int(reading_at(action).timestamp())
            return "done" if facts.counted.get(action.values["meter_id"]) == at else "refused"
        if action.kind == kinds.MINT_REC and code == ACCOUNT_IN_USE:
            # Another owner's or energy's would not have been sent.
            return "done" if action.action_id in facts.issued else "refused"
        return "refused"

    def explain(self, action: Action, code: int | None, error: str) -> str:
        """Return a refusal in the words of the program's IDL, where it has any."""
        program = PROGRAM_OF.get(action.kind)
        if program is None or code is None:
            return error
        known = self._profile.programs[program].idl.errors.get(code)
        return f"{program}: {known.name} ({code})" if known else error

    def _memo(self, action: Action) -> Instruction:
        return memo_instruction(action.values["memo"], self._submits)

    def _reading(self, action: Action) -> Instruction:
        told = reading_quantities(action, self._zones.get(action.values["meter_id"], _FIRST_ZONE))
        return self._profile.prepare(READING, told, {"chain_bridge": self._submits}).instruction

    def _mint(self, action: Action) -> Instruction:
        keys = {
            "token_authority": self._submits,
            "rec_validator": self._certifies,
            "payer": self._pays,
            "meter_owner": self._wallets.address(action.values["meter_id"]),
        }
        return self._profile.prepare(MINT, mint_quantities(action), keys).instruction

    def _certificate(self, action: Action) -> Instruction:
        meter = action.values["meter_id"]
        if self._facts is None or self._facts.rec_token_program is None:
            raise ValueError("the cluster has no REC mint")
        keys = {
            "meter_owner": self._wallets.address(meter),
            "owner": self._wallets.address(meter),
            "governance_authority": self._issuer.pubkey(),
            "rec_token_program": self._facts.rec_token_program,
        }
        told = certificate_quantities(action, self._source)
        return self._profile.prepare(CERTIFICATE, told, keys, {"meter_id": meter}).instruction


def check_idls(directory: Path, program_ids: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return for each program of the profile `BOUND`, where its IDL file in `directory` is the one that is known, or why not."""
    sidecar, found = sidecar_2026_08(), dict[str, str]()
    for name, rule in sidecar.programs.items():
        try:
            path = directory / f"{name}.json"
            if not path.is_file():
                raise BindingError(f"there is no {path.name} in {directory}")
            alone = Sidecar.model_construct(profile=sidecar.profile, spec=sidecar.spec, programs={name: rule}, actions={})
            Profile.bind(alone, directory, {k: v for k, v in (program_ids or {}).items() if k == name})
            found[name] = BOUND
        except (BindingError, IdlError) as error:
            found[name] = str(error)
    return found

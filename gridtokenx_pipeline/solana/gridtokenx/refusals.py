"""Which actions the deployed programs would refuse: their guards on what the chain says now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from solders.pubkey import Pubkey

from gridtokenx_pipeline.domain.settlement import kinds

from ..actions import Action, Refusal
from ..wallets import Wallets
from .facts import PROGRAM_OF, Facts
from .guards import (
    CertificateIssue,
    EnergyReading,
    GenerationMint,
    check_certificate,
    check_energy_reading,
    check_generation_mint,
)
from .guards import Refusal as Found
from .terms import certificate_quantities, meter_16, mint_window, reading_at

# Anchor's codes of an account that is not there: zero-copy ones are asked for their owner at once, others whether they exist.
_NO_ZERO_COPY = "AccountOwnedByWrongProgram"
NO_ZERO_COPY, NO_ACCOUNT = 3007, 3012
_WH_PER_KWH, _UNITS_PER_WH = 1_000, 1_000_000


@dataclass(frozen=True)
class Signing:
    """Who signs: the submitter (chain bridge and token authority), the certifier (validator), and who issues certificates."""

    submitter: Pubkey
    certifier: Pubkey
    issuer: Pubkey


class Refusals:
    """Judges actions one after the other, in order of time: what one does, the next is judged after."""

    def __init__(self, facts: Facts, signing: Signing, wallets: Wallets, source: str) -> None:
        self._facts, self._signing, self._wallets, self._source = facts, signing, wallets, source
        self._minting: set[tuple[bytes, int]] = set()
        self._guards: Mapping[str, Callable[[Action], Refusal | None]] = {
            kinds.SUBMIT_ENERGY_READING: self._reading,
            kinds.MINT_GRID: self._mint,
            kinds.MINT_REC: self._certificate,
            kinds.EXECUTE_TRADE: self._trade,
            kinds.RECORD_BATCH: lambda action: None,
            kinds.MEMO: lambda action: None,
        }

    def of(self, action: Action) -> Refusal | None:
        """Return what `action` would be refused with, or `None`: also for what was done before, which sending tells."""
        if action.kind not in self._guards:
            return Refusal(None, f"the deployed programs have no instruction for {action.kind}")
        if (program := PROGRAM_OF.get(action.kind)) in self._facts.absent:
            return Refusal(None, f"the program {program} is not on this cluster")
        return self._guards[action.kind](action)

    def _reading(self, action: Action) -> Refusal | None:
        facts, values, at = self._facts, action.values, int(reading_at(action).timestamp())
        if facts.oracle is None:
            return Refusal(NO_ZERO_COPY, f"{_NO_ZERO_COPY}: the oracle is not set up")
        meter = values["meter_id"]
        if facts.counted.get(meter) == at:
            return None
        reading = EnergyReading(meter, values["produced_wh"], values["consumed_wh"], at, self._signing.submitter)
        found = check_energy_reading(reading, facts.oracle, facts.last_reading.get(meter), facts.chain_time)
        if found is None:
            facts.last_reading[meter] = at
        return _as_refusal(found)

    def _mint(self, action: Action) -> Refusal | None:
        facts, meter = self._facts, meter_16(action.values["meter_id"])
        if facts.token is None:
            return Refusal(NO_ZERO_COPY, f"{_NO_ZERO_COPY}: the energy token is not set up")
        start_ms = int(mint_window(action).timestamp()) * 1000
        amount, before = action.values["energy_wh"] * _UNITS_PER_WH, facts.minted.get(action.action_id)
        mint = GenerationMint(meter, start_ms, amount, self._signing.submitter, self._signing.certifier)
        found = check_generation_mint(mint, facts.token, facts.chain_time, before is not None)
        if found is not None:
            return _as_refusal(found)
        if before not in (None, amount) or (meter, start_ms) in self._minting:
            # The program would succeed and do nothing, and nobody would know.
            return Refusal(None, "the meter's 15 minutes are minted already, with another amount or for another action")
        self._minting.add((meter, start_ms))
        return None

    def _certificate(self, action: Action) -> Refusal | None:
        facts, meter = self._facts, action.values["meter_id"]
        if facts.certificates is None:
            return Refusal(NO_ACCOUNT, "AccountNotInitialized: governance, registry or REC mint is not set up")
        owner, energy = self._wallets.address(meter), action.values["energy_wh"] // _WH_PER_KWH
        if facts.issued.get(action.action_id) == (owner, energy):
            return None
        told = certificate_quantities(action, self._source)
        issue = CertificateIssue(
            told["certificate_id"], energy, told["renewable_source"], told["validation_data"], owner, self._signing.issuer
        )
        claimable = facts.claimable.get(meter)
        if claimable is None:
            # Under the floor it is refused whoever registers the meter, so that is what is told.
            if energy < facts.certificates.min_energy:
                return Refusal(6005, f"BelowMinimumEnergy: {energy} kWh, {facts.certificates.min_energy} kWh at least")
            return Refusal(NO_ZERO_COPY, f"{_NO_ZERO_COPY}: the registry knows no meter {meter} of {owner}")
        found = check_certificate(issue, facts.certificates, claimable, action.action_id in facts.issued)
        if found is not None:
            return _as_refusal(found)
        if self._wallets.key(meter) is None:
            return Refusal(None, f"the owner of {meter} has to sign, and keeps the wallet themselves")
        facts.claimable[meter] = replace(claimable, unclaimed=claimable.unclaimed - energy)
        return None

    def _trade(self, action: Action) -> Refusal | None:
        # Its accounts are orders that the market recorded and escrows of the custodian, which no trade of the ledger names.
        reason = f"{_NO_ZERO_COPY}: the market settles orders that are recorded on chain, and there are none of {{}}"
        return Refusal(NO_ZERO_COPY, reason.format(action.natural_key))


def _as_refusal(found: Found | None) -> Refusal | None:
    return None if found is None else Refusal(found.code, f"{found.name}: {found.detail}")

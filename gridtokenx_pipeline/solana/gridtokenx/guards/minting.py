"""Guards of `energy_token.mint_generation` (GRID) and `governance.issue_erc` (certificates), in the programs' order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from solders.pubkey import Pubkey

from .refusal import ACCOUNT_IN_USE, NOT_DESERIALIZED, Refusal, seed_too_long

WINDOW_MS = 900_000
WINDOW_S = WINDOW_MS // 1_000
_LONGEST_SOURCE, _LONGEST_DATA = 64, 256


@dataclass(frozen=True)
class GenerationMint:
    """A mint as it would be sent: `amount` in 1e-9 kWh; `authority` and `rec_validator` sign."""

    meter_id: bytes
    window_start_ms: int
    amount: int
    authority: Pubkey
    rec_validator: Pubkey | None


@dataclass(frozen=True)
class TokenRules:
    """Who may mint GRID: the authority together with one of the registered validators."""

    authority: Pubkey
    rec_validators: frozenset[Pubkey]

    @classmethod
    def of(cls, token_info: Mapping[str, Any]) -> TokenRules:
        """Return the rules of a decoded `TokenInfo` account."""
        registered = token_info["rec_validators"][: token_info["rec_validators_count"]]
        return cls(token_info["authority"], frozenset(registered))


def check_generation_mint(mint: GenerationMint, rules: TokenRules, chain_time: int, already_minted: bool) -> Refusal | None:
    """Return what the chain would refuse the mint with, or `None`.

    A window `already_minted` is no refusal: the program does nothing and succeeds, so chunk-mates land.
    """
    if len(mint.meter_id) != 16:
        return Refusal(NOT_DESERIALIZED, "InstructionDidNotDeserialize", f"meter_id has {len(mint.meter_id)} bytes, not 16")
    if mint.authority != rules.authority:
        return Refusal(6000, "UnauthorizedAuthority", f"{mint.authority} is not the token's authority {rules.authority}")
    if already_minted:
        return None
    if mint.amount == 0:
        return Refusal(6011, "ZeroAmount", "nothing to mint, and the window would count as minted")
    start = mint.window_start_ms
    if start <= 0 or start % WINDOW_MS or start // 1_000 > chain_time + WINDOW_S:
        return Refusal(6010, "MisalignedWindow", f"{start} is not a past or current multiple of {WINDOW_MS} ms")
    if mint.rec_validator is None or mint.rec_validator not in rules.rec_validators:
        return Refusal(6008, "RecValidatorNotFound", f"{mint.rec_validator or 'nobody'} is not a registered validator")
    if mint.rec_validator == mint.authority:
        return Refusal(6012, "RecValidatorIsAuthority", f"{mint.authority} signs for both sides")
    return None


@dataclass(frozen=True)
class CertificateIssue:
    """A certificate as it would be sent: `energy` in whole kWh; `owner` and `authority` sign."""

    certificate_id: str
    energy: int
    renewable_source: str
    validation_data: str
    owner: Pubkey
    authority: Pubkey


@dataclass(frozen=True)
class CertificateRules:
    """Governance's configuration and the registry's authority. The defaults are those of `initialize_governance`."""

    authority: Pubkey
    registry_authority: Pubkey
    enabled: bool = True
    min_energy: int = 100
    max_energy: int = 1_000_000
    oracle_missing: bool = False

    @classmethod
    def of(cls, config: Mapping[str, Any], registry: Mapping[str, Any]) -> CertificateRules:
        """Return the rules of decoded `GovernanceConfig` and `Registry` accounts."""
        return cls(
            authority=config["authority"],
            registry_authority=registry["authority"],
            enabled=config["erc_validation_enabled"] and not config["maintenance_mode"],
            min_energy=config["min_energy_amount"],
            max_energy=config["max_erc_amount"],
            oracle_missing=config["require_oracle_validation"] and config["oracle_authority"] == Pubkey.default(),
        )


@dataclass(frozen=True)
class Claimable:
    """A meter's owner, and its net generation not yet claimed or settled, in the registry's own units."""

    owner: Pubkey
    unclaimed: int

    @classmethod
    def of(cls, meter_account: Mapping[str, Any]) -> Claimable:
        """Return the facts of a decoded `MeterAccount`, by the program's saturating subtractions."""
        net = max(0, meter_account["total_generation"] - meter_account["total_consumption"])
        rest = net - meter_account["claimed_erc_generation"] - meter_account["settled_net_generation"]
        return cls(meter_account["owner"], max(0, rest))


def check_certificate(issue: CertificateIssue, rules: CertificateRules, meter: Claimable, already_issued: bool) -> Refusal | None:
    """Return what the chain would refuse the certificate with, or `None`.

    The program compares its kWh with the registry's totals, whatever they are counted in: against totals in Wh this
    lets through a thousand times too much. Holding to the net generation is the caller's own ledger's work.
    """
    if refusal := seed_too_long("certificate_id", issue.certificate_id):
        return refusal
    if already_issued:
        return Refusal(ACCOUNT_IN_USE, "AccountAlreadyInUse", f"the certificate {issue.certificate_id} exists")
    if issue.authority != rules.authority or issue.authority != rules.registry_authority:
        return Refusal(6000, "UnauthorizedAuthority", f"{issue.authority} is not governance's and the registry's authority")
    if issue.owner != meter.owner:
        return Refusal(6000, "UnauthorizedAuthority", f"{issue.owner} is not the meter's owner {meter.owner}")
    if not rules.enabled:
        return Refusal(6002, "ErcValidationDisabled", "certificates are switched off or governance is in maintenance")
    if issue.energy < rules.min_energy:
        return Refusal(6005, "BelowMinimumEnergy", f"{issue.energy} kWh, {rules.min_energy} kWh at least")
    if issue.energy > rules.max_energy:
        return Refusal(6006, "ExceedsMaximumEnergy", f"{issue.energy} kWh, {rules.max_energy} kWh at most")
    for code, name, what, text, longest in (
        (6008, "SourceNameTooLong", "renewable_source", issue.renewable_source, _LONGEST_SOURCE),
        (6029, "ValidationDataTooLong", "validation_data", issue.validation_data, _LONGEST_DATA),
    ):
        if len(text.encode()) > longest:
            return Refusal(code, name, f"{what} has {len(text.encode())} bytes, {longest} are allowed")
    if issue.energy > meter.unclaimed:
        return Refusal(6017, "InsufficientUnclaimedGeneration", f"{issue.energy} of {meter.unclaimed} unclaimed")
    if rules.oracle_missing:
        return Refusal(6015, "OracleValidationRequired", "governance demands an oracle and has none")
    return None

"""Instructions of the energy token: GRID and REC, minted for what the oracle accepted."""

from __future__ import annotations

from typing import Literal

from solders.instruction import Instruction
from solders.pubkey import Pubkey
from spl.token.constants import TOKEN_2022_PROGRAM_ID

from ..addresses import (
    config_address,
    issuer_address,
    ledger_address,
    meter_address,
    mint_address,
    state_address,
    token_address,
)
from .bound import SYSTEM_PROGRAM, Bound


class EnergyToken(Bound):
    """What may be held."""

    program = "energy_token"

    def initialize(self, authority: Pubkey) -> Instruction:
        """Make both mints, once. Governance's authority signs and pays rent."""
        accounts = {
            "authority": authority,
            "config": config_address(self.ids),
            "issuer": issuer_address(self.ids),
            "grid_mint": mint_address("grid", self.ids),
            "rec_mint": mint_address("rec", self.ids),
            "token_program": TOKEN_2022_PROGRAM_ID,
            "system_program": SYSTEM_PROGRAM,
        }
        return self._instruction("initialize", {}, accounts)

    def open_ledger(self, payer: Pubkey, *, meter_id: bytes) -> Instruction:
        """Make the ledger of a meter's tokens; a no-op where it exists. `payer` signs and pays rent."""
        accounts = {
            "payer": payer,
            "meter": meter_address(meter_id, self.ids),
            "ledger": ledger_address(meter_id, self.ids),
            "system_program": SYSTEM_PROGRAM,
        }
        return self._instruction("open_ledger", {}, accounts)

    def mint_grid(self, submitter: Pubkey, *, meter_id: bytes, owner: Pubkey, window: int, energy_wh: int) -> Instruction:
        """Mint a window's GRID to the associated account of `owner`, the meter's owner; the same again is a no-op."""
        accounts = {"submitter": submitter} | self._minting("grid", meter_id, owner)
        return self._instruction("mint_grid", {"window": window, "energy_wh": energy_wh}, accounts)

    def mint_rec(
        self,
        certifier: Pubkey,
        *,
        meter_id: bytes,
        owner: Pubkey,
        bundle_id: bytes,
        first_window: int,
        last_window: int,
        energy_wh: int,
    ) -> Instruction:
        """Mint a bundle's REC to the associated account of `owner`, the meter's owner; the same again is a no-op."""
        arguments = {
            "bundle_id": bundle_id,
            "first_window": first_window,
            "last_window": last_window,
            "energy_wh": energy_wh,
        }
        return self._instruction("mint_rec", arguments, {"certifier": certifier} | self._minting("rec", meter_id, owner))

    def retire(self, holder: Pubkey, *, energy_wh: int, purpose: bytes) -> Instruction:
        """Burn REC of `holder`, who signs. `purpose` (32 bytes) is logged. Sent twice it burns twice."""
        rec = mint_address("rec", self.ids)
        accounts = {
            "holder": holder,
            "issuer": issuer_address(self.ids),
            "rec_mint": rec,
            "account": token_address(holder, rec),
            "token_program": TOKEN_2022_PROGRAM_ID,
        }
        return self._instruction("retire", {"energy_wh": energy_wh, "purpose": purpose}, accounts)

    def retire_for(
        self, certifier: Pubkey, *, meter_id: bytes, owner: Pubkey, retirement_id: bytes, window: int, energy_wh: int
    ) -> Instruction:
        """Burn REC of `owner`, the meter's owner, whose certificate ended in `window`; the same again is a no-op.

        The associated account is meant, and its owner has approved the issuer as its delegate.
        """
        rec = mint_address("rec", self.ids)
        accounts = {
            "certifier": certifier,
            "config": config_address(self.ids),
            "issuer": issuer_address(self.ids),
            "meter": meter_address(meter_id, self.ids),
            "ledger": ledger_address(meter_id, self.ids),
            "rec_mint": rec,
            "account": token_address(owner, rec),
            "token_program": TOKEN_2022_PROGRAM_ID,
        }
        arguments = {"retirement_id": retirement_id, "window": window, "energy_wh": energy_wh}
        return self._instruction("retire_for", arguments, accounts)

    def _minting(self, token: Literal["grid", "rec"], meter_id: bytes, owner: Pubkey) -> dict[str, Pubkey]:
        mint = mint_address(token, self.ids)
        return {
            "config": config_address(self.ids),
            "issuer": issuer_address(self.ids),
            "meter": meter_address(meter_id, self.ids),
            "state": state_address(meter_id, self.ids),
            "ledger": ledger_address(meter_id, self.ids),
            "mint": mint,
            "destination": token_address(owner, mint),
            "token_program": TOKEN_2022_PROGRAM_ID,
        }

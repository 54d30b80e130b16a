"""Instructions of governance: the keys of the roles, the pause, the window length."""

from __future__ import annotations

from typing import Any

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from ..addresses import config_address
from ..loader import program_data_address
from .bound import SYSTEM_PROGRAM, Bound


class Governance(Bound):
    """Who may do what."""

    program = "governance"

    def initialize(self, authority: Pubkey, *, submitter: Pubkey, certifier: Pubkey, window_seconds: int) -> Instruction:
        """Make the configuration, once. `authority` signs, pays, and is the program's upgrade authority where it has one.

        `window_seconds` divides a day. Certifier and authority differ.
        """
        accounts = {
            "authority": authority,
            "config": config_address(self.ids),
            "program": self.program_id,
            "program_data": program_data_address(self.program_id),
            "system_program": SYSTEM_PROGRAM,
        }
        arguments = {"submitter": submitter, "certifier": certifier, "window_seconds": window_seconds}
        return self._instruction("initialize", arguments, accounts)

    def set_keys(self, authority: Pubkey, *, submitter: Pubkey, certifier: Pubkey) -> Instruction:
        """Replace submitter and certifier."""
        return self._change("set_keys", authority, {"submitter": submitter, "certifier": certifier})

    def set_paused(self, authority: Pubkey, paused: bool) -> Instruction:
        """Stop or resume what changes state in the other programs."""
        return self._change("set_paused", authority, {"paused": paused})

    def propose_authority(self, authority: Pubkey, proposed: Pubkey | None) -> Instruction:
        """Name the next authority; `None` withdraws the name."""
        return self._change("propose_authority", authority, {"authority": proposed or SYSTEM_PROGRAM})

    def accept_authority(self, proposed: Pubkey) -> Instruction:
        """Take over: signed by the key that was proposed."""
        return self._change("accept_authority", proposed, {})

    def _change(self, name: str, authority: Pubkey, arguments: dict[str, Any]) -> Instruction:
        return self._instruction(name, arguments, {"authority": authority, "config": config_address(self.ids)})

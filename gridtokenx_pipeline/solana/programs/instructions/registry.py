"""Instructions of the registry: meters, their owners' wallets and their status."""

from __future__ import annotations

from enum import IntEnum

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from ..addresses import config_address, meter_address
from .bound import SYSTEM_PROGRAM, Bound


class MeterStatus(IntEnum):
    """A meter's status as the registry numbers it (`MeterStatus` of its IDL)."""

    ACTIVE = 0
    MAINTENANCE = 1
    SUSPENDED = 2
    REVOKED = 3


class Registry(Bound):
    """Which meters exist."""

    program = "registry"

    def register_meter(self, submitter: Pubkey, *, meter_id: bytes, owner: Pubkey, limit_wh: int) -> Instruction:
        """Register a meter of the wallet `owner`; the same again is a no-op. `submitter` signs and pays rent.

        `limit_wh` is the most that a register may advance in a window.
        """
        accounts = {
            "submitter": submitter,
            "config": config_address(self.ids),
            "meter": meter_address(meter_id, self.ids),
            "system_program": SYSTEM_PROGRAM,
        }
        arguments = {"meter_id": meter_id, "owner": owner, "limit_wh": limit_wh}
        return self._instruction("register_meter", arguments, accounts)

    def update_meter_status(self, submitter: Pubkey, *, meter_id: bytes, status: MeterStatus, changed_at: int) -> Instruction:
        """Change a meter's status; `changed_at` (Unix seconds) is when that was decided, later than the change before."""
        accounts = {
            "submitter": submitter,
            "config": config_address(self.ids),
            "meter": meter_address(meter_id, self.ids),
        }
        return self._instruction("update_meter_status", {"status": int(status), "changed_at": changed_at}, accounts)

"""Instructions of the oracle: readings that count, and the Merkle root of every batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from ..addresses import config_address, meter_address, page_address, state_address
from .bound import SYSTEM_PROGRAM, Bound, distinct


class Reading(NamedTuple):
    """What a meter's registers advanced by in a window, Wh."""

    meter_id: bytes
    produced_wh: int
    consumed_wh: int


class Oracle(Bound):
    """What counted."""

    program = "oracle"

    def sync_meter(self, payer: Pubkey, *, meter_id: bytes) -> Instruction:
        """Bring a meter's status and limit over from the registry; makes its state, whose rent `payer` pays, the first time."""
        accounts = {
            "payer": payer,
            "meter": meter_address(meter_id, self.ids),
            "state": state_address(meter_id, self.ids),
            "system_program": SYSTEM_PROGRAM,
        }
        return self._instruction("sync_meter", {}, accounts)

    def submit_energy_reading(
        self, submitter: Pubkey, *, meter_id: bytes, window: int, produced_wh: int, consumed_wh: int
    ) -> Instruction:
        """Let one reading of `window` count; a window that counted already is a no-op."""
        accounts = {
            "submitter": submitter,
            "config": config_address(self.ids),
            "state": state_address(meter_id, self.ids),
        }
        arguments = {"window": window, "produced_wh": produced_wh, "consumed_wh": consumed_wh}
        return self._instruction("submit_energy_reading", arguments, accounts)

    def submit_energy_readings(self, submitter: Pubkey, *, window: int, readings: Sequence[Reading]) -> Instruction:
        """Let readings of several meters of one window count, each meter's once. All of them do, or none."""
        states = [state_address(reading.meter_id, self.ids) for reading in readings]
        distinct(states, [f"readings[{place}].meter_id" for place in range(len(states))])
        arguments = {
            "window": window,
            "readings": [{"produced_wh": reading.produced_wh, "consumed_wh": reading.consumed_wh} for reading in readings],
        }
        accounts = {"submitter": submitter, "config": config_address(self.ids)}
        metas = [AccountMeta(state, is_signer=False, is_writable=True) for state in states]
        return self._instruction("submit_energy_readings", arguments, accounts, metas)

    def record_batch(self, submitter: Pubkey, *, window: int, version: int, leaves: int, root: bytes) -> Instruction:
        """Record the Merkle root of `leaves` readings of `window`; a higher version replaces a lower one.

        `submitter` pays the rent of a page when its first window is recorded.
        """
        accounts = {
            "submitter": submitter,
            "config": config_address(self.ids),
            "page": page_address(window, self.ids),
            "system_program": SYSTEM_PROGRAM,
        }
        arguments = {"window": window, "version": version, "leaves": leaves, "root": root}
        return self._instruction("record_batch", arguments, accounts)

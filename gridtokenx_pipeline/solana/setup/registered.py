"""What registry and oracle have of meters, how their status follows the device registry, and which readings would be refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..actions import Action, Refusal
from ..programs.contents import window_counted
from ..programs.instructions import MeterStatus
from .windows import window_of

METER_NOT_ACTIVE, IMPLAUSIBLE_READING, WINDOW_TOO_OLD = 6002, 6003, 6005
"""Codes of the oracle."""

Change = tuple[MeterStatus, int]
"""A status, and the Unix second in which it was decided."""


@dataclass(frozen=True)
class Registered:
    """Fields of a meter's accounts in the registry (`entry`) and in the oracle (`state`); `None` where there is none."""

    entry: Mapping[str, Any] | None
    state: Mapping[str, Any] | None

    @property
    def synced(self) -> bool:
        """Whether the oracle knows the registry's status and limit."""
        if self.entry is None or self.state is None:
            return False
        return all(self.entry[name] == self.state[name] for name in ("status", "limit_wh"))

    def change(self, wanted: Change | None) -> Change | None:
        """Return the change of status that is due, or `None`.

        The registry takes changes whose time rises, and none of a meter that is revoked. Where it recorded a later time than
        that of the decision, the change is dated a second after.
        """
        status, decided = wanted or (MeterStatus.ACTIVE, 0)
        now, recorded = (self.entry["status"], self.entry["status_changed_at"]) if self.entry else (MeterStatus.ACTIVE, 0)
        if status == now or now == MeterStatus.REVOKED:
            return None
        return status, max(decided, recorded + 1)

    def refusal(self, action: Action, status: int, limit_wh: int) -> Refusal | None:
        """Return why the oracle would refuse a reading, at this status and limit; `None` where it takes it.

        A window that counted already is a no-op, whatever it says now.
        """
        values = action.values
        if self.state is not None and self.state["newest_window"]:
            counted = window_counted(self.state, window_of(action.window_start, values["duration_s"]))
            if counted is None:
                return Refusal(WINDOW_TOO_OLD, "the chain no longer remembers whether this window counted, and counts it no more")
            if counted:
                return None
        if status > MeterStatus.MAINTENANCE:
            return Refusal(METER_NOT_ACTIVE, f"the meter is {MeterStatus(status).name.lower()}")
        if (most := max(values["produced_wh"], values["consumed_wh"])) > limit_wh:
            return Refusal(IMPLAUSIBLE_READING, f"{most} Wh are above the meter's limit of {limit_wh} Wh")
        return None

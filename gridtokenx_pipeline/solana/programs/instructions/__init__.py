"""Every instruction of the project's programs: typed arguments in, a solders `Instruction` out.

Accounts, flags and data come from the programs' IDLs. Arguments that do not fit raise `EncodeError`, which names the place
(`args.readings[3].produced_wh: -1 is not a u32`); what only the chain can know is the program's to refuse.
"""

from __future__ import annotations

from ..images import Ids
from .energy_token import EnergyToken
from .governance import Governance
from .oracle import Oracle, Reading
from .registry import MeterStatus, Registry
from .trading import Trading

__all__ = ["EnergyToken", "Governance", "MeterStatus", "Oracle", "Programs", "Reading", "Registry", "Trading"]


class Programs:
    """The five programs of one cluster: at their local ids, or at `ids` where a cluster has its own."""

    def __init__(self, ids: Ids | None = None) -> None:
        """Raises `OSError` and `IdlError` where the IDLs cannot be read."""
        self.ids = ids
        self.governance = Governance(ids)
        self.registry = Registry(ids)
        self.oracle = Oracle(ids)
        self.trading = Trading(ids)
        self.energy_token = EnergyToken(ids)

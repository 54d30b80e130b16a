"""Guard of `registry.set_meter_status`."""

from __future__ import annotations

from dataclasses import dataclass

from solders.pubkey import Pubkey

from .refusal import Refusal


@dataclass(frozen=True)
class StatusChange:
    """A change as it would be sent: the chain's names of statuses (`Active`, `Inactive`, `Maintenance`)."""

    old: str
    new: str
    signer: Pubkey


def check_status_change(change: StatusChange, meter_owner: Pubkey, registry_authority: Pubkey) -> Refusal | None:
    """Return what the registry would refuse the change with, or `None`.

    `Inactive` is final: only `deactivate_meter`, which the owner signs, leads there, and nothing leads back. A status
    set to what it is passes.
    """
    if change.signer not in (meter_owner, registry_authority):
        return Refusal(6000, "UnauthorizedUser", f"{change.signer} is neither the meter's owner nor the registry's authority")
    if "Inactive" in (change.old, change.new):
        return Refusal(6030, "InvalidMeterStatusTransition", f"{change.old} to {change.new}: Inactive is final and set elsewhere")
    return None

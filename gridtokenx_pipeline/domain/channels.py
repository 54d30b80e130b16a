"""Which channel a declared mirror meter reading feeds.

The rule, in this order:

1. The description of the MirrorMeterReading is a channel's name, whatever its case: that channel.
2. Otherwise role and flow decide (IEEE 2030.5-2018, RoleFlagsType and FlowDirectionType; forward, 1, is delivered to the
customer and
   reverse, 19, received from it). A premises aggregation point measures the connection: 1 import, 19 export. A DER that is
   not one measures itself: 19 generation, 1 charge.

Either way an energy channel takes only energy: uom 72 (Wh), kind 12 (energy) or unsaid, and an accumulation that tells an
interval (4 delta data, or unsaid) from a register (9 summation, 3 cumulative). State of charge is known by its description
alone and has no unit (uom 0), since the standard has no code for percent.
"""

from __future__ import annotations

from functools import lru_cache

from gridtokenx_pipeline.contracts.core import ENERGY_CHANNELS
from ieee2030_5.enums import AccumulationBehaviour, FlowDirection, Kind, RoleFlags, Uom

STATE_OF_CHARGE = "state_of_charge"
REGISTER_ACCUMULATIONS = (AccumulationBehaviour.CUMULATIVE, AccumulationBehaviour.SUMMATION)

# UomType of IEEE 2030.5-2018; the ones above 119 are volumes, heat and pressure, which no enumeration of electricity lists.
KNOWN_UOMS = frozenset(
    {
        0,
        5,
        6,
        23,
        29,
        31,
        33,
        38,
        42,
        61,
        63,
        65,
        67,
        69,
        71,
        72,
        73,
        106,
        119,
        122,
        125,
        128,
        129,
        130,
        131,
        132,
        133,
        134,
        137,
        140,
        155,
        169,
    }
)

_INTERVAL_ACCUMULATIONS = (None, AccumulationBehaviour.NOT_APPLICABLE, AccumulationBehaviour.DELTA_DATA)
_BY_ROLE_AND_FLOW = (
    (RoleFlags.IS_PREMISES_AGGREGATION_POINT, {FlowDirection.FORWARD: "import", FlowDirection.REVERSE: "export"}),
    (RoleFlags.IS_DER, {FlowDirection.FORWARD: "charge", FlowDirection.REVERSE: "generation"}),
)


@lru_cache(maxsize=4096)
def resolve_channel(
    description: str | None,
    role_flags: int | None,
    flow_direction: int | None,
    uom: int | None,
    kind: int | None,
    accumulation: int | None,
) -> str | None:
    """Return the channel of a reading type, or None where it is telemetry or unknown. All codes are IEEE 2030.5's."""
    name = (description or "").strip().lower()
    if name == STATE_OF_CHARGE:
        return name if uom in (None, Uom.NOT_APPLICABLE) else None
    if uom != Uom.WH or kind not in (None, Kind.NOT_APPLICABLE, Kind.ENERGY):
        return None
    if accumulation not in REGISTER_ACCUMULATIONS and accumulation not in _INTERVAL_ACCUMULATIONS:
        return None
    if name in ENERGY_CHANNELS:
        return name
    for role, by_flow in _BY_ROLE_AND_FLOW:
        if (role_flags or 0) & role:
            return by_flow.get(flow_direction)  # type: ignore[call-overload]
    return None

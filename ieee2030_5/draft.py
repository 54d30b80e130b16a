"""The draft schema 2.0.4, which deployed clients still send: where it differs from IEEE 2030.5-2018 (schema 2.1.0).

Most types are the same. DER ratings and settings have other names, power factors are signed (negative: under-excited)
where the standard has two elements or a flag, and the codes of control modes, curves and kinds of DER are numbered anew.
Documents in the draft's namespace may use the names of either schema.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Annotated, Any

from ieee2030_5.enums import ControlModes, CurveType, DerKind
from ieee2030_5.resources.fields import element
from ieee2030_5.resources.types import HEX32, INT8, INT16, UINT8

# Class -> the draft's element -> our field.
RENAMED: dict[str, dict[str, str]] = {
    "DERCapability": {
        "rtgA": "rtg_max_a",
        "rtgAh": "rtg_max_ah",
        "rtgMinPF": "rtg_min_pf_over_excited",
        "rtgMinPFNeg": "rtg_min_pf_under_excited",
        "rtgVA": "rtg_max_va",
        "rtgVar": "rtg_max_var",
        "rtgVarNeg": "rtg_max_var_neg",
        "rtgW": "rtg_max_w",
        "rtgWh": "rtg_max_wh",
    },
    "DERSettings": {"setMinPF": "set_min_pf_over_excited", "setMinPFNeg": "set_min_pf_under_excited"},
    # The draft has one power factor for both directions of active power; a generator is what such a control is for.
    "DERControlBase": {"opModFixedPF": "op_mod_fixed_pf_inject_w"},
}

# Control modes by their bit in the draft.
_MODES = (
    ControlModes.VOLT_VAR,
    ControlModes.FREQ_WATT,
    ControlModes.FREQ_DROOP,
    ControlModes.WATT_PF,
    ControlModes.VOLT_WATT,
    ControlModes.LVRT_MOMENTARY_CESSATION,
    ControlModes.LVRT_MUST_TRIP,
    ControlModes.HVRT_MOMENTARY_CESSATION,
    ControlModes.HVRT_MUST_TRIP,
    ControlModes.LFRT_MUST_TRIP,
    ControlModes.HFRT_MUST_TRIP,
    ControlModes.CONNECT,
    ControlModes.ENERGIZE,
    ControlModes.MAX_LIM_W,
    ControlModes.FIXED_VAR,
    ControlModes.FIXED_PF_ABSORB_W | ControlModes.FIXED_PF_INJECT_W,
    ControlModes.FIXED_W,
    ControlModes.TARGET_W,
    ControlModes.TARGET_VAR,
    ControlModes.CHARGE,
    ControlModes.DISCHARGE,
    ControlModes.WATT_VAR,
)
# Kinds of curve by their code in the draft.
_CURVES = (
    CurveType.VOLT_VAR,
    CurveType.FREQ_WATT,
    CurveType.WATT_PF,
    CurveType.VOLT_WATT,
    CurveType.LVRT_MOMENTARY_CESSATION,
    CurveType.LVRT_MUST_TRIP,
    CurveType.HVRT_MOMENTARY_CESSATION,
    CurveType.HVRT_MUST_TRIP,
    CurveType.LFRT_MUST_TRIP,
    CurveType.HFRT_MUST_TRIP,
    CurveType.WATT_VAR,
)
_PHOTOVOLTAIC_AND_STORAGE = 82


@dataclass(slots=True, kw_only=True)
class SignedPowerFactor:
    """The draft's power factor: displacement x 10^multiplier, negative where under-excited."""

    displacement: Annotated[int | None, element("displacement", INT16)] = None
    multiplier: Annotated[int | None, element("multiplier", INT8)] = None


def _modes(text: str) -> int:
    drafted = HEX32.read(text)
    return int(reduce(or_, (mode for bit, mode in enumerate(_MODES) if drafted >> bit & 1), ControlModes(0)))


def _magnitude(text: str) -> int:
    return abs(INT16.read(text))


def _with_excitation(factor: SignedPowerFactor) -> Any:
    from ieee2030_5.resources.quantities import PowerFactorWithExcitation

    displacement = factor.displacement
    return PowerFactorWithExcitation(
        displacement=None if displacement is None else abs(displacement),
        excitation=None if displacement is None else displacement < 0,
        multiplier=factor.multiplier,
    )


def _curve(text: str) -> int:
    code: int = UINT8.read(text)
    if code >= len(_CURVES):
        raise ValueError(f"{code} is no kind of curve of the draft schema")
    return int(_CURVES[code])


def _kind(text: str) -> int:
    # The standard gave this number to supply equipment, to tell it from the vehicle, and moved what had it.
    code: int = UINT8.read(text)
    return int(DerKind.PHOTOVOLTAIC_AND_STORAGE) if code == _PHOTOVOLTAIC_AND_STORAGE else code


# (Class, field) -> how a value is read.
VALUES: dict[tuple[str, str], Callable[[str], Any]] = {
    ("DERCapability", "modes_supported"): _modes,
    ("DERSettings", "modes_enabled"): _modes,
    ("DERCapability", "type"): _kind,
    ("DERCurve", "curve_type"): _curve,
    ("PowerFactor", "displacement"): _magnitude,
}

# (Class, draft's element) -> the class it is read as, and what makes ours of that.
NESTED: dict[tuple[str, str], tuple[type, Callable[[Any], Any]]] = {
    ("DERControlBase", "opModFixedPF"): (SignedPowerFactor, _with_excitation),
}

"""Quantities of the smart energy function sets: value x 10^multiplier in the unit of their name (IEEE 2030.5-2018, annex B)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from .fields import element
from .types import BOOLEAN, INT8, INT16, INT32, INT48, SIGNED_PERCENT, UINT8, UINT16, UINT48


@dataclass(slots=True, kw_only=True)
class UnitValue:
    """A number with its unit: value x 10^multiplier."""

    multiplier: Annotated[int | None, element("multiplier", INT8)] = None
    unit: Annotated[int | None, element("unit", UINT8)] = None
    value: Annotated[int | None, element("value", INT32)] = None


@dataclass(slots=True, kw_only=True)
class FixedPoint:
    """A signed number: value x 10^multiplier."""

    multiplier: Annotated[int | None, element("multiplier", INT8)] = None
    value: Annotated[int | None, element("value", INT16)] = None


@dataclass(slots=True, kw_only=True)
class UnsignedFixedPoint:
    """An unsigned number: value x 10^multiplier."""

    multiplier: Annotated[int | None, element("multiplier", INT8)] = None
    value: Annotated[int | None, element("value", UINT16)] = None


@dataclass(slots=True, kw_only=True)
class ActivePower:
    """Active power in W."""

    multiplier: Annotated[int | None, element("multiplier", INT8)] = None
    value: Annotated[int | None, element("value", INT16)] = None


@dataclass(slots=True, kw_only=True)
class ReactivePower:
    """Reactive power in var."""

    multiplier: Annotated[int | None, element("multiplier", INT8)] = None
    value: Annotated[int | None, element("value", INT16)] = None


@dataclass(slots=True, kw_only=True)
class ApparentPower:
    """Apparent power in VA."""

    multiplier: Annotated[int | None, element("multiplier", INT8)] = None
    value: Annotated[int | None, element("value", UINT16)] = None


@dataclass(slots=True, kw_only=True)
class CurrentRMS:
    """Current in A, RMS."""

    multiplier: Annotated[int | None, element("multiplier", INT8)] = None
    value: Annotated[int | None, element("value", UINT16)] = None


@dataclass(slots=True, kw_only=True)
class VoltageRMS:
    """Voltage in V, RMS."""

    multiplier: Annotated[int | None, element("multiplier", INT8)] = None
    value: Annotated[int | None, element("value", UINT16)] = None


@dataclass(slots=True, kw_only=True)
class AmpereHour:
    """Electric charge in Ah."""

    multiplier: Annotated[int | None, element("multiplier", INT8)] = None
    value: Annotated[int | None, element("value", UINT16)] = None


@dataclass(slots=True, kw_only=True)
class WattHour:
    """Energy in Wh."""

    multiplier: Annotated[int | None, element("multiplier", INT8)] = None
    value: Annotated[int | None, element("value", UINT16)] = None


@dataclass(slots=True, kw_only=True)
class ReactiveSusceptance:
    """Reactive susceptance in S."""

    multiplier: Annotated[int | None, element("multiplier", INT8)] = None
    value: Annotated[int | None, element("value", UINT16)] = None


@dataclass(slots=True, kw_only=True)
class PowerFactor:
    """A power factor's magnitude: displacement x 10^multiplier."""

    displacement: Annotated[int | None, element("displacement", UINT16)] = None
    multiplier: Annotated[int | None, element("multiplier", INT8)] = None


@dataclass(slots=True, kw_only=True)
class PowerFactorWithExcitation:
    """A power factor with its sense: `excitation` is true where the DER absorbs reactive power (under-excited)."""

    displacement: Annotated[int | None, element("displacement", UINT16)] = None
    excitation: Annotated[bool | None, element("excitation", BOOLEAN)] = None
    multiplier: Annotated[int | None, element("multiplier", INT8)] = None


@dataclass(slots=True, kw_only=True)
class FixedVar:
    """Reactive power as hundredths of a percent (`value`) of what `ref_type` names."""

    ref_type: Annotated[int | None, element("refType", UINT8)] = None
    value: Annotated[int | None, element("value", SIGNED_PERCENT)] = None


@dataclass(slots=True, kw_only=True)
class RealEnergy:
    """Energy in Wh."""

    multiplier: Annotated[int | None, element("multiplier", INT8)] = None
    value: Annotated[int | None, element("value", UINT48)] = None


@dataclass(slots=True, kw_only=True)
class SignedRealEnergy:
    """Energy in Wh, signed: positive charges the device, negative discharges it (the opposite of the DER function set)."""

    multiplier: Annotated[int | None, element("multiplier", INT8)] = None
    value: Annotated[int | None, element("value", INT48)] = None

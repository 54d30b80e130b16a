"""Codes of IEEE 2030.5-2018 (annex B.2.3.4, types package). Fields keep plain integers: unlisted codes are legal on the wire."""

from __future__ import annotations

from enum import IntEnum, IntFlag


class AccumulationBehaviour(IntEnum):
    """How a value relates to time."""

    NOT_APPLICABLE = 0
    CUMULATIVE = 3
    DELTA_DATA = 4
    INDICATING = 6
    SUMMATION = 9
    INSTANTANEOUS = 12


class Commodity(IntEnum):
    """What is metered."""

    NOT_APPLICABLE = 0
    ELECTRICITY_SECONDARY_METERED = 1
    ELECTRICITY_PRIMARY_METERED = 2
    AIR = 4
    NATURAL_GAS = 7
    PROPANE = 8
    POTABLE_WATER = 9
    STEAM = 10
    WASTE_WATER = 11
    HEATING_FLUID = 12
    COOLING_FLUID = 13


class DataQualifier(IntEnum):
    """What a value says about its interval."""

    NOT_APPLICABLE = 0
    AVERAGE = 2
    MAXIMUM = 8
    MINIMUM = 9
    NORMAL = 12
    STANDARD_DEVIATION_OF_POPULATION = 29
    STANDARD_DEVIATION_OF_SAMPLE = 30


class FlowDirection(IntEnum):
    """Direction of flow, seen from the grid: forward is delivered to the customer."""

    NOT_APPLICABLE = 0
    FORWARD = 1
    REVERSE = 19


class Kind(IntEnum):
    """Kind of measurement."""

    NOT_APPLICABLE = 0
    CURRENCY = 3
    DEMAND = 8
    ENERGY = 12
    POWER = 37


class Phase(IntEnum):
    """Phase code."""

    NOT_APPLICABLE = 0
    C = 32
    CN = 33
    CA = 40
    B = 64
    BN = 65
    BC = 66
    A = 128
    AN = 129
    AB = 132
    ABC = 224


class Uom(IntEnum):
    """Unit of measure; the real value is value x 10^powerOfTenMultiplier of the unit."""

    NOT_APPLICABLE = 0
    A = 5
    KELVIN = 6
    CELSIUS = 23
    V = 29
    J = 31
    HZ = 33
    W = 38
    CUBIC_METRE = 42
    VA = 61
    VAR = 63
    POWER_FACTOR = 65
    V_SQUARED = 67
    A_SQUARED = 69
    VAH = 71
    WH = 72
    VARH = 73
    AH = 106


class ServiceKind(IntEnum):
    """Service category of a usage point."""

    ELECTRICITY = 0
    GAS = 1
    WATER = 2
    TIME = 3
    PRESSURE = 4
    HEAT = 5
    COOLING = 6


class UsagePointStatus(IntEnum):
    """Whether a usage point is in service."""

    OFF = 0
    ON = 1


class TimeQuality(IntEnum):
    """Where a server's time comes from."""

    AUTHORITATIVE_SOURCE = 3
    LEVEL_3 = 4
    LEVEL_4 = 5
    LEVEL_5 = 6
    INTENTIONALLY_UNCOORDINATED = 7


class QualityFlags(IntFlag):
    """How far a reading can be trusted."""

    VALID = 1 << 0
    MANUALLY_EDITED = 1 << 1
    ESTIMATED_REFERENCE_DAY = 1 << 2
    ESTIMATED_INTERPOLATION = 1 << 3
    QUESTIONABLE = 1 << 4
    DERIVED = 1 << 5
    PROJECTED = 1 << 6


class RoleFlags(IntFlag):
    """What a usage point stands for."""

    IS_MIRROR = 1 << 0
    IS_PREMISES_AGGREGATION_POINT = 1 << 1
    IS_PEV = 1 << 2
    IS_DER = 1 << 3
    IS_REVENUE_QUALITY = 1 << 4
    IS_DC = 1 << 5
    IS_SUBMETER = 1 << 6


class ReasonCode(IntEnum):
    """Reason in an Error body. The standard reserves every other value; an internal failure has no code of its own."""

    INVALID_REQUEST_FORMAT = 0
    INVALID_REQUEST_VALUES = 1
    RESOURCE_LIMIT_REACHED = 2
    CONDITIONAL_SUBSCRIPTION_FIELD_NOT_SUPPORTED = 3
    MAXIMUM_REQUEST_FREQUENCY_EXCEEDED = 4

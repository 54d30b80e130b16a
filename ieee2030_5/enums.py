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


class EventStatusCode(IntEnum):
    """Where the server sees an event (EventStatus.currentStatus)."""

    SCHEDULED = 0
    ACTIVE = 1
    CANCELLED = 2
    CANCELLED_WITH_RANDOMIZATION = 3
    SUPERSEDED = 4


class ResponseStatus(IntEnum):
    """What a device says of an event (table 27)."""

    RECEIVED = 1
    STARTED = 2
    COMPLETED = 3
    OPT_OUT = 4
    OPT_IN = 5
    CANCELLED = 6
    SUPERSEDED = 7
    PARTIALLY_COMPLETED_OPT_OUT = 8
    PARTIALLY_COMPLETED_OPT_IN = 9
    COMPLETED_WITHOUT_PARTICIPATION = 10
    ACKNOWLEDGED = 11
    CANNOT_BE_DISPLAYED = 12
    ABORTED_BY_OTHER_SERVER = 13
    ABORTED_BY_OTHER_PROGRAM = 14
    REJECTED_NOT_APPLICABLE = 252
    REJECTED_INVALID = 253
    REJECTED_EXPIRED = 254


class ResponseRequired(IntFlag):
    """Which responses an event asks for (RespondableResource.responseRequired)."""

    RECEIVED = 1 << 0
    SPECIFIC = 1 << 1
    CUSTOMER = 1 << 2


class DeviceCategory(IntFlag):
    """What a device is (DeviceCategoryType)."""

    THERMOSTAT = 1 << 0
    STRIP_HEATERS = 1 << 1
    BASEBOARD_HEATERS = 1 << 2
    WATER_HEATER = 1 << 3
    POOL_PUMP = 1 << 4
    SAUNA = 1 << 5
    HOT_TUB = 1 << 6
    SMART_APPLIANCE = 1 << 7
    IRRIGATION_PUMP = 1 << 8
    MANAGED_LOADS = 1 << 9
    SIMPLE_LOADS = 1 << 10
    EXTERIOR_LIGHTING = 1 << 11
    INTERIOR_LIGHTING = 1 << 12
    LOAD_CONTROL_SWITCH = 1 << 13
    ENERGY_MANAGEMENT_SYSTEM = 1 << 14
    SMART_ENERGY_MODULE = 1 << 15
    ELECTRIC_VEHICLE = 1 << 16
    EVSE = 1 << 17
    MIXED_DER = 1 << 18
    RECIPROCATING_ENGINE = 1 << 19
    FUEL_CELL = 1 << 20
    PHOTOVOLTAIC = 1 << 21
    COMBINED_HEAT_AND_POWER = 1 << 22
    PHOTOVOLTAIC_AND_STORAGE = 1 << 23
    OTHER_GENERATION = 1 << 24
    OTHER_STORAGE = 1 << 25


class NotificationStatus(IntEnum):
    """Why a notification is sent (Notification.status)."""

    DEFAULT = 0
    SUBSCRIPTION_CANCELLED = 1
    RESOURCE_MOVED = 2
    RESOURCE_DEFINITION_CHANGED = 3
    RESOURCE_DELETED = 4


class ControlModes(IntFlag):
    """Control modes of a DER, and whether it can charge and discharge (DERControlType)."""

    CHARGE = 1 << 0
    DISCHARGE = 1 << 1
    CONNECT = 1 << 2
    ENERGIZE = 1 << 3
    FIXED_PF_ABSORB_W = 1 << 4
    FIXED_PF_INJECT_W = 1 << 5
    FIXED_VAR = 1 << 6
    FIXED_W = 1 << 7
    FREQ_DROOP = 1 << 8
    FREQ_WATT = 1 << 9
    HFRT_MAY_TRIP = 1 << 10
    HFRT_MUST_TRIP = 1 << 11
    HVRT_MAY_TRIP = 1 << 12
    HVRT_MOMENTARY_CESSATION = 1 << 13
    HVRT_MUST_TRIP = 1 << 14
    LFRT_MAY_TRIP = 1 << 15
    LFRT_MUST_TRIP = 1 << 16
    LVRT_MAY_TRIP = 1 << 17
    LVRT_MOMENTARY_CESSATION = 1 << 18
    LVRT_MUST_TRIP = 1 << 19
    MAX_LIM_W = 1 << 20
    TARGET_VAR = 1 << 21
    TARGET_W = 1 << 22
    VOLT_VAR = 1 << 23
    VOLT_WATT = 1 << 24
    WATT_PF = 1 << 25
    WATT_VAR = 1 << 26


class CurveType(IntEnum):
    """The mode a DER curve is for (DERCurveType)."""

    FREQ_WATT = 0
    HFRT_MAY_TRIP = 1
    HFRT_MUST_TRIP = 2
    HVRT_MAY_TRIP = 3
    HVRT_MOMENTARY_CESSATION = 4
    HVRT_MUST_TRIP = 5
    LFRT_MAY_TRIP = 6
    LFRT_MUST_TRIP = 7
    LVRT_MAY_TRIP = 8
    LVRT_MOMENTARY_CESSATION = 9
    LVRT_MUST_TRIP = 10
    VOLT_VAR = 11
    VOLT_WATT = 12
    WATT_PF = 13
    WATT_VAR = 14


class DerKind(IntEnum):
    """Kind of DER (DERType)."""

    NOT_APPLICABLE = 0
    MIXED = 1
    RECIPROCATING_ENGINE = 2
    FUEL_CELL = 3
    PHOTOVOLTAIC = 4
    COMBINED_HEAT_AND_POWER = 5
    OTHER_GENERATION = 6
    OTHER_STORAGE = 80
    ELECTRIC_VEHICLE = 81
    EVSE = 82
    PHOTOVOLTAIC_AND_STORAGE = 83


class DoeModes(IntFlag):
    """Limits of CSIP-AUS that a DER follows (DOEControlType)."""

    EXPORT_LIMIT = 1 << 0
    IMPORT_LIMIT = 1 << 1
    GENERATION_LIMIT = 1 << 2
    LOAD_LIMIT = 1 << 3

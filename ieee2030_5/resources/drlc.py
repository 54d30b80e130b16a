"""Demand response and load control (IEEE 2030.5-2018, DRLC function set)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from .base import IdentifiedObject, Link, List, ListLink, RandomizableEvent, Resource, SubscribableList
from .fields import attribute, children, element
from .quantities import ActivePower
from .types import BOOLEAN, HEX32, INT16, PERCENT, UINT8, UINT16, UINT32


@dataclass(slots=True, kw_only=True)
class ApplianceLoadReduction:
    """Which kind of reduction an appliance is asked for."""

    type: Annotated[int | None, element("type", UINT8)] = None


@dataclass(slots=True, kw_only=True)
class DutyCycle:
    """Share of the time a load may run: `normal_value` in percent."""

    normal_value: Annotated[int | None, element("normalValue", UINT8)] = None


@dataclass(slots=True, kw_only=True)
class Offset:
    """Change of set points (tenths of a degree Celsius) or of load (hundredths of a percent)."""

    cooling_offset: Annotated[int | None, element("coolingOffset", UINT8)] = None
    heating_offset: Annotated[int | None, element("heatingOffset", UINT8)] = None
    load_adjustment_percentage_offset: Annotated[int | None, element("loadAdjustmentPercentageOffset", PERCENT)] = None


@dataclass(slots=True, kw_only=True)
class SetPoint:
    """Set points in hundredths of a degree Celsius."""

    cooling_setpoint: Annotated[int | None, element("coolingSetpoint", INT16)] = None
    heating_setpoint: Annotated[int | None, element("heatingSetpoint", INT16)] = None


@dataclass(slots=True, kw_only=True)
class TargetReduction:
    """The reduction asked for: `value` in the unit of `type`."""

    type: Annotated[int | None, element("type", UINT8)] = None
    value: Annotated[int | None, element("value", UINT16)] = None


@dataclass(slots=True, kw_only=True)
class DemandResponseProgram(IdentifiedObject):
    """A demand response program; `primacy` 0 is the strongest."""

    active_end_device_control_list_link: Annotated[ListLink | None, element("ActiveEndDeviceControlListLink", ListLink)] = None
    availability_update_percent_change_threshold: Annotated[
        int | None, element("availabilityUpdatePercentChangeThreshold", PERCENT)
    ] = None
    availability_update_power_change_threshold: Annotated[
        ActivePower | None, element("availabilityUpdatePowerChangeThreshold", ActivePower)
    ] = None
    end_device_control_list_link: Annotated[ListLink | None, element("EndDeviceControlListLink", ListLink)] = None
    primacy: Annotated[int | None, element("primacy", UINT8)] = None


@dataclass(slots=True, kw_only=True)
class DemandResponseProgramList(SubscribableList):
    """Demand response programs, by ascending primacy."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    demand_response_programs: Annotated[list[DemandResponseProgram], children("DemandResponseProgram", DemandResponseProgram)] = (
        field(default_factory=list)
    )


@dataclass(slots=True, kw_only=True)
class EndDeviceControl(RandomizableEvent):
    """An event that tells loads what to do; `device_category` is the mask of those it is for, `override_duration` in seconds."""

    appliance_load_reduction: Annotated[
        ApplianceLoadReduction | None, element("ApplianceLoadReduction", ApplianceLoadReduction)
    ] = None
    device_category: Annotated[int | None, element("deviceCategory", HEX32)] = None
    dr_program_mandatory: Annotated[bool | None, element("drProgramMandatory", BOOLEAN)] = None
    duty_cycle: Annotated[DutyCycle | None, element("DutyCycle", DutyCycle)] = None
    load_shift_forward: Annotated[bool | None, element("loadShiftForward", BOOLEAN)] = None
    offset: Annotated[Offset | None, element("Offset", Offset)] = None
    override_duration: Annotated[int | None, element("overrideDuration", UINT16)] = None
    set_point: Annotated[SetPoint | None, element("SetPoint", SetPoint)] = None
    target_reduction: Annotated[TargetReduction | None, element("TargetReduction", TargetReduction)] = None


@dataclass(slots=True, kw_only=True)
class EndDeviceControlList(SubscribableList):
    """End device controls, by ascending start, latest creation first."""

    end_device_controls: Annotated[list[EndDeviceControl], children("EndDeviceControl", EndDeviceControl)] = field(
        default_factory=list
    )


@dataclass(slots=True, kw_only=True)
class LoadShedAvailability(Resource):
    """How much load a device could shed, for how many seconds."""

    availability_duration: Annotated[int | None, element("availabilityDuration", UINT32)] = None
    demand_response_program_link: Annotated[Link | None, element("DemandResponseProgramLink", Link)] = None
    sheddable_percent: Annotated[int | None, element("sheddablePercent", PERCENT)] = None
    sheddable_power: Annotated[ActivePower | None, element("sheddablePower", ActivePower)] = None


@dataclass(slots=True, kw_only=True)
class LoadShedAvailabilityList(List):
    """Load a device could shed, one item a program."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    load_shed_availabilities: Annotated[list[LoadShedAvailability], children("LoadShedAvailability", LoadShedAvailability)] = (
        field(default_factory=list)
    )

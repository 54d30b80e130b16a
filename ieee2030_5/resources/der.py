"""Distributed energy resources as a device describes them: ratings, settings, status (IEEE 2030.5-2018, DER function set)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from ieee2030_5.namespaces import CSIP_AUS

from .base import Link, List, ListLink, Resource, SubscribableResource
from .fields import attribute, children, element
from .quantities import (
    ActivePower,
    AmpereHour,
    ApparentPower,
    CurrentRMS,
    PowerFactor,
    ReactivePower,
    ReactiveSusceptance,
    VoltageRMS,
    WattHour,
)
from .types import HEX8, HEX32, INT16, PERCENT, STRING6, TIME, UINT8, UINT16, UINT32


@dataclass(slots=True, kw_only=True)
class DER(SubscribableResource):
    """A distributed energy resource of a device."""

    associated_der_program_list_link: Annotated[ListLink | None, element("AssociatedDERProgramListLink", ListLink)] = None
    associated_usage_point_link: Annotated[Link | None, element("AssociatedUsagePointLink", Link)] = None
    current_der_program_link: Annotated[Link | None, element("CurrentDERProgramLink", Link)] = None
    der_availability_link: Annotated[Link | None, element("DERAvailabilityLink", Link)] = None
    der_capability_link: Annotated[Link | None, element("DERCapabilityLink", Link)] = None
    der_settings_link: Annotated[Link | None, element("DERSettingsLink", Link)] = None
    der_status_link: Annotated[Link | None, element("DERStatusLink", Link)] = None


@dataclass(slots=True, kw_only=True)
class DERList(List):
    """The DER of a device, by href."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    ders: Annotated[list[DER], children("DER", DER)] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class DERCapability(Resource):
    """Ratings of a DER (rated at the plate): W, VA, var, A, V, Wh in scaled values; `modes_supported` is a bit mask."""

    modes_supported: Annotated[int | None, element("modesSupported", HEX32)] = None
    rtg_abnormal_category: Annotated[int | None, element("rtgAbnormalCategory", UINT8)] = None
    rtg_max_a: Annotated[CurrentRMS | None, element("rtgMaxA", CurrentRMS)] = None
    rtg_max_ah: Annotated[AmpereHour | None, element("rtgMaxAh", AmpereHour)] = None
    rtg_max_charge_rate_va: Annotated[ApparentPower | None, element("rtgMaxChargeRateVA", ApparentPower)] = None
    rtg_max_charge_rate_w: Annotated[ActivePower | None, element("rtgMaxChargeRateW", ActivePower)] = None
    rtg_max_discharge_rate_va: Annotated[ApparentPower | None, element("rtgMaxDischargeRateVA", ApparentPower)] = None
    rtg_max_discharge_rate_w: Annotated[ActivePower | None, element("rtgMaxDischargeRateW", ActivePower)] = None
    rtg_max_v: Annotated[VoltageRMS | None, element("rtgMaxV", VoltageRMS)] = None
    rtg_max_va: Annotated[ApparentPower | None, element("rtgMaxVA", ApparentPower)] = None
    rtg_max_var: Annotated[ReactivePower | None, element("rtgMaxVar", ReactivePower)] = None
    rtg_max_var_neg: Annotated[ReactivePower | None, element("rtgMaxVarNeg", ReactivePower)] = None
    rtg_max_w: Annotated[ActivePower | None, element("rtgMaxW", ActivePower)] = None
    rtg_max_wh: Annotated[WattHour | None, element("rtgMaxWh", WattHour)] = None
    rtg_min_pf_over_excited: Annotated[PowerFactor | None, element("rtgMinPFOverExcited", PowerFactor)] = None
    rtg_min_pf_under_excited: Annotated[PowerFactor | None, element("rtgMinPFUnderExcited", PowerFactor)] = None
    rtg_min_v: Annotated[VoltageRMS | None, element("rtgMinV", VoltageRMS)] = None
    rtg_normal_category: Annotated[int | None, element("rtgNormalCategory", UINT8)] = None
    rtg_over_excited_pf: Annotated[PowerFactor | None, element("rtgOverExcitedPF", PowerFactor)] = None
    rtg_over_excited_w: Annotated[ActivePower | None, element("rtgOverExcitedW", ActivePower)] = None
    rtg_reactive_susceptance: Annotated[ReactiveSusceptance | None, element("rtgReactiveSusceptance", ReactiveSusceptance)] = None
    rtg_under_excited_pf: Annotated[PowerFactor | None, element("rtgUnderExcitedPF", PowerFactor)] = None
    rtg_under_excited_w: Annotated[ActivePower | None, element("rtgUnderExcitedW", ActivePower)] = None
    rtg_v_nom: Annotated[VoltageRMS | None, element("rtgVNom", VoltageRMS)] = None
    type: Annotated[int | None, element("type", UINT8)] = None
    doe_modes_supported: Annotated[int | None, element("doeModesSupported", HEX8, namespace=CSIP_AUS)] = None


@dataclass(slots=True, kw_only=True)
class DERSettings(SubscribableResource):
    """What a DER is set to. Delays and ramps in hundredths of a second, gradients in hundredths of a percent per second."""

    modes_enabled: Annotated[int | None, element("modesEnabled", HEX32)] = None
    set_es_delay: Annotated[int | None, element("setESDelay", UINT32)] = None
    set_es_high_freq: Annotated[int | None, element("setESHighFreq", UINT16)] = None
    set_es_high_volt: Annotated[int | None, element("setESHighVolt", INT16)] = None
    set_es_low_freq: Annotated[int | None, element("setESLowFreq", UINT16)] = None
    set_es_low_volt: Annotated[int | None, element("setESLowVolt", INT16)] = None
    set_es_ramp_tms: Annotated[int | None, element("setESRampTms", UINT32)] = None
    set_es_random_delay: Annotated[int | None, element("setESRandomDelay", UINT32)] = None
    set_grad_w: Annotated[int | None, element("setGradW", UINT16)] = None
    set_max_a: Annotated[CurrentRMS | None, element("setMaxA", CurrentRMS)] = None
    set_max_ah: Annotated[AmpereHour | None, element("setMaxAh", AmpereHour)] = None
    set_max_charge_rate_va: Annotated[ApparentPower | None, element("setMaxChargeRateVA", ApparentPower)] = None
    set_max_charge_rate_w: Annotated[ActivePower | None, element("setMaxChargeRateW", ActivePower)] = None
    set_max_discharge_rate_va: Annotated[ApparentPower | None, element("setMaxDischargeRateVA", ApparentPower)] = None
    set_max_discharge_rate_w: Annotated[ActivePower | None, element("setMaxDischargeRateW", ActivePower)] = None
    set_max_v: Annotated[VoltageRMS | None, element("setMaxV", VoltageRMS)] = None
    set_max_va: Annotated[ApparentPower | None, element("setMaxVA", ApparentPower)] = None
    set_max_var: Annotated[ReactivePower | None, element("setMaxVar", ReactivePower)] = None
    set_max_var_neg: Annotated[ReactivePower | None, element("setMaxVarNeg", ReactivePower)] = None
    set_max_w: Annotated[ActivePower | None, element("setMaxW", ActivePower)] = None
    set_max_wh: Annotated[WattHour | None, element("setMaxWh", WattHour)] = None
    set_min_pf_over_excited: Annotated[PowerFactor | None, element("setMinPFOverExcited", PowerFactor)] = None
    set_min_pf_under_excited: Annotated[PowerFactor | None, element("setMinPFUnderExcited", PowerFactor)] = None
    set_min_v: Annotated[VoltageRMS | None, element("setMinV", VoltageRMS)] = None
    set_soft_grad_w: Annotated[int | None, element("setSoftGradW", UINT16)] = None
    set_v_nom: Annotated[VoltageRMS | None, element("setVNom", VoltageRMS)] = None
    set_v_ref: Annotated[VoltageRMS | None, element("setVRef", VoltageRMS)] = None
    set_v_ref_ofs: Annotated[VoltageRMS | None, element("setVRefOfs", VoltageRMS)] = None
    updated_time: Annotated[int | None, element("updatedTime", TIME)] = None
    doe_modes_enabled: Annotated[int | None, element("doeModesEnabled", HEX8, namespace=CSIP_AUS)] = None


@dataclass(slots=True, kw_only=True)
class ConnectStatus:
    """Connection bits of a DER or its storage, and when they were read."""

    date_time: Annotated[int | None, element("dateTime", TIME)] = None
    value: Annotated[int | None, element("value", HEX8)] = None


@dataclass(slots=True, kw_only=True)
class InverterStatus:
    """State of an inverter, and when it was read."""

    date_time: Annotated[int | None, element("dateTime", TIME)] = None
    value: Annotated[int | None, element("value", UINT8)] = None


@dataclass(slots=True, kw_only=True)
class LocalControlModeStatus:
    """Whether a DER is under local (0) or remote (1) control, and when it was read."""

    date_time: Annotated[int | None, element("dateTime", TIME)] = None
    value: Annotated[int | None, element("value", UINT8)] = None


@dataclass(slots=True, kw_only=True)
class ManufacturerStatus:
    """A maker's own status code, and when it was read."""

    date_time: Annotated[int | None, element("dateTime", TIME)] = None
    value: Annotated[str | None, element("value", STRING6)] = None


@dataclass(slots=True, kw_only=True)
class OperationalModeStatus:
    """Mode of operation, and when it was read."""

    date_time: Annotated[int | None, element("dateTime", TIME)] = None
    value: Annotated[int | None, element("value", UINT8)] = None


@dataclass(slots=True, kw_only=True)
class StateOfChargeStatus:
    """State of charge in hundredths of a percent, and when it was read."""

    date_time: Annotated[int | None, element("dateTime", TIME)] = None
    value: Annotated[int | None, element("value", PERCENT)] = None


@dataclass(slots=True, kw_only=True)
class StorageModeStatus:
    """What a storage does (0 charging, 1 discharging, 2 holding), and when it was read."""

    date_time: Annotated[int | None, element("dateTime", TIME)] = None
    value: Annotated[int | None, element("value", UINT8)] = None


@dataclass(slots=True, kw_only=True)
class DERStatus(SubscribableResource):
    """Status of a DER as of `reading_time`; `alarm_status` is a bit mask."""

    alarm_status: Annotated[int | None, element("alarmStatus", HEX32)] = None
    gen_connect_status: Annotated[ConnectStatus | None, element("genConnectStatus", ConnectStatus)] = None
    inverter_status: Annotated[InverterStatus | None, element("inverterStatus", InverterStatus)] = None
    local_control_mode_status: Annotated[
        LocalControlModeStatus | None, element("localControlModeStatus", LocalControlModeStatus)
    ] = None
    manufacturer_status: Annotated[ManufacturerStatus | None, element("manufacturerStatus", ManufacturerStatus)] = None
    operational_mode_status: Annotated[OperationalModeStatus | None, element("operationalModeStatus", OperationalModeStatus)] = (
        None
    )
    reading_time: Annotated[int | None, element("readingTime", TIME)] = None
    state_of_charge_status: Annotated[StateOfChargeStatus | None, element("stateOfChargeStatus", StateOfChargeStatus)] = None
    storage_mode_status: Annotated[StorageModeStatus | None, element("storageModeStatus", StorageModeStatus)] = None
    stor_connect_status: Annotated[ConnectStatus | None, element("storConnectStatus", ConnectStatus)] = None


@dataclass(slots=True, kw_only=True)
class DERAvailability(SubscribableResource):
    """What a DER could give: durations in seconds, percentages in hundredths."""

    availability_duration: Annotated[int | None, element("availabilityDuration", UINT32)] = None
    max_charge_duration: Annotated[int | None, element("maxChargeDuration", UINT32)] = None
    reading_time: Annotated[int | None, element("readingTime", TIME)] = None
    reserve_charge_percent: Annotated[int | None, element("reserveChargePercent", PERCENT)] = None
    reserve_percent: Annotated[int | None, element("reservePercent", PERCENT)] = None
    stat_var_avail: Annotated[ReactivePower | None, element("statVarAvail", ReactivePower)] = None
    stat_w_avail: Annotated[ActivePower | None, element("statWAvail", ActivePower)] = None

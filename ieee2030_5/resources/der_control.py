"""Control of distributed energy resources: programs, controls, defaults, curves (IEEE 2030.5-2018, DER function set)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from ieee2030_5.namespaces import CSIP_AUS

from .base import IdentifiedObject, Link, List, ListLink, RandomizableEvent, SubscribableIdentifiedObject, SubscribableList
from .fields import attribute, children, element
from .quantities import ActivePower, FixedVar, PowerFactorWithExcitation, ReactivePower
from .types import BOOLEAN, HEX32, INT8, INT16, INT32, PERCENT, SIGNED_PERCENT, TIME, UINT8, UINT16, UINT32


@dataclass(slots=True, kw_only=True)
class FreqDroop:
    """A frequency droop: dead bands and slopes in thousandths, response time in hundredths of a second."""

    db_of: Annotated[int | None, element("dBOF", UINT32)] = None
    db_uf: Annotated[int | None, element("dBUF", UINT32)] = None
    k_of: Annotated[int | None, element("kOF", UINT16)] = None
    k_uf: Annotated[int | None, element("kUF", UINT16)] = None
    open_loop_tms: Annotated[int | None, element("openLoopTms", UINT16)] = None


@dataclass(slots=True, kw_only=True)
class DERControlBase:
    """What a control asks for; absent modes are left alone. Percentages in hundredths, `ramp_tms` in hundredths of a second."""

    op_mod_connect: Annotated[bool | None, element("opModConnect", BOOLEAN)] = None
    op_mod_energize: Annotated[bool | None, element("opModEnergize", BOOLEAN)] = None
    op_mod_fixed_pf_absorb_w: Annotated[
        PowerFactorWithExcitation | None, element("opModFixedPFAbsorbW", PowerFactorWithExcitation)
    ] = None
    op_mod_fixed_pf_inject_w: Annotated[
        PowerFactorWithExcitation | None, element("opModFixedPFInjectW", PowerFactorWithExcitation)
    ] = None
    op_mod_fixed_var: Annotated[FixedVar | None, element("opModFixedVar", FixedVar)] = None
    op_mod_fixed_w: Annotated[int | None, element("opModFixedW", SIGNED_PERCENT)] = None
    op_mod_freq_droop: Annotated[FreqDroop | None, element("opModFreqDroop", FreqDroop)] = None
    op_mod_freq_watt: Annotated[Link | None, element("opModFreqWatt", Link)] = None
    op_mod_hfrt_may_trip: Annotated[Link | None, element("opModHFRTMayTrip", Link)] = None
    op_mod_hfrt_must_trip: Annotated[Link | None, element("opModHFRTMustTrip", Link)] = None
    op_mod_hvrt_may_trip: Annotated[Link | None, element("opModHVRTMayTrip", Link)] = None
    op_mod_hvrt_momentary_cessation: Annotated[Link | None, element("opModHVRTMomentaryCessation", Link)] = None
    op_mod_hvrt_must_trip: Annotated[Link | None, element("opModHVRTMustTrip", Link)] = None
    op_mod_lfrt_may_trip: Annotated[Link | None, element("opModLFRTMayTrip", Link)] = None
    op_mod_lfrt_must_trip: Annotated[Link | None, element("opModLFRTMustTrip", Link)] = None
    op_mod_lvrt_may_trip: Annotated[Link | None, element("opModLVRTMayTrip", Link)] = None
    op_mod_lvrt_momentary_cessation: Annotated[Link | None, element("opModLVRTMomentaryCessation", Link)] = None
    op_mod_lvrt_must_trip: Annotated[Link | None, element("opModLVRTMustTrip", Link)] = None
    op_mod_max_lim_w: Annotated[int | None, element("opModMaxLimW", PERCENT)] = None
    op_mod_target_var: Annotated[ReactivePower | None, element("opModTargetVar", ReactivePower)] = None
    op_mod_target_w: Annotated[ActivePower | None, element("opModTargetW", ActivePower)] = None
    op_mod_volt_var: Annotated[Link | None, element("opModVoltVar", Link)] = None
    op_mod_volt_watt: Annotated[Link | None, element("opModVoltWatt", Link)] = None
    op_mod_watt_pf: Annotated[Link | None, element("opModWattPF", Link)] = None
    op_mod_watt_var: Annotated[Link | None, element("opModWattVar", Link)] = None
    ramp_tms: Annotated[int | None, element("rampTms", UINT16)] = None
    op_mod_imp_lim_w: Annotated[ActivePower | None, element("opModImpLimW", ActivePower, namespace=CSIP_AUS)] = None
    op_mod_exp_lim_w: Annotated[ActivePower | None, element("opModExpLimW", ActivePower, namespace=CSIP_AUS)] = None
    op_mod_gen_lim_w: Annotated[ActivePower | None, element("opModGenLimW", ActivePower, namespace=CSIP_AUS)] = None
    op_mod_load_lim_w: Annotated[ActivePower | None, element("opModLoadLimW", ActivePower, namespace=CSIP_AUS)] = None


@dataclass(slots=True, kw_only=True)
class DERControl(RandomizableEvent):
    """An event that controls DER; `device_category` is the mask of those it is for."""

    der_control_base: Annotated[DERControlBase | None, element("DERControlBase", DERControlBase)] = None
    device_category: Annotated[int | None, element("deviceCategory", HEX32)] = None


@dataclass(slots=True, kw_only=True)
class DERControlList(SubscribableList):
    """DER controls, by ascending start, latest creation first."""

    der_controls: Annotated[list[DERControl], children("DERControl", DERControl)] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class DefaultDERControl(SubscribableIdentifiedObject):
    """What holds while no control does. Delays in hundredths of a second, gradients in hundredths of a percent per second."""

    der_control_base: Annotated[DERControlBase | None, element("DERControlBase", DERControlBase)] = None
    set_es_delay: Annotated[int | None, element("setESDelay", UINT32)] = None
    set_es_high_freq: Annotated[int | None, element("setESHighFreq", UINT16)] = None
    set_es_high_volt: Annotated[int | None, element("setESHighVolt", INT16)] = None
    set_es_low_freq: Annotated[int | None, element("setESLowFreq", UINT16)] = None
    set_es_low_volt: Annotated[int | None, element("setESLowVolt", INT16)] = None
    set_es_ramp_tms: Annotated[int | None, element("setESRampTms", UINT32)] = None
    set_es_random_delay: Annotated[int | None, element("setESRandomDelay", UINT32)] = None
    set_grad_w: Annotated[int | None, element("setGradW", UINT16)] = None
    set_soft_grad_w: Annotated[int | None, element("setSoftGradW", UINT16)] = None


@dataclass(slots=True, kw_only=True)
class CurveData:
    """A point of a curve; `excitation` only for curves that give a power factor."""

    excitation: Annotated[bool | None, element("excitation", BOOLEAN)] = None
    xvalue: Annotated[int | None, element("xvalue", INT32)] = None
    yvalue: Annotated[int | None, element("yvalue", INT32)] = None


@dataclass(slots=True, kw_only=True)
class DERCurve(IdentifiedObject):
    """A curve that modes refer to: what its axes are is said by `curve_type`."""

    autonomous_v_ref_enable: Annotated[bool | None, element("autonomousVRefEnable", BOOLEAN)] = None
    autonomous_v_ref_time_constant: Annotated[int | None, element("autonomousVRefTimeConstant", UINT32)] = None
    creation_time: Annotated[int | None, element("creationTime", TIME)] = None
    curve_data: Annotated[list[CurveData], children("CurveData", CurveData)] = field(default_factory=list)
    curve_type: Annotated[int | None, element("curveType", UINT8)] = None
    open_loop_tms: Annotated[int | None, element("openLoopTms", UINT16)] = None
    ramp_dec_tms: Annotated[int | None, element("rampDecTms", UINT16)] = None
    ramp_inc_tms: Annotated[int | None, element("rampIncTms", UINT16)] = None
    ramp_pt1_tms: Annotated[int | None, element("rampPT1Tms", UINT16)] = None
    v_ref: Annotated[int | None, element("vRef", PERCENT)] = None
    x_multiplier: Annotated[int | None, element("xMultiplier", INT8)] = None
    y_multiplier: Annotated[int | None, element("yMultiplier", INT8)] = None
    y_ref_type: Annotated[int | None, element("yRefType", UINT8)] = None


@dataclass(slots=True, kw_only=True)
class DERCurveList(List):
    """Curves, latest creation first."""

    der_curves: Annotated[list[DERCurve], children("DERCurve", DERCurve)] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class DERProgram(SubscribableIdentifiedObject):
    """A program of DER controls; `primacy` 0 is the strongest."""

    active_der_control_list_link: Annotated[ListLink | None, element("ActiveDERControlListLink", ListLink)] = None
    default_der_control_link: Annotated[Link | None, element("DefaultDERControlLink", Link)] = None
    der_control_list_link: Annotated[ListLink | None, element("DERControlListLink", ListLink)] = None
    der_curve_list_link: Annotated[ListLink | None, element("DERCurveListLink", ListLink)] = None
    primacy: Annotated[int | None, element("primacy", UINT8)] = None


@dataclass(slots=True, kw_only=True)
class DERProgramList(SubscribableList):
    """DER programs, by ascending primacy."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    der_programs: Annotated[list[DERProgram], children("DERProgram", DERProgram)] = field(default_factory=list)

"""Prepayment: balances, credit, service and its overrides (IEEE 2030.5-2018, prepayment function set)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from .base import DateTimeInterval, IdentifiedObject, Link, List, ListLink, Resource, SubscribableList
from .fields import attribute, children, element
from .metering import UsagePoint
from .quantities import RealEnergy
from .types import INT8, INT32, STRING32, TIME, UINT8, UINT16, UINT32


@dataclass(slots=True, kw_only=True)
class AccountingUnit:
    """An amount of money or energy: value x 10^multiplier in the ISO 4217 currency."""

    energy_unit: Annotated[RealEnergy | None, element("energyUnit", RealEnergy)] = None
    monetary_unit: Annotated[int | None, element("monetaryUnit", UINT16)] = None
    multiplier: Annotated[int | None, element("multiplier", INT8)] = None
    value: Annotated[int | None, element("value", INT32)] = None


@dataclass(slots=True, kw_only=True)
class AccountBalance(Resource):
    """Credit of a prepayment account."""

    available_credit: Annotated[AccountingUnit | None, element("availableCredit", AccountingUnit)] = None
    credit_status: Annotated[int | None, element("creditStatus", UINT8)] = None
    emergency_credit: Annotated[AccountingUnit | None, element("emergencyCredit", AccountingUnit)] = None
    emergency_credit_status: Annotated[int | None, element("emergencyCreditStatus", UINT8)] = None


@dataclass(slots=True, kw_only=True)
class CreditRegister(IdentifiedObject):
    """A purchase of credit; `token` as the supplier made it."""

    credit_amount: Annotated[AccountingUnit | None, element("creditAmount", AccountingUnit)] = None
    credit_type: Annotated[int | None, element("creditType", UINT8)] = None
    effective_time: Annotated[int | None, element("effectiveTime", TIME)] = None
    token: Annotated[str | None, element("token", STRING32)] = None


@dataclass(slots=True, kw_only=True)
class CreditRegisterList(List):
    """Purchases of credit, latest first."""

    credit_registers: Annotated[list[CreditRegister], children("CreditRegister", CreditRegister)] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class CreditTypeChange:
    """When another type of credit takes over."""

    new_type: Annotated[int | None, element("newType", UINT8)] = None
    start_time: Annotated[int | None, element("startTime", TIME)] = None


@dataclass(slots=True, kw_only=True)
class ServiceChange:
    """When the service changes state."""

    new_status: Annotated[int | None, element("newStatus", UINT8)] = None
    start_time: Annotated[int | None, element("startTime", TIME)] = None


@dataclass(slots=True, kw_only=True)
class PrepayOperationStatus(Resource):
    """State of a prepaid service."""

    credit_type_change: Annotated[CreditTypeChange | None, element("creditTypeChange", CreditTypeChange)] = None
    credit_type_in_use: Annotated[int | None, element("creditTypeInUse", UINT8)] = None
    service_change: Annotated[ServiceChange | None, element("serviceChange", ServiceChange)] = None
    service_status: Annotated[int | None, element("serviceStatus", UINT8)] = None


@dataclass(slots=True, kw_only=True)
class SupplyInterruptionOverride(Resource):
    """A time in which supply is not cut whatever the credit."""

    description: Annotated[str | None, element("description", STRING32)] = None
    interval: Annotated[DateTimeInterval | None, element("interval", DateTimeInterval)] = None


@dataclass(slots=True, kw_only=True)
class SupplyInterruptionOverrideList(List):
    """Overrides, by ascending start."""

    supply_interruption_overrides: Annotated[
        list[SupplyInterruptionOverride], children("SupplyInterruptionOverride", SupplyInterruptionOverride)
    ] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Prepayment(IdentifiedObject):
    """A prepaid service."""

    account_balance_link: Annotated[Link | None, element("AccountBalanceLink", Link)] = None
    active_credit_register_list_link: Annotated[ListLink | None, element("ActiveCreditRegisterListLink", ListLink)] = None
    active_supply_interruption_override_list_link: Annotated[
        ListLink | None, element("ActiveSupplyInterruptionOverrideListLink", ListLink)
    ] = None
    credit_expiry_level: Annotated[AccountingUnit | None, element("creditExpiryLevel", AccountingUnit)] = None
    credit_register_list_link: Annotated[ListLink | None, element("CreditRegisterListLink", ListLink)] = None
    low_credit_warning_level: Annotated[AccountingUnit | None, element("lowCreditWarningLevel", AccountingUnit)] = None
    low_emergency_credit_warning_level: Annotated[
        AccountingUnit | None, element("lowEmergencyCreditWarningLevel", AccountingUnit)
    ] = None
    prepay_mode: Annotated[int | None, element("prepayMode", UINT8)] = None
    prepay_operation_status_link: Annotated[Link | None, element("PrepayOperationStatusLink", Link)] = None
    supply_interruption_override_list_link: Annotated[
        ListLink | None, element("SupplyInterruptionOverrideListLink", ListLink)
    ] = None
    usage_points: Annotated[list[UsagePoint], children("UsagePoint", UsagePoint)] = field(default_factory=list)
    usage_point_link: Annotated[Link | None, element("UsagePointLink", Link)] = None


@dataclass(slots=True, kw_only=True)
class PrepaymentList(SubscribableList):
    """Prepaid services, by descending mRID."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    prepayments: Annotated[list[Prepayment], children("Prepayment", Prepayment)] = field(default_factory=list)

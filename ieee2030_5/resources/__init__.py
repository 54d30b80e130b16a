"""Resources of IEEE 2030.5-2018 as dataclasses, one module a function set.

Fields stand in the schema's order, base type first, which is the order they are written in. Every field is optional:
`None` is left out on output, and what a document must hold is for its reader to say. Identifiers (`mrid`, `lfdi`) are
upper-case hex strings of full width, flags and codes are integers, times are UTC epoch seconds.

A new function set is a new module: subclass a type of `base`, annotate its fields with `element`, `attribute` and
`children`, and name it in `_MODULES` and in the stub beside this file. Modules are imported when one of their classes is
first asked for: all of them together cost more than the rest of a device's start.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_MODULES = {
    "base": """
        DateTimeInterval Error Event EventStatus IdentifiedObject Link List ListLink RandomizableEvent Resource
        RespondableIdentifiedObject RespondableResource RespondableSubscribableIdentifiedObject
        SubscribableIdentifiedObject SubscribableList SubscribableResource
    """,
    "quantities": """
        ActivePower AmpereHour ApparentPower CurrentRMS FixedPoint FixedVar PowerFactor PowerFactorWithExcitation
        ReactivePower ReactiveSusceptance RealEnergy SignedRealEnergy UnitValue UnsignedFixedPoint VoltageRMS WattHour
    """,
    "time": "Time",
    "dcap": "DeviceCapability FunctionSetAssignmentsBase",
    "edev": "AbstractDevice EndDevice EndDeviceList Registration SelfDevice",
    "fsa": "FunctionSetAssignments FunctionSetAssignmentsList",
    "subscription": "Condition Notification NotificationList Subscription SubscriptionBase SubscriptionList",
    "response": """
        AppliedTargetReduction DERControlResponse DrResponse FlowReservationResponseResponse PriceResponse Response
        ResponseList ResponseSet ResponseSetList TextResponse
    """,
    "device": """
        DRLCCapabilities DeviceInformation DeviceStatus GPSLocation PEVInfo PowerStatus SupportedLocale
        SupportedLocaleList Temperature
    """,
    "configuration": "Configuration PowerConfiguration PriceResponseCfg PriceResponseCfgList TimeConfiguration",
    "network": """
        IEEE802154 IPAddr IPAddrList IPInterface IPInterfaceList LLInterface LLInterfaceList LoWPAN Neighbor
        NeighborList RPLInstance RPLInstanceList RPLSourceRoutes RPLSourceRoutesList
    """,
    "log_event": "LogEvent LogEventList",
    "file_download": "File FileList FileStatus",
    "metering": """
        MeterReading MeterReadingBase MeterReadingList Reading ReadingBase ReadingList ReadingSet ReadingSetBase
        ReadingSetList ReadingType UsagePoint UsagePointBase UsagePointList
    """,
    "mirror": "MirrorMeterReading MirrorMeterReadingList MirrorReadingSet MirrorUsagePoint MirrorUsagePointList",
    "drlc": """
        ApplianceLoadReduction DemandResponseProgram DemandResponseProgramList DutyCycle EndDeviceControl
        EndDeviceControlList LoadShedAvailability LoadShedAvailabilityList Offset SetPoint TargetReduction
    """,
    "der": """
        ConnectStatus DER DERAvailability DERCapability DERList DERSettings DERStatus InverterStatus
        LocalControlModeStatus ManufacturerStatus OperationalModeStatus StateOfChargeStatus StorageModeStatus
    """,
    "der_control": """
        CurveData DERControl DERControlBase DERControlList DERCurve DERCurveList DERProgram DERProgramList
        DefaultDERControl FreqDroop
    """,
    "pricing": """
        ConsumptionTariffInterval ConsumptionTariffIntervalList EnvironmentalCost RateComponent RateComponentList
        TariffProfile TariffProfileList TimeTariffInterval TimeTariffIntervalList
    """,
    "messaging": "MessagingProgram MessagingProgramList TextMessage TextMessageList",
    "billing": """
        BillingMeterReadingBase BillingPeriod BillingPeriodList BillingReading BillingReadingList BillingReadingSet
        BillingReadingSetList Charge CustomerAccount CustomerAccountList CustomerAgreement CustomerAgreementList
        HistoricalReading HistoricalReadingList ProjectionReading ProjectionReadingList ServiceSupplier
        ServiceSupplierList TargetReading TargetReadingList
    """,
    "prepayment": """
        AccountBalance AccountingUnit CreditRegister CreditRegisterList CreditTypeChange PrepayOperationStatus
        Prepayment PrepaymentList ServiceChange SupplyInterruptionOverride SupplyInterruptionOverrideList
    """,
    "flow_reservation": """
        FlowReservationRequest FlowReservationRequestList FlowReservationResponse FlowReservationResponseList
        RequestStatus
    """,
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = sorted(_MODULE_OF)


def find(name: str) -> type | None:
    """The class of a resource or of a nested type by its name, None where there is none."""
    return getattr(import_module(f".{_MODULE_OF[name]}", __name__), name) if name in _MODULE_OF else None


def __getattr__(name: str) -> Any:
    cls = find(name)
    if cls is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = cls
    return cls


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})

"""Which elements a resource must have (IEEE 2030.5-2018, B.2): read leniently, checked before others are to read it."""

from __future__ import annotations

import dataclasses
from typing import Any

from ieee2030_5.resources.fields import Mapping, mappings

_TYPES = """
AbstractDevice: sFDI
AccountBalance: availableCredit
AccountingUnit: monetaryUnit multiplier value
ActivePower: multiplier value
AmpereHour: multiplier value
ApparentPower: multiplier value
ApplianceLoadReduction: type
AppliedTargetReduction: type value
BilateralAgreement: counterpartyLFDI creationTime energyLimit interval price role status
BillingPeriod: interval
Charge: value
Condition: attributeIdentifier lowerThreshold upperThreshold
Configuration: currentLocale userDeviceName
ConnectStatus: dateTime value
ConnectionPoint: connectionPointId
ConsumptionTariffInterval: consumptionBlock startValue
CreditRegister: creditAmount effectiveTime token
CreditTypeChange: newType startTime
CurrentRMS: multiplier value
CurveData: xvalue yvalue
CustomerAccount: currency pricePowerOfTenMultiplier
DERAvailability: readingTime
DERCapability: modesSupported rtgMaxW type
DERControl: DERControlBase
DERCurve: creationTime CurveData curveType xMultiplier yMultiplier yRefType
DERProgram: primacy
DERSettings: setGradW setMaxW updatedTime
DERStatus: readingTime
DRLCCapabilities: averageEnergy maxDemand optionsImplemented
DateTimeInterval: duration start
DefaultDERControl: DERControlBase
DemandResponseProgram: primacy
DeviceInformation: lFDI mfDate mfHwVer mfID mfModel mfSerNum primaryPower secondaryPower swActTime swVer
DeviceStatus: changedTime
DutyCycle: normalValue
EndDevice: changedTime
EndDeviceControl: deviceCategory drProgramMandatory loadShiftForward
EnvironmentalCost: amount costKind costLevel numCostLevels
Error: reasonCode
Event: creationTime EventStatus interval
EventStatus: currentStatus dateTime potentiallySuperseded
File: fileURI mfID mfModel mfVer size type
FileStatus: loadPercent nextRequestAttempt request503Count requestFailCount status statusTime
FixedPoint: multiplier value
FixedVar: refType value
FlowReservationRequest: creationTime energyRequested intervalRequested powerRequested RequestStatus
FlowReservationResponse: energyAvailable powerAvailable subject
FreqDroop: dBOF dBUF kOF kUF openLoopTms
FunctionSetAssignments: mRID
GPSLocation: lat lon
IEEE_802_15_4: capabilityInfo shortAddress
IPAddr: address
IdentifiedObject: mRID
InverterStatus: dateTime value
LLInterface: CRCerrors EUI64 linkLayerType
LocalControlModeStatus: dateTime value
LogEvent: createdDateTime functionSet logEventCode logEventID logEventPEN profileID
ManufacturerStatus: dateTime value
MessagingProgram: locale primacy
MeterReading: ReadingTypeLink
MirrorUsagePoint: deviceLFDI
Neighbor: isChild linkQuality shortAddress
Notification: status subscriptionURI
OperationalModeStatus: dateTime value
PEVInfo: chargingPowerNow energyRequestNow maxForwardPower minimumChargingDuration targetStateOfCharge timeChargeIsNeeded
PowerFactor: displacement multiplier
PowerFactorWithExcitation: displacement excitation multiplier
PowerStatus: batteryStatus changedTime currentPowerSource
PrepayOperationStatus: serviceStatus
Prepayment: AccountBalanceLink CreditRegisterListLink prepayMode PrepayOperationStatusLink SupplyInterruptionOverrideListLink
PriceResponseCfg: consumeThreshold maxReductionThreshold RateComponentLink
RPLInstance: DODAGid DODAGroot flags groundedFlag MOP PRF rank RPLInstanceID versionNumber
RPLSourceRoutes: DestAddress SourceRoute
RateComponent: ReadingTypeLink roleFlags TimeTariffIntervalListLink
ReactivePower: multiplier value
ReactiveSusceptance: multiplier value
ReadingSetBase: timePeriod
RealEnergy: multiplier value
Registration: dateTimeRegistered pIN
RequestStatus: dateTime requestStatus
RespondableIdentifiedObject: mRID
RespondableSubscribableIdentifiedObject: mRID
Response: endDeviceLFDI subject
ServiceChange: newStatus startTime
SignedRealEnergy: multiplier value
StandingOffer: creationTime energyLimit interval priceLimit side status
StateOfChargeStatus: dateTime value
StorageModeStatus: dateTime value
SubscribableIdentifiedObject: mRID
Subscription: encoding level limit notificationURI
SubscriptionBase: subscribedResource
SupplyInterruptionOverride: interval
SupportedLocale: locale
TargetReduction: type value
TariffProfile: primacy serviceCategoryKind
Temperature: multiplier subject value
TextMessage: priority textMessage
Time: currentTime dstEndTime dstOffset dstStartTime quality tzOffset
TimeConfiguration: dstEndRule dstOffset dstStartRule tzOffset
TimeTariffInterval: touTier
UnitValue: multiplier unit value
UnsignedFixedPoint: multiplier value
UsagePointBase: roleFlags serviceCategoryKind status
VoltageRMS: multiplier value
WattHour: multiplier value
"""

REQUIRED: dict[str, tuple[str, ...]] = {
    name: tuple(elements.split()) for name, _, elements in (line.partition(": ") for line in _TYPES.strip().splitlines())
}
"""Elements that each type adds and demands, by the name of the type; types not named demand none."""


def missing(resource: Any) -> str | None:
    """Path of the first element that the resource or anything in it lacks, None where all are there."""
    for field, mapping, required in _plan(type(resource)):
        value = getattr(resource, field)
        if value is None or (mapping.many and not value):
            if required:
                return mapping.name
            continue
        for part in value if mapping.many else (value,):
            if dataclasses.is_dataclass(part):
                lacking = missing(part)
                if lacking:
                    return f"{mapping.name}/{lacking}"
    return None


_plans: dict[type, tuple[tuple[str, Mapping, bool], ...]] = {}


def _plan(cls: type) -> tuple[tuple[str, Mapping, bool], ...]:
    known = _plans.get(cls)
    if known is None:
        demanded = {name for base in cls.__mro__ for name in REQUIRED.get(base.__name__, ())}
        elements = [(field, mapping) for field, mapping in mappings(cls) if not mapping.is_attribute]
        known = _plans[cls] = tuple((field, mapping, mapping.name in demanded) for field, mapping in elements)
    return known

"""Customer accounts, agreements and billing readings (IEEE 2030.5-2018, billing function set)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from .base import DateTimeInterval, IdentifiedObject, Link, List, ListLink, Resource, SubscribableList
from .fields import attribute, children, element
from .metering import MeterReadingBase, ReadingBase, ReadingSetBase
from .types import INT8, INT32, INT48, STRING20, STRING32, STRING42, TIME, UINT8, UINT16, UINT32


@dataclass(slots=True, kw_only=True)
class Charge:
    """An amount on a bill, in the account's currency and scale; `kind` says what for."""

    description: Annotated[str | None, element("description", STRING20)] = None
    kind: Annotated[int | None, element("kind", UINT8)] = None
    value: Annotated[int | None, element("value", INT32)] = None


@dataclass(slots=True, kw_only=True)
class BillingMeterReadingBase(MeterReadingBase):
    """What billing's meter readings share."""

    billing_reading_set_list_link: Annotated[ListLink | None, element("BillingReadingSetListLink", ListLink)] = None
    reading_type_link: Annotated[Link | None, element("ReadingTypeLink", Link)] = None


@dataclass(slots=True, kw_only=True)
class BillingReading(ReadingBase):
    """A value with its charges."""

    charges: Annotated[list[Charge], children("Charge", Charge)] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class BillingReadingList(List):
    """Billing readings, by ascending start, block and tier."""

    billing_readings: Annotated[list[BillingReading], children("BillingReading", BillingReading)] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class BillingReadingSet(ReadingSetBase):
    """Billing readings of one period."""

    billing_reading_list_link: Annotated[ListLink | None, element("BillingReadingListLink", ListLink)] = None


@dataclass(slots=True, kw_only=True)
class BillingReadingSetList(SubscribableList):
    """Sets of billing readings, latest period first."""

    billing_reading_sets: Annotated[list[BillingReadingSet], children("BillingReadingSet", BillingReadingSet)] = field(
        default_factory=list
    )


@dataclass(slots=True, kw_only=True)
class BillingPeriod(Resource):
    """What a period cost, in the account's currency and scale."""

    bill_last_period: Annotated[int | None, element("billLastPeriod", INT48)] = None
    bill_to_date: Annotated[int | None, element("billToDate", INT48)] = None
    interval: Annotated[DateTimeInterval | None, element("interval", DateTimeInterval)] = None
    status_time_stamp: Annotated[int | None, element("statusTimeStamp", TIME)] = None


@dataclass(slots=True, kw_only=True)
class BillingPeriodList(SubscribableList):
    """Billing periods, latest start first."""

    billing_periods: Annotated[list[BillingPeriod], children("BillingPeriod", BillingPeriod)] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class HistoricalReading(BillingMeterReadingBase):
    """What was consumed."""


@dataclass(slots=True, kw_only=True)
class HistoricalReadingList(List):
    """Historical readings, by description."""

    historical_readings: Annotated[list[HistoricalReading], children("HistoricalReading", HistoricalReading)] = field(
        default_factory=list
    )


@dataclass(slots=True, kw_only=True)
class ProjectionReading(BillingMeterReadingBase):
    """What is expected to be consumed."""


@dataclass(slots=True, kw_only=True)
class ProjectionReadingList(List):
    """Projected readings, by description."""

    projection_readings: Annotated[list[ProjectionReading], children("ProjectionReading", ProjectionReading)] = field(
        default_factory=list
    )


@dataclass(slots=True, kw_only=True)
class TargetReading(BillingMeterReadingBase):
    """What is aimed at."""


@dataclass(slots=True, kw_only=True)
class TargetReadingList(List):
    """Target readings, by description."""

    target_readings: Annotated[list[TargetReading], children("TargetReading", TargetReading)] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class CustomerAgreement(IdentifiedObject):
    """An agreement of an account: one service at one place."""

    active_billing_period_list_link: Annotated[ListLink | None, element("ActiveBillingPeriodListLink", ListLink)] = None
    active_projection_reading_list_link: Annotated[ListLink | None, element("ActiveProjectionReadingListLink", ListLink)] = None
    active_target_reading_list_link: Annotated[ListLink | None, element("ActiveTargetReadingListLink", ListLink)] = None
    billing_period_list_link: Annotated[ListLink | None, element("BillingPeriodListLink", ListLink)] = None
    historical_reading_list_link: Annotated[ListLink | None, element("HistoricalReadingListLink", ListLink)] = None
    prepayment_link: Annotated[Link | None, element("PrepaymentLink", Link)] = None
    projection_reading_list_link: Annotated[ListLink | None, element("ProjectionReadingListLink", ListLink)] = None
    service_account: Annotated[str | None, element("serviceAccount", STRING42)] = None
    service_location: Annotated[str | None, element("serviceLocation", STRING42)] = None
    target_reading_list_link: Annotated[ListLink | None, element("TargetReadingListLink", ListLink)] = None
    tariff_profile_link: Annotated[Link | None, element("TariffProfileLink", Link)] = None
    usage_point_link: Annotated[Link | None, element("UsagePointLink", Link)] = None


@dataclass(slots=True, kw_only=True)
class CustomerAgreementList(SubscribableList):
    """Agreements of an account, by service location."""

    customer_agreements: Annotated[list[CustomerAgreement], children("CustomerAgreement", CustomerAgreement)] = field(
        default_factory=list
    )


@dataclass(slots=True, kw_only=True)
class CustomerAccount(IdentifiedObject):
    """A customer's account; `currency` as ISO 4217 number, amounts scaled by the power of ten."""

    currency: Annotated[int | None, element("currency", UINT16)] = None
    customer_account: Annotated[str | None, element("customerAccount", STRING42)] = None
    customer_agreement_list_link: Annotated[ListLink | None, element("CustomerAgreementListLink", ListLink)] = None
    customer_name: Annotated[str | None, element("customerName", STRING42)] = None
    price_power_of_ten_multiplier: Annotated[int | None, element("pricePowerOfTenMultiplier", INT8)] = None
    service_supplier_link: Annotated[Link | None, element("ServiceSupplierLink", Link)] = None


@dataclass(slots=True, kw_only=True)
class CustomerAccountList(SubscribableList):
    """Accounts, by customer name."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    customer_accounts: Annotated[list[CustomerAccount], children("CustomerAccount", CustomerAccount)] = field(
        default_factory=list
    )


@dataclass(slots=True, kw_only=True)
class ServiceSupplier(IdentifiedObject):
    """Who supplies the service."""

    email: Annotated[str | None, element("email", STRING32)] = None
    phone: Annotated[str | None, element("phone", STRING20)] = None
    provider_id: Annotated[int | None, element("providerID", UINT32)] = None
    web: Annotated[str | None, element("web", STRING42)] = None


@dataclass(slots=True, kw_only=True)
class ServiceSupplierList(List):
    """Suppliers, by descending mRID."""

    service_suppliers: Annotated[list[ServiceSupplier], children("ServiceSupplier", ServiceSupplier)] = field(
        default_factory=list
    )

"""Where bills are: the account of a device, its one agreement, and what is read below it (IEEE 2030.5-2018, billing).

Nothing here changes from day to day; `bills` fills it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from ieee2030_5.enums import FlowDirection
from ieee2030_5.resources import (
    CustomerAccount,
    CustomerAgreement,
    HistoricalReading,
    Link,
    ListLink,
    ServiceSupplier,
)
from ingest_server.operational.resources import Publication

from . import currencies
from .grid_tariff import TARIFF
from .programs import PEN, PRICE_POWER_OF_TEN, energy_type, mrid_of

ACCOUNTS = "/bill"
SUPPLIER = "/ss/1"
_ID_DIGITS = 10
"""Enough to tell devices apart, few enough for the addresses of lists below, which clients keep in 44 characters."""


class Line(StrEnum):
    """A line of a bill. The value is what the query of bills calls it."""

    IMPORT = "import"
    EXPORT = "export"
    BOUGHT = "bought"
    SOLD = "sold"
    CORRECTION = "correction"


@dataclass(frozen=True, slots=True)
class _Reading:
    """The historical reading of a line: its identifier, description and direction of energy, and the charge's description."""

    identifier: str
    description: str
    flow: FlowDirection
    charge: str


READINGS = {
    Line.IMPORT: _Reading("1", "1 From the grid", FlowDirection.FORWARD, "Grid energy"),
    Line.EXPORT: _Reading("2", "2 To the grid", FlowDirection.REVERSE, "Grid feed-in"),
    Line.BOUGHT: _Reading("3", "3 Bought from peers", FlowDirection.FORWARD, "Bought from peers"),
    Line.SOLD: _Reading("4", "4 Sold to peers", FlowDirection.REVERSE, "Sold to peers"),
    Line.CORRECTION: _Reading("5", "5 Corrections, with the grid", FlowDirection.FORWARD, "Corrections"),
}
"""Historical readings by line; lists order them by description."""


@dataclass(frozen=True, slots=True)
class Account:
    """A device's account in one currency (ISO 4217)."""

    meter_id: str
    lfdi: str
    currency: str

    @property
    def path(self) -> str:
        """Address of the account."""
        return f"{ACCOUNTS}/{mrid_of(ACCOUNTS, self.lfdi, self.currency)[:_ID_DIGITS]}"

    @property
    def agreement(self) -> str:
        """Address of its agreement."""
        return f"{self.path}/ca/1"

    def reading(self, line: Line) -> str:
        """Address of the historical reading of a line."""
        return f"{self.agreement}/ver/{READINGS[line].identifier}"


def supplier(zone: str) -> list[Publication]:
    """Who bills: the operator of the zone."""
    return [Publication(SUPPLIER, ServiceSupplier(mrid=mrid_of(SUPPLIER, zone), description=zone, provider_id=int(PEN, 16)))]


def account_publications(account: Account) -> Iterator[Publication]:
    """An account, its agreement, and a historical reading with its type for each line. Amounts are in micro-units."""
    path, agreement = account.path, account.agreement
    yield Publication(
        path,
        CustomerAccount(
            mrid=mrid_of(path, account.lfdi),
            description=account.meter_id,
            currency=currencies.number(account.currency),
            customer_account=account.meter_id,
            customer_agreement_list_link=ListLink(href=f"{path}/ca"),
            price_power_of_ten_multiplier=PRICE_POWER_OF_TEN,
            service_supplier_link=Link(href=SUPPLIER),
        ),
        account.lfdi,
    )
    yield Publication(
        agreement,
        CustomerAgreement(
            mrid=mrid_of(agreement, account.lfdi),
            description="Energy from the grid and peers",
            active_billing_period_list_link=ListLink(href=f"{agreement}/actbp"),
            billing_period_list_link=ListLink(href=f"{agreement}/bp"),
            historical_reading_list_link=ListLink(href=f"{agreement}/ver"),
            service_account=account.meter_id,
            service_location=account.meter_id,
            tariff_profile_link=Link(href=TARIFF),
        ),
        account.lfdi,
    )
    for line, reading in READINGS.items():
        place = account.reading(line)
        yield Publication(
            place,
            HistoricalReading(
                mrid=mrid_of(place, account.lfdi),
                description=reading.description,
                billing_reading_set_list_link=ListLink(href=f"{place}/brs"),
                reading_type_link=Link(href=f"{place}/rt"),
            ),
            account.lfdi,
        )
        yield Publication(f"{place}/rt", energy_type(reading.flow, 0), account.lfdi)

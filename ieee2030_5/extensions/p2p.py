"""Peer-to-peer trading, served below /p2p in a namespace of its own and never inside standard resources.

Energy is in Wh an interval of the market, prices are in millionths of the currency unit per kWh, amounts in millionths of
the currency unit, times in UTC epoch seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, ClassVar

from ieee2030_5.namespaces import P2P
from ieee2030_5.resources.base import DateTimeInterval, IdentifiedObject, ListLink, Resource, SubscribableList
from ieee2030_5.resources.fields import attribute, children, element
from ieee2030_5.resources.types import INT64, LFDI, STRING32, STRING42, TIME, UINT8, UINT16, UINT32, UINT48, one_of


class Side(StrEnum):
    """What an offer does."""

    SELL = "sell"
    BUY = "buy"


class OfferStatus(StrEnum):
    """State of a standing offer."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    CANCELLED = "cancelled"


class Role(StrEnum):
    """What the device is in an agreement or a trade."""

    SELLER = "seller"
    BUYER = "buyer"


class AgreementStatus(StrEnum):
    """State of an agreement: proposed by one party, accepted or rejected by the other, cancelled by either."""

    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


@dataclass(slots=True, kw_only=True)
class P2PCapability(Resource):
    """The entry to peer-to-peer trading; `currency` is an ISO 4217 number, `interval_length` that of the market in seconds."""

    xml_namespace: ClassVar[str] = P2P

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    bilateral_agreement_list_link: Annotated[ListLink | None, element("BilateralAgreementListLink", ListLink)] = None
    currency: Annotated[int | None, element("currency", UINT16)] = None
    interval_length: Annotated[int | None, element("intervalLength", UINT32)] = None
    interval_price_list_link: Annotated[ListLink | None, element("IntervalPriceListLink", ListLink)] = None
    standing_offer_list_link: Annotated[ListLink | None, element("StandingOfferListLink", ListLink)] = None
    trade_list_link: Annotated[ListLink | None, element("TradeListLink", ListLink)] = None


@dataclass(slots=True, kw_only=True)
class StandingOffer(IdentifiedObject):
    """An offer to the pool for every interval of the market that starts in `interval`.

    No more than `energy_limit` Wh an interval, for no less (sell) or no more (buy) than `price_limit`.
    """

    xml_namespace: ClassVar[str] = P2P

    creation_time: Annotated[int | None, element("creationTime", TIME)] = None
    energy_limit: Annotated[int | None, element("energyLimit", UINT48)] = None
    interval: Annotated[DateTimeInterval | None, element("interval", DateTimeInterval)] = None
    price_limit: Annotated[int | None, element("priceLimit", INT64)] = None
    side: Annotated[str | None, element("side", one_of(Side))] = None
    status: Annotated[str | None, element("status", one_of(OfferStatus))] = None


@dataclass(slots=True, kw_only=True)
class StandingOfferList(SubscribableList):
    """A device's offers, by descending mRID."""

    xml_namespace: ClassVar[str] = P2P

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    standing_offers: Annotated[list[StandingOffer], children("StandingOffer", StandingOffer)] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class BilateralAgreement(IdentifiedObject):
    """Energy that two devices trade before the pool, in every interval of the market that starts in `interval`.

    At most `energy_limit` Wh an interval at `price`. Agreements of smaller `priority` come first.
    """

    xml_namespace: ClassVar[str] = P2P

    counterparty_lfdi: Annotated[str | None, element("counterpartyLFDI", LFDI)] = None
    creation_time: Annotated[int | None, element("creationTime", TIME)] = None
    energy_limit: Annotated[int | None, element("energyLimit", UINT48)] = None
    interval: Annotated[DateTimeInterval | None, element("interval", DateTimeInterval)] = None
    price: Annotated[int | None, element("price", INT64)] = None
    priority: Annotated[int | None, element("priority", UINT8)] = None
    role: Annotated[str | None, element("role", one_of(Role))] = None
    status: Annotated[str | None, element("status", one_of(AgreementStatus))] = None


@dataclass(slots=True, kw_only=True)
class BilateralAgreementList(SubscribableList):
    """A device's agreements, by ascending priority."""

    xml_namespace: ClassVar[str] = P2P

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    bilateral_agreements: Annotated[list[BilateralAgreement], children("BilateralAgreement", BilateralAgreement)] = field(
        default_factory=list
    )


@dataclass(slots=True, kw_only=True)
class Trade(Resource):
    """What a device sold or bought in an interval, for good: corrections are settled with the grid.

    `energy_wh` is what the seller sold, and for the buyer what arrived. `amount` is the price of what was sold, the same on both
    sides; wheeling is not in it. `version` is that of the interval's settlement.
    """

    xml_namespace: ClassVar[str] = P2P

    amount: Annotated[int | None, element("amount", INT64)] = None
    counterparty_meter_id: Annotated[str | None, element("counterpartyMeterID", STRING32)] = None
    energy_wh: Annotated[int | None, element("energyWh", INT64)] = None
    interval: Annotated[DateTimeInterval | None, element("interval", DateTimeInterval)] = None
    price: Annotated[int | None, element("price", INT64)] = None
    role: Annotated[str | None, element("role", one_of(Role))] = None
    trade_id: Annotated[str | None, element("tradeID", STRING42)] = None
    version: Annotated[int | None, element("version", UINT32)] = None


@dataclass(slots=True, kw_only=True)
class TradeList(SubscribableList):
    """A device's trades, latest interval first."""

    xml_namespace: ClassVar[str] = P2P

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    trades: Annotated[list[Trade], children("Trade", Trade)] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class IntervalPrice(Resource):
    """The outcome of an interval: the pool's price between feed-in and retail price, supply and demand in Wh.

    `version` grows with each correction: supply and demand are then what is known, prices those that the trades were made by.
    """

    xml_namespace: ClassVar[str] = P2P

    demand_wh: Annotated[int | None, element("demandWh", INT64)] = None
    feed_in_price: Annotated[int | None, element("feedInPrice", INT64)] = None
    interval: Annotated[DateTimeInterval | None, element("interval", DateTimeInterval)] = None
    price: Annotated[int | None, element("price", INT64)] = None
    retail_price: Annotated[int | None, element("retailPrice", INT64)] = None
    supply_wh: Annotated[int | None, element("supplyWh", INT64)] = None
    version: Annotated[int | None, element("version", UINT32)] = None


@dataclass(slots=True, kw_only=True)
class IntervalPriceList(SubscribableList):
    """Prices, latest interval first."""

    xml_namespace: ClassVar[str] = P2P

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    interval_prices: Annotated[list[IntervalPrice], children("IntervalPrice", IntervalPrice)] = field(default_factory=list)

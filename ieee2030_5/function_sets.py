"""The resources of IEEE 2030.5-2018 as a tree: where each lives, what it holds, and what a device may do with it.

Paths follow the sample paths of the standard's WADL; a client finds them by links and must not know them. GET and HEAD are
always allowed. `{edev}` is the SFDI of an end device, other placeholders are identifiers that the maker of the resource chose:
short ones, since clients in the field keep a list's address in 64 bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from ieee2030_5 import resources

_Class = type[Any]

CSIP_AUS = "csip_aus"
P2P = "p2p"
_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")
IDENTIFIER = "[A-Za-z0-9_-]{1,40}"
"""What stands for a placeholder in an address."""


@dataclass(frozen=True)
class Node:
    """A kind of resource.

    `path` is its address with placeholders, `type` the name of its class, `item` that of its items if it is a list.
    `put`, `post` and `delete` say what a device may do; `accepts` names the documents that a POST may carry where they are not
    `item` alone, `key` the fields by which the same item posted again is known (the whole content where empty). `active_of` is
    the list whose events in progress this list shows. `extension` is set for what the standard does not know.
    """

    path: str
    type: str
    item: str = ""
    put: bool = False
    post: bool = False
    delete: bool = False
    accepts: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    active_of: str = ""
    extension: str = ""

    @property
    def is_list(self) -> bool:
        """Whether the resource is a list."""
        return bool(self.item)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches the addresses of the node, placeholders as groups."""
        return re.compile(_PLACEHOLDER.sub(rf"(?P<\1>{IDENTIFIER})", self.path))

    @cached_property
    def parent(self) -> str | None:
        """Path of the node whose existence this one's depends on; None at the top."""
        above = self.path.rpartition("/")[0]
        return above or None

    @cached_property
    def cls(self) -> _Class:
        """Class of the document."""
        return class_of(self.type)

    @cached_property
    def item_cls(self) -> _Class:
        """Class of a list's items."""
        return class_of(self.item)

    @cached_property
    def posted(self) -> tuple[_Class, ...]:
        """Classes that a POST may carry."""
        return tuple(class_of(name) for name in (self.accepts or (self.item,)))


@lru_cache(maxsize=512)
def class_of(name: str) -> _Class:
    """The class of a resource by the name of its element. Raises `KeyError` for an unknown one."""
    found = resources.find(name)
    if found is None:
        from ieee2030_5.extensions import csip_aus, p2p

        found = getattr(csip_aus, name, None) or getattr(p2p, name, None)
    if found is None:
        raise KeyError(name)
    return found


_E = "/edev/{edev}"
_RESPONSES = (
    "Response",
    "DERControlResponse",
    "DrResponse",
    "FlowReservationResponseResponse",
    "PriceResponse",
    "TextResponse",
)

NODES: tuple[Node, ...] = (
    Node(f"{_E}/fsa", "FunctionSetAssignmentsList", "FunctionSetAssignments"),
    Node(f"{_E}/fsa/{{fsa}}", "FunctionSetAssignments"),
    Node(f"{_E}/di", "DeviceInformation", put=True),
    Node(f"{_E}/dstat", "DeviceStatus", put=True),
    Node(f"{_E}/ps", "PowerStatus", put=True),
    Node(f"{_E}/cfg", "Configuration", put=True),
    Node(f"{_E}/lel", "LogEventList", "LogEvent", post=True),
    Node(f"{_E}/lel/{{lel}}", "LogEvent", delete=True),
    Node(f"{_E}/lsl", "LoadShedAvailabilityList", "LoadShedAvailability", post=True, key=("demand_response_program_link",)),
    Node(f"{_E}/lsl/{{lsl}}", "LoadShedAvailability", put=True, delete=True),
    Node(f"{_E}/frq", "FlowReservationRequestList", "FlowReservationRequest", post=True, key=("mrid",)),
    Node(f"{_E}/frq/{{frq}}", "FlowReservationRequest", put=True, delete=True),
    Node(f"{_E}/frp", "FlowReservationResponseList", "FlowReservationResponse"),
    Node(f"{_E}/frp/{{frp}}", "FlowReservationResponse"),
    Node(f"{_E}/sub", "SubscriptionList", "Subscription", post=True, key=("subscribed_resource", "notification_uri")),
    Node(f"{_E}/sub/{{sub}}", "Subscription", put=True, delete=True),
    Node(f"{_E}/cp", "ConnectionPoint", put=True, extension=CSIP_AUS),
    Node(f"{_E}/der", "DERList", "DER"),
    Node(f"{_E}/der/{{der}}", "DER"),
    Node(f"{_E}/der/{{der}}/dercap", "DERCapability", put=True),
    Node(f"{_E}/der/{{der}}/derg", "DERSettings", put=True),
    Node(f"{_E}/der/{{der}}/ders", "DERStatus", put=True),
    Node(f"{_E}/der/{{der}}/dera", "DERAvailability", put=True),
    Node("/derp", "DERProgramList", "DERProgram"),
    Node("/derp/{derp}", "DERProgram"),
    Node("/derp/{derp}/derc", "DERControlList", "DERControl"),
    Node("/derp/{derp}/derc/{derc}", "DERControl"),
    Node("/derp/{derp}/actderc", "DERControlList", "DERControl", active_of="derc"),
    Node("/derp/{derp}/dderc", "DefaultDERControl"),
    Node("/derp/{derp}/dc", "DERCurveList", "DERCurve"),
    Node("/derp/{derp}/dc/{dc}", "DERCurve"),
    Node("/dr", "DemandResponseProgramList", "DemandResponseProgram"),
    Node("/dr/{dr}", "DemandResponseProgram"),
    Node("/dr/{dr}/edc", "EndDeviceControlList", "EndDeviceControl"),
    Node("/dr/{dr}/edc/{edc}", "EndDeviceControl"),
    Node("/dr/{dr}/actedc", "EndDeviceControlList", "EndDeviceControl", active_of="edc"),
    Node("/tp", "TariffProfileList", "TariffProfile"),
    Node("/tp/{tp}", "TariffProfile"),
    Node("/tp/{tp}/rc", "RateComponentList", "RateComponent"),
    Node("/tp/{tp}/rc/{rc}", "RateComponent"),
    Node("/tp/{tp}/rc/{rc}/rt", "ReadingType"),
    Node("/tp/{tp}/rc/{rc}/tti", "TimeTariffIntervalList", "TimeTariffInterval"),
    Node("/tp/{tp}/rc/{rc}/tti/{tti}", "TimeTariffInterval"),
    Node("/tp/{tp}/rc/{rc}/acttti", "TimeTariffIntervalList", "TimeTariffInterval", active_of="tti"),
    Node("/tp/{tp}/rc/{rc}/tti/{tti}/cti", "ConsumptionTariffIntervalList", "ConsumptionTariffInterval"),
    Node("/tp/{tp}/rc/{rc}/tti/{tti}/cti/{cti}", "ConsumptionTariffInterval"),
    Node("/ss", "ServiceSupplierList", "ServiceSupplier"),
    Node("/ss/{ss}", "ServiceSupplier"),
    Node("/bill", "CustomerAccountList", "CustomerAccount"),
    Node("/bill/{bill}", "CustomerAccount"),
    Node("/bill/{bill}/ca", "CustomerAgreementList", "CustomerAgreement"),
    Node("/bill/{bill}/ca/{ca}", "CustomerAgreement"),
    Node("/bill/{bill}/ca/{ca}/bp", "BillingPeriodList", "BillingPeriod"),
    Node("/bill/{bill}/ca/{ca}/bp/{bp}", "BillingPeriod"),
    Node("/bill/{bill}/ca/{ca}/actbp", "BillingPeriodList", "BillingPeriod", active_of="bp"),
    *(
        node
        for readings, kind in (("pro", "ProjectionReading"), ("tar", "TargetReading"), ("ver", "HistoricalReading"))
        for node in (
            Node(f"/bill/{{bill}}/ca/{{ca}}/{readings}", f"{kind}List", kind),
            Node(f"/bill/{{bill}}/ca/{{ca}}/{readings}/{{{readings}}}", kind),
            Node(f"/bill/{{bill}}/ca/{{ca}}/{readings}/{{{readings}}}/rt", "ReadingType"),
            Node(f"/bill/{{bill}}/ca/{{ca}}/{readings}/{{{readings}}}/brs", "BillingReadingSetList", "BillingReadingSet"),
            Node(f"/bill/{{bill}}/ca/{{ca}}/{readings}/{{{readings}}}/brs/{{brs}}", "BillingReadingSet"),
            Node(f"/bill/{{bill}}/ca/{{ca}}/{readings}/{{{readings}}}/brs/{{brs}}/br", "BillingReadingList", "BillingReading"),
            Node(f"/bill/{{bill}}/ca/{{ca}}/{readings}/{{{readings}}}/brs/{{brs}}/br/{{br}}", "BillingReading"),
        )
    ),
    Node("/msg", "MessagingProgramList", "MessagingProgram"),
    Node("/msg/{msg}", "MessagingProgram"),
    Node("/msg/{msg}/txt", "TextMessageList", "TextMessage"),
    Node("/msg/{msg}/txt/{txt}", "TextMessage"),
    Node("/msg/{msg}/acttxt", "TextMessageList", "TextMessage", active_of="txt"),
    Node("/rsps", "ResponseSetList", "ResponseSet"),
    Node("/rsps/{rsps}", "ResponseSet"),
    Node("/rsps/{rsps}/rsp", "ResponseList", "Response", post=True, accepts=_RESPONSES),
    Node("/rsps/{rsps}/rsp/{rsp}", "Response", accepts=_RESPONSES),
    Node("/p2p", "P2PCapability", extension=P2P),
    Node("/p2p/offer", "StandingOfferList", "StandingOffer", post=True, key=("mrid",), extension=P2P),
    Node("/p2p/offer/{offer}", "StandingOffer", put=True, delete=True, extension=P2P),
    Node("/p2p/agr", "BilateralAgreementList", "BilateralAgreement", post=True, key=("mrid",), extension=P2P),
    Node("/p2p/agr/{agr}", "BilateralAgreement", put=True, delete=True, extension=P2P),
    Node("/p2p/trd", "TradeList", "Trade", extension=P2P),
    Node("/p2p/trd/{trd}", "Trade", extension=P2P),
    Node("/p2p/prc", "IntervalPriceList", "IntervalPrice", extension=P2P),
    Node("/p2p/prc/{prc}", "IntervalPrice", extension=P2P),
)

BY_PATH: dict[str, Node] = {node.path: node for node in NODES}
_LONGEST = max(len(path) + 40 * path.count("{") for path in BY_PATH)


def find(address: str) -> Node | None:
    """The node that an address (a path without query) belongs to, or None."""
    # Clients make up addresses too, and what is looked up once is remembered.
    return _find(address) if len(address) <= _LONGEST else None


@lru_cache(maxsize=65_536)
def _find(address: str) -> Node | None:
    return next((node for node in NODES if node.pattern.fullmatch(address)), None)

"""What every device has without anybody publishing it: one function set assignment, one DER, and a set to respond to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ieee2030_5.extensions.p2p import P2PCapability
from ieee2030_5.resources import DER, FunctionSetAssignments, Link, ListLink, ResponseSet

DEFAULT_ITEMS = {"/edev/{edev}/fsa": "1", "/edev/{edev}/der": "1", "/rsps": "1"}
"""Lists that are never empty, and the identifier of the item that stands in where nothing was published."""

PEN = "00007ED9"
"""32473, the enterprise number kept for documentation (RFC 5612): identifiers of ours end with it."""


def _p2p_capability() -> P2PCapability:
    return P2PCapability(
        href="/p2p",
        bilateral_agreement_list_link=ListLink(href="/p2p/agr"),
        interval_price_list_link=ListLink(href="/p2p/prc"),
        standing_offer_list_link=ListLink(href="/p2p/offer"),
        trade_list_link=ListLink(href="/p2p/trd"),
    )


DEFAULT_RESOURCES: dict[str, Callable[[], Any]] = {"/p2p": _p2p_capability}
"""What stands in at an address where nothing was published."""


def default_item(template: str, path: str) -> Any:
    """The item that stands in at an address of a list of `DEFAULT_ITEMS`; its `href` is the address."""
    item = path if path.endswith(f"/{DEFAULT_ITEMS[template]}") else f"{path}/{DEFAULT_ITEMS[template]}"
    if template == "/edev/{edev}/fsa":
        return _assignments(item)
    if template == "/edev/{edev}/der":
        return _der(item)
    return ResponseSet(href=item, mrid=_mrid(0xF5E7), description="Responses", response_list_link=ListLink(href=f"{item}/rsp"))


def _assignments(href: str) -> FunctionSetAssignments:
    sfdi = int(href.split("/")[2])
    return FunctionSetAssignments(
        href=href,
        mrid=_mrid(sfdi),
        description="Function sets",
        customer_account_list_link=ListLink(href="/bill"),
        demand_response_program_list_link=ListLink(href="/dr"),
        der_program_list_link=ListLink(href="/derp"),
        messaging_program_list_link=ListLink(href="/msg"),
        response_set_list_link=ListLink(href="/rsps"),
        tariff_profile_list_link=ListLink(href="/tp"),
        time_link=Link(href="/tm"),
        usage_point_list_link=ListLink(href="/upt"),
    )


def _der(href: str) -> DER:
    return DER(
        href=href,
        associated_der_program_list_link=ListLink(href="/derp"),
        der_availability_link=Link(href=f"{href}/dera"),
        der_capability_link=Link(href=f"{href}/dercap"),
        der_settings_link=Link(href=f"{href}/derg"),
        der_status_link=Link(href=f"{href}/ders"),
    )


def _mrid(number: int) -> str:
    return f"{number:024X}{PEN}"

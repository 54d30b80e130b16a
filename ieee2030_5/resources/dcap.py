"""Device capability: the entry to everything else (IEEE 2030.5-2018, 10.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from .base import Link, ListLink, Resource
from .fields import attribute, element
from .types import UINT32


@dataclass(slots=True, kw_only=True)
class FunctionSetAssignmentsBase(Resource):
    """Links to function sets."""

    customer_account_list_link: Annotated[ListLink | None, element("CustomerAccountListLink", ListLink)] = None
    demand_response_program_list_link: Annotated[ListLink | None, element("DemandResponseProgramListLink", ListLink)] = None
    der_program_list_link: Annotated[ListLink | None, element("DERProgramListLink", ListLink)] = None
    file_list_link: Annotated[ListLink | None, element("FileListLink", ListLink)] = None
    messaging_program_list_link: Annotated[ListLink | None, element("MessagingProgramListLink", ListLink)] = None
    prepayment_list_link: Annotated[ListLink | None, element("PrepaymentListLink", ListLink)] = None
    response_set_list_link: Annotated[ListLink | None, element("ResponseSetListLink", ListLink)] = None
    tariff_profile_list_link: Annotated[ListLink | None, element("TariffProfileListLink", ListLink)] = None
    time_link: Annotated[Link | None, element("TimeLink", Link)] = None
    usage_point_list_link: Annotated[ListLink | None, element("UsagePointListLink", ListLink)] = None


@dataclass(slots=True, kw_only=True)
class DeviceCapability(FunctionSetAssignmentsBase):
    """What the server offers; `poll_rate` in seconds, 900 where absent."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    end_device_list_link: Annotated[ListLink | None, element("EndDeviceListLink", ListLink)] = None
    mirror_usage_point_list_link: Annotated[ListLink | None, element("MirrorUsagePointListLink", ListLink)] = None
    self_device_link: Annotated[Link | None, element("SelfDeviceLink", Link)] = None

"""End devices, the server's own device, and registration (IEEE 2030.5-2018, 10.3 and 10.5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from ieee2030_5.namespaces import CSIP_AUS

from .base import Link, ListLink, Resource, SubscribableList, SubscribableResource
from .fields import attribute, children, element
from .types import BOOLEAN, HEX32, LFDI, TIME, UINT32, UINT40


@dataclass(slots=True, kw_only=True)
class AbstractDevice(SubscribableResource):
    """What every device has; `device_category` is a bit mask, `sfdi` includes its check digit."""

    configuration_link: Annotated[Link | None, element("ConfigurationLink", Link)] = None
    der_list_link: Annotated[ListLink | None, element("DERListLink", ListLink)] = None
    device_category: Annotated[int | None, element("deviceCategory", HEX32)] = None
    device_information_link: Annotated[Link | None, element("DeviceInformationLink", Link)] = None
    device_status_link: Annotated[Link | None, element("DeviceStatusLink", Link)] = None
    file_status_link: Annotated[Link | None, element("FileStatusLink", Link)] = None
    ip_interface_list_link: Annotated[ListLink | None, element("IPInterfaceListLink", ListLink)] = None
    lfdi: Annotated[str | None, element("lFDI", LFDI)] = None
    load_shed_availability_list_link: Annotated[ListLink | None, element("LoadShedAvailabilityListLink", ListLink)] = None
    log_event_list_link: Annotated[ListLink | None, element("LogEventListLink", ListLink)] = None
    power_status_link: Annotated[Link | None, element("PowerStatusLink", Link)] = None
    sfdi: Annotated[int | None, element("sFDI", UINT40)] = None


@dataclass(slots=True, kw_only=True)
class EndDevice(AbstractDevice):
    """A client known to the server; `post_rate` in seconds. The connection point is of CSIP-AUS."""

    changed_time: Annotated[int | None, element("changedTime", TIME)] = None
    enabled: Annotated[bool | None, element("enabled", BOOLEAN)] = None
    flow_reservation_request_list_link: Annotated[ListLink | None, element("FlowReservationRequestListLink", ListLink)] = None
    flow_reservation_response_list_link: Annotated[ListLink | None, element("FlowReservationResponseListLink", ListLink)] = None
    function_set_assignments_list_link: Annotated[ListLink | None, element("FunctionSetAssignmentsListLink", ListLink)] = None
    post_rate: Annotated[int | None, element("postRate", UINT32)] = None
    registration_link: Annotated[Link | None, element("RegistrationLink", Link)] = None
    subscription_list_link: Annotated[ListLink | None, element("SubscriptionListLink", ListLink)] = None
    connection_point_link: Annotated[Link | None, element("ConnectionPointLink", Link, namespace=CSIP_AUS)] = None


@dataclass(slots=True, kw_only=True)
class EndDeviceList(SubscribableList):
    """End devices, by ascending SFDI."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    end_devices: Annotated[list[EndDevice], children("EndDevice", EndDevice)] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class SelfDevice(AbstractDevice):
    """The device that serves these resources."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None


@dataclass(slots=True, kw_only=True)
class Registration(Resource):
    """Authorisation of an end device; `pin` includes its check digit."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    date_time_registered: Annotated[int | None, element("dateTimeRegistered", TIME)] = None
    pin: Annotated[int | None, element("pIN", UINT32)] = None

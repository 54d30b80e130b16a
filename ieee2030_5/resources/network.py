"""Network status: interfaces, addresses, link layers and RPL (IEEE 2030.5-2018, network status function set)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from .base import List, ListLink, Resource
from .fields import attribute, children, element
from .types import BOOLEAN, EUI64, HEX8, HEX128, INT64, STRING16, STRING192, UINT8, UINT16, UINT32


@dataclass(slots=True, kw_only=True)
class IEEE802154:
    """Radio state of an IEEE 802.15.4 interface."""

    capability_info: Annotated[int | None, element("capabilityInfo", HEX8)] = None
    neighbor_list_link: Annotated[ListLink | None, element("NeighborListLink", ListLink)] = None
    short_address: Annotated[int | None, element("shortAddress", UINT16)] = None


@dataclass(slots=True, kw_only=True)
class LoWPAN:
    """Counters of a 6LoWPAN adaptation layer."""

    octets_rx: Annotated[int | None, element("octetsRx", UINT32)] = None
    octets_tx: Annotated[int | None, element("octetsTx", UINT32)] = None
    packets_rx: Annotated[int | None, element("packetsRx", UINT32)] = None
    packets_tx: Annotated[int | None, element("packetsTx", UINT32)] = None
    rx_frag_error: Annotated[int | None, element("rxFragError", UINT32)] = None


@dataclass(slots=True, kw_only=True)
class Neighbor(Resource):
    """A neighbour on an IEEE 802.15.4 network."""

    is_child: Annotated[bool | None, element("isChild", BOOLEAN)] = None
    link_quality: Annotated[int | None, element("linkQuality", UINT8)] = None
    short_address: Annotated[int | None, element("shortAddress", UINT16)] = None


@dataclass(slots=True, kw_only=True)
class NeighborList(List):
    """Neighbours of an interface."""

    neighbors: Annotated[list[Neighbor], children("Neighbor", Neighbor)] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class LLInterface(Resource):
    """A link-layer interface with its counters."""

    crc_errors: Annotated[int | None, element("CRCerrors", UINT32)] = None
    eui64: Annotated[str | None, element("EUI64", EUI64)] = None
    ieee_802_15_4: Annotated[IEEE802154 | None, element("IEEE_802_15_4", IEEE802154)] = None
    link_layer_type: Annotated[int | None, element("linkLayerType", UINT8)] = None
    ll_ack_not_rx: Annotated[int | None, element("LLAckNotRx", UINT32)] = None
    llcsma_fail: Annotated[int | None, element("LLCSMAFail", UINT32)] = None
    ll_frames_drop_rx: Annotated[int | None, element("LLFramesDropRx", UINT32)] = None
    ll_frames_drop_tx: Annotated[int | None, element("LLFramesDropTx", UINT32)] = None
    ll_frames_rx: Annotated[int | None, element("LLFramesRx", UINT32)] = None
    ll_frames_tx: Annotated[int | None, element("LLFramesTx", UINT32)] = None
    ll_media_access_fail: Annotated[int | None, element("LLMediaAccessFail", UINT32)] = None
    ll_octets_rx: Annotated[int | None, element("LLOctetsRx", UINT32)] = None
    ll_octets_tx: Annotated[int | None, element("LLOctetsTx", UINT32)] = None
    ll_retry_count: Annotated[int | None, element("LLRetryCount", UINT32)] = None
    ll_security_error_rx: Annotated[int | None, element("LLSecurityErrorRx", UINT32)] = None
    lowpan: Annotated[LoWPAN | None, element("loWPAN", LoWPAN)] = None


@dataclass(slots=True, kw_only=True)
class LLInterfaceList(List):
    """Link-layer interfaces."""

    ll_interfaces: Annotated[list[LLInterface], children("LLInterface", LLInterface)] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class RPLSourceRoutes(Resource):
    """A source route of an RPL root: IPv6 addresses as 32 hex digits."""

    dest_address: Annotated[str | None, element("DestAddress", HEX128)] = None
    source_route: Annotated[str | None, element("SourceRoute", HEX128)] = None


@dataclass(slots=True, kw_only=True)
class RPLSourceRoutesList(List):
    """Source routes of an RPL instance."""

    rpl_source_routes: Annotated[list[RPLSourceRoutes], children("RPLSourceRoutes", RPLSourceRoutes)] = field(
        default_factory=list
    )


@dataclass(slots=True, kw_only=True)
class RPLInstance(Resource):
    """An RPL instance (RFC 6550) a device takes part in."""

    dodag_id: Annotated[int | None, element("DODAGid", UINT8)] = None
    dodag_root: Annotated[bool | None, element("DODAGroot", BOOLEAN)] = None
    flags: Annotated[int | None, element("flags", UINT8)] = None
    grounded_flag: Annotated[bool | None, element("groundedFlag", BOOLEAN)] = None
    mop: Annotated[int | None, element("MOP", UINT8)] = None
    prf: Annotated[int | None, element("PRF", UINT8)] = None
    rank: Annotated[int | None, element("rank", UINT16)] = None
    rpl_instance_id: Annotated[int | None, element("RPLInstanceID", UINT8)] = None
    rpl_source_routes_list_link: Annotated[ListLink | None, element("RPLSourceRoutesListLink", ListLink)] = None
    version_number: Annotated[int | None, element("versionNumber", UINT8)] = None


@dataclass(slots=True, kw_only=True)
class RPLInstanceList(List):
    """RPL instances of an address."""

    rpl_instances: Annotated[list[RPLInstance], children("RPLInstance", RPLInstance)] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class IPAddr(Resource):
    """An IPv6 address as 32 hex digits."""

    address: Annotated[str | None, element("address", HEX128)] = None
    rpl_instance_list_link: Annotated[ListLink | None, element("RPLInstanceListLink", ListLink)] = None


@dataclass(slots=True, kw_only=True)
class IPAddrList(List):
    """Addresses of an interface."""

    ip_addrs: Annotated[list[IPAddr], children("IPAddr", IPAddr)] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class IPInterface(Resource):
    """A network interface with its counters (as in the MIB of RFC 2863)."""

    if_descr: Annotated[str | None, element("ifDescr", STRING192)] = None
    if_high_speed: Annotated[int | None, element("ifHighSpeed", UINT32)] = None
    if_in_broadcast_pkts: Annotated[int | None, element("ifInBroadcastPkts", UINT32)] = None
    if_index: Annotated[int | None, element("ifIndex", UINT32)] = None
    if_in_discards: Annotated[int | None, element("ifInDiscards", UINT32)] = None
    if_in_errors: Annotated[int | None, element("ifInErrors", UINT32)] = None
    if_in_multicast_pkts: Annotated[int | None, element("ifInMulticastPkts", UINT32)] = None
    if_in_octets: Annotated[int | None, element("ifInOctets", UINT32)] = None
    if_in_ucast_pkts: Annotated[int | None, element("ifInUcastPkts", UINT32)] = None
    if_in_unknown_protos: Annotated[int | None, element("ifInUnknownProtos", UINT32)] = None
    if_mtu: Annotated[int | None, element("ifMtu", UINT32)] = None
    if_name: Annotated[str | None, element("ifName", STRING16)] = None
    if_oper_status: Annotated[int | None, element("ifOperStatus", UINT8)] = None
    if_out_broadcast_pkts: Annotated[int | None, element("ifOutBroadcastPkts", UINT32)] = None
    if_out_discards: Annotated[int | None, element("ifOutDiscards", UINT32)] = None
    if_out_errors: Annotated[int | None, element("ifOutErrors", UINT32)] = None
    if_out_multicast_pkts: Annotated[int | None, element("ifOutMulticastPkts", UINT32)] = None
    if_out_octets: Annotated[int | None, element("ifOutOctets", UINT32)] = None
    if_out_ucast_pkts: Annotated[int | None, element("ifOutUcastPkts", UINT32)] = None
    if_promiscuous_mode: Annotated[bool | None, element("ifPromiscuousMode", BOOLEAN)] = None
    if_speed: Annotated[int | None, element("ifSpeed", UINT32)] = None
    if_type: Annotated[int | None, element("ifType", UINT16)] = None
    ip_addr_list_link: Annotated[ListLink | None, element("IPAddrListLink", ListLink)] = None
    last_reset_time: Annotated[int | None, element("lastResetTime", INT64)] = None
    last_updated_time: Annotated[int | None, element("lastUpdatedTime", INT64)] = None
    ll_interface_list_link: Annotated[ListLink | None, element("LLInterfaceListLink", ListLink)] = None


@dataclass(slots=True, kw_only=True)
class IPInterfaceList(List):
    """Network interfaces of a device."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    ip_interfaces: Annotated[list[IPInterface], children("IPInterface", IPInterface)] = field(default_factory=list)

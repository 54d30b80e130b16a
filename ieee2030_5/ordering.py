"""The order of lists (IEEE 2030.5-2018, list ordering of each function set), as texts that a database can sort.

Rules name a resource's fields, most significant first, a minus for descending. Items that lack a value come last. The texts are
digits and lower-case letters to f only, which every collation sorts alike.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from ieee2030_5.resources.fields import mappings
from ieee2030_5.resources.types import SimpleType

_EVENT = ("interval.start", "-creation_time", "-mrid")

ORDER: dict[str, tuple[str, ...]] = {
    "BilateralAgreement": ("priority", "-mrid"),
    "BillingMeterReadingBase": ("description", "-mrid"),
    "BillingPeriod": ("-interval.start", "href"),
    "BillingReading": ("time_period.start", "consumption_block", "tou_tier"),
    "ConsumptionTariffInterval": ("start_value",),
    "CreditRegister": ("-effective_time", "-mrid"),
    "CustomerAccount": ("customer_name", "-mrid"),
    "CustomerAgreement": ("service_location", "-mrid"),
    "DERCurve": ("-creation_time", "-mrid"),
    "DERProgram": ("primacy", "-mrid"),
    "DemandResponseProgram": ("primacy", "-mrid"),
    "EndDevice": ("sfdi", "href"),
    "Event": _EVENT,
    "FlowReservationRequest": ("interval_requested.start", "-creation_time", "-mrid"),
    "FunctionSetAssignments": ("-mrid",),
    "IPAddr": ("address",),
    "IPInterface": ("if_index",),
    "IdentifiedObject": ("-mrid",),
    "IntervalPrice": ("-interval.start",),
    "LLInterface": ("eui64",),
    "LogEvent": ("created_date_time", "log_event_id"),
    "RPLInstance": ("dodag_id", "rpl_instance_id"),
    "RPLSourceRoutes": ("source_route", "dest_address"),
    "Reading": ("local_id", "consumption_block", "tou_tier"),
    "ReadingSetBase": ("-time_period.start", "-mrid"),
    "Resource": ("href",),
    "Response": ("-created_date_time", "end_device_lfdi"),
    "SubscribableIdentifiedObject": ("-mrid",),
    "SupplyInterruptionOverride": ("interval.start", "interval.duration"),
    "TextMessage": ("-interval.start", "-creation_time", "-mrid"),
    "Trade": ("-interval.start", "trade_id"),
}
"""Rules by class; one without a rule of its own follows that of its nearest base."""

_known: dict[type, tuple[Callable[[Any], str], ...]] = {}
_INVERTED = str.maketrans("0123456789abcdef", "fedcba9876543210")


def sort_key(resource: Any) -> str:
    """A text whose ascending order is the order of the list that holds resources of this class.

    Raises `TypeError` for what is no resource.
    """
    return "".join(part(resource) for part in _parts(type(resource)))


def rule_of(cls: type) -> tuple[str, ...]:
    """The rule of `ORDER` that items of a class follow. Raises `TypeError` for what is no resource."""
    for base in cls.__mro__:
        if base.__name__ in ORDER:
            return ORDER[base.__name__]
    raise TypeError(f"{cls.__name__} is not a resource")


def _parts(cls: type) -> tuple[Callable[[Any], str], ...]:
    parts = _known.get(cls)
    if parts is None:
        parts = _known[cls] = tuple(_part(cls, field) for field in rule_of(cls))
    return parts


def _part(cls: type, field: str) -> Callable[[Any], str]:
    path = field.removeprefix("-").split(".")
    text, descending = _text(_type_of(cls, path)), field.startswith("-")
    steps = [attrgetter(name) for name in path]

    def part(resource: Any) -> str:
        value = resource
        for step in steps:
            if value is None:
                break
            value = step(value)
        if value is None:
            return "1"
        return "0" + (text(value).translate(_INVERTED) if descending else text(value))

    return part


def _type_of(cls: type, path: list[str]) -> SimpleType:
    kind: SimpleType | type = cls
    for name in path:
        assert not isinstance(kind, SimpleType)
        kind = dict(mappings(kind))[name].type
    assert isinstance(kind, SimpleType)
    return kind


def _text(kind: SimpleType) -> Callable[[Any], str]:
    """How values of a type become hex digits: fixed in width, or ended by 00, which no text of XML holds."""
    if kind.escape:
        return lambda value: f"{value.encode().hex()}00"
    bits = int(kind.name.removeprefix("HexBinary").removeprefix("U").removeprefix("Int").removeprefix("EUI"))
    width = bits // 4
    bias = 1 << (bits - 1) if kind.name.startswith("Int") else 0
    return lambda value: f"{int(value, 16) if isinstance(value, str) else value + bias:0{width}x}"

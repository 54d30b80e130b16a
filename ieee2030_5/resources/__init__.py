"""Resources of IEEE 2030.5-2018 as dataclasses, one module a function set.

Fields stand in the schema's order, base type first, which is the order they are written in. Every field is optional:
`None` is left out on output, and what a document must hold is for its reader to say. Identifiers (`mrid`, `lfdi`) are
upper-case hex strings of full width, flags and codes are integers, times are UTC epoch seconds.

A new function set is a new module: subclass a type of `base`, annotate its fields with `element`, `attribute` and
`children`, and export it here.
"""

from .base import (
    DateTimeInterval,
    Error,
    IdentifiedObject,
    Link,
    List,
    ListLink,
    Resource,
    SubscribableList,
    SubscribableResource,
)
from .dcap import DeviceCapability
from .edev import EndDevice, EndDeviceList, Registration, SelfDevice
from .metering import Reading, ReadingType, UnitValue
from .mirror import MirrorMeterReading, MirrorMeterReadingList, MirrorReadingSet, MirrorUsagePoint, MirrorUsagePointList
from .time import Time

__all__ = [
    "DateTimeInterval",
    "DeviceCapability",
    "EndDevice",
    "EndDeviceList",
    "Error",
    "IdentifiedObject",
    "Link",
    "List",
    "ListLink",
    "MirrorMeterReading",
    "MirrorMeterReadingList",
    "MirrorReadingSet",
    "MirrorUsagePoint",
    "MirrorUsagePointList",
    "Reading",
    "ReadingType",
    "Registration",
    "Resource",
    "SelfDevice",
    "SubscribableList",
    "SubscribableResource",
    "Time",
    "UnitValue",
]

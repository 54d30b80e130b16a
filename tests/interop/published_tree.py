"""A resource for every address of the tree, each with all its elements set and its links leading to the others."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterator
from typing import Any

from ieee2030_5.function_sets import NODES, Node, class_of
from ieee2030_5.resources import DateTimeInterval, EventStatus, Link, ListLink
from ieee2030_5.resources.fields import Mapping, mappings
from ieee2030_5.resources.types import SimpleType
from ingest_server.operational.resources import EVERYONE, Publication

ITEMS = ("1", "2")
"""Each list has these two; what is below the second is empty. Of events, the first is in progress, the second to come."""
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_CURRENCY = 840


@dataclasses.dataclass(frozen=True)
class Tree:
    """What is published for one device. `usage_point` and `reading_type` are addresses outside of the tree, `now` epoch seconds."""

    lfdi: str
    sfdi: int
    usage_point: str
    reading_type: str
    now: int

    def address(self, template: str) -> str:
        """The address of a node for this device, of the first item of every list."""
        return _PLACEHOLDER.sub(lambda match: str(self.sfdi) if match[1] == "edev" else ITEMS[0], template)

    def publications(self) -> Iterator[Publication]:
        """Everything, owned by the device where it is below its EndDevice, for everyone elsewhere."""
        for node in NODES:
            if node.is_list:
                continue
            owner = self.lfdi if node.path.startswith("/edev/") else EVERYONE
            address = self.address(node.path)
            item = node.path.endswith("}")
            for number, name in enumerate(ITEMS if item else ("",)):
                path = f"{address.rpartition('/')[0]}/{name}" if item else address
                # Responses come in several kinds: the last one is not of the list's own.
                cls = _class(node, special=number > 0)
                yield Publication(path, self._filled(cls, node, path, number), owner)

    def _filled(self, cls: type, node: Node, path: str, number: int) -> Any:
        values = {name: self._value(name, mapping, node, path, number) for name, mapping in mappings(cls)}
        return cls(**values)

    def _value(self, name: str, mapping: Mapping, node: Node, path: str, number: int) -> Any:
        if name == "href":
            return None
        if isinstance(mapping.type, SimpleType):
            return self._simple(name, mapping.type, path)
        if mapping.type in (Link, ListLink):
            target = self._target(mapping.name, node, path)
            # Below the second item of a list there are lists, empty ones, and nothing else.
            missing = target is None or (number > 0 and mapping.type is Link and target.startswith(path))
            return None if missing else mapping.type(href=target)
        if mapping.type is DateTimeInterval:
            return DateTimeInterval(duration=3600, start=self.now - 600 + number * 7200)
        if mapping.type is EventStatus:
            return EventStatus(current_status=0, date_time=self.now - 900, potentially_superseded=False)
        one = self._filled(mapping.type, node, path, number)
        return [one] if mapping.many else one

    def _simple(self, name: str, kind: SimpleType, path: str) -> Any:
        if kind.name == "boolean":
            return True
        if name == "mrid":
            return f"{hashlib.sha256(path.encode()).hexdigest()[:24].upper()}00007ED9"
        if name in ("lfdi", "end_device_lfdi", "device_lfdi"):
            return self.lfdi
        if name == "sfdi":
            return self.sfdi
        if name == "currency":
            return _CURRENCY
        if name.endswith("_time"):
            return self.now - 900
        if kind.name == "anyURI":
            return "https://127.0.0.1:1/notify"
        if kind.name.startswith("String"):
            return "<a&b>"
        if kind.name in ("HexBinary128", "HexBinary160", "EUI64"):
            return "0A" * (int(kind.name.removeprefix("HexBinary").removeprefix("EUI")) // 8)
        return kind.name.split("|")[0] if "|" in kind.name else 1

    def _target(self, link: str, node: Node, path: str) -> str | None:
        """Where a link leads: to a node below if there is one of its kind, else to one elsewhere."""
        name = re.sub("^(Associated|Current)", "", link.removesuffix("Link"))
        others = {"UsagePointList": "/upt", "UsagePoint": self.usage_point, "ReadingType": self.reading_type, "Time": "/tm"}
        if name in others:
            return others[name]
        kind = name.removeprefix("Active")
        found = [one for one in NODES if one.type == kind and bool(one.active_of) is (kind != name)]
        below = [one for one in found if one.path.startswith(f"{node.path}/")]
        if below:
            return path + self.address(below[0].path.removeprefix(node.path))
        return self.address(found[0].path) if found else None


def _class(node: Node, *, special: bool) -> type:
    return class_of("DrResponse") if special and node.type == "Response" else node.cls

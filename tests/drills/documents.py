"""Documents that the server takes, and the addresses that it has: what is spoiled afterwards."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS / "ieee2030_5")]

from resource_values import full

from ieee2030_5.function_sets import NODES, Node
from ieee2030_5.resources import (
    DateTimeInterval,
    EndDevice,
    MirrorMeterReading,
    MirrorMeterReadingList,
    MirrorReadingSet,
    MirrorUsagePoint,
    Reading,
    ReadingType,
)
from ieee2030_5.xml import encode
from ingest_server.operational.registry import mup_id_of

_PLACE = re.compile(r"\{([a-z]+)\}")
_CHOSEN = ("1", "0", "A" * 16, "x", "a-b_c", "Z" * 40)
_MRIDS = 4


@dataclass(frozen=True)
class Meter:
    """A device as its documents know it."""

    lfdi: str
    sfdi: int

    def mrid(self, number: int) -> str:
        """One of its own: clients of CSIP-AUS may not use those of others."""
        return f"{self.lfdi[:24]}{number:08X}"

    @property
    def mirror(self) -> str:
        """Path element of the mirror that it posts to."""
        return mup_id_of(self.lfdi, self.mrid(0))


@cache
def _extreme(cls: type, draw: int) -> Any:
    return full(cls, draw)


def of_class(rng: Random, cls: type, meter: Meter) -> Any:
    """A resource with values at the ends of their ranges, some fields left out, that says it is the meter's."""
    made = _extreme(cls, rng.randrange(64))
    names = [field.name for field in fields(made)]
    left_out = {name: None for name in names if rng.random() < 0.1 and not isinstance(getattr(made, name), list)}
    changed: dict[str, Any] = {"href": None, **left_out}
    if "mrid" in names:
        changed["mrid"] = f"{rng.getrandbits(128):032X}"
    if "end_device_lfdi" in names:
        changed["end_device_lfdi"] = meter.lfdi
    if "subscribed_resource" in names:
        changed |= {"condition": None, "encoding": 0, "subscribed_resource": "/derp", "notification_uri": "https://127.0.0.1:9/n"}
    return replace(made, **{name: value for name, value in changed.items() if name in names})


def readings(rng: Random, meter: Meter) -> bytes:
    """A post of readings, regular or with everything that may be in one."""
    period = DateTimeInterval(duration=rng.choice((0, 15, 300, 4294967295)), start=rng.choice((0, 1782072000, -1, 2**63 - 1)))
    items = []
    for _ in range(rng.randrange(1, 4)):
        reading = Reading(time_period=period, value=rng.getrandbits(46), quality_flags=rng.choice((None, 0, 4)))
        item = MirrorMeterReading(mrid=meter.mrid(rng.randrange(_MRIDS)), reading=reading)
        kind = rng.random()
        if kind < 0.15:
            item.reading_type = ReadingType(uom=72, kind=12, power_of_ten_multiplier=rng.choice((-128, 0, 127)))
        elif kind < 0.3:
            item.mirror_reading_sets = [
                MirrorReadingSet(mrid=f"{rng.getrandbits(128):032X}", time_period=period, readings=[reading])
            ]
        elif kind < 0.4:
            item = _extreme(MirrorMeterReading, rng.randrange(64))
        items.append(item)
    if rng.random() < 0.3:
        return encode(items[0])
    return encode(MirrorMeterReadingList(all=len(items), results=len(items), mirror_meter_readings=items))


def mirror(rng: Random, meter: Meter) -> bytes:
    mrid = meter.mrid(rng.randrange(_MRIDS))
    kinds = [
        MirrorMeterReading(mrid=meter.mrid(n), reading_type=ReadingType(uom=72, kind=12)) for n in range(rng.randrange(_MRIDS))
    ]
    return encode(
        MirrorUsagePoint(mrid=mrid, device_lfdi=meter.lfdi, role_flags=3, service_category_kind=0, status=1,
                         description=f"{rng.getrandbits(64)}", mirror_meter_readings=kinds)
    )  # fmt: skip


def address(rng: Random, path: str, meter: Meter) -> str:
    """An address of a node: its device's own, other identifiers as they may be."""
    return _PLACE.sub(lambda m: str(meter.sfdi) if m[1] == "edev" else "1" if m[1] == "der" else rng.choice(_CHOSEN), path)


_WRITABLE = [node for node in NODES if node.put or node.post]


def write(rng: Random, meter: Meter, operator: bool = False) -> tuple[str, str, bytes]:
    """Method, path and document of a request that writes."""
    kind = rng.random()
    if not operator and kind < 0.45:
        return "POST", f"/mup/{meter.mirror}", readings(rng, meter)
    if not operator and kind < 0.55:
        return "POST", "/mup", mirror(rng, meter)
    if kind < 0.58:
        device = EndDevice(lfdi=meter.lfdi, sfdi=meter.sfdi, device_category=rng.getrandbits(32))
        return (*rng.choice((("POST", "/edev"), ("PUT", f"/edev/{meter.sfdi}"))), encode(device))
    node: Node = rng.choice(NODES if operator else _WRITABLE)
    path = address(rng, node.path, meter)
    if node.is_list:
        return "POST", path, encode(of_class(rng, rng.choice(node.posted), meter))
    return "PUT", path, encode(of_class(rng, node.cls, meter))


FIXED = ("/dcap", "/tm", "/sdev", "/edev", "/mup", "/upt")
LISTS = [*("/edev", "/mup", "/upt"), *(node.path for node in NODES if node.is_list)]


def templates() -> list[str]:
    """Paths of everything the server may be asked for, with placeholders."""
    points = [
        "/upt/{upt}" + end for end in ("", "/mr", "/mr/{mr}", "/mr/{mr}/r", "/mr/{mr}/rt", "/mr/{mr}/rs", "/mr/{mr}/rs/{rs}/r")
    ]
    return [*FIXED, "/edev/{edev}", "/edev/{edev}/rg", "/mup/{mup}", *points, *(node.path for node in NODES)]

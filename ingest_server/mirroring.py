"""What a device may mirror, and what of it is remembered besides the landed message: its mirrors and their reading types."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from collections.abc import Iterable

from ieee2030_5.enums import ReasonCode, RoleFlags
from ieee2030_5.requirements import missing
from ieee2030_5.resources import MirrorMeterReading, MirrorUsagePoint
from ieee2030_5.xml import encode_fragment

from .access import Peer
from .operational.meter_readings import DeclaredType
from .operational.registry import Device, StoredMirrorUsagePoint, mup_id_of
from .readback import meter_reading_id
from .replies import Refusal, bad_value
from .state import State

_ELECTRICITY = 0
_ON = 1
# The head of a document whose root is a single reading; in a list the items have no attributes.
_SINGLE = re.compile(rb"<MirrorMeterReading xmlns[^>]*>\s*<mRID>([0-9A-Fa-f]{1,32})</mRID>")
_HEAD_BYTES = 512


def checked_mirror(mup: MirrorUsagePoint) -> tuple[str, str]:
    """Return device LFDI and mRID of a posted mirror; raises a 400 `Refusal` where one is missing, there or in a reading."""
    if mup.device_lfdi is None:
        raise bad_value("MirrorUsagePoint without deviceLFDI")
    if mup.mrid is None:
        raise bad_value("MirrorUsagePoint without mRID")
    check_readings(mup.mirror_meter_readings)
    return mup.device_lfdi, mup.mrid


def check_readings(readings: Iterable[MirrorMeterReading]) -> None:
    """Raise a 400 `Refusal` for a reading without mRID, or with a type that could not be served again."""
    for reading in readings:
        if reading.mrid is None:
            raise bad_value("MirrorMeterReading without mRID")
        lacking = missing(reading.reading_type) if reading.reading_type is not None else None
        if lacking:
            raise bad_value(f"ReadingType without {lacking}")


async def acted_for(state: State, peer: Peer, lfdi: str) -> Device | None:
    """Return the device that the peer posts for, None where it is the peer itself.

    Raises a 403 `Refusal` for a device that is not in its scope, that the registry does not know or, unless the peer is an
    operator, that is not in force.
    """
    if lfdi == peer.lfdi:
        return None
    if lfdi not in peer.scope:
        raise Refusal(403, "deviceLFDI is not the certificate's", security_kind="foreign_identity")
    try:
        device = await state.access.subject(peer, lfdi)
    except Refusal:
        raise Refusal(403, "deviceLFDI is not in the registry", security_kind="foreign_identity") from None
    if peer.role != "operator" and not device.in_force(state.now()):
        raise Refusal(403, f"the device posted for is {device.status if device.status != 'active' else 'expired'}")
    return device


async def check_distinct(state: State, peer: Peer, lfdi: str, readings: Iterable[MirrorMeterReading]) -> None:
    """Raise a 403 `Refusal` for a CSIP-AUS client whose meter readings have mRIDs of another device's.

    CSIP-AUS wants them refused (server test S-ALL-05). Other clients do collide without meaning harm, since their mRIDs are no
    better than their random numbers, and everything is kept by device.
    """
    if peer.known.profile != "csip_aus":
        return
    mrids = {reading.mrid for reading in readings if reading.mrid is not None}
    if not mrids:
        return
    if await asyncio.to_thread(state.registry.meter_readings.declared_by_others, lfdi, mrids):
        raise Refusal(403, "mRID of a MirrorMeterReading of another device", security_kind="foreign_resource")


async def check_room(state: State, lfdi: str, mrid: str, readings: list[MirrorMeterReading]) -> None:
    """Raise a 400 `Refusal` for a mirror, or for meter readings, beyond the number that a device may have."""
    await asyncio.to_thread(_check_mirrors, state, lfdi, mrid)
    await check_room_for_types(state, mup_id_of(lfdi, mrid), readings)


async def check_room_for_types(state: State, mup_id: str, readings: list[MirrorMeterReading]) -> None:
    """Raise a 400 `Refusal` for meter readings beyond the number that a mirror may have."""
    declared = {reading.mrid for reading in readings if reading.reading_type is not None}
    if declared:
        known = await asyncio.to_thread(state.registry.meter_readings.mrids, mup_id)
        if not declared <= known and len(declared | known) > state.options.max_meter_readings_per_mirror:
            raise _full(f"a mirror may have {state.options.max_meter_readings_per_mirror} meter readings")


def _check_mirrors(state: State, lfdi: str, mrid: str) -> None:
    most = state.options.max_mirrors_per_device
    if (
        state.registry.count_mirror_usage_points(lfdi) >= most
        and state.registry.mirror_usage_point(mup_id_of(lfdi, mrid)) is None
    ):
        raise _full(f"a device may have {most} mirrors")


def _full(reason: str) -> Refusal:
    return Refusal(400, reason, reason_code=ReasonCode.RESOURCE_LIMIT_REACHED)


async def remember_mirror(
    state: State, lfdi: str, mrid: str, mup: MirrorUsagePoint, received_at: dt.datetime
) -> tuple[StoredMirrorUsagePoint, bool]:
    """Keep a mirror that was landed at `received_at`, and the types in it; return it and whether it is new.

    What every usage point must show and this one leaves out is what posting it implies: a mirror, electricity, switched on.
    """
    stored, created = await asyncio.to_thread(
        state.registry.put_mirror_usage_point,
        lfdi,
        mrid,
        description=mup.description,
        role_flags=RoleFlags.IS_MIRROR.value if mup.role_flags is None else mup.role_flags,
        service_category_kind=_ELECTRICITY if mup.service_category_kind is None else mup.service_category_kind,
        status=_ON if mup.status is None else mup.status,
        version=mup.version,
    )
    state.access.remember(stored)
    state.types.forget(stored.mup_id)
    await remember_types(state, stored, mup.mirror_meter_readings, received_at)
    return stored, created


async def remember_types(
    state: State, mirror: StoredMirrorUsagePoint, readings: Iterable[MirrorMeterReading], received_at: dt.datetime
) -> None:
    """Keep the reading types in a message that was landed at `received_at`."""
    declared = []
    for reading in readings:
        if reading.reading_type is not None and reading.mrid is not None:
            reading.reading_type.href = None
            declared.append(DeclaredType(reading.mrid, reading.description, encode_fragment(reading.reading_type)))
    if declared:
        await asyncio.to_thread(state.registry.meter_readings.declare, mirror.lfdi, mirror.mup_id, declared, received_at)


def readings_location(mup_id: str, body: bytes) -> str:
    """Return where a post of readings can be read: the meter reading of a single one, their list otherwise (10.11.3)."""
    single = _SINGLE.search(body, 0, _HEAD_BYTES)
    if single is None:
        return f"/upt/{mup_id}/mr"
    return f"/upt/{mup_id}/mr/{meter_reading_id(single[1].decode().upper().rjust(32, '0'))}"

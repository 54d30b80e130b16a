"""Hand-written metering documents and raw.messages frames for the tests of readings."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any

import polars as pl

from gridtokenx_pipeline.contracts.core import (
    CHANNELS,
    ENERGY_CHANNELS,
    MESSAGE_OUTCOMES,
    READING_TYPES,
    READINGS,
    REJECTED_READINGS,
    TELEMETRY,
)
from gridtokenx_pipeline.contracts.raw import MESSAGES
from gridtokenx_pipeline.domain.parse import Parsed, parse_messages
from gridtokenx_pipeline.domain.thresholds import Ratings, ratings_frame
from gridtokenx_pipeline.domain.vee import Rules, Validated, validate

URN, DRAFT = "urn:ieee:std:2030.5:ns", "http://ieee.org/2030.5"
T0 = 1_767_225_600  # 2026-01-01T00:00:00Z
LFDI = {"M1": "A1" * 20, "M2": "B2" * 20}
METERS = ratings_frame([Ratings("M1", "academic", 50, 30, 40), Ratings("M2", "research", 80, 100, 70)])
WH = "<kind>12</kind><powerOfTenMultiplier>-3</powerOfTenMultiplier><uom>72</uom>"
INTERVAL_TYPE = f"<accumulationBehaviour>4</accumulationBehaviour><intervalLength>15</intervalLength>{WH}"
REGISTER_TYPE = f"<accumulationBehaviour>9</accumulationBehaviour>{WH}"
STATE_TYPE = (
    "<accumulationBehaviour>12</accumulationBehaviour><kind>0</kind><powerOfTenMultiplier>-2</powerOfTenMultiplier><uom>0</uom>"
)


def at(seconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(T0 + seconds, dt.UTC)


def mrid(channel: str, register: bool = False) -> str:
    return hashlib.sha256(f"{channel} {register}".encode()).hexdigest()[:32].upper()


def reading(value: Any, start: int, duration: int = 15, extra: str = "") -> str:
    """A Reading; `start` in seconds after T0."""
    period = f"<timePeriod><duration>{duration}</duration><start>{T0 + start}</start></timePeriod>"
    return f"<Reading>{period}<value>{value}</value>{extra}</Reading>"


def mmr(mmr_mrid: str, *content: str, description: str | None = None) -> str:
    named = f"<description>{description}</description>" if description else ""
    return f"<MirrorMeterReading><mRID>{mmr_mrid}</mRID>{named}{''.join(content)}</MirrorMeterReading>"


def rtype(codes: str) -> str:
    return f"<ReadingType>{codes}</ReadingType>"


def listed(*mmrs: str, ns: str = URN) -> bytes:
    return f'<MirrorMeterReadingList xmlns="{ns}" all="{len(mmrs)}" results="{len(mmrs)}">{"".join(mmrs)}</MirrorMeterReadingList>'.encode()


def rooted(element: str, ns: str = URN) -> bytes:
    """An element as a document of its own."""
    name = element[1 : element.index(">")]
    return element.replace(f"<{name}>", f'<{name} xmlns="{ns}">', 1).encode()


def mup(*mmrs: str, role: str = "0B", ns: str = URN) -> bytes:
    return (
        f'<MirrorUsagePoint xmlns="{ns}"><mRID>AA</mRID><roleFlags>{role}</roleFlags><serviceCategoryKind>0</serviceCategoryKind>'
        f"<status>1</status><deviceLFDI>{LFDI['M1']}</deviceLFDI>{''.join(mmrs)}</MirrorUsagePoint>"
    ).encode()


def full_mup(ns: str = URN) -> bytes:
    """The 13 mirror meter readings of a campus meter, types only."""
    parts = []
    for channel in ENERGY_CHANNELS:
        parts.append(mmr(mrid(channel), rtype(INTERVAL_TYPE), description=channel))
        parts.append(mmr(mrid(channel, True), rtype(REGISTER_TYPE), description=channel))
    return mup(*parts, mmr(mrid("state_of_charge"), rtype(STATE_TYPE), description="state_of_charge"), ns=ns)


def full_post(
    start: int, energies: dict[str, int] | int = 1000, registers: dict[str, int] | int = 500_000, state: int = 5000
) -> bytes:
    """The 13 readings of the interval at `start`."""
    parts = []
    for channel in CHANNELS:
        if channel in ENERGY_CHANNELS:
            energy = energies if isinstance(energies, int) else energies[channel]
            register = registers if isinstance(registers, int) else registers[channel]
            parts.append(mmr(mrid(channel), reading(energy, start)))
            parts.append(mmr(mrid(channel, True), reading(register, start + 15, 0)))
        else:
            parts.append(mmr(mrid(channel), reading(state, start + 15, 0)))
    return listed(*parts)


def interval(channel: str, value: Any, start: int, duration: int = 15) -> str:
    return mmr(mrid(channel), reading(value, start, duration))


def register(channel: str, value: Any, end: int) -> str:
    return mmr(mrid(channel, True), reading(value, end, 0))


def messages(
    *bodies: bytes | tuple[int, bytes] | tuple[int, bytes, str],
    first: int = 0,
    method: str = "POST",
    devices: dict[int, str] | None = None,
) -> pl.DataFrame:
    """A raw.messages frame. A body alone is received 15 s after the one before; a tuple says when (seconds after T0) and by which meter.

    `devices` names the LFDI of messages, by their number, that another device than the meter's first one sent.
    """
    rows = []
    clock = 0
    for number, item in enumerate(bodies, first):
        when, body, meter = (*item, "M1")[:3] if isinstance(item, tuple) else (clock, item, "M1")
        clock = when + 15
        rows.append(
            {
                "message_id": f"seg:{number:06d}", "received_at": at(when), "zone": "stanford", "device_lfdi": (devices or {}).get(number) or LFDI.get(meter, "C3" * 20), "meter_id": meter,
                "method": method, "path": "/mup/1", "content_type": "application/sep+xml", "body": body,
                "body_sha256": hashlib.sha256(body).hexdigest(), "source": "sep2", "segment": "seg", "sequence": number + 1,
            }
        )  # fmt: skip
    return MESSAGES.conform(pl.DataFrame(rows, schema=MESSAGES.frame_schema()))


def line(
    frame: pl.DataFrame,
    known: pl.DataFrame | None = None,
    prior: pl.DataFrame | None = None,
    rules: Rules | None = None,
    refused: pl.DataFrame | None = None,
) -> tuple[Parsed, Validated]:
    """Parse and validate, and check what always holds: every reading is accounted for, in its message."""
    parsed = parse_messages(frame)
    result = validate(
        parsed,
        READING_TYPES.empty() if known is None else known,
        READINGS.empty() if prior is None else prior,
        METERS,
        rules or Rules(),
        refused,
    )
    for table in (READINGS, REJECTED_READINGS, TELEMETRY, MESSAGE_OUTCOMES):
        found = getattr(result, {"rejected_readings": "rejected", "message_outcomes": "outcomes"}.get(table.name, table.name))
        assert table.conform(found).equals(found.sort(table.by_name[name].frame_name for name in table.key))
    assert_accounted(parsed, result, frame)
    return parsed, result


def lines(frames: list[pl.DataFrame], rules: Rules | None = None) -> Validated:
    """Validate receipts batch after batch, each knowing what the ones before it made, and all types that were ever declared."""
    known = pl.concat([parse_messages(frame).reading_types for frame in frames])
    done: list[Validated] = []
    for number, frame in enumerate(frames):
        prior = pl.concat([READINGS.empty(), *(result.readings for result in done)])
        refused = pl.concat([REJECTED_READINGS.empty(), *(result.rejected for result in done)])
        devices = pl.concat(frames[: number + 1]).select("message_id", "device_lfdi")
        done.append(line(frame, known, prior, rules, refused.join(devices, on="message_id"))[1])
    parts = {name: pl.concat([getattr(result, name) for result in done]) for name in Validated.__dataclass_fields__}
    keys = {"readings": READINGS, "rejected": REJECTED_READINGS, "telemetry": TELEMETRY, "outcomes": MESSAGE_OUTCOMES}
    return Validated(**{name: frame.sort(keys[name].key) for name, frame in parts.items()})


def assert_accounted(parsed: Parsed, result: Validated, frame: pl.DataFrame) -> None:
    outcomes = {row["message_id"]: row for row in result.outcomes.to_dicts()}
    assert set(outcomes) == set(frame["message_id"])
    ended: dict[str, int] = dict.fromkeys(outcomes, 0)
    for table in (result.readings, result.rejected):
        for message_id, parts in table.select("message_id", "parts").iter_rows():
            ended[message_id] += parts
    for message_id in result.telemetry["message_id"]:
        ended[message_id] += 1
    counted = dict(parsed.wire.group_by("message_id").len().iter_rows())
    for message_id, row in outcomes.items():
        assert row["readings_total"] == row["accepted"] + row["rejected"] + row["telemetry"]
        assert row["readings_total"] == ended[message_id] == counted.get(message_id, 0)


def reasons(result: Validated) -> list[str]:
    return result.rejected["reason"].to_list()

"""How fast messages become validated readings, against the XML parser doing nothing else."""

from __future__ import annotations

import datetime as dt
import hashlib
import time
from collections.abc import Callable
from typing import Any

import polars as pl

from gridtokenx_pipeline.contracts.core import CHANNELS, ENERGY_CHANNELS, READINGS
from gridtokenx_pipeline.contracts.raw import MESSAGES

_START = 1_767_225_600  # 2026-01-01T00:00:00Z
_INTERVAL_S = 15
_METERS = 25
_ROUNDS = 3
_NAMESPACE = "urn:ieee:std:2030.5:ns"


def run(messages: int = 4000) -> dict[str, Any]:
    """Parse and validate `messages` posts of 13 readings each, from 25 meters.

    Returns messages, readings, body_bytes (counts), messages_per_s, lxml_messages_per_s (bare `lxml.etree.fromstring` on the
    same bytes), ratio (the first by the second); parse_only_messages_per_s and parse_ratio, the same without validation; and
    vendor_parse_ratio, the latter for documents that are indented and have a namespace prefix. Each is the
    best of three rounds. Raises `RuntimeError` unless every reading is accepted.
    """
    from lxml import etree

    from gridtokenx_pipeline.domain.parse import parse_messages
    from gridtokenx_pipeline.domain.thresholds import Ratings, ratings_frame
    from gridtokenx_pipeline.domain.vee import Rules, validate

    ids = [f"BENCH_{number:03d}" for number in range(_METERS)]
    meters = ratings_frame(Ratings(meter, "academic", 50, 30, 40) for meter in ids)
    types = parse_messages(_frame([_declaration(meter) for meter in range(_METERS)], ids, _START)).reading_types
    bodies = [_post(number % _METERS, number // _METERS) for number in range(messages)]
    frame = _frame(bodies, ids, _START + _INTERVAL_S)

    def line() -> None:
        result = validate(parse_messages(frame), types, READINGS.empty(), meters, Rules())
        if int(result.outcomes["accepted"].sum()) != 13 * messages:
            raise RuntimeError(f"readings were refused: {result.rejected.head(1).to_dicts()}")

    def bare(given: list[bytes]) -> None:
        for body in given:
            etree.fromstring(body)

    ours, alone, theirs = _best(line), _best(lambda: parse_messages(frame)), _best(lambda: bare(bodies))
    vendor = [_vendor_form(body) for body in bodies]
    vendor_frame = _frame(vendor, ids, _START + _INTERVAL_S)
    if not parse_messages(vendor_frame).wire.equals(parse_messages(frame).wire):
        raise RuntimeError("the vendor form of the documents is not read as the plain one")
    vendor_alone, vendor_theirs = _best(lambda: parse_messages(vendor_frame)), _best(lambda: bare(vendor))
    return {
        "messages": messages,
        "readings": 13 * messages,
        "body_bytes": sum(map(len, bodies)),
        "messages_per_s": round(messages / ours),
        "lxml_messages_per_s": round(messages / theirs),
        "ratio": round(theirs / ours, 3),
        "parse_only_messages_per_s": round(messages / alone),
        "parse_ratio": round(theirs / alone, 3),
        "vendor_parse_ratio": round(vendor_theirs / vendor_alone, 3),
    }


def _vendor_form(body: bytes) -> bytes:
    """A document as another maker may write it: indented, with a prefix for the namespace."""
    start = body.index(b"<Mirror")
    prefixed = body[start:].replace(b"<", b"<s:").replace(b"<s:/", b"</s:").replace(b"xmlns=", b"xmlns:s=")
    return body[:start] + prefixed.replace(b"><", b">\n  <")


def _best(work: Callable[[], object]) -> float:
    times = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def _lfdi(meter: int) -> str:
    return hashlib.sha256(f"bench {meter}".encode()).hexdigest()[:40].upper()


def _mrid(meter: int, channel: str, register: bool) -> str:
    return hashlib.sha256(f"{meter} {channel} {register}".encode()).hexdigest()[:32].upper()


def _frame(bodies: list[bytes], ids: list[str], first: int) -> pl.DataFrame:
    """A raw.messages frame: one post of each meter every 15 s, received at the end of the interval."""
    count = len(bodies)
    received = [dt.datetime.fromtimestamp(first + number // _METERS * _INTERVAL_S, dt.UTC) for number in range(count)]
    columns = {
        "message_id": [f"bench-{first}:{number:09d}" for number in range(count)],
        "received_at": received,
        "zone": ["bench"] * count,
        "device_lfdi": [_lfdi(number % _METERS) for number in range(count)],
        "sender_lfdi": [None] * count,
        "meter_id": [ids[number % _METERS] for number in range(count)],
        "method": ["POST"] * count,
        "path": ["/mup/1"] * count,
        "content_type": ["application/sep+xml"] * count,
        "body": bodies,
        "body_sha256": [hashlib.sha256(body).hexdigest() for body in bodies],
        "source": ["sep2"] * count,
        "segment": ["bench"] * count,
        "sequence": list(range(1, count + 1)),
        "body_removed_at": [None] * count,
    }
    return MESSAGES.conform(pl.DataFrame(columns, schema=MESSAGES.frame_schema()))


def _declaration(meter: int) -> bytes:
    parts = []
    for channel in CHANNELS:
        for register in (False, True) if channel in ENERGY_CHANNELS else (True,):
            codes = f"<accumulationBehaviour>{9 if register else 4}</accumulationBehaviour>"
            codes += "" if register else f"<intervalLength>{_INTERVAL_S}</intervalLength>"
            if channel in ENERGY_CHANNELS:
                codes += "<kind>12</kind><powerOfTenMultiplier>-3</powerOfTenMultiplier><uom>72</uom>"
            else:
                codes += "<kind>0</kind><powerOfTenMultiplier>-2</powerOfTenMultiplier><uom>0</uom>"
            parts.append(
                f"<MirrorMeterReading><mRID>{_mrid(meter, channel, register)}</mRID><description>{channel}</description>"
                f"<ReadingType>{codes}</ReadingType></MirrorMeterReading>"
            )
    return (
        f'<MirrorUsagePoint xmlns="{_NAMESPACE}"><mRID>{_lfdi(meter)[:32]}</mRID><roleFlags>0B</roleFlags>'
        f"<serviceCategoryKind>0</serviceCategoryKind><status>1</status><deviceLFDI>{_lfdi(meter)}</deviceLFDI>"
        f"{''.join(parts)}</MirrorUsagePoint>"
    ).encode()


def _post(meter: int, interval: int) -> bytes:
    start = _START + interval * _INTERVAL_S
    parts = []
    for place, channel in enumerate(CHANNELS):
        energy = 20_000 + 100 * place + meter
        for register in (False, True) if channel in ENERGY_CHANNELS else (True,):
            value = energy * (interval + 1) if register else energy
            if channel not in ENERGY_CHANNELS:
                value = 5000 + interval % 5000
            duration, moment = (0, start + _INTERVAL_S) if register else (_INTERVAL_S, start)
            parts.append(
                f"<MirrorMeterReading><mRID>{_mrid(meter, channel, register)}</mRID><Reading><timePeriod>"
                f"<duration>{duration}</duration><start>{moment}</start></timePeriod><value>{value}</value>"
                "</Reading></MirrorMeterReading>"
            )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<MirrorMeterReadingList xmlns="{_NAMESPACE}" all="{len(parts)}" results="{len(parts)}">{"".join(parts)}'
        "</MirrorMeterReadingList>"
    ).encode()

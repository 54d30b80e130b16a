"""How fast messages become validated readings, against the XML parser doing nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import polars as pl

from gridtokenx_pipeline.contracts.core import READINGS

from . import fleet_messages

_METERS = 25
_ROUNDS = 3


def run(messages: int = 4000) -> dict[str, Any]:
    """Parse and validate `messages` posts (a multiple of 25) of 13 readings each, from 25 meters.

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
    types = parse_messages(fleet_messages.declarations(ids)).reading_types
    frame = fleet_messages.posts(ids, 0, messages // _METERS)
    bodies = frame["body"].to_list()

    def line() -> None:
        result = validate(parse_messages(frame), types, READINGS.empty(), meters, Rules())
        if int(result.outcomes["accepted"].sum()) != 13 * messages:
            raise RuntimeError(f"readings were refused: {result.rejected.head(1).to_dicts()}")

    def bare(given: list[bytes]) -> None:
        for body in given:
            etree.fromstring(body)

    ours, alone, theirs = _best(line), _best(lambda: parse_messages(frame)), _best(lambda: bare(bodies))
    vendor = [_vendor_form(body) for body in bodies]
    vendor_frame = frame.with_columns(pl.Series("body", vendor))
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

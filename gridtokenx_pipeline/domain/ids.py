"""Deterministic ids: the same natural key has the same id in every run, on every machine."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from functools import cache

_encode = json.JSONEncoder(separators=(",", ":")).encode


@cache
def namespace(kind: str) -> uuid.UUID:
    """Return the UUIDv5 namespace of one kind of id, such as `trade`."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"https://gridtokenx.com/ids/{kind}")


def derived_id(kind: str, *natural_key: str | int) -> str:
    """Return the UUIDv5 (RFC 9562) of a natural key, as text.

    The key is encoded as a JSON array, so no choice of names can make two keys read alike.
    """
    return str(uuid.uuid5(namespace(kind), _encode(natural_key)))


def iso(moment: dt.datetime) -> str:
    """Return an aware `moment` as `2026-11-22T20:00:00Z`.

    Raises `ValueError` for a naive moment or one between seconds, which no interval starts at.
    """
    if moment.tzinfo is None or moment.microsecond:
        raise ValueError(f"{moment!r} is not a whole second of an aware time")
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

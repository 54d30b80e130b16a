"""Raw messages: when they came, whether they are still what came, and the part of their XML that is asked about."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from gridtokenx_pipeline.contracts import core, raw

from .find import MESSAGE
from .nodes import Node, check, clock, equal
from .source import Row, Source

LINES = 24


@dataclass(frozen=True)
class About:
    """The readings that an excerpt is about: those of [start, end), of these channels."""

    start: dt.datetime
    end: dt.datetime
    channels: Collection[str]


def messages(source: Source, ids: Collection[str], near: dt.datetime | None = None) -> dict[str, Row]:
    """Return rows of raw.messages by id; `near` is a moment before which none of them was received."""
    if not ids:
        return {}
    where = "list_contains(?, message_id)"
    parameters: list[Any] = [sorted(ids)]
    if near is not None:
        where, parameters = f"{where} AND received_at >= ?", [*parameters, near]
    return {row["message_id"]: row for row in source.rows(raw.MESSAGES, where, *parameters)}


def message(source: Source, row: Row | None, id_: str, about: About | None = None) -> Node:
    """Return the node of a message: where it came from, when, its hash recomputed, with its XML where the trace shows that."""
    if row is None:
        return Node(MESSAGE, id_, "is not in raw.messages").add(check(False, f"the message {id_} is there"))
    facts = {
        "received_at": row["received_at"],
        "body_sha256": row["body_sha256"],
        "bytes": len(row["body"]),
        "device_lfdi": row["device_lfdi"],
        "sender_lfdi": row["sender_lfdi"],
        "meter_id": row["meter_id"],
        "source": row["source"],
        "body_removed_at": row["body_removed_at"],
    }
    title = f"{row['method']} {row['path']} received {clock(row['received_at'])} from {row['meter_id'] or row['device_lfdi']}"
    node = Node(MESSAGE, id_, title, {name: value for name, value in facts.items() if value is not None})
    if row["body_removed_at"] is not None:
        return node.add(Node("body", "", f"removed {clock(row['body_removed_at'])}; its hash stays: {row['body_sha256']}"))
    node.add(equal("sha256 of the body", hashlib.sha256(row["body"]).hexdigest(), row["body_sha256"]))
    if source.xml:
        node.add(Node("xml", "", excerpt(row["body"], about, _channels(source, row) if about else {})))
    return node


def unchanged(rows: Collection[Row], asked: int) -> Node:
    """Return the check that all bodies have their recorded hash, for many messages at once."""
    removed = sum(row["body_removed_at"] is not None for row in rows)
    good = sum(row["body_removed_at"] is None and hashlib.sha256(row["body"]).hexdigest() == row["body_sha256"] for row in rows)
    more = f", {removed} removed since" if removed else ""
    return check(good + removed == asked, f"{good} of {asked} message bodies have the sha256 that was recorded at receipt{more}")


def excerpt(body: bytes, about: About | None, channels: dict[str, str]) -> str:
    """Return the readings of a body that are of `about`, indented; the beginning of the body where it has none or is no XML.

    `channels` says by mRID what the message's MirrorMeterReadings measure; one that it does not name is shown too.
    """
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_blank_text=True)
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError:
        return _beginning(body.decode("utf-8", "backslashreplace"))
    shown = [root]
    if about is not None:
        found: Any = root.xpath("descendant-or-self::*[local-name() = 'MirrorMeterReading']")
        # Cut out first: the text of a part would carry the namespace of the whole on every line.
        shown = [part for part in found if _is_about(part, about, channels)] or [root]
    parts = []
    for part in shown:
        etree.indent(part)
        parts.append(etree.tostring(part, encoding="unicode", with_tail=False).replace(' xmlns="urn:ieee:std:2030.5:ns"', ""))
    return _beginning("\n".join(parts))


def _is_about(part: Any, about: About, channels: dict[str, str]) -> bool:
    mrid = "".join(part.xpath("*[local-name() = 'mRID']/text()")).strip()
    if channels.get(mrid.upper().rjust(32, "0")) not in (None, *about.channels):
        return False
    # A register is read at the end of the interval it closes.
    starts = part.xpath(".//*[local-name() = 'timePeriod']/*[local-name() = 'start']/text()")
    return any(about.start.timestamp() <= int(text) <= about.end.timestamp() for text in starts)


def _channels(source: Source, row: Row) -> dict[str, str]:
    types = source.rows(core.READING_TYPES, "device_lfdi = ? AND channel IS NOT NULL", row["device_lfdi"])
    return {found["mmr_mrid"]: found["channel"] for found in types}


def _beginning(text: str) -> str:
    lines = text.splitlines()
    kept = [line if len(line) <= 240 else f"{line[:240]} ..." for line in lines[:LINES]]
    return "\n".join([*kept, f"... {len(lines) - LINES} more lines"] if len(lines) > LINES else kept)

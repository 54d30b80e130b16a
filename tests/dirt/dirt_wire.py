"""Posts to the messages that a server would have landed."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable

import polars as pl
from dirt_feeds import Feed, Post

from gridtokenx_pipeline.contracts.core import ENERGY_CHANNELS
from gridtokenx_pipeline.contracts.raw import MESSAGES
from ingest_server.gateway.documents import NO_DEVICE

NS = 'xmlns="urn:ieee:std:2030.5:ns"'


def lfdi(meter: str, device: int = 0) -> str:
    return hashlib.sha256(f"{meter} {device}".encode()).hexdigest()[:40].upper()


def landed(feeds: Iterable[Feed]) -> pl.DataFrame:
    """The raw.messages frame of all feeds, in the order of receipt; types are declared a second before they are needed."""
    rows = []
    for feed in feeds:
        posts = [*feed.posts, *feed.extra]
        declared: set[tuple[int, int]] = set()
        for post in sorted(posts, key=lambda p: p.received):
            if not feed.legacy and (post.device, post.multiplier) not in declared:
                declared.add((post.device, post.multiplier))
                rows.append(_row(post, post.received - 1, _declaration(post), "/mup"))
            if feed.legacy:
                rows.append(_row(post, post.received, _json(post), "/api/v1/meters/readings", legacy=True))
            else:
                body = _document(post)
                rows.append(_row(post, post.received, body[: len(body) * 2 // 3] if post.cut else body, "/mup/1"))
    rows.sort(key=lambda row: row["received_at"])
    for number, row in enumerate(rows):
        row["message_id"], row["sequence"] = f"dirt:{number:09d}", number + 1
    return MESSAGES.conform(pl.DataFrame(rows, schema=MESSAGES.frame_schema(), orient="row"))


def _row(post: Post, received: float, body: bytes, path: str, legacy: bool = False) -> dict[str, object]:
    device = NO_DEVICE if legacy else lfdi(post.meter, post.device)
    return {
        "received_at": dt.datetime.fromtimestamp(received, dt.UTC), "zone": "campus", "device_lfdi": device, "sender_lfdi": None,
        "meter_id": post.meter, "method": "POST", "path": path, "content_type": "application/json" if legacy else "application/sep+xml",
        "body": body, "body_sha256": hashlib.sha256(body).hexdigest(), "source": "gateway" if legacy else "sep2", "segment": "dirt",
        "body_removed_at": None,
    }  # fmt: skip


def _mrid(post: Post, channel: str, register: bool) -> str:
    return hashlib.sha256(f"{post.meter} {channel} {register}".encode()).hexdigest()[:32].upper()


def _declaration(post: Post) -> bytes:
    parts = []
    for channel in (*ENERGY_CHANNELS, "state_of_charge"):
        for register in (False, True) if channel in ENERGY_CHANNELS else (True,):
            if channel in ENERGY_CHANNELS:
                codes = f"<accumulationBehaviour>{9 if register else 4}</accumulationBehaviour>"
                codes += "" if register else f"<intervalLength>{post.length}</intervalLength>"
                codes += f"<kind>12</kind><powerOfTenMultiplier>{post.multiplier}</powerOfTenMultiplier><uom>72</uom>"
            else:
                codes = "<accumulationBehaviour>12</accumulationBehaviour><kind>0</kind><powerOfTenMultiplier>-2</powerOfTenMultiplier><uom>0</uom>"
            parts.append(
                f"<MirrorMeterReading><mRID>{_mrid(post, channel, register)}</mRID><description>{channel}</description>"
                f"<ReadingType>{codes}</ReadingType></MirrorMeterReading>"
            )
    device = lfdi(post.meter, post.device)
    return (
        f"<MirrorUsagePoint {NS}><mRID>{device[:32]}</mRID><roleFlags>0B</roleFlags><serviceCategoryKind>0</serviceCategoryKind>"
        f"<status>1</status><deviceLFDI>{device}</deviceLFDI>{''.join(parts)}</MirrorUsagePoint>"
    ).encode()


def _document(post: Post) -> bytes:
    start = post.start + post.shift
    scale = 10 ** (-3 - post.multiplier)

    def part(channel: str, register: bool, value: int) -> str:
        duration, moment = (0, start + post.length) if register else (post.length, start)
        return (
            f"<MirrorMeterReading><mRID>{_mrid(post, channel, register)}</mRID><Reading><timePeriod><duration>{duration}</duration>"
            f"<start>{moment}</start></timePeriod><value>{value}</value></Reading></MirrorMeterReading>"
        )

    parts = []
    for channel, (energy, register) in post.values.items():
        parts += [part(channel, False, energy * scale)] if energy is not None else []
        parts += [part(channel, True, register * scale)] if register is not None else []
    if post.state is not None:
        parts.append(part("state_of_charge", True, post.state))
    return f'<MirrorMeterReadingList {NS} all="{len(parts)}" results="{len(parts)}">{"".join(parts)}</MirrorMeterReadingList>'.encode()


def _json(post: Post) -> bytes:
    def kwh(channel: str) -> str:
        return f"{(post.values[channel][0] or 0) / 10**6:.6f}"

    consumed = kwh("load")
    fields = [
        f'"meter_id": "{post.meter}"',
        f'"timestamp": "{dt.datetime.fromtimestamp(post.start, dt.UTC).isoformat()}"',
        f'"energy_generated": {kwh("generation")}',
        f'"energy_consumed": {json.dumps(format(1000 * float(consumed) + 1000, ",.1f")) if post.separators else consumed}',
    ]
    if post.values.get("charge"):
        fields += [f'"battery_charge": {kwh("charge")}', f'"battery_discharge": {kwh("discharge")}']
    return ("{" + ", ".join(fields) + "}").encode()

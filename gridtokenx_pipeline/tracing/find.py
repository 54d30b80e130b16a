"""What an id, a part of it, or a meter and a moment stand for."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

from gridtokenx_pipeline.contracts import Table, certificates, core, market, raw, settlement

from .nodes import clock
from .source import Source

SHORTEST = 8
CANDIDATES = 20

BUNDLE, EVENT, TRADE, GRID = "bundle", "certificate event", "trade", "grid settlement"
ITEM, BATCH, TRANSACTION = "settlement item", "batch", "transaction"
AGREEMENT, OFFER, EDIT, MESSAGE = "agreement", "offer", "edit", "message"
INTERVAL, CERTIFICATE = "interval", "certificate"

TABLES: dict[str, Table] = {
    BUNDLE: certificates.BUNDLES,
    EVENT: certificates.EVENTS,
    TRADE: market.TRADES,
    GRID: market.GRID_SETTLEMENTS,
    ITEM: settlement.ITEMS,
    BATCH: settlement.BATCHES,
    TRANSACTION: settlement.TRANSACTIONS,
    AGREEMENT: market.AGREEMENTS,
    OFFER: market.OFFERS,
    EDIT: core.EDITS,
    MESSAGE: raw.MESSAGES,
}
# Every other id is a UUID, which may be written in capitals.
_AS_WRITTEN = (TRANSACTION, MESSAGE)
_UUID_PART = re.compile(r"[0-9A-Fa-f-]+", re.ASCII)
_END = "\U0010ffff"


class NotFound(LookupError):
    """Nothing has this id; the message says where it was looked for."""


@dataclass(frozen=True)
class Found:
    """What an id stands for. `at` is its window; `wh` the certificate asked for, by its Wh on the register."""

    kind: str
    id: str
    at: dt.datetime | None = None
    wh: int | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.id}" + (f" of {clock(self.at)}" if self.at else "")


class Ambiguous(LookupError):
    """Several things begin like this; `candidates` are some of them."""

    def __init__(self, text: str, candidates: list[Found]) -> None:
        more = " or more" if len(candidates) >= CANDIDATES else ""
        super().__init__(f"{text!r} stands for {len(candidates)}{more} things; write more of the id")
        self.candidates = candidates


def find(source: Source, text: str) -> Found:
    """Return what `text` stands for.

    It is an id of one of `TABLES` or at least `SHORTEST` first characters of one, or METER@MOMENT, the five minutes that hold the
    moment; `#Wh` after that, after a bundle's id or after a meter alone is the certificate of that Wh.

    Raises `NotFound` or `Ambiguous`.
    """
    name, hash_, number = text.strip().partition("#")
    if hash_ and not number.isdecimal():
        raise NotFound(f"{text!r}: after # comes a whole number, the Wh of the register")
    if "@" in name:
        found = _interval(source, name)
        return _certificate(source, name.partition("@")[0], int(number), found.at) if hash_ else found
    if not hash_:
        return _by_id(source, name)
    if source.rows(core.METERS, "meter_id = ?", name):
        return _certificate(source, name, int(number), None)
    found = _by_id(source, name)
    if found.kind != BUNDLE:
        raise NotFound(f"{found} has no certificates: # comes after a meter, an interval or a bundle")
    return Found(CERTIFICATE, found.id, found.at, int(number))


def _by_id(source: Source, text: str) -> Found:
    if len(text) < SHORTEST:
        raise NotFound(f"{text!r} is too short: an id, at least {SHORTEST} characters of one, or METER@2026-11-25T18:05Z")
    lower = text.lower() if _UUID_PART.fullmatch(text) else text
    parts, parameters = [], []
    for kind, table in TABLES.items():
        (key,) = table.key
        beginning = text if kind in _AS_WRITTEN else lower
        at = table.window or "NULL::TIMESTAMPTZ"
        parts.append(
            f"(SELECT '{kind}' AS kind, {key} AS id, {at} AS at FROM {table.full_name} "
            f"WHERE {key} >= ? AND {key} < ? ORDER BY id LIMIT {CANDIDATES})"
        )
        parameters += [beginning, beginning + _END]
    rows = source.warehouse.query(" UNION ALL ".join(parts), parameters).rows()
    candidates = [Found(*row) for row in rows]
    exact = [found for found in candidates if found.id in (text, lower)]
    if len(exact) == 1:
        return exact[0]
    if not candidates:
        looked = ", ".join(table.full_name for table in TABLES.values())
        raise NotFound(f"nothing begins with {text!r} in {looked}")
    if len(candidates) > 1:
        raise Ambiguous(text, candidates[:CANDIDATES])
    return candidates[0]


def _interval(source: Source, text: str) -> Found:
    meter, _, moment = text.partition("@")
    try:
        at = dt.datetime.fromisoformat(moment)
    except ValueError:
        raise NotFound(f"{moment!r} is no moment like 2026-11-25T18:05Z") from None
    at = at.replace(tzinfo=dt.UTC) if at.tzinfo is None else at.astimezone(dt.UTC)
    rows = source.rows(
        core.ENERGY_5MIN, "meter_id = ? AND interval_start > ? AND interval_start <= ?", meter, at - dt.timedelta(hours=1), at
    )
    rows = [row for row in rows if row["interval_start"] + dt.timedelta(seconds=row["duration_s"]) > at]
    if rows:
        start = rows[-1]["interval_start"]
        return Found(INTERVAL, f"{meter}@{clock(start)}", start)
    span = source.warehouse.query(
        "SELECT min(interval_start), max(interval_start) FROM core.energy_5min WHERE meter_id = ?", (meter,)
    ).row(0)
    if span[0] is None:
        raise NotFound(f"no energy of a meter {meter!r} in core.energy_5min")
    raise NotFound(
        f"no energy of {meter} at {clock(at)} in core.energy_5min, which has it from {clock(span[0])} to {clock(span[1])}"
    )


def _certificate(source: Source, meter: str, wh: int, at: dt.datetime | None) -> Found:
    where, parameters = "meter_id = ? AND first_wh <= ? AND last_wh >= ?", [meter, wh, wh]
    if at is not None:
        where, parameters = f"{where} AND interval_start = ?", [*parameters, at]
    bundles = source.rows(certificates.BUNDLES, where, *parameters)
    if not bundles:
        place = f" at {clock(at)}" if at else ""
        raise NotFound(f"no bundle of {meter}{place} in certificates.bundles holds the Wh {wh}")
    found = [Found(CERTIFICATE, row["bundle_id"], row["interval_start"], wh) for row in bundles]
    if len(found) > 1:
        # A Wh of the generation register and one of the discharge register may have the same number.
        raise Ambiguous(f"{meter}#{wh}", [Found(BUNDLE, one.id, one.at) for one in found])
    return found[0]

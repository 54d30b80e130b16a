"""One bundle with all that is known of it: attributes, ranges, history, trades, settlement."""

from __future__ import annotations

import re
from dataclasses import dataclass

import polars as pl

from gridtokenx_pipeline.warehouse import Warehouse

PREFIX = 8
_ID = re.compile(rf"[0-9a-f][0-9a-f-]{{{PREFIX - 1},35}}", re.ASCII)
_SHOWN = 5

_ATTRIBUTES = """
SELECT b.bundle_id, b.carrier, b.source, d.fuel_code, d.technology, d.technology_code, b.meter_id AS device_id, d.device_name,
    d.capacity_kw, d.storage_kwh, d.commissioned_at, d.country, d.region, d.location, b.origin, b.interval_start, b.interval_end,
    (SELECT min(e.interval_start) FROM certificates.events AS e WHERE e.bundle_id = b.bundle_id AND e.kind = 'issued')
        AS issued_with_interval,
    b.energy_wh, b.first_wh, b.last_wh, d.issuer, d.registry, d.configuration, b.quality_flags, b.version, b.zone
FROM certificates.bundles AS b LEFT JOIN certificates.devices AS d ON d.meter_id = b.meter_id WHERE b.bundle_id = ?
"""
_RANGES = """
SELECT first_wh, last_wh, energy_wh, state, owner FROM certificates.holdings WHERE bundle_id = ? ORDER BY first_wh
"""
_HISTORY = """
SELECT interval_start, number, kind, energy_wh, first_wh, last_wh, from_owner, owner, reason, trade_id, counter_bundle_id,
    beneficiary, purpose, period_start, period_end, actor, version, event_id
FROM certificates.events WHERE bundle_id = ? ORDER BY interval_start, number, event_id
"""
_ON_CHAIN = """
SELECT i.kind, i.natural_key AS id, i.batch_id, i.leaf_index, n.merkle_root, n.memo, n.state AS batch_state, t.signature, t.slot
FROM settlement.items AS i
JOIN settlement.batches AS n ON n.batch_id = i.batch_id
LEFT JOIN settlement.transactions AS t ON t.batch_id = i.batch_id AND t.state = 'confirmed'
WHERE i.window_start IN (SELECT unnest(?::TIMESTAMPTZ[])) AND i.natural_key IN (SELECT unnest(?::VARCHAR[]))
    AND i.kind IN ('certificate', 'trade')
ORDER BY i.kind, i.natural_key, n.version
"""
_TRADES = """
SELECT trade_id, interval_start, seller_meter_id, buyer_meter_id, energy_wh, loss_wh, price_micro_per_kwh, amount_micro, kind
FROM market.trades WHERE interval_start IN (SELECT unnest(?::TIMESTAMPTZ[])) AND trade_id IN (SELECT unnest(?::VARCHAR[]))
ORDER BY interval_start, trade_id
"""


class NotFound(LookupError):
    """No certificate, or more than one, has such an id; the message says which."""


@dataclass(frozen=True)
class Found:
    """A bundle, or one event of it where the id was an event's."""

    bundle_id: str
    event_id: str | None = None


@dataclass(frozen=True)
class Certificate:
    """Frames of one bundle.

    `attributes` (one row): those of the EnergyTag standard; `ranges`: its certificates by owner and state; `history`: its events;
    `trades`: those that certificates of it moved with; `on_chain`: the batches that hold the bundle and these trades, with the
    confirmed transaction, null while there is none.
    """

    attributes: pl.DataFrame
    ranges: pl.DataFrame
    history: pl.DataFrame
    trades: pl.DataFrame
    on_chain: pl.DataFrame


def find(warehouse: Warehouse, text: str) -> Found:
    """Return what an id or the first `PREFIX` or more characters of one are of. Raises `NotFound`."""
    prefix = text.strip().lower()
    if not _ID.fullmatch(prefix):
        raise NotFound(f"{text!r} is no id of a bundle or event: give its first {PREFIX} characters or more")
    rows = warehouse.query(
        "SELECT bundle_id, NULL AS event_id FROM certificates.bundles WHERE starts_with(bundle_id, ?) "
        "UNION ALL SELECT bundle_id, event_id FROM certificates.events WHERE starts_with(event_id, ?) ORDER BY 1, 2",
        (prefix, prefix),
    ).rows()
    if not rows:
        raise NotFound(f"no bundle or event has an id that begins with {prefix}")
    if len(rows) > 1:
        ids = [event or bundle for bundle, event in rows]
        more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
        raise NotFound(f"{prefix} begins more than one id: {', '.join(ids[:_SHOWN])}{more}")
    return Found(*rows[0])


def certificate(warehouse: Warehouse, bundle_id: str) -> Certificate:
    """Return all that is known of the bundle, which exists."""
    attributes, ranges, history = (warehouse.query(sql, (bundle_id,)) for sql in (_ATTRIBUTES, _RANGES, _HISTORY))
    moved = history.drop_nulls("trade_id")
    trades = moved["trade_id"].unique().sort().to_list()
    windows = pl.concat([attributes["interval_start"], moved["interval_start"]]).unique().sort().to_list()
    return Certificate(
        attributes,
        ranges,
        history,
        warehouse.query(_TRADES, (windows, trades)),
        warehouse.query(_ON_CHAIN, (windows, [bundle_id, *trades])),
    )

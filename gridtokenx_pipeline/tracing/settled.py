"""From what was settled to the chain: items with their Merkle proofs, batches with their memos, transactions."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection
from typing import Any

from gridtokenx_pipeline.contracts import Table, certificates, market, settlement
from gridtokenx_pipeline.domain import merkle
from gridtokenx_pipeline.domain.settlement import (
    CERTIFICATE,
    ENERGY_READING,
    GRID_SETTLEMENT,
    TRADE,
    Memo,
    newly_certified,
    parse_memo,
)

from .find import BATCH, ITEM, TRANSACTION
from .nodes import Node, check, clock, equal, folded, money
from .source import Row, Source

_TABLES: dict[str, Table] = {
    CERTIFICATE: certificates.BUNDLES,
    GRID_SETTLEMENT: market.GRID_SETTLEMENTS,
    TRADE: market.TRADES,
}


def settled(source: Source, zone: str, start: dt.datetime, what: Collection[tuple[str, str]]) -> list[Node]:
    """Return the items that settled these things (kind and natural key) of an interval, then their batches."""
    items = [row for row in source.window(settlement.ITEMS, zone, start) if (row["kind"], row["natural_key"]) in what]
    if not items:
        return [Node("settlement", "", f"no settlement item of {clock(start)} is about it: not settled")]
    nodes = folded(items, max(source.limit, 4), lambda row: item(source, row), "settlement items")
    batches = sorted({row["batch_id"] for row in items}, key=lambda id_: _batch_row(source, zone, start, id_)["version"])
    return [
        *nodes,
        *(batch(source, _batch_row(source, zone, start, id_)).add(*transactions(source, zone, start, id_)) for id_ in batches),
    ]


def item(source: Source, row: Row) -> Node:
    """Return the node of a settlement item: its leaf recomputed, its Merkle proof against the root in the memo."""
    zone, start = row["zone"], row["window_start"]
    siblings = sorted(_items(source, row), key=lambda one: one["leaf_index"])
    leaf = _leaf(row)
    place = next(i for i, one in enumerate(siblings) if one["item_id"] == row["item_id"])
    proof = merkle.proof([_stored(one) for one in siblings], place)
    memo = _memo(_batch_row(source, zone, start, row["batch_id"]))
    root = memo.merkle_root if memo else ""
    facts = {
        "leaf_index": row["leaf_index"],
        "leaf_sha256": row["leaf_sha256"],
        "payload": row["payload"],
        "proof": [{"side": step.side, "sibling": step.sibling.hex()} for step in proof],
        "batch_id": row["batch_id"],
    }
    node = Node(ITEM, row["item_id"], f"{row['kind']} {row['natural_key']}, leaf {row['leaf_index']} of {len(siblings)}", facts)
    node.add(equal("sha256 of 00 and the payload", leaf.hex(), row["leaf_sha256"]))
    holds = merkle.verify(leaf, proof, bytes.fromhex(root))
    node.add(
        check(
            holds,
            f"{len(proof)} siblings lead from the leaf {'to' if holds else 'elsewhere than to'} the root in the memo: {root}",
        )
    )
    return node.add(_as_stored(source, row))


def batch(source: Source, row: Row) -> Node:
    """Return the node of a batch: root, totals and memo recomputed from its items."""
    zone, start = row["zone"], row["window_start"]
    items = sorted(
        (r for r in source.window(settlement.ITEMS, zone, start) if r["batch_id"] == row["batch_id"]),
        key=lambda r: r["leaf_index"],
    )
    currency = source.currency(zone, start)
    title = (
        f"{zone} {clock(start)} version {row['version']}, {row['items']} items, {row['traded_wh']:,} Wh for "
        f"{money(row['amount_micro'], currency)}, {row['certificate_wh']:,} Wh of certificates, {row['state']}"
    )
    names = ("version", "items", "traded_wh", "amount_micro", "certificate_wh", "merkle_root", "memo", "state")
    node = Node(BATCH, row["batch_id"], title, {name: row[name] for name in names})
    root = merkle.root([_leaf(one) for one in items]).hex() if items else ""
    node.add(equal(f"root of {len(items)} payloads", root, row["merkle_root"]))
    memo = _memo(row)
    if memo is None:
        return node.add(check(False, f"the memo can be read: {row['memo']}"))
    node.add(equal("root in the memo", memo.merkle_root, row["merkle_root"]))
    payloads = [payload(one) for one in items]
    trades = [one for one in payloads if one.get("kind") == TRADE]
    bundles = [one for one in payloads if one.get("kind") == CERTIFICATE and newly_certified(one)]
    node.add(equal("Wh of its trades, and in the memo", sum(one["energy_wh"] for one in trades), memo.traded_wh, "Wh"))
    node.add(
        equal("amounts of its trades, and in the memo", sum(one["amount_micro"] for one in trades), memo.amount_micro, "micro")
    )
    node.add(
        equal("Wh of its certificates, and in the memo", sum(one["energy_wh"] for one in bundles), memo.certificate_wh, "Wh")
    )
    return node


def transactions(source: Source, zone: str, start: dt.datetime, batch_id: str) -> list[Node]:
    """Return the transactions that carried a batch; a node that says so where there is none."""
    rows = [row for row in source.window(settlement.TRANSACTIONS, zone, start) if row["batch_id"] == batch_id]
    return [transaction(row) for row in rows] or [Node(TRANSACTION, "", "none yet: the batch is not on chain")]


def transaction(row: Row) -> Node:
    """Return the node of a transaction: its receipt."""
    slot = f"slot {row['slot']:,}" if row["slot"] is not None else "no slot"
    error = f", {row['error']}" if row["error"] else ""
    names = ("kind", "actions", "slot", "fee_lamports", "compute_units", "state", "error")
    facts = {name: row[name] for name in names if row[name] is not None}
    carried = f"{row['actions']} of {row['kind'].replace('+', ', ')}"
    return Node(TRANSACTION, row["signature"], f"{row['state']} in {slot}: {carried}{error}", facts)


def payload(row: Row) -> dict[str, Any]:
    """Return the values of an item's payload; none where it is no JSON object, which its leaf says already."""
    try:
        values = json.loads(row["payload"])
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def _leaf(row: Row) -> bytes:
    return merkle.leaf(row["payload"].encode())


def _stored(row: Row) -> bytes:
    """The leaf as it is stored; nothing where that is no hash, and so proves nothing."""
    try:
        return bytes.fromhex(row["leaf_sha256"])
    except ValueError:
        return b""


def _memo(row: Row) -> Memo | None:
    try:
        return parse_memo(row["memo"])
    except ValueError:
        return None


def _items(source: Source, row: Row) -> list[Row]:
    return [r for r in source.window(settlement.ITEMS, row["zone"], row["window_start"]) if r["batch_id"] == row["batch_id"]]


def _batch_row(source: Source, zone: str, start: dt.datetime, batch_id: str) -> Row:
    return next(row for row in source.window(settlement.BATCHES, zone, start) if row["batch_id"] == batch_id)


def _as_stored(source: Source, row: Row) -> Node | None:
    """Whether the payload says what the row says that it is about; energy readings are compared with their interval instead."""
    if row["kind"] == ENERGY_READING:
        return None
    table = _TABLES[row["kind"]]
    (key,) = table.key
    rows = [one for one in source.window(table, row["zone"], row["window_start"]) if one[key] == row["natural_key"]]
    if not rows:
        return check(False, f"{table.full_name} has the {row['kind']} {row['natural_key']}")
    values, other = payload(row), {"kind", "zone", "window_start"}
    both = [name for name in values if name in rows[0] and name not in other]
    different = sorted(name for name in both if rows[0][name] != values[name])
    text = (
        f"the payload and {table.full_name} agree"
        if not different
        else f"the payload and {table.full_name} differ in {', '.join(different)}"
    )
    return check(not different, text)

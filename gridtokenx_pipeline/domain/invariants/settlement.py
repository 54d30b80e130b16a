"""Invariants of settlement batches: whoever holds the items can recompute what is on chain."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import polars as pl

from .. import merkle
from ..ids import iso
from ..market.corrections import CORRECTION
from ..settlement import CERTIFICATE, ENERGY_READING, GRID_SETTLEMENT, NATURAL_KEYS, TRADE, Memo, canonical_json, newly_certified
from .violations import VIOLATIONS, collected


def settlement_violations(items: pl.DataFrame, batches: pl.DataFrame) -> pl.DataFrame:
    """Return what is wrong with frames of `contracts.settlement` (ITEMS, BATCHES), with the columns `VIOLATIONS`.

    Names: `payload` (not canonical JSON, or of another kind, key, interval or version than its item), `leaf` (not the hash of the
    payload), `leaf_order` (indexes from 0 in order of kind and natural key), `root`, `item_count`, `batch_totals` (Wh, money and
    certificates of the payloads), `memo`, `correction` (a version after the first that trades, or reads other meters than it
    corrects), `proof` (leads elsewhere than from its payload to the root over all of them; a batch without any was stored before
    there were proofs), and `orphan` (items of no batch, a batch without items).
    """
    rows: list[tuple[str, str, dt.datetime, str]] = []
    batch_ids = set(batches["batch_id"])
    by_batch = items.sort("batch_id", "leaf_index").partition_by("batch_id", as_dict=True)
    for (batch_id,), group in by_batch.items():
        if batch_id not in batch_ids:
            rows.append(("orphan", group["zone"][0], group["window_start"][0], f"{group.height} items of no batch {batch_id}"))
    for batch in batches.iter_rows(named=True):
        own = by_batch.get((batch["batch_id"],))
        found = [("orphan", "batch without items")] if own is None else _batch_violations(batch, own)
        rows.extend((name, batch["zone"], batch["window_start"], f"batch {batch['batch_id']}: {text}") for name, text in found)
    return collected([pl.DataFrame(rows, schema=VIOLATIONS, orient="row")])


def _batch_violations(batch: dict[str, Any], items: pl.DataFrame) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    totals = {"traded_wh": 0, "amount_micro": 0, "certificate_wh": 0}
    meters: dict[str, list[str]] = {ENERGY_READING: [], GRID_SETTLEMENT: []}
    reasons: set[str] = set()
    leaves = []
    for item in items.iter_rows(named=True):
        label = f"{item['kind']} {item['natural_key']}"
        leaves.append(merkle.leaf(item["payload"].encode()))
        if leaves[-1].hex() != item["leaf_sha256"]:
            found.append(("leaf", f"{label} hashes to {leaves[-1].hex()}, not {item['leaf_sha256']}"))
        values = _payload(item, batch)
        if values is None:
            found.append(("payload", f"{label} has the payload {item['payload']}"))
        elif item["kind"] == TRADE:
            totals["traded_wh"] += values["energy_wh"]
            totals["amount_micro"] += values["amount_micro"]
        elif item["kind"] == CERTIFICATE and newly_certified(values):
            totals["certificate_wh"] += values["energy_wh"]
        elif item["kind"] in meters:
            meters[item["kind"]].append(str(values.get("meter_id")))
            reasons.add(values.get("reason", CORRECTION))
    if batch["version"] > 1:
        if totals["traded_wh"] or totals["amount_micro"]:
            found.append(("correction", f"version {batch['version']} trades {totals['traded_wh']} Wh"))
        if sorted(meters[ENERGY_READING]) != sorted(meters[GRID_SETTLEMENT]) or reasons - {CORRECTION}:
            found.append(("correction", f"version {batch['version']} settles {meters}, for {sorted(reasons)}"))
    ordered = items.sort("kind", "natural_key")["leaf_index"].to_list()
    if ordered != list(range(items.height)):
        found.append(("leaf_order", f"leaf indexes {ordered}"))
    if batch["items"] != items.height:
        found.append(("item_count", f"says {batch['items']} items, has {items.height}"))
    stored = items["proof"].to_list()
    wrong = [place for place, proof in enumerate(merkle.proof_texts(leaves)) if proof != stored[place]] if any(stored) else []
    if wrong:
        first = items.row(wrong[0], named=True)
        found.append(("proof", f"{len(wrong)} proofs lead elsewhere, first that of {first['kind']} {first['natural_key']}"))
    root = merkle.root(leaves).hex()
    if batch["merkle_root"] != root:
        found.append(("root", f"says {batch['merkle_root']}, its items make {root}"))
    for name, total in totals.items():
        if batch[name] != total:
            found.append(("batch_totals", f"says {name} {batch[name]}, its items sum to {total}"))
    memo = Memo(
        zone=batch["zone"],
        window_start=batch["window_start"],
        version=batch["version"],
        items=items.height,
        merkle_root=root,
        **totals,
    ).text()
    if batch["memo"] != memo:
        found.append(("memo", f"says {batch['memo']}, should say {memo}"))
    return found


def _payload(item: dict[str, Any], batch: dict[str, Any]) -> dict[str, Any] | None:
    """The payload's values; None where it is not canonical or not about its item and batch."""
    try:
        values = json.loads(item["payload"])
        canonical = canonical_json(values) == item["payload"]
    except (ValueError, AttributeError):
        return None
    if not canonical or values.get("kind") != item["kind"]:
        return None
    if values.get(NATURAL_KEYS.get(item["kind"], "")) != item["natural_key"]:
        return None
    of_batch = {"zone": batch["zone"], "window_start": iso(batch["window_start"]), "version": batch["version"]}
    if any(values.get(name) != value for name, value in of_batch.items()):
        return None
    summed = {TRADE: ("energy_wh", "amount_micro"), CERTIFICATE: ("energy_wh",)}.get(item["kind"], ())
    return values if all(type(values.get(name)) is int for name in summed) else None

"""What is behind a thing: the energy it rests on, down to raw messages, and the words of those who agreed to it."""

from __future__ import annotations

from collections.abc import Callable

from gridtokenx_pipeline.contracts import certificates, core, market, settlement
from gridtokenx_pipeline.domain.settlement import CERTIFICATE, ENERGY_READING, GRID_SETTLEMENT
from gridtokenx_pipeline.domain.settlement import TRADE as TRADE_ITEM

from . import certified, messages, settled, traded
from .energy import MARKET_CHANNELS, edit, energy_row, interval, reading, whole
from .nodes import Node, check, clock, equal, folded
from .source import Row, Source


def bundle(source: Source, row: Row) -> list[Node]:
    """The register, the interval's energy, and for what a store gave the certificates cancelled for it."""
    channel = "discharge" if row["origin"] == certified.STORAGE else "generation"
    below = certified.cancelled_for(source, row) if row["origin"] == certified.STORAGE else []
    return [*certified.register(source, row), *below, interval(source, row["meter_id"], row["interval_start"], [channel])]


def event(source: Source, row: Row) -> list[Node]:
    """The bundle and what is behind it, the trade that it moved with."""
    nodes: list[Node] = []
    if row["trade_id"]:
        found = source.one(market.TRADES, row["trade_id"])
        nodes.append(traded.trade(source, found) if found else check(False, f"the trade {row['trade_id']} is in market.trades"))
    if row["counter_bundle_id"]:
        found = source.one(certificates.BUNDLES, row["counter_bundle_id"])
        nodes.append(certified.bundle(found) if found else check(False, f"the bundle {row['counter_bundle_id']} is there"))
    own = source.one(certificates.BUNDLES, row["bundle_id"], row["bundle_interval_start"])
    return [
        *nodes,
        certified.bundle(own).add(*bundle(source, own)) if own else check(False, f"the bundle {row['bundle_id']} is there"),
    ]


def trade(source: Source, row: Row) -> list[Node]:
    """The interval it was cleared in, both meters' settlements with the grid and energy, the agreement it fulfils."""
    zone, start = row["zone"], row["interval_start"]
    nodes = traded.versions(source, zone, start)
    if row["agreement_id"]:
        found = source.one(market.AGREEMENTS, row["agreement_id"])
        nodes.append(
            traded.agreement(source, found).add(*agreement(source, found))
            if found
            else check(False, f"the agreement {row['agreement_id']} is in market.agreements")
        )
    for side in ("seller", "buyer"):
        meter = row[f"{side}_meter_id"]
        node = Node(side, meter, "")
        nodes.append(
            node.add(
                *(traded.grid(source, one) for one in traded.grid_of(source, zone, start, meter)), interval(source, meter, start)
            )
        )
    return nodes


def grid(source: Source, row: Row) -> list[Node]:
    """The interval's versions, the meter's trades and energy."""
    zone, start, meter = row["zone"], row["interval_start"], row["meter_id"]
    trades = traded.trades_of(source, zone, start, meter)
    return [
        *traded.versions(source, zone, start),
        *folded(trades, max(source.limit, 4), lambda one: traded.trade(source, one), "trades"),
        interval(source, meter, start),
    ]


def energy(source: Source, row: Row) -> list[Node]:
    """The settled whole Wh of an energy reading against the interval's energy now."""
    payload = settled.payload(row)
    now = energy_row(source, row["natural_key"], row["window_start"])
    nodes = []
    for channel in MARKET_CHANNELS:
        then, known = payload.get(f"{channel}_wh"), whole(now, channel) if now else None
        if then == known:
            nodes.append(equal(f"{channel} settled, and by the registers now", then or 0, known or 0, "Wh"))
        else:
            nodes.append(
                Node(
                    "changed",
                    channel,
                    f"{channel} settled as {then} Wh, {known} Wh by the registers now: settled by another version",
                )
            )
    return [*nodes, interval(source, row["natural_key"], row["window_start"])]


def item(source: Source, row: Row) -> list[Node]:
    """The thing it settles, and what is behind that."""
    start = row["window_start"]
    if row["kind"] == ENERGY_READING:
        return energy(source, row)
    table, head, below = {
        CERTIFICATE: (certificates.BUNDLES, lambda _, found: certified.bundle(found), bundle),
        GRID_SETTLEMENT: (market.GRID_SETTLEMENTS, traded.grid, grid),
        TRADE_ITEM: (market.TRADES, traded.trade, trade),
    }[row["kind"]]
    found = source.one(table, row["natural_key"], start)
    if found is None:
        return [check(False, f"{table.full_name} has {row['natural_key']}")]
    return [head(source, found).add(*below(source, found))]


def batch(source: Source, row: Row) -> list[Node]:
    """The interval's versions, and the items by kind with their sums."""
    zone, start = row["zone"], row["window_start"]
    items = [one for one in source.window(settlement.ITEMS, zone, start) if one["batch_id"] == row["batch_id"]]
    nodes = [equal("items", len(items), row["items"]), *traded.versions(source, zone, start)]
    for kind in sorted({one["kind"] for one in items}):
        of_kind = sorted((one for one in items if one["kind"] == kind), key=lambda one: one["leaf_index"])
        payloads = [settled.payload(one) for one in of_kind]
        sums = {name: sum(one[name] for one in payloads if one.get(name) is not None) for name in ("energy_wh", "amount_micro")}
        sums = {name: value for name, value in sums.items() if any(name in one for one in payloads)}
        said = ", ".join(f"{name.partition('_')[0]} {value:,} {name.partition('_')[2]}" for name, value in sums.items())
        node = Node("items", kind, f"{len(of_kind)} {kind} items{': ' + said if said else ''}", {"count": len(of_kind), **sums})
        nodes.append(node.add(*folded(of_kind, source.limit, _leaf, "items")))
    return nodes


def agreement(source: Source, row: Row) -> list[Node]:
    """The messages of both sides."""
    return traded.said_by(source, [row["seller_message_id"], row["buyer_message_id"]])


def offer(source: Source, row: Row) -> list[Node]:
    """The message that made it."""
    return traded.said_by(source, [row["message_id"]])


def edited(source: Source, row: Row) -> list[Node]:
    """What had been received for the interval, with its messages, and the other edits of it."""
    key = (row["meter_id"], row["channel"], row["interval_start"])
    where = "meter_id = ? AND channel = ? AND interval_start = ?"
    readings = source.rows(core.READINGS, where, *key)
    others = [one for one in source.rows(core.EDITS, where, *key) if one["edit_id"] != row["edit_id"]]
    known = messages.messages(source, {one["message_id"] for one in readings})
    about = messages.About(row["interval_start"], row["interval_start"], [row["channel"]])
    nodes = [
        reading(one).add(messages.message(source, known.get(one["message_id"]), one["message_id"], about)) for one in readings
    ] or [Node("readings", "", f"nothing was received for {clock(row['interval_start'])}")]
    return [*nodes, *(edit(one) for one in sorted(others, key=lambda one: one["edited_at"]))]


Behind = Callable[[Source, Row], list[Node]]


def _leaf(row: Row) -> Node:
    return Node(
        "settlement item", row["item_id"], f"leaf {row['leaf_index']}: {row['natural_key']}", {"leaf_sha256": row["leaf_sha256"]}
    )

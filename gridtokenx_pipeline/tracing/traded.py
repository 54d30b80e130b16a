"""Trades, settlements with the grid, the market interval they were cleared in, and agreements."""

from __future__ import annotations

import datetime as dt

from gridtokenx_pipeline.contracts import market
from gridtokenx_pipeline.domain.market import amount_micro

from . import messages
from .find import AGREEMENT, GRID, OFFER, TRADE
from .nodes import Node, check, clock, equal, flags, folded, money
from .source import Row, Source


def trade(source: Source, row: Row) -> Node:
    """Return the node of a trade: its amount recomputed, its price between the tariffs of its interval."""
    currency = source.currency(row["zone"], row["interval_start"])
    lost = f", {row['loss_wh']:,} Wh lost on the way" if row["loss_wh"] else ""
    wheeling = f", wheeling {money(row['wheeling_micro'], currency)}" if row["wheeling_micro"] else ""
    title = (
        f"{row['seller_meter_id']} -> {row['buyer_meter_id']} {clock(row['interval_start'])}: {row['energy_wh']:,} Wh for "
        f"{money(row['amount_micro'], currency)} ({row['kind']}, {row['price_micro_per_kwh']:,} micro per kWh{lost}{wheeling}), "
        f"{flags(row['quality_flags'])}"
    )
    names = ("energy_wh", "price_micro_per_kwh", "amount_micro", "loss_wh", "wheeling_micro", "kind", "mechanism", "version")
    facts = {name: row[name] for name in (*names, "quality_flags", "agreement_id") if row[name] is not None}
    node = Node(TRADE, row["trade_id"], title, facts)
    what = f"({row['energy_wh']:,} Wh x {row['price_micro_per_kwh']:,} + 500) // 1000"
    node.add(equal(what, amount_micro(row["energy_wh"], row["price_micro_per_kwh"]), row["amount_micro"], "micro"))
    versions = [
        one for one in source.window(market.INTERVALS, row["zone"], row["interval_start"]) if one["version"] == row["version"]
    ]
    for one in versions:
        low, high = one["feed_in_micro_per_kwh"], one["retail_micro_per_kwh"]
        price = row["price_micro_per_kwh"]
        inside = low <= price <= high
        node.add(
            check(
                inside,
                f"price {price:,} {'is' if inside else 'is not'} between feed-in {low:,} and retail {high:,}",
            )
        )
    return node


def trades_of(source: Source, zone: str, start: dt.datetime, meter_id: str) -> list[Row]:
    """Return the trades of a meter in an interval."""
    rows = source.window(market.TRADES, zone, start)
    return [row for row in rows if meter_id in (row["seller_meter_id"], row["buyer_meter_id"])]


def grid_of(source: Source, zone: str, start: dt.datetime, meter_id: str) -> list[Row]:
    """Return a meter's settlements with the grid in an interval, by version."""
    rows = [row for row in source.window(market.GRID_SETTLEMENTS, zone, start) if row["meter_id"] == meter_id]
    return sorted(rows, key=lambda row: row["version"])


def grid(source: Source, row: Row) -> Node:
    """Return the node of a settlement with the grid, with what must add up in it."""
    currency = source.currency(row["zone"], row["interval_start"])
    direction = "exported" if row["energy_wh"] >= 0 else "imported"
    version = f", version {row['version']}" if row["version"] > 1 else ""
    title = (
        f"{row['meter_id']} {clock(row['interval_start'])}: net {row['net_wh']:+,} Wh, traded {row['traded_wh']:+,}, "
        f"{direction} {abs(row['energy_wh']):,} Wh for {money(row['amount_micro'], currency)} ({row['reason']}{version}), "
        f"{flags(row['quality_flags'])}"
    )
    names = ("net_wh", "traded_wh", "energy_wh", "amount_micro", "reason", "version", "quality_flags")
    node = Node(GRID, row["grid_settlement_id"], title, {name: row[name] for name in names})
    node.add(equal("traded and settled with the grid are the net", row["traded_wh"] + row["energy_wh"], row["net_wh"], "Wh"))
    same = [
        one for one in trades_of(source, row["zone"], row["interval_start"], row["meter_id"]) if one["version"] == row["version"]
    ]
    sold = sum(one["energy_wh"] for one in same if one["seller_meter_id"] == row["meter_id"])
    received = sum(one["energy_wh"] - one["loss_wh"] for one in same if one["buyer_meter_id"] == row["meter_id"])
    node.add(equal(f"{len(same)} trades, sold less received", sold - received, row["traded_wh"], "Wh"))
    return node.add(_valued(source, row))


def versions(source: Source, zone: str, start: dt.datetime) -> list[Node]:
    """Return the versions of a market interval: the settlement and its corrections, which are differences."""
    nodes = []
    for row in source.window(market.INTERVALS, zone, start):
        currency = row["currency"]
        title = (
            f"{row['state']}{' (a correction)' if row['version'] > 1 else ''}: supply "
            f"{row['supply_wh']:,}, demand {row['demand_wh']:,}, traded {row['traded_wh']:,} Wh, "
            f"price {row['price_micro_per_kwh']:,} of "
            f"{row['feed_in_micro_per_kwh']:,} to {row['retail_micro_per_kwh']:,} micro-{currency} per kWh, {row['mechanism']}"
        )
        facts = {name: value for name, value in row.items() if name not in ("zone", "interval_start")}
        nodes.append(Node("market interval", f"{zone}@{clock(start)}/v{row['version']}", title, facts))
    return nodes


def agreement(source: Source, row: Row) -> Node:
    """Return the node of an agreement."""
    until = f" until {clock(row['valid_until'])}" if row["valid_until"] else ""
    reason = f": {row['reason']}" if row["reason"] else ""
    title = (
        f"{row['seller_meter_id']} -> {row['buyer_meter_id']}: up to {row['max_wh']:,} Wh at "
        f"{row['price_micro_per_kwh']:,} micro per kWh, "
        f"priority {row['priority']}, from {clock(row['valid_from'])}{until}, by {row['source']}, {row['state']}{reason}"
    )
    names = ("max_wh", "price_micro_per_kwh", "priority", "source", "state", "seller_message_id", "buyer_message_id")
    return Node(AGREEMENT, row["agreement_id"], title, {name: row[name] for name in names if row[name] is not None})


def offer(row: Row) -> Node:
    """Return the node of an offer."""
    title = (
        f"{row['meter_id']} {row['side']} up to {row['energy_limit_wh']:,} Wh at "
        f"{row['price_limit_micro_per_kwh']:,} micro per kWh, from {clock(row['valid_from'])}, {row['state']}"
    )
    return Node(OFFER, row["offer_id"], title, {"message_id": row["message_id"]})


def said_by(source: Source, ids: list[str | None]) -> list[Node]:
    """Return the messages that said it; a node that names the file where no device did."""
    asked = [id_ for id_ in dict.fromkeys(ids) if id_ is not None]
    known = messages.messages(source, asked)
    return [messages.message(source, known.get(id_), id_) for id_ in asked] or [
        Node("file", "", "from the configured file of agreements")
    ]


def fulfilled(source: Source, row: Row) -> list[Node]:
    """Return the trades that fulfil an agreement, with their sums."""
    rows = source.rows(market.TRADES, "agreement_id = ? AND interval_start >= ?", row["agreement_id"], row["valid_from"])
    rows.sort(key=lambda one: one["interval_start"])
    if not rows:
        return [Node("trades", "", "none has fulfilled it yet")]
    energy, amount = sum(one["energy_wh"] for one in rows), sum(one["amount_micro"] for one in rows)
    currency = source.currency(rows[0]["zone"], rows[0]["interval_start"])
    most = max(one["energy_wh"] for one in rows)
    node = Node(
        "trades",
        "",
        f"{len(rows)} trades, {energy:,} Wh for {money(amount, currency)}",
        {"energy_wh": energy, "amount_micro": amount},
    )
    node.add(check(most <= row["max_wh"], f"none is of more than {row['max_wh']:,} Wh: the largest is {most:,} Wh"))
    return [node.add(*folded(rows, source.limit, lambda one: trade(source, one), "trades"))]


def _valued(source: Source, row: Row) -> Node | None:
    """The amounts of all versions until this one are the worth of what they leave with the grid at the interval's tariffs."""
    until = [
        one for one in grid_of(source, row["zone"], row["interval_start"], row["meter_id"]) if one["version"] <= row["version"]
    ]
    tariffs = source.window(market.INTERVALS, row["zone"], row["interval_start"])
    if not tariffs:
        return None
    rest, amount = sum(one["energy_wh"] for one in until), sum(one["amount_micro"] for one in until)
    price = tariffs[0]["feed_in_micro_per_kwh" if rest >= 0 else "retail_micro_per_kwh"]
    worth = amount_micro(rest, price) if rest >= 0 else -amount_micro(-rest, price)
    together = f" with the {len(until) - 1} versions before" if len(until) > 1 else ""
    return equal(f"{rest:+,} Wh{together} at {price:,} micro per kWh", worth, amount, "micro")

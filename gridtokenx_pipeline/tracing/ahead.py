"""What is in front of a thing: trades, transfers, holdings, the settlement with its proof, the batch, the transaction."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict

from gridtokenx_pipeline.contracts import certificates, core, settlement
from gridtokenx_pipeline.contracts.core import CHANNELS
from gridtokenx_pipeline.domain.settlement import CERTIFICATE, ENERGY_READING, GRID_SETTLEMENT, TRADE

from . import certified, settled, traded
from .energy import energy_row, net
from .find import INTERVAL
from .nodes import Node, clock, equal, folded, milli
from .source import Row, Source

_STEP = 300


def bundle(source: Source, row: Row) -> list[Node]:
    """What happened to its certificates, who holds them, and its settlement."""
    lives = certified.lives(source, row)
    return [*lives, *settled.settled(source, row["zone"], row["interval_start"], {(CERTIFICATE, row["bundle_id"])})]


def event(source: Source, row: Row) -> list[Node]:
    """What became of the bundle, and its settlement."""
    own = source.one(certificates.BUNDLES, row["bundle_id"], row["bundle_interval_start"])
    return bundle(source, own) if own else []


def trade(source: Source, row: Row) -> list[Node]:
    """Certificates that moved with it, and its settlement."""
    zone, start = row["zone"], row["interval_start"]
    moved = certified.moved_with(source, zone, start, row["trade_id"])
    delivered = row["energy_wh"] - row["loss_wh"]
    transferred = sum(one["energy_wh"] for one in moved if one["kind"] == "transferred")
    said = f"{transferred:,} of {delivered:,} delivered Wh moved with certificates, the rest is grey"
    node = Node("certificates", "", said, {"transferred_wh": transferred, "delivered_wh": delivered})
    node.add(*folded(moved, max(source.limit, 4), certified.event, "events"))
    return [node, *settled.settled(source, zone, start, {(TRADE, row["trade_id"])})]


def grid(source: Source, row: Row) -> list[Node]:
    """Its settlement."""
    return settled.settled(source, row["zone"], row["interval_start"], {(GRID_SETTLEMENT, row["grid_settlement_id"])})


def interval(source: Source, meter_id: str, start: dt.datetime) -> list[Node]:
    """Bundles, trades and settlements of a meter's interval, all versions, against its energy now."""
    energy = energy_row(source, meter_id, start)
    if energy is None:
        return []
    zone = energy["zone"]
    bundles = certified.bundles_of(source, zone, start, meter_id)
    trades = traded.trades_of(source, zone, start, meter_id)
    grid_rows = traded.grid_of(source, zone, start, meter_id)
    nodes: list[Node] = [certified.bundle(one).add(*certified.lives(source, one)) for one in bundles]
    nodes += [certified.storage(one) for one in source.window(certificates.STORAGE, zone, start) if one["meter_id"] == meter_id]
    nodes += traded.versions(source, zone, start)
    nodes += folded(trades, max(source.limit, 4), lambda one: traded.trade(source, one), "trades")
    nodes += [traded.grid(source, one) for one in grid_rows]
    now = net(energy)
    if grid_rows and now is not None:
        total = sum(one["net_wh"] for one in grid_rows)
        nodes.append(equal(f"net by the registers now, and settled in {len(grid_rows)} versions", now, total, "Wh"))
    what = {
        (ENERGY_READING, meter_id),
        *((CERTIFICATE, one["bundle_id"]) for one in bundles),
        *((TRADE, one["trade_id"]) for one in trades),
        *((GRID_SETTLEMENT, one["grid_settlement_id"]) for one in grid_rows),
    }
    return [*nodes, *settled.settled(source, zone, start, what)]


def item(source: Source, row: Row) -> list[Node]:
    """Its batch and transactions."""
    zone, start = row["zone"], row["window_start"]
    found = [one for one in source.window(settlement.BATCHES, zone, start) if one["batch_id"] == row["batch_id"]]
    return [settled.batch(source, one).add(*settled.transactions(source, zone, start, one["batch_id"])) for one in found]


def message(source: Source, row: Row) -> list[Node]:
    """What became of it: its outcome, readings by channel, what was refused, and the intervals these readings are part of."""
    at, id_ = row["received_at"], row["message_id"]
    near = "message_id = ? AND received_at = ?"
    nodes = []
    for one in source.rows(core.MESSAGE_OUTCOMES, near, id_, at):
        total = one["accepted"] + one["rejected"] + one["telemetry"]
        became = f"{one['accepted']} readings accepted, {one['rejected']} rejected, {one['telemetry']} telemetry"
        title = f"{one['document'] or 'not parsed'}: {became}"
        facts = {name: one[name] for name in ("readings_total", "accepted", "rejected", "telemetry")}
        nodes.append(
            Node("outcome", "", title, facts).add(
                equal("accepted, rejected and telemetry", total, one["readings_total"], "readings")
            )
        )
    for one in source.rows(core.P2P_DOCUMENTS, near, id_, at):
        limit = f"{milli(one['energy_limit_milli_wh']) or '?'} Wh at {one['price_micro_per_kwh']} micro per kWh"
        nodes.append(
            Node(
                "document", one["mrid"] or "", f"{one['action']} {one['kind']} {one['side'] or ''} {limit}, {one['status'] or ''}"
            )
        )
    readings = source.rows(core.READINGS, near, id_, at)
    by_channel: defaultdict[str, list[Row]] = defaultdict(list)
    for one in readings:
        by_channel[one["channel"]].append(one)
    for channel in sorted(by_channel, key=CHANNELS.index):
        rows = by_channel[channel]
        energies = [one["energy_milli_wh"] for one in rows if one["energy_milli_wh"] is not None]
        sums = f", {milli(sum(energies))} Wh" if energies else ""
        starts = [one["interval_start"] for one in rows]
        span = clock(min(starts)) if len(rows) == 1 else f"{clock(min(starts))} to {clock(max(starts))}"
        nodes.append(Node("readings", channel, f"{len(rows)} {channel} of {span}{sums}", {"count": len(rows)}))
    rejected = source.rows(core.REJECTED_READINGS, near, id_, at)
    nodes += folded(
        rejected,
        source.limit,
        lambda one: Node("rejected", one["channel"] or "", f"{one['reason']}: {one['detail']}"),
        "rejected",
    )
    places = sorted({(one["meter_id"], _five_minutes(one["interval_start"])) for one in readings})
    return [*nodes, *folded(places, source.limit, lambda place: in_short(source, *place), "intervals")]


def edited(source: Source, row: Row) -> list[Node]:
    """The interval it is part of."""
    return [in_short(source, row["meter_id"], _five_minutes(row["interval_start"]))]


def in_short(source: Source, meter_id: str, start: dt.datetime) -> Node:
    """Return a meter's interval in one line, with the bundle, settlement and transactions in front of it as lines."""
    energy = energy_row(source, meter_id, start)
    if energy is None:
        return Node(
            INTERVAL, f"{meter_id}@{clock(start)}", "has no row in core.energy_5min: it was not derived yet, or is left out"
        )
    total = net(energy)
    says = f"net {total:+,} Wh" if total is not None else "net unknown"
    node = Node(INTERVAL, f"{meter_id}@{clock(start)}", says, {"net_wh": total})
    zone = energy["zone"]
    node.add(*(certified.bundle(one) for one in certified.bundles_of(source, zone, start, meter_id)))
    rows = traded.grid_of(source, zone, start, meter_id)
    node.add(*(traded.grid(source, one) for one in rows))
    items = [
        one
        for one in source.window(settlement.ITEMS, zone, start)
        if (one["kind"], one["natural_key"]) == (ENERGY_READING, meter_id)
    ]
    for batch_id in dict.fromkeys(one["batch_id"] for one in items):
        node.add(*settled.transactions(source, zone, start, batch_id))
    return node


def _five_minutes(moment: dt.datetime) -> dt.datetime:
    return dt.datetime.fromtimestamp(moment.timestamp() // _STEP * _STEP, dt.UTC)

"""A trace: the thing that was asked for, what is behind it, and what is in front of it."""

from __future__ import annotations

from gridtokenx_pipeline.contracts import settlement
from gridtokenx_pipeline.warehouse import Warehouse

from . import ahead, behind, certified, energy, find, messages, settled, traded
from .nodes import Node
from .source import Row, Source


def trace(warehouse: Warehouse, text: str, *, limit: int = 3, xml: bool = False) -> Node:
    """Return the tree of what `text` (see `find.find`) stands for; its children are its own checks, `behind` and `in front`.

    `limit` is how many of a list of alike things are shown; the checks are about all of them. `warehouse` is only read. Raises
    `find.NotFound` or `find.Ambiguous`.
    """
    # One transaction: what the pipeline commits meanwhile would make sums of two moments.
    connection = warehouse.connect()
    connection.execute("BEGIN")
    try:
        return _trace(Source(warehouse, limit=limit, xml=xml), text)
    finally:
        connection.execute("ROLLBACK")


def _trace(source: Source, text: str) -> Node:
    found = find.find(source, text)
    if found.kind == find.INTERVAL:
        assert found.at is not None
        meter = found.id.partition("@")[0]
        node = energy.interval(source, meter, found.at)
        below, node.children = node.children, []
        return _joined(node, below, ahead.interval(source, meter, found.at))
    row = _row(source, found)
    node, below, above = _parts(source, found, row)
    return _joined(node, below, above)


def _row(source: Source, found: find.Found) -> Row:
    table = find.TABLES[find.BUNDLE if found.kind == find.CERTIFICATE else found.kind]
    row = source.one(table, found.id, found.at)
    assert row is not None
    return row


def _parts(source: Source, found: find.Found, row: Row) -> tuple[Node, list[Node], list[Node]]:
    """The node of what was found, what is behind it and what is in front of it."""
    match found.kind:
        case find.BUNDLE:
            return certified.bundle(row), behind.bundle(source, row), ahead.bundle(source, row)
        case find.CERTIFICATE:
            assert found.wh is not None
            node = certified.certificate(source, row, found.wh)
            return node, [certified.bundle(row).add(*behind.bundle(source, row))], ahead.bundle(source, row)
        case find.EVENT:
            return certified.event(row), behind.event(source, row), ahead.event(source, row)
        case find.TRADE:
            return traded.trade(source, row), behind.trade(source, row), ahead.trade(source, row)
        case find.GRID:
            return traded.grid(source, row), behind.grid(source, row), ahead.grid(source, row)
        case find.ITEM:
            return settled.item(source, row), behind.item(source, row), ahead.item(source, row)
        case find.BATCH:
            chain = settled.transactions(source, row["zone"], row["window_start"], row["batch_id"])
            return settled.batch(source, row), behind.batch(source, row), chain
        case find.TRANSACTION:
            carried = source.one(settlement.BATCHES, row["batch_id"], row["window_start"])
            below = [settled.batch(source, carried).add(*behind.batch(source, carried))] if carried else []
            return settled.transaction(row), below, []
        case find.AGREEMENT:
            return traded.agreement(source, row), behind.agreement(source, row), traded.fulfilled(source, row)
        case find.OFFER:
            return traded.offer(row), behind.offer(source, row), []
        case find.EDIT:
            return energy.edit(row), behind.edited(source, row), ahead.edited(source, row)
        case _:
            return messages.message(source, row, row["message_id"]), [], ahead.message(source, row)


def _joined(node: Node, below: list[Node], above: list[Node]) -> Node:
    node.add(Node("behind", "", "behind it").add(*below) if below else None)
    return node.add(Node("in front", "", "in front of it").add(*above) if above else None)

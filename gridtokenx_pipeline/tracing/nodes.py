"""What a trace is made of: nodes with what they say, and checks that hold or fail; and how values read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gridtokenx_pipeline.domain.ids import iso

T = TypeVar("T")

CHECK, MORE = "check", "more"
# A hash that is as it should be is not written twice.
_HASH = 32
_FLAGS = (
    (1, "valid"),
    (2, "edited"),
    (4, "reference day"),
    (8, "interpolated"),
    (16, "questionable"),
    (32, "derived"),
    (64, "projected"),
)


@dataclass
class Node:
    """One thing of a trace.

    `facts` are whole numbers, texts or lists of them; energies that are no whole Wh are exact decimal texts. `ok` says whether a
    check holds; None is a node that is no check.
    """

    kind: str
    id: str
    title: str
    facts: dict[str, Any] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)
    ok: bool | None = None

    def add(self, *nodes: Node | None) -> Node:
        """Append children, leaving out what is None, and return the node itself."""
        self.children.extend(node for node in nodes if node is not None)
        return self


def check(holds: bool, text: str) -> Node:
    """Return a check with the numbers it compares."""
    return Node(CHECK, "", text, ok=holds)


def equal(what: str, left: str | int, right: str | int, unit: str = "") -> Node:
    """Return the check that two values, of which the first was recomputed, are the same."""
    sign = "=" if left == right else "is not"
    unit = f" {unit}" if unit else ""
    if left == right and len(str(left)) > _HASH:
        return check(True, f"{what}: {left}")
    return check(left == right, f"{what}: {_grouped(left)} {sign} {_grouped(right)}{unit}")


def folded(
    items: Sequence[T], limit: int, shown: Callable[[T], Node], what: str, odd: Callable[[T], bool] | None = None
) -> list[Node]:
    """Return nodes of `items`: all where they are at most `limit`, else the first ones, the last, and how many lie between.

    Of those between, up to `limit` that are `odd` are shown too.
    """
    if len(items) <= limit:
        return [shown(item) for item in items]
    chosen = {*range(limit - 1), len(items) - 1} if limit > 1 else {0}
    if odd is not None:
        chosen |= set([i for i, item in enumerate(items) if i not in chosen and odd(item)][:limit])
    nodes: list[Node] = []
    at = 0
    for i in [*sorted(chosen), len(items)]:
        if i > at:
            nodes.append(Node(MORE, "", f"{i - at} more {what}", {"count": i - at}))
        if i < len(items):
            nodes.append(shown(items[i]))
        at = i + 1
    return nodes


def failures(node: Node) -> tuple[int, list[Node]]:
    """Return how many checks there are under `node`, and those that fail."""
    checks, failed, waiting = 0, [], [node]
    while waiting:
        one = waiting.pop()
        if one.ok is not None:
            checks += 1
            if not one.ok:
                failed.append(one)
        waiting.extend(reversed(one.children))
    return checks, failed


def pruned(node: Node, depth: int) -> Node:
    """Return a copy of `node` without what lies deeper than `depth` levels below it; what was cut is counted."""
    if depth > 0:
        children = [pruned(child, depth - 1) for child in node.children]
    else:
        below = sum(1 for _ in _descendants(node))
        children = [Node(MORE, "", f"{below} more below", {"count": below})] if below else []
    return Node(node.kind, node.id, node.title, node.facts, children, node.ok)


def as_dict(node: Node) -> dict[str, Any]:
    """Return the node as nested dicts and lists of texts and numbers, for JSON."""
    return {
        "kind": node.kind,
        "id": node.id,
        "title": node.title,
        "ok": node.ok,
        "facts": {name: _plain(value) for name, value in node.facts.items()},
        "children": [as_dict(child) for child in node.children],
    }


def _descendants(node: Node) -> Iterable[Node]:
    for child in node.children:
        yield child
        yield from _descendants(child)


def _plain(value: Any) -> Any:
    return iso(value.replace(microsecond=0)) if isinstance(value, dt.datetime) else value


def _grouped(value: str | int) -> str:
    return f"{value:,}" if isinstance(value, int) else value


def milli(value: int | None) -> str | None:
    """Return milli-watt-hours as exact watt-hours, such as `150.037`."""
    if value is None:
        return None
    sign = "-" if value < 0 else ""
    return f"{sign}{abs(value) // 1000}.{abs(value) % 1000:03d}"


def money(micro: int, currency: str) -> str:
    """Return micro-currency as an amount, such as `0.139868 USD`."""
    sign = "-" if micro < 0 else ""
    return f"{sign}{abs(micro) // 1_000_000}.{abs(micro) % 1_000_000:06d} {currency}".rstrip()


def flags(bits: int | None) -> str:
    """Return qualityFlags as words; none set is `raw`."""
    return "+".join(word for bit, word in _FLAGS if (bits or 0) & bit) or "raw"


def clock(moment: dt.datetime) -> str:
    """Return a moment as `2026-11-22T20:00:00Z`, with its milliseconds where it has some."""
    text = iso(moment.replace(microsecond=0))
    return f"{text[:-1]}.{moment.microsecond // 1000:03d}Z" if moment.microsecond else text

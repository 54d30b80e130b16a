"""Merkle tree over the leaves of a settlement batch, with domain separation of leaves and nodes (as RFC 9162 2.1.1).

A leaf is sha256(0x00 || payload), a node sha256(0x01 || left || right); an odd node moves up unchanged. The root alone goes
on chain; any single item can later be proven against it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal, NamedTuple


class Step(NamedTuple):
    """A sibling on the way to the root, and the side it stands on."""

    side: Literal["left", "right"]
    sibling: bytes


def leaf(payload: bytes) -> bytes:
    """Return the 32-byte leaf of a payload."""
    return hashlib.sha256(b"\x00" + payload).digest()


def node(left: bytes, right: bytes) -> bytes:
    """Return the 32-byte parent of two nodes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over `leaves`; a single leaf is its own root. Raises `ValueError` where there are none."""
    if not leaves:
        raise ValueError("no leaves, no root")
    level = list(leaves)
    while len(level) > 1:
        level = _parents(level)
    return level[0]


def proof(leaves: Sequence[bytes], index: int) -> tuple[Step, ...]:
    """Return the siblings that lead from leaf `index` to the root. Raises `IndexError` where there is no such leaf."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of {len(leaves)}")
    steps = []
    level = list(leaves)
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            steps.append(Step("left" if sibling < index else "right", level[sibling]))
        level = _parents(level)
        index //= 2
    return tuple(steps)


def verify(leaf: bytes, proof: Sequence[Step], root: bytes) -> bool:
    """Whether `proof` leads from `leaf` to `root`."""
    current = leaf
    for side, sibling in proof:
        current = node(sibling, current) if side == "left" else node(current, sibling)
    return current == root


def _parents(level: list[bytes]) -> list[bytes]:
    parents = [node(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
    return parents + level[-1:] if len(level) % 2 else parents

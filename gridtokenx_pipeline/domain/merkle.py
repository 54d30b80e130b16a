"""Merkle tree over the leaves of a settlement batch, with domain separation of leaves and nodes (as RFC 9162 2.1.1).

A leaf is sha256(0x00 || payload), a node sha256(0x01 || left || right); an odd node moves up unchanged. The root alone goes
on chain; any single item can later be proven against it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeVar


class Step(NamedTuple):
    """A sibling on the way to the root, and the side it stands on."""

    side: Literal["left", "right"]
    sibling: bytes


_Way = TypeVar("_Way", str, tuple[Step, ...])
_STEP = re.compile(r"([LR])([0-9a-f]{64})", re.ASCII)


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


def proofs(leaves: Sequence[bytes]) -> list[tuple[Step, ...]]:
    """Return `proof` of every leaf, in O(n log n); of no leaves none."""
    nothing: tuple[Step, ...] = ()
    return _ways(leaves, lambda side, sibling: (Step(side, sibling),), nothing)


def proof_texts(leaves: Sequence[bytes]) -> list[str]:
    """Return `proof` of every leaf as `parse_proof` reads it: for each sibling L or R, its side, and its lower-case hex."""
    return _ways(leaves, lambda side, sibling: ("L" if side == "left" else "R") + sibling.hex(), "")


def parse_proof(text: str) -> tuple[Step, ...]:
    """Read a proof back from its text; an empty one is that of a lone leaf. Raises `ValueError` for any other text."""
    steps = [Step("left" if side == "L" else "right", bytes.fromhex(sibling)) for side, sibling in _STEP.findall(text)]
    if len(steps) * 65 != len(text):
        raise ValueError(f"not a Merkle proof: {text!r}")
    return tuple(steps)


def verify(leaf: bytes, proof: Sequence[Step], root: bytes) -> bool:
    """Whether `proof` leads from `leaf` to `root`."""
    current = leaf
    for side, sibling in proof:
        current = node(sibling, current) if side == "left" else node(current, sibling)
    return current == root


def _ways(leaves: Sequence[bytes], step_of: Callable[[Literal["left", "right"], bytes], _Way], nothing: _Way) -> list[_Way]:
    """The way to the root from each leaf: each node's step, and then its parent's way, from the root down."""
    if not leaves:
        return []
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        levels.append(_parents(levels[-1]))
    ways = [nothing]
    for level in reversed(levels[:-1]):
        steps = [step_of("left" if place % 2 else "right", level[place ^ 1]) for place in range(len(level) - len(level) % 2)]
        # a last node without a sibling moves up unchanged: its way is its parent's
        steps += [nothing] * (len(level) % 2)
        ways = [step + ways[place // 2] for place, step in enumerate(steps)]
    return ways


def _parents(level: list[bytes]) -> list[bytes]:
    parents = [node(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
    return parents + level[-1:] if len(level) % 2 else parents
